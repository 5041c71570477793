package app_test

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/kongdao/kongdao/internal/app"
	"github.com/kongdao/kongdao/release"
	"github.com/kongdao/kongdao/xds/envoy"
)

// twoGroups is a system with a gateway for everybody and one in a canary group, and
// a function whose r2 fails every second call.
type twoGroups struct {
	caller
	dir      string       // of resources
	gateways []string     // where they listen
	bad      atomic.Int64 // calls of r2
	first    atomic.Int64 // when the first of them came, nanoseconds
	last     atomic.Int64
	stop     func() // of callers
}

func newTwoGroups(t testing.TB) *twoGroups {
	g := &twoGroups{}
	failing := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		now := time.Now().UnixNano()
		g.first.CompareAndSwap(0, now)
		g.last.Store(now)
		if g.bad.Add(1)%2 == 0 {
			w.WriteHeader(http.StatusInternalServerError)
		}
	}))
	t.Cleanup(failing.Close)
	cfg := testConfig(t)
	cfg.Collector.Source = "als" // of both gateways
	g.dir = cfg.ResourcesDir
	port, err := envoy.FreePort("127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	brave := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	write(t, g.dir, "groups.yaml", fmt.Sprintf(`apiVersion: kongdao.io/v1
kind: GatewayGroup
metadata: {name: brave}
spec: {listen: %q, canary: {hold: 1h}}
`, brave))
	write(t, g.dir, "feed.yaml", released(pod(t, "good"), strings.TrimPrefix(failing.URL, "http://"), "feed:2"))
	g.caller = caller{t: t, system: start(t, cfg), client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 4}, Timeout: deadline}}
	t.Cleanup(g.client.CloseIdleConnections)
	g.gateways = []string{g.system.Addresses().Gateway, g.join(brave)}
	return g
}

// join starts the gateway of the canary group.
func (g *twoGroups) join(addr string) string {
	g.t.Helper()
	at := g.system.Addresses()
	cfg := envoy.DefaultConfig()
	cfg.Dir, cfg.HTTPAddr, cfg.XDSAddr, cfg.ALSAddr = g.t.TempDir(), addr, at.XDS, at.ALS
	cfg.NodeID, cfg.Cluster, cfg.Concurrency, cfg.Drain = "gateway-2", "brave", 1, 0
	gw, err := envoy.New(cfg, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	if err != nil {
		g.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- gw.Run(ctx) }()
	g.t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			g.t.Error(err)
		}
	})
	ready, stop := context.WithTimeout(ctx, deadline)
	defer stop()
	if err := gw.Ready(ready); err != nil {
		g.t.Fatal(err)
	}
	return addr
}

// press sends about 200 calls a second, half of them to each gateway, until stop.
func (g *twoGroups) press() {
	var callers sync.WaitGroup
	done := make(chan struct{})
	for _, gateway := range g.gateways {
		callers.Go(func() {
			tick := time.NewTicker(10 * time.Millisecond)
			defer tick.Stop()
			for {
				select {
				case <-done:
					return
				case <-tick.C:
					g.ask(gateway)
				}
			}
		})
	}
	g.stop = sync.OnceFunc(func() { close(done); callers.Wait() })
	g.t.Cleanup(g.stop)
}

func (g *twoGroups) ask(gateway string) {
	res, err := g.client.Get("http://" + gateway + "/feed")
	if err != nil {
		g.t.Error(err)
		return
	}
	res.Body.Close()
}

func (g *twoGroups) progress() (p release.Progress) {
	var f app.Function
	if status := g.api(http.MethodGet, "/functions/feed", nil, &f); status != http.StatusOK {
		g.t.Fatal(status)
	}
	if f.Release.Progress != nil {
		p = *f.Release.Progress
	}
	return p
}

// rolledBack waits until the release is rolled back, and says when it was.
func (g *twoGroups) rolledBack() time.Time {
	g.t.Helper()
	g.eventually("the release is rolled back", func() bool { return g.progress().Phase == release.RolledBack })
	return g.progress().Since
}

// TestRollbackReachesEveryGroup, though something else waits in the canary group for
// a long time.
func TestRollbackReachesEveryGroup(t *testing.T) {
	g := newTwoGroups(t)
	g.eventually("the release has begun", func() bool { return g.progress().Percent == 5 })
	write(t, g.dir, "other.yaml", `apiVersion: kongdao.io/v1
kind: Function
metadata: {name: other}
spec:
  routes: [{path: /other}]
  revisions: [{name: r1, endpoints: [{address: "127.0.0.1:1", zone: za}]}]
  access: {public: true}
`)
	waits := func() bool {
		var all app.Gateways
		g.api(http.MethodGet, "/gateways", nil, &all)
		return len(all.Gateways) == 2 && all.Rollout != nil
	}
	g.eventually("something waits in the canary group", waits)
	g.press()
	g.rolledBack()
	g.stop()
	if !waits() {
		t.Error("what waited has gone on")
	}
	for i, gateway := range g.gateways {
		g.eventually(fmt.Sprintf("gateway %d sends none of 500 calls to r2", i+1), func() bool {
			before := g.bad.Load()
			for range 500 {
				g.ask(gateway)
			}
			return g.bad.Load() == before
		})
	}
}

// BenchmarkRollback is from the first call of a revision that gets 5 % and fails half
// of its calls, at 200 calls a second over two groups, to the verdict, and to its last
// call through any gateway.
func BenchmarkRollback(b *testing.B) {
	var verdict, last float64
	for range b.N {
		g := newTwoGroups(b)
		g.press()
		at := g.rolledBack()
		g.eventually("no call reaches r2", func() bool { return time.Now().UnixNano()-g.last.Load() > int64(2*time.Second) })
		g.stop()
		verdict += float64(at.UnixNano()-g.first.Load()) / 1e9
		last += float64(g.last.Load()-g.first.Load()) / 1e9
	}
	b.ReportMetric(verdict/float64(b.N), "s/verdict")
	b.ReportMetric(last/float64(b.N), "s/last-call")
	b.ReportMetric(0, "ns/op")
}
