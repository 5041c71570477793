package xds

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/kongdao/kongdao/api"
)

// TestControlPlaneRestart stops the control plane under load and starts another
// one at the same place, with a change.
func TestControlPlaneRestart(t *testing.T) {
	a, b := newPod(t, "a", "z"), newPod(t, "b", "z")
	r := newRig(t, functions(function("feed", "/feed", a)))
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	results := make(chan *load, 1)
	go func() { results <- r.offer(ctx, 200, "any", "/feed") }()
	eventually(t, "requests are served", func() bool { return a.calls.Load() > 20 })
	r.stop()
	n := a.calls.Load()
	eventually(t, "requests are served without a control plane", func() bool { return a.calls.Load() > n+20 })

	c := r.config
	c.Listen = r.Addr()
	again, err := New(c, slog.New(slog.DiscardHandler), prometheus.NewRegistry(), nil)
	if err != nil {
		t.Fatal(err)
	}
	run(t, again)
	eventually(t, "the gateway is back", func() bool { return len(again.State().Gateways) == 1 })
	n = a.calls.Load()
	eventually(t, "requests are served before resources are there", func() bool { return a.calls.Load() > n+20 })
	again.SetReady(map[string]bool{a.address: true, b.address: true})
	if err := again.Apply(context.Background(), functions(function("feed", "/feed", a, b))); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the change arrives", func() bool { return b.calls.Load() > 20 })
	cancel()
	got := <-results
	t.Logf("%d requests: %v, errors %d", got.sent, got.status, len(got.errs))
	if len(got.errs) > 0 || len(got.status) != 1 || got.status[200] == 0 {
		t.Errorf("lost requests: %v %v", got.status, got.errs)
	}
	for _, x := range again.State().Rejections {
		t.Errorf("rejected: %+v", x)
	}
}

// TestGatewaysShareLimits lets a second gateway come and go.
func TestGatewaysShareLimits(t *testing.T) {
	a := newPod(t, "a", "z")
	f := function("feed", "/feed", a)
	f.Spec.Capacity.PerPodQPS = 100
	r := newRig(t, functions(f), func(c *Config) { c.GatewayGrace = api.Duration(time.Millisecond) })
	cost := func(want uint32) {
		t.Helper()
		eventually(t, "the cost is right", func() bool { return r.State().Functions[0].Cost == want })
	}
	cost(10_000)
	kill := startEnvoy(t, "gw-2", r.Addr(), freeAddr(t))
	cost(20_000)
	kill()
	cost(10_000)
	r.killEnvoy()
	startEnvoy(t, "gw-1", r.Addr(), freeAddr(t))
	eventually(t, "the restarted gateway serves", func() bool {
		x, err := r.try("GET", "any", "/feed")
		return err == nil && x.status == 200
	})
	cost(10_000)
}

// TestABrokenFunctionIsQuarantined has one whose header no gateway would take, next
// to a good one, and mends it.
func TestABrokenFunctionIsQuarantined(t *testing.T) {
	a := newPod(t, "a", "z")
	bad := function("bad", "/bad", a)
	bad.Spec.Routes[0].Headers = map[string]api.Matcher{"not a\nheader": api.Is("1")}
	bad.Spec.Routes = append(bad.Spec.Routes, api.Route{Path: "/bad/open"})
	r := newRig(t, functions(bad, function("good", "/good", a)))
	r.want(r.call("GET", "any", "/good"), 200, "a")
	if list := r.State().Quarantined; len(list) != 1 || list[0].Name != "bad/0" || !list[0].Unmatchable {
		t.Errorf("quarantined: %+v", list)
	}
	r.want(r.call("GET", "any", "/bad/open"), 200, "a")
	r.SetReadiness(a.address, false) // a change that does not mend it
	r.live()
	if testutil.CollectAndCount(worldCollector{r.Server}, "kongdao_xds_quarantined") != 1 {
		t.Error("no metric")
	}
	r.apply(functions(function("bad", "/bad", a), function("good", "/good", a)))
	r.live()
	r.want(r.call("GET", "any", "/bad"), 200, "a")
	if len(r.State().Quarantined) > 0 {
		t.Error("the mended function is still quarantined")
	}
}

// TestMetrics reads what is exported.
func TestMetrics(t *testing.T) {
	a, b := newPod(t, "a", "zb-a"), newPod(t, "b", "zb-b")
	f := function("feed", "/feed", a, b)
	f.Spec.Capacity.PerPodQPS = 100
	r := newRig(t, functions(f))
	r.SetReadiness(b.address, false)
	r.live()
	want := `
# HELP kongdao_xds_gateways Connected gateways.
# TYPE kongdao_xds_gateways gauge
kongdao_xds_gateways 1
# HELP kongdao_xds_limit_requests_per_second Rate that all gateways together admit to a function; functions without a limit are not listed.
# TYPE kongdao_xds_limit_requests_per_second gauge
kongdao_xds_limit_requests_per_second{function="feed"} 100
# HELP kongdao_xds_pods Pods of a revision in a zone that are in rotation: neither drained nor taken out for a test.
# TYPE kongdao_xds_pods gauge
kongdao_xds_pods{function="feed",revision="r1",zone="zb-a"} 1
kongdao_xds_pods{function="feed",revision="r1",zone="zb-b"} 1
# HELP kongdao_xds_ready_pods Pods of a revision in a zone that are in rotation and ready.
# TYPE kongdao_xds_ready_pods gauge
kongdao_xds_ready_pods{function="feed",revision="r1",zone="zb-a"} 1
kongdao_xds_ready_pods{function="feed",revision="r1",zone="zb-b"} 0
# HELP kongdao_xds_rejections_total Updates that a gateway refused, by type of resource.
# TYPE kongdao_xds_rejections_total counter
kongdao_xds_rejections_total{type="Cluster"} 0
kongdao_xds_rejections_total{type="ClusterLoadAssignment"} 0
kongdao_xds_rejections_total{type="Listener"} 0
kongdao_xds_rejections_total{type="RouteConfiguration"} 0
kongdao_xds_rejections_total{type="ScopedRouteConfiguration"} 0
kongdao_xds_rejections_total{type="Secret"} 0
kongdao_xds_rejections_total{type="TypedExtensionConfig"} 0
# HELP kongdao_xds_silent_gateways Connected gateways that leave an update unanswered for longer than the threshold.
# TYPE kongdao_xds_silent_gateways gauge
kongdao_xds_silent_gateways 0
`
	if err := testutil.GatherAndCompare(r.reg, strings.NewReader(want),
		"kongdao_xds_gateways", "kongdao_xds_limit_requests_per_second", "kongdao_xds_pods", "kongdao_xds_ready_pods",
		"kongdao_xds_rejections_total", "kongdao_xds_silent_gateways"); err != nil {
		t.Error(err)
	}
	if n, err := testutil.GatherAndCount(r.reg, "kongdao_xds_push_seconds"); n != 1 || err != nil {
		t.Errorf("push_seconds: %d, %v", n, err)
	}
}

// TestRejectionsAreNamed has an access log that cannot be written, which only a
// gateway can know.
func TestRejectionsAreNamed(t *testing.T) {
	c := DefaultConfig()
	c.Gateway, c.AccessLog = freeAddr(t), "/nowhere/at/all/calls.log"
	reg := prometheus.NewRegistry()
	s, err := New(c, slog.New(slog.DiscardHandler), reg, nil)
	if err != nil {
		t.Fatal(err)
	}
	run(t, s)
	if err := s.Apply(context.Background(), api.Set{}); err != nil {
		t.Fatal(err)
	}
	startEnvoy(t, "gw-1", s.Addr(), freeAddr(t))
	eventually(t, "the listener is rejected", func() bool { return len(s.State().Rejections) > 0 })
	x := s.State().Rejections[0]
	if x.Node != "gw-1" || len(x.Resources) != 1 || x.Resources[0] != "gateway" || !strings.Contains(x.Message, "/nowhere/at/all") {
		t.Errorf("rejection: %+v", x)
	}
	if n := testutil.ToFloat64(s.metrics.rejections.WithLabelValues("Listener")); n != 1 {
		t.Errorf("%v rejections counted, want 1", n)
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := s.WaitLive(ctx); err == nil || !strings.Contains(err.Error(), "gw-1") {
		t.Errorf("wait: %v", err)
	}
}

// TestTheFirstUpdateKnowsReadiness: no limit of one pod in between.
func TestTheFirstUpdateKnowsReadiness(t *testing.T) {
	f := function("feed", "/feed", &pod{address: "127.0.0.1:1", zone: "z"}, &pod{address: "127.0.0.1:2", zone: "z"})
	f.Spec.Capacity.PerPodQPS = 100
	for _, told := range []bool{true, false} {
		c := DefaultConfig()
		c.FirstReadiness = api.Duration(time.Hour)
		if !told {
			c.FirstReadiness = api.Duration(time.Millisecond)
		}
		s, err := New(c, slog.New(slog.DiscardHandler), prometheus.NewRegistry(), nil)
		if err != nil {
			t.Fatal(err)
		}
		run(t, s)
		if err := s.Apply(context.Background(), functions(f)); err != nil {
			t.Fatal(err)
		}
		s.SetReadiness("127.0.0.1:1", true)
		if told {
			s.SetReadiness("127.0.0.1:2", true)
		}
		eventually(t, "it is published", func() bool { return s.World() != nil })
		if got, want := s.World().Functions[0].Limit, map[bool]float64{true: 200, false: 100}[told]; got != want {
			t.Errorf("the first limit is %v, want %v", got, want)
		}
	}
}

// TestDrainedAndPinnedPodsAreNobodysLoss keeps alerts about missing pods silent
// while a zone is drained or a pod is tested.
func TestDrainedAndPinnedPodsAreNobodysLoss(t *testing.T) {
	a, b, c := newPod(t, "a", "zb-a"), newPod(t, "b", "zb-a"), newPod(t, "c", "zb-b")
	r := newRig(t, functions(function("feed", "/feed", a, b, c)))
	if _, err := r.Pin("feed", a.address); err != nil {
		t.Fatal(err)
	}
	r.SetZoneWeight("zb-b", 0)
	r.live()
	want := `
# HELP kongdao_xds_pods Pods of a revision in a zone that are in rotation: neither drained nor taken out for a test.
# TYPE kongdao_xds_pods gauge
kongdao_xds_pods{function="feed",revision="r1",zone="zb-a"} 1
kongdao_xds_pods{function="feed",revision="r1",zone="zb-b"} 0
# HELP kongdao_xds_ready_pods Pods of a revision in a zone that are in rotation and ready.
# TYPE kongdao_xds_ready_pods gauge
kongdao_xds_ready_pods{function="feed",revision="r1",zone="zb-a"} 1
kongdao_xds_ready_pods{function="feed",revision="r1",zone="zb-b"} 0
`
	if err := testutil.GatherAndCompare(r.reg, strings.NewReader(want), "kongdao_xds_pods", "kongdao_xds_ready_pods"); err != nil {
		t.Error(err)
	}
}
