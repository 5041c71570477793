package cli_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kongdao/kongdao/deploy/embedded/embeddedtest"
	"github.com/kongdao/kongdao/internal/app"
	"github.com/kongdao/kongdao/internal/cli"
	"github.com/kongdao/kongdao/internal/config"
)

// TestMain also is the embedded ClickHouse.
func TestMain(m *testing.M) { embeddedtest.Main(m) }

// mark is on every request of a stress test.
const mark = "x-kongdao-load-test"

// fleet is a running system with a gateway, two pods and callers.
type fleet struct {
	t       testing.TB
	dir     string
	system  *app.System
	failing atomic.Bool // pods answer ordinary calls with 500
	pods    [2]struct{ ordinary, tests atomic.Int64 }
	last    atomic.Int64  // when the last request of a test came, nanoseconds since 1970
	test    chan struct{} // gets one when a request of a test comes and nobody has taken the last
}

// newFleet starts it; p99 is long, so that a slow machine breaks no objective.
func newFleet(t testing.TB, success string) *fleet {
	t.Helper()
	f := &fleet{t: t, test: make(chan struct{}, 1)}
	cfg := config.Default()
	cfg.DataDir, cfg.ResourcesDir = t.TempDir(), t.TempDir()
	cfg.Listen.Gateway, cfg.Listen.API = "127.0.0.1:0", "127.0.0.1:0"
	cfg.Envoy.Concurrency, cfg.Envoy.Canary = 1, false
	f.dir = cfg.DataDir
	var endpoints []string
	for i := range f.pods {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { f.answer(i, w, r) }))
		t.Cleanup(s.Close)
		endpoints = append(endpoints, fmt.Sprintf("{address: %q, zone: zb-a}", strings.TrimPrefix(s.URL, "http://")))
	}
	resource := `apiVersion: kongdao.io/v1
kind: Function
metadata: {name: feed, tenant: recommend}
spec:
  routes: [{hosts: [api.example.com], path: /feed, methods: [GET]}]
  revisions: [{name: r1, endpoints: [` + strings.Join(endpoints, ", ") + `]}]
  objective: {latency: {p99: 30s}, success: ` + success + `}
  capacity: {perPodQPS: 1000, forecastQPS: 1000}
  retries: {attempts: 0}
  access: {public: true}
`
	if err := os.WriteFile(filepath.Join(cfg.ResourcesDir, "feed.yaml"), []byte(resource), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := app.Start(t.Context(), cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	})
	f.system = s
	return f
}

func (f *fleet) answer(pod int, w http.ResponseWriter, r *http.Request) {
	if r.Header.Get(mark) != "" {
		f.pods[pod].tests.Add(1)
		f.last.Store(time.Now().UnixNano())
		select {
		case f.test <- struct{}{}:
		default:
		}
		return
	}
	f.pods[pod].ordinary.Add(1)
	if f.failing.Load() {
		w.WriteHeader(http.StatusInternalServerError)
	}
}

// traffic are ordinary calls, evenly until the end of the test.
func (f *fleet) traffic(rate int) {
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 16}, Timeout: 30 * time.Second}
	ctx, cancel := context.WithCancel(context.Background())
	var calls sync.WaitGroup
	calls.Go(func() {
		tick := time.NewTicker(time.Second / time.Duration(rate))
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				calls.Go(func() { f.call(client) })
			case <-ctx.Done():
				return
			}
		}
	})
	f.t.Cleanup(func() { cancel(); calls.Wait(); client.CloseIdleConnections() })
}

func (f *fleet) call(client *http.Client) int {
	req, err := http.NewRequest(http.MethodGet, "http://"+f.system.Addresses().Gateway+"/feed", nil)
	if err != nil {
		return 0
	}
	req.Host = "api.example.com"
	res, err := client.Do(req)
	if err != nil {
		return 0
	}
	_, _ = io.Copy(io.Discard, res.Body)
	_ = res.Body.Close()
	return res.StatusCode
}

func (f *fleet) eventually(what string, yes func() bool) {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !yes() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			f.t.Fatalf("not within 30 s: %s", what)
		}
	}
}

// command runs kongdao beside the test; wait gives its exit code and what it printed.
func (f *fleet) command(args ...string) (wait func() (code int, said string)) {
	var out, errOut bytes.Buffer
	ended := make(chan int, 1)
	go func() {
		ended <- cli.Main(context.Background(), "dev", append(args, "--data", f.dir), strings.NewReader(""), &out, &errOut)
	}()
	return func() (int, string) {
		f.t.Helper()
		select {
		case code := <-ended:
			return code, out.String() + errOut.String()
		case <-time.After(3 * time.Minute):
			f.t.Fatalf("kongdao %s goes on", strings.Join(args, " "))
		}
		return 0, ""
	}
}

// TestProductionStopsASearch: when ordinary calls fail, and on command. The pod is
// given back.
func TestProductionStopsASearch(t *testing.T) {
	f := newFleet(t, "99.9%")
	client := &http.Client{Timeout: 30 * time.Second}
	defer client.CloseIdleConnections()
	f.eventually("calls are answered", func() bool { return f.call(client) == http.StatusOK })
	f.traffic(100)
	for _, c := range []struct {
		name, want string
		stop       func()
	}{
		{"by command", "the search was stopped: stopped by command", func() {
			if code, stderr := f.command("load", "stop", "--all", "--refuse", "0")(); code != 0 {
				t.Error(stderr)
			}
		}},
		{"production breaks", "the search was stopped: production: feed: ", func() { f.failing.Store(true) }},
	} {
		wait := f.command("capacity", "find", "feed", "--max-rate", "400", "--budget", "2m")
		for range 100 { // it is well under way
			f.eventually("the search sends", func() bool { return len(f.test) > 0 })
			<-f.test
		}
		began := time.Now()
		c.stop()
		code, stderr := wait()
		if code != 3 || !strings.Contains(stderr, c.want) || !strings.Contains(stderr, "that is no safe rate") {
			t.Errorf("%s: exit code %d\n%s", c.name, code, stderr)
		}
		t.Logf("%s: the last request came %.2f s after it, the search ended after %.2f s", c.name, time.Unix(0, f.last.Load()).Sub(began).Seconds(), time.Since(began).Seconds())
		f.failing.Store(false)
		for i := range f.pods {
			ordinary := f.pods[i].ordinary.Load()
			f.eventually("every pod serves users again", func() bool { return f.pods[i].ordinary.Load() > ordinary+5 })
		}
		// What the gateway had in hand may still come; the search sent one every 25 ms.
		f.eventually("the search is silent", func() bool { return time.Since(time.Unix(0, f.last.Load())) > time.Second })
	}
}

// TestFindLive: the command to its end, with no request of its own. No objective breaks
// here, so that the highest share is reached.
func TestFindLive(t *testing.T) {
	f := newFleet(t, "99%")
	client := &http.Client{Timeout: 30 * time.Second}
	defer client.CloseIdleConnections()
	f.eventually("calls are answered", func() bool { return f.call(client) == http.StatusOK })
	f.traffic(400) // enough that a step of some seconds proves the highest share
	var code int
	var said string
	f.eventually("the search finds traffic", func() bool {
		code, said = f.command("capacity", "find", "feed", "--live", "--others", "1", "--max-share", "1.3", "--budget", "1m")()
		return code != 3
	})
	if code != 0 || !strings.Contains(said, "safe rate") || !strings.Contains(said, "apply it with kongdao capacity apply feed --run lt-") {
		t.Errorf("exit code %d\n%s", code, said)
	}
	if n := f.pods[0].tests.Load() + f.pods[1].tests.Load(); n != 0 {
		t.Errorf("%d requests of a test came", n)
	}
	t.Log(said)
	for want, args := range map[string][]string{"not with --live": {"--metrics", "http://127.0.0.1:1/metrics"}, "--budget: is 20s": {"--budget", "20s"}} {
		if code, said := f.command(append([]string{"capacity", "find", "feed", "--live"}, args...)...)(); code != 2 || !strings.Contains(said, want) {
			t.Errorf("exit code %d\n%s", code, said)
		}
	}
}
