package dingtalk

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/kongdao/kongdao/api"
)

// Robot says where a robot listens. URL holds the access token; an empty Secret
// means that messages are not signed.
type Robot struct {
	Name   string
	URL    api.Secret
	Secret api.Secret
	App    *App // not nil: the robot is an app's and sends cards; URL may be empty then
}

// Validate says what is wrong with r, without its secrets.
func (r Robot) Validate() error {
	var errs []error
	if r.Name == "" {
		errs = append(errs, errors.New("name: must not be empty"))
	}
	if r.App != nil {
		if err := r.App.Validate(); err != nil {
			errs = append(errs, fmt.Errorf("app of robot %q: %w", r.Name, err))
		}
		if r.URL == "" {
			return errors.Join(errs...)
		}
	}
	u, err := url.Parse(r.URL.Reveal())
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		errs = append(errs, fmt.Errorf("url of robot %q: must be http(s)://host/robot/send?access_token=…", r.Name))
	} else if u.Query().Get("access_token") == "" {
		errs = append(errs, fmt.Errorf("url of robot %q: has no access_token", r.Name))
	}
	return errors.Join(errs...)
}

// Client sends messages to one robot. It may be used from several goroutines.
type Client struct {
	robot Robot
	url   *url.URL
	http  *http.Client
	now   func() time.Time
}

// sendTimeout bounds one try. DingTalk answers within a second; a hung answer
// must not hold up the queue for long.
const sendTimeout = 10 * time.Second

// NewClient returns a client for r. With h nil it uses one of its own, with a
// timeout of ten seconds.
func NewClient(r Robot, h *http.Client) (*Client, error) {
	if err := r.Validate(); err != nil {
		return nil, err
	}
	u, err := url.Parse(r.URL.Reveal())
	if err != nil {
		return nil, fmt.Errorf("url of robot %q: not a url", r.Name)
	}
	if h == nil {
		// A message a minute does not pay for an idle connection, and none is
		// left behind at the end.
		t := &http.Transport{DisableKeepAlives: true, Proxy: http.ProxyFromEnvironment}
		// Nor is a message, with its token, sent to where an answer points.
		stay := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
		h = &http.Client{Transport: t, Timeout: sendTimeout, CheckRedirect: stay}
	}
	return &Client{robot: r, url: u, http: h, now: time.Now}, nil
}

// HasURL reports whether the robot can be sent to without its app.
func (c *Client) HasURL() bool { return c.robot.URL != "" }

// Sign is the signature of a message sent at t, before URL encoding.
func Sign(t time.Time, secret api.Secret) string {
	mac := hmac.New(sha256.New, []byte(secret.Reveal()))
	fmt.Fprintf(mac, "%d\n%s", t.UnixMilli(), secret.Reveal())
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// Send delivers m. Nil means that the robot accepted it. Otherwise the error is
// a [*SendError], which says whether another try can help.
func (c *Client) Send(ctx context.Context, m Message) error {
	body, err := m.Encode()
	if err != nil {
		return &SendError{Robot: c.robot.Name, Kind: Permanent, Message: "message cannot be encoded"}
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.signed(), bytes.NewReader(body))
	if err != nil {
		return &SendError{Robot: c.robot.Name, Kind: Permanent, Message: "request cannot be built"}
	}
	req.Header.Set("Content-Type", "application/json; charset=utf-8")
	resp, err := c.http.Do(req)
	if err != nil {
		return &SendError{Robot: c.robot.Name, Kind: Transient, Message: "no answer", cause: withoutURL(err)}
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	if err != nil {
		return &SendError{Robot: c.robot.Name, Kind: Transient, Status: resp.StatusCode, Message: "answer cut short", cause: err}
	}
	return c.verdict(resp.StatusCode, answer)
}

func (c *Client) signed() string {
	u := *c.url
	q := u.Query()
	if c.robot.Secret != "" {
		now := c.now()
		q.Set("timestamp", strconv.FormatInt(now.UnixMilli(), 10))
		q.Set("sign", Sign(now, c.robot.Secret))
	}
	u.RawQuery = q.Encode()
	return u.String()
}

// verdict reads the body first: it is the truth whatever the status says.
func (c *Client) verdict(status int, answer []byte) error {
	var a struct {
		Code    *int   `json:"errcode"`
		Message string `json:"errmsg"`
	}
	e := &SendError{Robot: c.robot.Name, Status: status}
	if err := json.Unmarshal(answer, &a); err != nil || a.Code == nil {
		e.Kind, e.Message = Transient, "answer without errcode"
		if status >= 400 && status < 500 && status != http.StatusTooManyRequests && status != http.StatusRequestTimeout {
			e.Kind = Permanent
		}
		return e
	}
	if *a.Code == 0 && status == http.StatusOK {
		return nil
	}
	e.Code, e.Message, e.Kind = *a.Code, c.redact(a.Message), kindOf(*a.Code)
	return e
}

// withoutURL drops the address, which holds the token, from an error of
// net/http.
func withoutURL(err error) error {
	if ue, ok := errors.AsType[*url.Error](err); ok {
		return ue.Err
	}
	return err
}
