package dingtalk

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/kongdao/kongdao/api"
)

// DefaultOpenAPI is where DingTalk's OpenAPI is.
const DefaultOpenAPI = "https://api.dingtalk.com"

// App is an app of the organisation whose robot is in a group. Unlike a group
// robot it sends cards with buttons, and hears who pressed them.
type App struct {
	ClientID     string // also called AppKey
	ClientSecret api.Secret
	RobotCode    string // empty: ClientID, as it is for robots of own apps
	Conversation string // openConversationId of the group
	Template     string // card template that is published; see docs/alerts.md for its variables
	OpenAPI      string // empty: DefaultOpenAPI
}

// Validate says what is wrong with a, without its secret.
func (a App) Validate() error {
	var errs []error
	for _, f := range []struct{ name, value string }{
		{"clientId", a.ClientID},
		{"clientSecret", a.ClientSecret.Reveal()},
		{"openConversationId", a.Conversation},
		{"cardTemplate", a.Template},
	} {
		if f.value == "" {
			errs = append(errs, fmt.Errorf("%s: must not be empty", f.name))
		}
	}
	if u, err := url.Parse(a.Base()); err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		errs = append(errs, errors.New("openAPI: must be http(s)://host"))
	}
	return errors.Join(errs...)
}

// Base is where the OpenAPI of a is, without a slash at its end.
func (a App) Base() string { return strings.TrimSuffix(orElse(a.OpenAPI, DefaultOpenAPI), "/") }

// AppClient speaks for an app's robot in one group. It may be used from several
// goroutines.
type AppClient struct {
	robot string
	app   App
	http  *http.Client
	now   func() time.Time

	mu     sync.Mutex // guards all below
	token  string
	renew  time.Time      // when to ask for the next token
	failed map[string]int // cards that exist and were not delivered, and how often that was tried
}

// NewAppClient returns a client for the app of the robot of that name. With h nil
// it uses one of its own, with a timeout of ten seconds.
func NewAppClient(robot string, a App, h *http.Client) (*AppClient, error) {
	if err := a.Validate(); err != nil {
		return nil, fmt.Errorf("app of robot %q: %w", robot, err)
	}
	if h == nil {
		h = NewHTTPClient()
	}
	return &AppClient{robot: robot, app: a, http: h, now: time.Now, failed: map[string]int{}}, nil
}

// NewHTTPClient returns what requests to DingTalk go through: nothing is left
// open, and secrets are not sent to where an answer points.
func NewHTTPClient() *http.Client {
	return &http.Client{
		Transport: &http.Transport{DisableKeepAlives: true, Proxy: http.ProxyFromEnvironment}, Timeout: sendTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// App is what the client was made for.
func (c *AppClient) App() App { return c.app }

// renewBefore is how long before its end an access token is replaced. DingTalk
// gives the same one until then.
const renewBefore = 5 * time.Minute

// accessToken is the one in use, or a new one. Tokens are rationed, so they are
// kept for their two hours.
func (c *AppClient) accessToken(ctx context.Context) (string, error) {
	c.mu.Lock()
	defer c.mu.Unlock() // one asks, the others wait for what it gets
	if c.token != "" && c.now().Before(c.renew) {
		return c.token, nil
	}
	var out struct {
		AccessToken string `json:"accessToken"`
		ExpireIn    int    `json:"expireIn"` // seconds
	}
	in := map[string]string{"appKey": c.app.ClientID, "appSecret": c.app.ClientSecret.Reveal()}
	if err := c.request(ctx, http.MethodPost, "/v1.0/oauth2/accessToken", "", in, &out); err != nil {
		return "", err
	}
	if out.AccessToken == "" {
		return "", c.fail(Transient, http.StatusOK, "no access token in the answer")
	}
	life := time.Duration(out.ExpireIn) * time.Second
	c.token, c.renew = out.AccessToken, c.now().Add(max(life-renewBefore, life/2))
	return c.token, nil
}

func (c *AppClient) forget(token string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.token == token {
		c.token = ""
	}
}

// call makes a request with an access token, and a second one with a new token
// when the first was refused for its token.
func (c *AppClient) call(ctx context.Context, method, path string, in, out any) error {
	for again := true; ; again = false {
		token, err := c.accessToken(ctx)
		if err != nil {
			return err
		}
		err = c.request(ctx, method, path, token, in, out)
		if e, ok := errors.AsType[*SendError](err); !ok || !again || e.reason != "InvalidAuthentication" {
			return err
		}
		c.forget(token)
	}
}

func (c *AppClient) request(ctx context.Context, method, path, token string, in, out any) error {
	body, err := encode(in)
	if err != nil {
		return c.fail(Permanent, 0, "request cannot be encoded")
	}
	req, err := http.NewRequestWithContext(ctx, method, c.app.Base()+path, bytes.NewReader(body))
	if err != nil {
		return c.fail(Permanent, 0, "request cannot be built")
	}
	req.Header.Set("Content-Type", "application/json")
	if token != "" {
		req.Header.Set("x-acs-dingtalk-access-token", token)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		e := c.fail(Transient, 0, "no answer")
		e.cause = withoutURL(err)
		return e
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return c.fail(Transient, resp.StatusCode, "answer cut short")
	}
	if resp.StatusCode != http.StatusOK {
		return c.refused(resp.StatusCode, answer, token)
	}
	if err := json.Unmarshal(answer, out); err != nil {
		return c.fail(Transient, resp.StatusCode, "answer is no JSON")
	}
	return nil
}

// refused judges an answer that is no success. In the OpenAPI, other than with
// group robots, the status means something.
func (c *AppClient) refused(status int, answer []byte, token string) error {
	var a struct {
		Code    string `json:"code"`
		Message string `json:"message"`
	}
	e := c.fail(Transient, status, "answer without code")
	if json.Unmarshal(answer, &a) == nil && a.Code != "" {
		text := a.Code
		if a.Message != "" && a.Message != a.Code {
			text += ", " + a.Message
		}
		e.Message, e.reason = redact(text, c.app.ClientSecret.Reveal(), token), a.Code
	}
	if status >= 400 && status < 500 && !passes(status, a.Code) {
		e.Kind = Permanent
	}
	return e
}

// passes reports whether a refusal with that status is about the moment and not
// about the request.
func passes(status int, code string) bool {
	return status == http.StatusTooManyRequests || status == http.StatusRequestTimeout ||
		code == "InvalidAuthentication" || code == "system.busy" ||
		strings.Contains(code, "QpsLimit") || strings.Contains(code, "Throttl")
}

func (c *AppClient) fail(kind Kind, status int, text string) *SendError {
	return &SendError{Robot: c.robot, Kind: kind, Status: status, Message: text}
}

// encode is JSON without the escapes for HTML, which count.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}
