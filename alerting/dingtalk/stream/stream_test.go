package stream_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/kongdao/kongdao/alerting/dingtalk/dingtalktest"
	"github.com/kongdao/kongdao/alerting/dingtalk/stream"
	"github.com/kongdao/kongdao/api"
	"github.com/kongdao/kongdao/internal/testkit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	patience = 30 * time.Second
	secret   = "stream-secret-nobody-sees"
)

// heard collects callbacks and refuses the first of them that it is told to.
type heard struct {
	mu     sync.Mutex
	refuse int
	calls  []stream.Callback
}

func (h *heard) accept(_ context.Context, c stream.Callback) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.calls = append(h.calls, c)
	if h.refuse > 0 {
		h.refuse--
		return errors.New("disk full")
	}
	return nil
}

func (h *heard) all() []stream.Callback {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]stream.Callback(nil), h.calls...)
}

func app(repeat ...time.Duration) *dingtalktest.App {
	return &dingtalktest.App{ClientID: "ding-app", ClientSecret: secret, Repeat: repeat}
}

// start runs a client against the stand-in until the test ends.
func start(t *testing.T, s *dingtalktest.Server, h *heard, log *slog.Logger, change func(*stream.Config)) *stream.Client {
	t.Helper()
	cfg := stream.DefaultConfig()
	cfg.ClientID, cfg.ClientSecret, cfg.OpenAPI = "ding-app", api.Secret(secret), "http://"+s.Addr()
	cfg.FirstRetry, cfg.LastRetry = time.Millisecond, 20*time.Millisecond
	if change != nil {
		change(&cfg)
	}
	c, err := stream.New(cfg, h.accept, log)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("run: %v", err)
		}
	})
	return c
}

func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

func open(t *testing.T, s *dingtalktest.Server, n int) {
	t.Helper()
	if err := s.WaitStreams(within(t), n); err != nil {
		t.Fatal(err)
	}
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

func TestCallbackIsHeardAndAnswered(t *testing.T) {
	s, h := dingtalktest.Start(t, dingtalktest.Config{App: app()}), &heard{}
	c := start(t, s, h, quiet(), nil)
	open(t, s, 1)
	pushes, err := s.Click(within(t), dingtalktest.Click{Card: "kd-1", User: "u1", Action: "claim"})
	if err != nil || pushes != 1 {
		t.Fatalf("%d pushes, %v", pushes, err)
	}
	got := h.all()
	if len(got) != 1 || got[0].Topic != stream.TopicCard || !strings.Contains(string(got[0].Data), `"outTrackId":"kd-1"`) {
		t.Errorf("heard %v", got)
	}
	if err := s.Ping(within(t)); err != nil {
		t.Error(err)
	}
	if !c.Connected() {
		t.Error("says that it is not connected")
	}
	if e := s.StreamErrors(); len(e) > 0 {
		t.Errorf("answers were wrong: %v", e)
	}
}

// Until it was accepted a callback is not answered, and comes again.
func TestCallbackThatWasNotTakenComesAgain(t *testing.T) {
	s := dingtalktest.Start(t, dingtalktest.Config{App: app(10*time.Millisecond, 50*time.Millisecond, patience)})
	h := &heard{refuse: 2}
	start(t, s, h, quiet(), nil)
	open(t, s, 1)
	if pushes, err := s.Click(within(t), dingtalktest.Click{Card: "kd-1"}); err != nil || pushes < 3 {
		t.Fatalf("%d pushes, %v", pushes, err)
	}
	first := h.all()[0].ID
	for _, c := range h.all() {
		if c.ID != first {
			t.Errorf("pushed again under another id: %v", h.all())
		}
	}
}

func TestLostAnswerMakesTheSameCallbackComeAgain(t *testing.T) {
	s := dingtalktest.Start(t, dingtalktest.Config{App: app(10*time.Millisecond, patience)})
	h := &heard{}
	start(t, s, h, quiet(), nil)
	open(t, s, 1)
	if pushes, err := s.Click(within(t), dingtalktest.Click{Card: "kd-1", LoseAnswers: 1}); err != nil || pushes != 2 {
		t.Fatalf("%d pushes, %v", pushes, err)
	}
	if got := h.all(); len(got) != 2 || got[0].ID != got[1].ID {
		t.Errorf("heard %v", got)
	}
}

// Cuts, requests to connect anew, refused tickets and servers that fail or hang: in
// the end there is one connection, and a click arrives.
func TestItConnectsAgain(t *testing.T) {
	often := slices.Repeat([]time.Duration{50 * time.Millisecond}, 200)
	s, h := dingtalktest.Start(t, dingtalktest.Config{App: app(often...)}), &heard{}
	s.InjectApp(dingtalktest.PathOpen, dingtalktest.Fault{Kind: dingtalktest.HTTPStatus, Code: 503},
		dingtalktest.Fault{Kind: dingtalktest.LoseAnswer}, dingtalktest.Fault{Kind: dingtalktest.Hang})
	c := start(t, s, h, quiet(), func(c *stream.Config) { c.Timeout = 500 * time.Millisecond })
	open(t, s, 1)
	for i := range 5 {
		s.CutStreams()
		testkit.Eventually(t, "a connection", func() bool { return c.Connected() && s.Streams() > 0 })
		_ = s.Disconnect(within(t)) // one that is still cut cannot be told
		if _, err := s.Click(within(t), dingtalktest.Click{Card: fmt.Sprint("kd-", i)}); err != nil {
			t.Fatalf("click %d: %v", i, err)
		}
	}
}

// A connection that is dead without saying so is noticed by pings.
func TestDeadConnectionIsNoticed(t *testing.T) {
	s, h := dingtalktest.Start(t, dingtalktest.Config{App: app()}), &heard{}
	wall := startWall(t, s.Addr())
	c := start(t, s, h, quiet(), func(c *stream.Config) {
		c.OpenAPI, c.Timeout = "http://"+wall.addr(), 500*time.Millisecond
		c.Ping, c.PingTimeout = 20*time.Millisecond, 500*time.Millisecond
	})
	testkit.Eventually(t, "the connection", c.Connected)
	before := wall.connections()
	wall.freeze()
	testkit.Eventually(t, "a new connection", func() bool { return wall.connections() > before })
}

func TestSecretsAreNotLogged(t *testing.T) {
	var text strings.Builder
	var mu sync.Mutex
	log := slog.New(slog.NewTextHandler(writer(func(p []byte) (int, error) {
		mu.Lock()
		defer mu.Unlock()
		return text.Write(p)
	}), &slog.HandlerOptions{Level: slog.LevelDebug}))
	s, h := dingtalktest.Start(t, dingtalktest.Config{App: app()}), &heard{}
	s.InjectApp(dingtalktest.PathOpen, dingtalktest.Fault{Kind: dingtalktest.HTTPStatus, Code: 500}, dingtalktest.Fault{Kind: dingtalktest.LoseAnswer})
	start(t, s, h, log, nil)
	open(t, s, 1)
	s.CutStreams()
	testkit.Eventually(t, "a new connection", func() bool { return s.Streams() == 1 })
	mu.Lock()
	defer mu.Unlock()
	if got := text.String(); strings.Contains(got, secret) || strings.Contains(got, "ticket-") || got == "" {
		t.Errorf("logged:\n%s", got)
	}
}

type writer func([]byte) (int, error)

func (w writer) Write(p []byte) (int, error) { return w(p) }

func TestWrongSecretIsTriedAgainSlowly(t *testing.T) {
	s, h := dingtalktest.Start(t, dingtalktest.Config{App: app()}), &heard{}
	start(t, s, h, quiet(), func(c *stream.Config) {
		c.ClientSecret = "wrong"
		c.FirstRetry, c.LastRetry = 50*time.Millisecond, time.Hour
	})
	testkit.Eventually(t, "tries with growing waits", func() bool { return len(s.AppRefusals()) >= 3 })
	if n := len(s.AppRefusals()); n > 6 {
		t.Errorf("%d tries", n)
	}
}

func TestConfigProblemsAllAtOnce(t *testing.T) {
	err := stream.Config{FirstRetry: 2, LastRetry: 1}.Validate()
	for _, field := range []string{"clientId", "clientSecret", "topics", "ping", "timeout", "firstRetry"} {
		if err == nil || !strings.Contains(err.Error(), field+": ") {
			t.Errorf("%s is not named in: %v", field, err)
		}
	}
}

// Whatever is pushed, the client lives on, answers by the protocol, and hears the
// next click.
func FuzzCallbacks(f *testing.F) {
	for _, seed := range []string{`{}`, ``, `null`, `{"outTrackId":1}`, "\x00\xff", `{"content":"{\"cardPrivateData\":"}`, strings.Repeat("[", 10000)} {
		f.Add(seed)
	}
	s, h := dingtalktest.Start(f, dingtalktest.Config{App: app(patience)}), &heard{}
	cfg := stream.DefaultConfig()
	cfg.ClientID, cfg.ClientSecret, cfg.OpenAPI = "ding-app", secret, "http://"+s.Addr()
	c, err := stream.New(cfg, h.accept, quiet())
	if err != nil {
		f.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	f.Cleanup(func() { cancel(); <-done })
	f.Fuzz(func(t *testing.T, data string) {
		if err := s.WaitStreams(within(t), 1); err != nil {
			t.Fatal(err)
		}
		if data == "" {
			data = " "
		}
		if _, err := s.Click(within(t), dingtalktest.Click{Raw: data}); err != nil {
			t.Fatal(err)
		}
		if e := s.StreamErrors(); len(e) > 0 {
			t.Fatal(e)
		}
	})
}
