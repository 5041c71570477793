package crew_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/kongdao/kongdao/api"
	"github.com/kongdao/kongdao/loadtest"
	"github.com/kongdao/kongdao/loadtest/attack"
	"github.com/kongdao/kongdao/loadtest/crew"
	"github.com/kongdao/kongdao/loadtest/report"
	"github.com/kongdao/kongdao/loadtest/scenario"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// buffer is a log that may be read while it is written.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// fleet is a coordinator with agents in this process.
type fleet struct {
	t      *testing.T
	log    *buffer
	config crew.Config
	c      *crew.Coordinator
	agents sync.WaitGroup
	errs   chan error
}

func newFleet(t *testing.T, n int, change func(*crew.Config)) *fleet {
	t.Helper()
	f := &fleet{t: t, log: &buffer{}, config: crew.DefaultConfig(), errs: make(chan error, 100)}
	f.config.Agents, f.config.Token, f.config.Wait = n, "let me in", time.Minute
	f.config.MaxOffset, f.config.Dead = 10*time.Second, 20*time.Second // a loaded machine may take long to answer
	if change != nil {
		change(&f.config)
	}
	c, err := crew.New(f.config, slog.New(slog.NewTextHandler(f.log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	f.c = c
	t.Cleanup(f.agents.Wait)
	return f
}

// join starts an agent; its end is in errs.
func (f *fleet) join(ctx context.Context, name string, change func(*crew.AgentConfig)) {
	f.t.Helper()
	c := crew.DefaultAgentConfig()
	c.Coordinator, c.Name, c.Token, c.Dead, c.Wait = f.c.Addr(), name, "let me in", f.config.Dead, time.Minute
	if change != nil {
		change(&c)
	}
	a, err := crew.NewAgent(c, slog.New(slog.DiscardHandler))
	if err != nil {
		f.t.Fatal(err)
	}
	f.agents.Go(func() { f.errs <- a.Run(ctx) })
}

func (f *fleet) run(ctx context.Context, spec api.ScenarioSpec, o loadtest.Options) report.Result {
	f.t.Helper()
	r, err := f.c.Run(ctx, spec, o)
	if err != nil {
		f.t.Fatalf("%v\n%s", err, f.log)
	}
	return r
}

// target counts requests.
type target struct {
	*httptest.Server
	n atomic.Int64
}

func newTarget(t *testing.T) *target {
	s := &target{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { s.n.Add(1) }))
	t.Cleanup(s.Close)
	return s
}

func (s *target) spec(rate float64, d time.Duration) api.ScenarioSpec {
	return api.ScenarioSpec{
		Targets: []api.Target{{URL: s.URL + "/feed"}}, Stages: []api.Stage{{Rate: rate, Duration: api.Duration(d)}},
		Workers: 7, Thresholds: []string{"success > 99%"},
	}
}

// Three agents offer the plan, each a third of it, and one result comes of it.
func TestAgentsShareARun(t *testing.T) {
	t.Parallel()
	s := newTarget(t)
	f := newFleet(t, 3, nil)
	for _, name := range []string{"a", "b", "b"} {
		f.join(t.Context(), name, nil)
	}
	var seen attack.Progress
	r := f.run(t.Context(), s.spec(100, 2*time.Second), loadtest.Options{Run: "lt-crew", Name: "feed", Progress: func(p attack.Progress) { seen = p }})
	if r.Sent != 200 || s.n.Load() != 200 || r.Status[200] != 200 || r.Run != "lt-crew" || r.Scenario != "feed" {
		t.Errorf("sent %d, arrived %d: %+v", r.Sent, s.n.Load(), r)
	}
	if r.OfferedRate != 100 || !r.Thresholds[0].OK || r.Latency.P99 <= 0 || r.Histogram == "" {
		t.Errorf("%+v", r)
	}
	names, sum := map[string]bool{}, uint64(0)
	for _, a := range r.Agents {
		names[a.Name] = true
		sum += a.Sent
		if a.Sent < 66 || a.Sent > 67 {
			t.Errorf("agent %s sent %d of 200", a.Name, a.Sent)
		}
	}
	if sum != 200 || !names["a"] || !names["b"] || !names["b-2"] {
		t.Errorf("agents %+v", r.Agents)
	}
	var planned uint64
	for _, i := range r.Intervals {
		planned += i.Planned
	}
	if planned != 200 || seen.Sent == 0 {
		t.Errorf("%d requests in the intervals, progress %+v", planned, seen)
	}
	for range 3 {
		if err := <-f.errs; err != nil {
			t.Error(err)
		}
	}
}

// Who does not know the token, or whose clock is wrong, does not join; the run waits
// for others.
func TestWhoMayNotJoin(t *testing.T) {
	t.Parallel()
	s := newTarget(t)
	f := newFleet(t, 1, nil)
	ended := make(chan report.Result)
	go func() { ended <- f.run(t.Context(), s.spec(50, time.Second), loadtest.Options{}) }()
	f.join(t.Context(), "stranger", func(c *crew.AgentConfig) { c.Token = "guess" })
	if err := <-f.errs; err == nil || !strings.Contains(err.Error(), "wrong token") {
		t.Error(err)
	}
	f.join(t.Context(), "early", func(c *crew.AgentConfig) {
		c.Clock = func() time.Time { return time.Now().Add(time.Hour) }
	})
	if err := <-f.errs; err == nil || !strings.Contains(err.Error(), "clock is off by ") {
		t.Error(err)
	}
	f.join(t.Context(), "right", func(c *crew.AgentConfig) {
		c.Clock = func() time.Time { return time.Now().Add(3 * time.Second) } // within the bound
	})
	r := <-ended
	if r.Sent != 50 || len(r.Agents) != 1 || r.Agents[0].Name != "right" || r.Agents[0].Clock < 2.5 || r.Agents[0].Clock > 3.5 {
		t.Errorf("%+v", r.Agents)
	}
	if strings.Contains(f.log.String(), "let me in") {
		t.Error("the log has the token")
	}
}

// An impostor who does not know the token learns nothing from an agent.
func TestAgentAsksForTheCoordinatorsProof(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		_, _ = io.WriteString(conn, `{"nonce":"1"}`+"\n"+`{"welcome":"00"}`+"\n")
		_, _ = io.Copy(io.Discard, conn)
	}()
	c := crew.DefaultAgentConfig()
	c.Coordinator, c.Token = l.Addr().String(), "let me in"
	a, err := crew.NewAgent(c, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "does not know the token") {
		t.Error(err)
	}
}

// An agent obeys its own list, whatever the coordinator allows.
func TestAgentsOwnLimits(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 2, nil)
	allow := scenario.DefaultLimits()
	allow.Hosts = []string{"shop.example"}
	f.join(t.Context(), "free", func(c *crew.AgentConfig) { c.Limits = allow })
	f.join(t.Context(), "strict", nil)
	spec := api.ScenarioSpec{Targets: []api.Target{{URL: "http://shop.example/"}}, Stages: []api.Stage{{Rate: 1, Duration: api.Duration(time.Second)}}}
	_, err := f.c.Run(t.Context(), spec, loadtest.Options{Limits: allow})
	if !errors.Is(err, crew.ErrRefused) || !strings.Contains(err.Error(), "agent strict has refused") || !strings.Contains(err.Error(), "shop.example") {
		t.Errorf("got %v", err)
	}
	for range 2 {
		if err := <-f.errs; err == nil {
			t.Error("an agent carried it out")
		}
	}
}

// What ends the coordinator's run ends all agents'.
func TestStopReachesAll(t *testing.T) {
	t.Parallel()
	s := newTarget(t)
	f := newFleet(t, 3, nil)
	for _, name := range []string{"a", "b", "c"} {
		f.join(t.Context(), name, nil)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var stopped time.Time
	r := f.run(ctx, s.spec(100, time.Hour/2), loadtest.Options{Progress: func(p attack.Progress) {
		if stopped.IsZero() && p.Sent > 20 {
			stopped = time.Now()
			cancel()
		}
	}})
	t.Logf("all stopped after %v", time.Since(stopped))
	if r.Valid || r.Stopped != "caller" || len(r.Agents) != 3 || r.Sent == 0 {
		t.Errorf("valid %v, stopped %q, %d agents, sent %d: %v", r.Valid, r.Stopped, len(r.Agents), r.Sent, r.InvalidReasons)
	}
	for range 3 {
		if err := <-f.errs; err != nil {
			t.Error(err)
		}
	}
	if n := s.n.Load(); uint64(n) > r.Sent {
		t.Errorf("%d requests arrived, %d are reported", n, r.Sent)
	}
}

// Stopping one agent stops all, and the result says which.
func TestOneAgentsStopIsTheRuns(t *testing.T) {
	t.Parallel()
	s := newTarget(t)
	f := newFleet(t, 2, nil)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	f.join(ctx, "a", func(c *crew.AgentConfig) { c.Progress = func(attack.Progress) { cancel() } })
	f.join(t.Context(), "b", nil)
	r := f.run(t.Context(), s.spec(50, time.Hour/2), loadtest.Options{})
	if reasons := strings.Join(r.InvalidReasons, "\n"); r.Valid || !strings.Contains(reasons, "agent a: stopped after") {
		t.Errorf("%v", r.InvalidReasons)
	}
}

// An agent whose machine dies, or hangs, makes the run invalid by its name; the other
// stops. The dead one's own load ends, too: it hears nobody.
func TestAgentIsLost(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]func(*wire){"dies": (*wire).cut, "hangs": (*wire).freeze} {
		t.Run(name, func(t *testing.T) {
			s := newTarget(t)
			f := newFleet(t, 2, func(c *crew.Config) { c.Dead = 3 * time.Second })
			w := newWire(t, f.c.Addr())
			var once sync.Once
			f.join(t.Context(), "lost", func(c *crew.AgentConfig) {
				c.Coordinator = w.Addr().String()
				c.Progress = func(attack.Progress) { once.Do(func() { fault(w) }) }
			})
			f.join(t.Context(), "well", nil)
			r := f.run(t.Context(), s.spec(50, time.Hour/2), loadtest.Options{})
			if reasons := strings.Join(r.InvalidReasons, "\n"); r.Valid || !strings.Contains(reasons, "agent lost was lost after") {
				t.Errorf("%v", r.InvalidReasons)
			}
			if len(r.Agents) != 1 || r.Agents[0].Name != "well" || r.Agents[0].Sent == 0 {
				t.Errorf("agents %+v", r.Agents)
			}
			<-f.errs // both end
			<-f.errs
		})
	}
}

func TestTLS(t *testing.T) {
	t.Parallel()
	s := newTarget(t)
	certified := httptest.NewTLSServer(http.NotFoundHandler())
	defer certified.Close()
	roots := x509.NewCertPool()
	roots.AddCert(certified.Certificate())
	f := newFleet(t, 1, func(c *crew.Config) {
		c.TLS = &tls.Config{Certificates: certified.TLS.Certificates, MinVersion: tls.VersionTLS13}
	})
	f.join(t.Context(), "a", func(c *crew.AgentConfig) { c.TLS = &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS13} })
	if r := f.run(t.Context(), s.spec(50, time.Second), loadtest.Options{}); r.Sent != 50 {
		t.Errorf("%+v", r)
	}
}

func TestConfig(t *testing.T) {
	t.Parallel()
	for listen, want := range map[string]string{"0.0.0.0:0": "token: must not be empty", ":7070": "token: must not be empty", "127.0.0.1:0": "", "nowhere": "listen: want host:port"} {
		c := crew.DefaultConfig()
		c.Listen = listen
		if err := c.Validate(); (err == nil) != (want == "") || (err != nil && !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v", listen, err)
		}
	}
	f := newFleet(t, 1, func(c *crew.Config) { c.Wait = 50 * time.Millisecond })
	_, err := f.c.Run(t.Context(), newTarget(t).spec(1, time.Second), loadtest.Options{})
	if err == nil || !strings.Contains(err.Error(), "0 of 1 agents have joined") {
		t.Error(err)
	}
}

// wire is a way to the coordinator that can break.
type wire struct {
	net.Listener
	mu     sync.Mutex
	conns  []net.Conn
	frozen chan struct{}
	once   sync.Once
}

func newWire(t *testing.T, to string) *wire {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &wire{Listener: l, frozen: make(chan struct{})}
	var copying sync.WaitGroup
	copying.Go(func() {
		near, err := l.Accept()
		if err != nil {
			return
		}
		far, err := net.Dial("tcp", to)
		if err != nil {
			_ = near.Close()
			return
		}
		w.mu.Lock()
		w.conns = []net.Conn{near, far}
		w.mu.Unlock()
		copying.Go(func() { w.copy(near, far) })
		copying.Go(func() { w.copy(far, near) })
	})
	t.Cleanup(func() { _ = l.Close(); w.cut(); copying.Wait() })
	return w
}

func (w *wire) copy(to, from net.Conn) {
	b := make([]byte, 32<<10)
	for {
		n, err := from.Read(b)
		if err != nil {
			return
		}
		select {
		case <-w.frozen:
			continue // swallowed
		default:
		}
		if _, err := to.Write(b[:n]); err != nil {
			return
		}
	}
}

func (w *wire) freeze() { w.once.Do(func() { close(w.frozen) }) }

func (w *wire) cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range w.conns {
		_ = c.Close()
	}
}
