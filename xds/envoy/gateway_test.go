package envoy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/kongdao/kongdao/internal/testkit"
)

const patience = 30 * time.Second

// fixture is a gateway with its control plane.
type fixture struct {
	*Gateway
	cfg     Config
	calls   string // the access log
	stopXDS func()
	cancel  context.CancelFunc
	end     chan error
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	f := &fixture{cfg: DefaultConfig(), end: make(chan error, 1)}
	f.cfg.Dir = t.TempDir()
	f.cfg.NodeID = testNode
	f.cfg.Concurrency = 1
	f.calls = filepath.Join(f.cfg.Dir, "calls.log")
	httpPort, err := FreePort("127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	f.cfg.HTTPAddr = net.JoinHostPort("127.0.0.1", strconv.Itoa(httpPort))
	f.cfg.XDSAddr, f.stopXDS = mustServeXDS(t, "127.0.0.1:0", f.cfg.HTTPAddr, f.calls, 200)
	f.Gateway = mustNew(t, f.cfg)
	return f
}

func mustNew(t *testing.T, cfg Config) *Gateway {
	t.Helper()
	g, err := New(cfg, slog.New(slog.NewTextHandler(t.Output(), nil)), prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// start runs the gateway until it is ready; the test's end stops all.
func (f *fixture) start(t *testing.T) {
	t.Helper()
	var ctx context.Context
	ctx, f.cancel = context.WithCancel(context.Background())
	go func() { f.end <- f.Run(ctx) }()
	t.Cleanup(func() {
		f.stop(t)
		f.stopXDS()
	})
	f.ready(t)
}

func (f *fixture) ready(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := f.Ready(ctx); err != nil {
		t.Fatal(err)
	}
}

// stop may be called twice.
func (f *fixture) stop(t *testing.T) {
	t.Helper()
	f.cancel()
	if f.end == nil {
		return
	}
	select {
	case err := <-f.end:
		if err != nil {
			t.Errorf("Run: %v", err)
		}
	case <-time.After(patience):
		t.Error("Run does not return")
	}
	f.end = nil
}

func get(addr string) (int, error) {
	client := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get("http://" + addr + "/x")
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode, err
}

// alive is false for zombies too.
func alive(pid int) bool {
	line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	return err == nil && len(line) > 0
}

func TestStopLeavesNothingAndLosesNoLine(t *testing.T) {
	f := newFixture(t)
	f.start(t)
	const calls = 200
	for range calls {
		if status, err := get(f.Addr()); err != nil || status != 200 {
			t.Fatalf("status %d, %v", status, err)
		}
	}
	stats, err := f.Stats(t.Context(), `^http\.gateway\.downstream_rq_total$`)
	if err != nil {
		t.Fatal(err)
	}
	if got := stats["http.gateway.downstream_rq_total"]; got != calls || len(stats) != 1 {
		t.Errorf("stats %v, want %d requests and nothing else", stats, calls)
	}
	pid := f.PID()
	f.stop(t)
	if alive(pid) || f.PID() != 0 {
		t.Errorf("process %d is still there; PID() = %d", pid, f.PID())
	}
	log, err := os.ReadFile(f.calls)
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Count(string(log), "\n"); got != calls {
		t.Errorf("%d lines in the access log, want %d", got, calls)
	}
	l, err := net.Listen("tcp", f.Addr())
	if err != nil {
		t.Fatalf("the port is not free after the stop: %v", err)
	}
	l.Close()
	again := mustNew(t, f.cfg) // the folder and the port can be taken again
	if err := again.Close(); err != nil {
		t.Error(err)
	}
}

func TestKilledEnvoyIsStartedAgain(t *testing.T) {
	f := newFixture(t)
	f.start(t)
	for round := 1; round <= 3; round++ {
		old := f.PID()
		if err := syscall.Kill(old, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		testkit.Eventually(t, "another process", func() bool { pid := f.PID(); return pid != 0 && pid != old })
		f.ready(t)
		if status, err := get(f.Addr()); err != nil || status != 200 {
			t.Fatalf("round %d: status %d, %v", round, status, err)
		}
		if f.Restarts() != round || testutil.ToFloat64(f.counter) != float64(round) {
			t.Errorf("%d restarts, metric %v, want %d", f.Restarts(), testutil.ToFloat64(f.counter), round)
		}
	}
}

func TestHungEnvoyIsKilledAtStop(t *testing.T) {
	f := newFixture(t)
	f.Gateway.cfg.StopTimeout = 1 // SIGTERM does not reach a stopped process
	f.start(t)
	pid := f.PID()
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	f.stop(t)
	if alive(pid) {
		t.Errorf("process %d is still there", pid)
	}
}

func TestRestartedControlPlaneIsFound(t *testing.T) {
	f := newFixture(t)
	f.start(t)
	f.stopXDS()
	if status, err := get(f.Addr()); err != nil || status != 200 {
		t.Fatalf("without a control plane: status %d, %v", status, err)
	}
	// A snapshot of the same version would not be sent: the status tells that the
	// new control plane was heard.
	_, f.stopXDS = mustServeXDS(t, f.cfg.XDSAddr, f.Addr(), f.calls, 201)
	testkit.Eventually(t, "an answer by the new configuration", func() bool {
		status, _ := get(f.Addr())
		return status == 201
	})
}

func TestReopenLogs(t *testing.T) {
	f := newFixture(t)
	f.start(t)
	if err := os.Rename(f.calls, f.calls+".1"); err != nil {
		t.Fatal(err)
	}
	if err := f.ReopenLogs(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := get(f.Addr()); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, "a line in the new file", func() bool {
		log, _ := os.ReadFile(f.calls)
		return strings.Count(string(log), "\n") == 1
	})
}

func TestPortInUse(t *testing.T) {
	f := newFixture(t)
	f.start(t)
	cfg := f.cfg
	cfg.Dir = t.TempDir()
	quiet := slog.New(slog.DiscardHandler)
	for _, who := range []string{"a running gateway", "a gateway whose envoy is down"} {
		_, err := New(cfg, quiet, prometheus.NewRegistry())
		if !errors.Is(err, ErrPortInUse) || !strings.HasPrefix(err.Error(), "port in use: "+cfg.HTTPAddr) {
			t.Errorf("%s: %v", who, err)
		}
		if err := syscall.Kill(f.PID(), syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
	}
	if err := syscall.Kill(f.PID(), syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	// The admin port is held before Envoy has it, and while Envoy is started again.
	g := mustNew(t, other(t, cfg))
	defer g.Close()
	for _, addr := range []string{f.AdminAddr(), g.AdminAddr(), g.Addr()} {
		taken := other(t, cfg)
		taken.AdminAddr = addr
		if _, err := New(taken, quiet, prometheus.NewRegistry()); !errors.Is(err, ErrPortInUse) {
			t.Errorf("admin port %s, of another gateway: %v", addr, err)
		}
	}
	cfg.HTTPAddr = l.Addr().String()
	if _, err := New(cfg, quiet, prometheus.NewRegistry()); !errors.Is(err, ErrPortInUse) {
		t.Errorf("beside a plain listener: %v", err)
	}
}

// other is cfg with a folder and a port of its own.
func other(t *testing.T, cfg Config) Config {
	cfg.Dir, cfg.HTTPAddr = t.TempDir(), "127.0.0.1:0"
	return cfg
}

func TestFolderInUse(t *testing.T) {
	f := newFixture(t)
	f.start(t)
	cfg := f.cfg
	cfg.HTTPAddr = "127.0.0.1:0"
	if _, err := New(cfg, slog.New(slog.DiscardHandler), prometheus.NewRegistry()); !errors.Is(err, ErrDirInUse) {
		t.Errorf("got %v", err)
	}
}

func TestEnvoyThatCannotStart(t *testing.T) {
	f := newFixture(t)
	f.stopXDS()
	if err := os.WriteFile(f.bootstrapFile(), []byte(`{"nonsense": 1}`), 0o600); err != nil {
		t.Fatal(err)
	}
	err := f.Run(t.Context())
	if err == nil || !strings.Contains(err.Error(), "nonsense") || !strings.Contains(err.Error(), "before it was ready") {
		t.Errorf("got %v, want Envoy's own words", err)
	}
}

func TestReadySaysWhatIsMissing(t *testing.T) {
	f := newFixture(t)
	defer f.stopXDS()
	defer f.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := f.Ready(ctx); err == nil || !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestTwoGatewaysInOneProcess(t *testing.T) {
	a, b := newFixture(t), newFixture(t)
	a.start(t)
	b.start(t)
	if a.Addr() == b.Addr() || a.AdminAddr() == b.AdminAddr() {
		t.Error("the gateways share an address")
	}
	a.stop(t)
	if status, err := get(b.Addr()); err != nil || status != 200 {
		t.Errorf("after the other one stopped: status %d, %v", status, err)
	}
}
