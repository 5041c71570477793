package xds

import (
	"context"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/kongdao/kongdao/api"
)

// TestZoneLossLosesNothing breaks a zone's pods under load, without telling the
// control plane before 500 ms have passed, and brings them back.
func TestZoneLossLosesNothing(t *testing.T) {
	for _, priority := range []uint32{0, 1} {
		t.Run(fmt.Sprintf("other zone has priority %d", priority), func(t *testing.T) { loseZone(t, priority) })
	}
}

func loseZone(t *testing.T, priority uint32) {
	a1, a2, b1, b2 := newPod(t, "a1", "zb-a"), newPod(t, "a2", "zb-a"), newPod(t, "b1", "zb-b"), newPod(t, "b2", "zb-b")
	f := function("feed", "/feed", a1, a2, b1, b2)
	set := functions(f)
	for name, p := range map[string]uint32{"zb-a": 0, "zb-b": priority} {
		set.Zones = append(set.Zones, &api.Zone{Metadata: api.Metadata{Name: name}, Spec: api.ZoneSpec{Priority: p}})
	}
	r := newRig(t, set)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	results := make(chan *load, 1)
	go func() { results <- r.offer(ctx, 400, "any", "/feed") }()
	steady := a1.calls.Load()
	eventually(t, "zone a is called", func() bool { return a1.calls.Load() > steady+50 })
	a1.stop()
	a2.stop()
	told := time.AfterFunc(500*time.Millisecond, func() { r.SetReady(map[string]bool{a1.address: false, a2.address: false}) })
	defer told.Stop()
	n := b1.calls.Load()
	eventually(t, "zone b takes over", func() bool { return b1.calls.Load() > n+300 })
	l, err := net.Listen("tcp", a1.address)
	if err != nil {
		t.Fatal(err)
	}
	back := servePod(t, "a1", "zb-a", l)
	r.SetReadiness(a1.address, true)
	eventually(t, "zone a is called again", func() bool { return back.calls.Load() > 20 })
	cancel()
	got := <-results
	t.Logf("%d requests: %v, errors %d", got.sent, got.status, len(got.errs))
	if len(got.errs) > 0 || len(got.status) != 1 || got.status[200] == 0 {
		t.Errorf("lost requests: %v %v", got.status, got.errs)
	}
}

// TestHotChangesLoseNothing changes everything that can change about a function
// under load: revisions come and go, weights move, pods join and leave, zones
// drain, a pod is pinned.
func TestHotChangesLoseNothing(t *testing.T) {
	pods := map[string]*pod{}
	for _, n := range []string{"a", "b", "c", "d"} {
		pods[n] = newPod(t, n, "z"+n)
	}
	f := func(traffic []api.Traffic, revisions ...api.Revision) api.Set {
		x := function("feed", "/feed")
		x.Spec.Revisions, x.Spec.Traffic = revisions, traffic
		return functions(x)
	}
	rev := func(name string, names ...string) api.Revision {
		var ps []*pod
		for _, n := range names {
			ps = append(ps, pods[n])
		}
		return api.Revision{Name: name, Endpoints: endpoints(ps...)}
	}
	states := []api.Set{
		f([]api.Traffic{{Revision: "r1", Weight: 100}}, rev("r1", "a", "b")),
		f([]api.Traffic{{Revision: "r1", Weight: 50}, {Revision: "r2", Weight: 50}}, rev("r1", "a", "b"), rev("r2", "c", "d")),
		f([]api.Traffic{{Revision: "r2", Weight: 100}}, rev("r2", "c", "d")),
		f([]api.Traffic{{Revision: "r2", Weight: 100}}, rev("r2", "d")),
		f([]api.Traffic{{Revision: "r3", Weight: 100}}, rev("r3", "a", "c")),
		f([]api.Traffic{{Revision: "r3", Weight: 100}}, rev("r3", "b", "d")), // all pods replaced
	}
	r := newRig(t, states[0], func(c *Config) { c.RemovedClusterGrace = api.Duration(300 * time.Millisecond) })
	for _, p := range pods {
		r.SetReadiness(p.address, true)
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	results := make(chan *load, 1)
	go func() { results <- r.offer(ctx, 400, "any", "/feed") }()
	served := func() (n int64) {
		for _, p := range pods {
			n += p.calls.Load()
		}
		return n
	}
	for i := range 60 {
		before := served()
		r.apply(states[i%len(states)])
		if i%7 == 3 {
			r.SetZoneWeight("za", i%2*100)
		}
		r.live()
		eventually(t, "requests are served", func() bool { return served() > before+20 })
	}
	cancel()
	got := <-results
	t.Logf("%d requests: %v, errors %d", got.sent, got.status, len(got.errs))
	if len(got.errs) > 0 || len(got.status) != 1 || got.status[200] == 0 {
		t.Errorf("lost requests: %v %v", got.status, got.errs)
	}
}

// TestRemovedRevisionsLeave looks at Envoy's own list of clusters.
func TestRemovedRevisionsLeave(t *testing.T) {
	a := newPod(t, "a", "z")
	r := newRig(t, functions(function("feed", "/feed", a), function("gone", "/gone", a)),
		func(c *Config) { c.RemovedClusterGrace = api.Duration(50 * time.Millisecond) })
	gone := func() bool { return !strings.Contains(r.adminGet("/clusters"), "gone/r1::") }
	if gone() {
		t.Fatal("the cluster is not there")
	}
	r.apply(functions(function("feed", "/feed", a)))
	eventually(t, "the cluster is gone", gone)
	r.want(r.call("GET", "any", "/gone"), 404, "")
	r.want(r.call("GET", "any", "/feed"), 200, "a")
}

// TestRoutesWaitForNewRevisions publishes revisions whose pods take their time to
// be checked.
func TestRoutesWaitForNewRevisions(t *testing.T) {
	a, b := newPod(t, "a", "z"), newPod(t, "b", "z")
	b.checkTakes = 150 * time.Millisecond
	r := newRig(t, functions(function("feed", "/feed", a)))
	r.SetReadiness(b.address, true)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	results := make(chan *load, 1)
	go func() { results <- r.offer(ctx, 300, "any", "/feed") }()
	for i := range 3 {
		f := function("feed", "/feed", b)
		f.Spec.Revisions[0].Name = fmt.Sprint("slow", i)
		f.Spec.HealthCheck.Path = "/healthz"
		before := b.calls.Load()
		r.apply(functions(f))
		r.live()
		eventually(t, "the new revision is called", func() bool { return b.calls.Load() > before+20 })
	}
	cancel()
	got := <-results
	t.Logf("%d requests: %v, errors %d", got.sent, got.status, len(got.errs))
	if len(got.errs) > 0 || len(got.status) != 1 || got.status[200] == 0 {
		t.Errorf("lost requests: %v %v", got.status, got.errs)
	}
}
