package dingtalktest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"
)

// The robot's rules.
const (
	maxBytes   = 20_000
	limit      = 20 // messages
	window     = time.Minute
	punishment = 10 * time.Minute
	clockSkew  = time.Hour
)

// Config says what a stand-in accepts. The zero value listens on a free loopback
// port, knows the token "token" and wants neither signature nor keyword.
type Config struct {
	Listen   string           // host:port; empty: 127.0.0.1:0
	Secret   string           // empty: signatures are not asked for
	Tokens   []string         // known access tokens; empty: "token"
	Keywords []string         // one must occur in every message; empty: none needed
	Now      func() time.Time // nil: time.Now
	App      *App             // nil: there is none, only group robots
}

// Received is a message that was accepted.
type Received struct {
	Token     string
	At        time.Time
	Type      string // text, markdown, actionCard
	Title     string // empty for text
	Text      string
	Buttons   []Button // of an actionCard
	AtMobiles []string
	AtUsers   []string
	AtAll     bool
	Bytes     int // of the body
}

// Button is one of an actionCard.
type Button struct{ Title, ActionURL string }

// Refusal is a message that was not accepted.
type Refusal struct {
	Token   string
	At      time.Time
	Code    int // errcode; 0 for an injected HTTP failure
	Message string
}

// robot is what is remembered about one token.
type robot struct {
	arrivals []time.Time // of the last minute, refused ones too
	silenced time.Time   // until then
}

// Server is the stand-in.
type Server struct {
	cfg      Config
	listener net.Listener

	mu       sync.Mutex
	robots   map[string]*robot
	accepted []Received
	refused  []Refusal
	faults   []Fault
	always   Fault
	changed  chan struct{} // closed and replaced with each accepted message, and what happens to the app
	app      *appState
}

// New binds the listener and serves nothing yet.
func New(cfg Config) (*Server, error) {
	s := newServer(cfg)
	l, err := net.Listen("tcp", s.cfg.Listen)
	if err != nil {
		return nil, fmt.Errorf("listen for robot messages: %w", err)
	}
	s.listener = l
	return s, nil
}

// NewHandler returns a stand-in without a listener, to be used as an
// http.Handler; Addr and URL of it are not of this world, Run fails.
func NewHandler(cfg Config) *Server { return newServer(cfg) }

func newServer(cfg Config) *Server {
	if cfg.Listen == "" {
		cfg.Listen = "127.0.0.1:0"
	}
	if len(cfg.Tokens) == 0 {
		cfg.Tokens = []string{"token"}
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	s := &Server{cfg: cfg, robots: map[string]*robot{}, changed: make(chan struct{}), app: newAppState()}
	for _, t := range cfg.Tokens {
		s.robots[t] = &robot{}
	}
	return s
}

// Run serves until ctx ends. It returns nil then.
func (s *Server) Run(ctx context.Context) error {
	if s.listener == nil {
		return errors.New("run a stand-in robot: it has no listener")
	}
	hs := &http.Server{Handler: s, ReadHeaderTimeout: 5 * time.Second, BaseContext: func(net.Listener) context.Context { return ctx }}
	done := make(chan error, 1)
	go func() { done <- hs.Serve(s.listener) }()
	select {
	case err := <-done:
		return fmt.Errorf("serve robot messages: %w", err)
	case <-ctx.Done():
	}
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	if hs.Shutdown(stop) != nil {
		hs.Close() // a client that never reads its answer
	}
	<-done //nolint:errcheck // Serve ended because of Shutdown
	return nil
}

// TB is what Start needs of a *testing.T.
type TB interface {
	Helper()
	Fatalf(format string, args ...any)
	Cleanup(f func())
}

// Start returns a running stand-in that ends with the test.
func Start(t TB, cfg Config) *Server {
	t.Helper()
	s, err := New(cfg)
	if err != nil {
		t.Fatalf("start stand-in robot: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = s.Run(ctx)
	}()
	t.Cleanup(func() { cancel(); <-done })
	return s
}

// Addr is where it listens, host:port.
func (s *Server) Addr() string {
	if s.listener == nil {
		return "robot.invalid:80"
	}
	return s.listener.Addr().String()
}

// URL is the address to send messages to with that access token.
func (s *Server) URL(token string) string {
	return "http://" + s.Addr() + "/robot/send?access_token=" + url.QueryEscape(token)
}

// Messages are those accepted so far, in order of arrival.
func (s *Server) Messages() []Received {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.accepted)
}

// Refusals are the messages refused so far, in order of arrival.
func (s *Server) Refusals() []Refusal {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.refused)
}

// Wait blocks until enough says yes to the messages accepted so far, and
// returns them. It fails with the context.
func (s *Server) Wait(ctx context.Context, enough func([]Received) bool) ([]Received, error) {
	for {
		s.mu.Lock()
		got, changed := slices.Clone(s.accepted), s.changed
		s.mu.Unlock()
		if enough(got) {
			return got, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return got, fmt.Errorf("wait for messages, %d came: %w", len(got), ctx.Err())
		}
	}
}

// WaitN waits for n messages in all.
func (s *Server) WaitN(ctx context.Context, n int) ([]Received, error) {
	return s.Wait(ctx, func(got []Received) bool { return len(got) >= n })
}
