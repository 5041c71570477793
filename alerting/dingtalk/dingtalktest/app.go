package dingtalktest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"
)

// App is an app of an organisation, with a robot that is in groups.
type App struct {
	ClientID, ClientSecret string
	RobotCode              string   // empty: ClientID, as it is for robots of own apps
	Conversations          []string // groups that the robot is in
	Templates              []string // card templates that are published
	Users                  []string // user ids of the organisation
	// Repeat are the waits after which a callback that was not answered is pushed
	// again; empty: 16 s and 60 s, as users report it.
	Repeat []time.Duration
}

// Limits of cards, as documented.
const (
	maxParamName  = 100
	maxParamValue = 1024
	tokenLife     = 7200 * time.Second
	ticketLife    = 90 * time.Second
)

// refusal is an answer of the OpenAPI that is no success; unlike group robots it
// has an HTTP status that means something.
type refusal struct {
	status  int
	Code    string `json:"code"`
	Request string `json:"requestid"`
	Message string `json:"message"`
}

func bad(code, message string) *refusal {
	return &refusal{status: http.StatusBadRequest, Code: code, Message: message}
}

// appState is what is remembered about the app.
type appState struct {
	token        string
	tokenEnds    time.Time
	tokensGiven  int
	serial       int
	tickets      map[string]time.Time // unused ones, and when they end
	sessions     []*session
	cards        []*Card
	byID         map[string]*Card
	refusals     []Refusal
	faults       map[string][]Fault
	clicks       map[string]*click // by message id
	streamErrors []string
}

func newAppState() *appState {
	return &appState{
		tickets: map[string]time.Time{}, byID: map[string]*Card{},
		faults: map[string][]Fault{}, clicks: map[string]*click{},
	}
}

// Paths of the OpenAPI that the app has, to name in [Server.InjectApp].
const (
	PathToken  = "/v1.0/oauth2/accessToken"
	PathCreate = "/v1.0/card/instances/createAndDeliver"
	PathUpdate = "/v1.0/card/instances"
	PathOpen   = "/v1.0/gateway/connections/open"

	pathConnect = "/connect"
)

// InjectApp makes the next requests to that path fail, one fault for each. With
// [Errcode], Code is an HTTP status that is answered after the request was judged
// and before it took effect.
func (s *Server) InjectApp(path string, faults ...Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.app.faults[path] = append(s.app.faults[path], faults...)
}

func (s *Server) nextAppFault(path string) Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.app.faults[path]
	if len(f) == 0 {
		return Fault{}
	}
	s.app.faults[path] = f[1:]
	return f[0]
}

// ExpireToken makes the access token invalid before its time, as DingTalk does
// when the app's secret is reset.
func (s *Server) ExpireToken() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.app.token = ""
}

// TokensGiven is how often an access token was asked for.
func (s *Server) TokensGiven() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.app.tokensGiven
}

// AppRefusals are the requests to the OpenAPI that were refused, in order; Token
// is their path and Code the HTTP status.
func (s *Server) AppRefusals() []Refusal {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.app.refusals)
}

// serveApp takes one request to the OpenAPI.
func (s *Server) serveApp(w http.ResponseWriter, r *http.Request) {
	type call func(*http.Request, []byte, bool) (any, *refusal)
	calls := map[string]call{
		"POST " + PathToken:  s.giveToken,
		"POST " + PathCreate: s.createCard,
		"PUT " + PathUpdate:  s.updateCard,
		"POST " + PathOpen:   s.openConnection,
	}
	do := calls[r.Method+" "+r.URL.Path]
	if do == nil || s.cfg.App == nil {
		http.NotFound(w, r)
		return
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	if err != nil {
		return // the client went away
	}
	fault := s.nextAppFault(r.URL.Path)
	if fault.before(w, r) {
		s.refuseApp(r, &refusal{status: fault.Code, Code: fault.String()})
		return
	}
	answer, ref := do(r, body, fault.Kind == Errcode)
	if ref == nil && fault.Kind == Errcode {
		ref = &refusal{status: fault.Code, Code: "system.busy", Message: "injected"}
	}
	if fault.Kind == LoseAnswer {
		panic(http.ErrAbortHandler)
	}
	w.Header().Set("Content-Type", "application/json")
	if ref != nil {
		s.refuseApp(r, ref)
		w.WriteHeader(ref.status)
		answer = ref
	}
	_ = json.NewEncoder(w).Encode(answer)
}

func (s *Server) refuseApp(r *http.Request, ref *refusal) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.app.serial++
	ref.Request = fmt.Sprintf("request-%d", s.app.serial)
	s.app.refusals = append(s.app.refusals, Refusal{r.URL.Path, s.cfg.Now(), ref.status, ref.Code + ": " + ref.Message})
}

// giveToken answers with the same token until it ends.
func (s *Server) giveToken(_ *http.Request, body []byte, _ bool) (any, *refusal) {
	var in struct {
		AppKey    string `json:"appKey"`
		AppSecret string `json:"appSecret"`
	}
	if err := strict(body, &in); err != nil {
		return nil, bad("invalidParameter", err.Error())
	}
	if in.AppKey != s.cfg.App.ClientID || in.AppSecret != s.cfg.App.ClientSecret {
		return nil, bad("invalidClientIdOrSecret", "无效的clientId或者clientSecret")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.cfg.Now()
	if s.app.token == "" || !now.Before(s.app.tokenEnds) {
		s.app.serial++
		s.app.token, s.app.tokenEnds = fmt.Sprintf("access-token-%d", s.app.serial), now.Add(tokenLife)
	}
	s.app.tokensGiven++
	return map[string]any{"accessToken": s.app.token, "expireIn": int(s.app.tokenEnds.Sub(now) / time.Second)}, nil
}

func (s *Server) authorized(r *http.Request) *refusal {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := r.Header.Get("x-acs-dingtalk-access-token")
	if t == "" || t != s.app.token || !s.cfg.Now().Before(s.app.tokenEnds) {
		return bad("InvalidAuthentication", "不合法的access_token")
	}
	return nil
}

// strict decodes one JSON value without unknown fields.
func strict(body []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return fmt.Errorf("invalid json: %w", err)
	}
	if _, err := d.Token(); err != io.EOF {
		return fmt.Errorf("invalid json: more than one value")
	}
	return nil
}
