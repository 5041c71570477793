package health

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/kongdao/kongdao/api"
	"github.com/kongdao/kongdao/internal/testkit"
)

const patience = 30 * time.Second

// quick is a configuration for tests: the timeout is long, so that only a target
// that never answers runs into it.
func quick() Config {
	cfg := DefaultConfig()
	cfg.Interval = api.Duration(20 * time.Millisecond)
	cfg.Timeout = api.Duration(2 * time.Second)
	return cfg
}

// watcher runs a prober and follows its changes.
type watcher struct {
	*Prober
	ready   map[string]bool
	batches int
}

func watch(t *testing.T, cfg Config, targets ...Target) *watcher {
	t.Helper()
	p, err := New(cfg, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	p.SetTargets(targets)
	ctx, cancel := context.WithCancel(context.Background())
	end := make(chan error, 1)
	go func() { end <- p.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-end; err != nil {
			t.Error(err)
		}
	})
	return &watcher{Prober: p, ready: map[string]bool{}}
}

// until reads changes until ok.
func (w *watcher) until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	timeout := time.After(patience)
	for !ok() {
		select {
		case batch := <-w.Changes():
			w.batches++
			for addr, ready := range batch {
				w.ready[addr] = ready
			}
		case <-timeout:
			t.Fatalf("not within %v: %s; known: %v", patience, what, w.ready)
		}
	}
}

func (w *watcher) untilReady(t *testing.T, addr string, want bool) {
	t.Helper()
	w.until(t, fmt.Sprintf("%s ready: %v", addr, want), func() bool {
		got, known := w.ready[addr]
		return known && got == want
	})
}

// quiet checks that n more probes change nothing.
func (w *watcher) quiet(t *testing.T, n float64) {
	t.Helper()
	total := func() (sum float64) {
		for r := passed; r <= failed; r++ {
			sum += testutil.ToFloat64(w.metrics.probes.WithLabelValues(r.String()))
		}
		return sum
	}
	goal, deadline := total()+n, time.Now().Add(patience)
	for total() < goal && time.Now().Before(deadline) {
		select {
		case batch := <-w.Changes():
			t.Fatalf("changed: %v", batch)
		case <-time.After(time.Millisecond):
		}
	}
	if total() < goal {
		t.Fatal("no probes")
	}
}

// listen is a pod for TCP probes; its address can be listened on again.
func listen(t *testing.T, addr string) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// serve is a pod for HTTP probes.
func serve(t *testing.T, h http.HandlerFunc) string {
	t.Helper()
	l := listen(t, "127.0.0.1:0")
	s := &http.Server{Handler: h}
	end := make(chan struct{})
	go func() {
		defer close(end)
		_ = s.Serve(l)
	}()
	t.Cleanup(func() {
		s.Close()
		<-end
	})
	return l.Addr().String()
}

func TestKilledAndRevivedPod(t *testing.T) {
	pod := listen(t, "127.0.0.1:0")
	addr := pod.Addr().String()
	w := watch(t, quick(), Target{Address: addr})
	w.untilReady(t, addr, true)
	w.quiet(t, 3)
	pod.Close()
	w.untilReady(t, addr, false)
	w.quiet(t, 3)
	listen(t, addr)
	w.untilReady(t, addr, true)
}

func TestRefusedFirstProbeIsEnough(t *testing.T) {
	pod := listen(t, "127.0.0.1:0")
	addr := pod.Addr().String()
	pod.Close()
	cfg := quick()
	cfg.Interval, cfg.Unhealthy = api.Duration(time.Hour), 1000 // there is no second probe
	w := watch(t, cfg, Target{Address: addr})
	w.untilReady(t, addr, false)
}

func TestKilledPodIsSeenWithoutWaitingForThresholds(t *testing.T) {
	pod := listen(t, "127.0.0.1:0")
	addr := pod.Addr().String()
	cfg := quick()
	cfg.Unhealthy = 1_000_000
	w := watch(t, cfg, Target{Address: addr})
	w.quietAfterFirst(t, addr)
	pod.Close()
	w.untilReady(t, addr, false)
}

func (w *watcher) quietAfterFirst(t *testing.T, addr string) {
	t.Helper()
	w.untilReady(t, addr, true)
	w.quiet(t, 2)
}

func TestHungPod(t *testing.T) {
	hung := make(chan struct{})
	var hangs atomic.Bool
	addr := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		if hangs.Load() {
			select {
			case <-hung:
			case <-r.Context().Done():
			}
		}
	})
	cfg := quick()
	cfg.Timeout = api.Duration(200 * time.Millisecond)
	w := watch(t, cfg, Target{addr, "/healthz", false})
	w.quietAfterFirst(t, addr)
	hangs.Store(true)
	w.untilReady(t, addr, false)
	if testutil.ToFloat64(w.metrics.probes.WithLabelValues("timeout")) < 2 {
		t.Error("not by timeouts")
	}
	hangs.Store(false)
	close(hung)
	w.untilReady(t, addr, true)
}

// A stopped process: the kernel accepts, nobody ever reads.
func TestPodThatAcceptsAndSaysNothing(t *testing.T) {
	addr := listen(t, "127.0.0.1:0").Addr().String()
	cfg := quick()
	cfg.Timeout = api.Duration(50 * time.Millisecond)
	w := watch(t, cfg, Target{addr, "/", false})
	w.untilReady(t, addr, false)
}

func TestOnly200IsReady(t *testing.T) {
	var status atomic.Int64
	var path atomic.Value
	status.Store(200)
	addr := serve(t, func(rw http.ResponseWriter, r *http.Request) {
		path.Store(r.URL.String())
		rw.Header().Set("Location", "/elsewhere")
		rw.WriteHeader(int(status.Load()))
	})
	w := watch(t, quick(), Target{addr, "/ready?deep=1", false})
	w.quietAfterFirst(t, addr)
	if got := path.Load(); got != "/ready?deep=1" {
		t.Errorf("asked for %v", got)
	}
	for _, bad := range []int64{204, 302, 404, 503} {
		status.Store(bad)
		w.untilReady(t, addr, false)
		status.Store(200)
		w.untilReady(t, addr, true)
	}
}

func TestFlappingPodStaysReady(t *testing.T) {
	var calls atomic.Int64
	addr := serve(t, func(rw http.ResponseWriter, _ *http.Request) {
		if calls.Add(1)%2 == 0 {
			rw.WriteHeader(http.StatusInternalServerError)
		}
	})
	w := watch(t, quick(), Target{addr, "/", false})
	w.untilReady(t, addr, true)
	w.quiet(t, 10)
}

func TestSeveralPathsOfOnePod(t *testing.T) {
	var broken atomic.Bool
	addr := serve(t, func(rw http.ResponseWriter, r *http.Request) {
		if broken.Load() && r.URL.Path == "/b" {
			rw.WriteHeader(http.StatusInternalServerError)
		}
	})
	a, b := Target{addr, "/a", false}, Target{addr, "/b", false}
	w := watch(t, quick(), a, b, a)
	w.quietAfterFirst(t, addr)
	broken.Store(true)
	w.untilReady(t, addr, false)
	w.SetTargets([]Target{a}) // the broken path no longer counts
	w.untilReady(t, addr, true)
}

func TestTargetsComeAndGo(t *testing.T) {
	stays, goes := listen(t, "127.0.0.1:0"), listen(t, "127.0.0.1:0")
	a, b := Target{Address: stays.Addr().String()}, Target{Address: goes.Addr().String()}
	w := watch(t, quick(), a, b)
	w.untilReady(t, a.Address, true)
	w.untilReady(t, b.Address, true)
	w.SetTargets([]Target{a})
	goes.Close()
	w.quiet(t, 5) // nothing is said of a pod that is no target
	w.SetTargets([]Target{a, b})
	w.untilReady(t, b.Address, false)
	w.SetTargets(nil)
	testkit.Eventually(t, "no pod is counted", func() bool {
		return testutil.ToFloat64(w.metrics.pods.WithLabelValues("ready"))+testutil.ToFloat64(w.metrics.pods.WithLabelValues("unready")) == 0
	})
}

func TestZoneOfManyPodsIsAFewBatches(t *testing.T) {
	const pods = 300
	var targets []Target
	var zone []net.Listener
	for range pods {
		l := listen(t, "127.0.0.1:0")
		zone = append(zone, l)
		targets = append(targets, Target{Address: l.Addr().String()})
	}
	cfg := quick()
	cfg.Concurrency = 8
	w := watch(t, cfg, targets...)
	all := func(want bool) func() bool {
		return func() bool {
			n := 0
			for _, ready := range w.ready {
				if ready == want {
					n++
				}
			}
			return n == pods
		}
	}
	w.until(t, "all are ready", all(true))
	if w.batches != 1 {
		t.Errorf("%d batches for the first word, want 1", w.batches)
	}
	w.quiet(t, pods)
	for _, l := range zone {
		l.Close()
	}
	w.batches = 0
	w.until(t, "none is ready", all(false))
	if w.batches > pods/4 {
		t.Errorf("%d batches for %d pods", w.batches, pods)
	}
	testkit.Eventually(t, "the gauge follows", func() bool {
		return testutil.ToFloat64(w.metrics.pods.WithLabelValues("unready")) == pods
	})
}

func TestNobodyListensToChanges(t *testing.T) {
	pod := listen(t, "127.0.0.1:0")
	w := watch(t, quick(), Target{Address: pod.Addr().String()})
	probes := w.metrics.probes.WithLabelValues("passed")
	testkit.Eventually(t, "probes go on", func() bool { return testutil.ToFloat64(probes) > 5 })
	pod.Close()
	testkit.Eventually(t, "refusals", func() bool { return testutil.ToFloat64(w.metrics.probes.WithLabelValues("refused")) > 2 })
	w.untilReady(t, pod.Addr().String(), false) // merged into the batch that waited
	if w.batches != 1 {
		t.Errorf("%d batches", w.batches)
	}
}
