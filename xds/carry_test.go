package xds

import (
	"context"
	"log/slog"
	"net/http"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/kongdao/kongdao/api"
)

// weighted has two revisions that share the traffic.
func weighted(path string, one, two *pod, weights ...int) *api.Function {
	f := function("feed", path, one)
	f.Spec.Revisions = []api.Revision{{Name: "r1", Endpoints: endpoints(one)}, {Name: "r2", Endpoints: endpoints(two)}}
	for i, w := range weights {
		f.Spec.Traffic = append(f.Spec.Traffic, api.Traffic{Revision: f.Spec.Revisions[i].Name, Weight: w})
	}
	return f
}

// TestWeightsPassCanaryGroups: while something else waits for a canary group, weights
// of revisions that all gateways have go to all of them at once, and back; what waits
// waits on, and not anew. A restart of the control plane holds nothing that was live.
func TestWeightsPassCanaryGroups(t *testing.T) {
	one, two := newPod(t, "one", "zb-a"), newPod(t, "two", "zb-a")
	place := freeAddr(t)
	groups := []*api.GatewayGroup{gatewayGroup("brave", api.GatewayGroupSpec{Listen: place, Canary: &api.Canary{Hold: api.Duration(time.Hour)}})}
	with := func(f *api.Function) api.Set {
		set := functions(f)
		set.GatewayGroups = groups
		return set
	}
	r := newRig(t, with(weighted("/one", one, two, 100, 0)))
	canary := r.join("brave", "zb-a", "gw-2", place)
	r.want(r.call("GET", "any", "/one"), 200, "one")

	r.apply(with(weighted("/one", one, two, 0, 100)))
	r.live()
	if r.Rollout() != nil {
		t.Fatal("weights alone are held")
	}
	r.want(r.call("GET", "any", "/one"), 200, "two")
	r.apply(with(weighted("/one", one, two, 100, 0)))
	r.live()
	r.want(r.call("GET", "any", "/one"), 200, "one")

	r.apply(with(weighted("/two", one, two, 100, 0)))
	eventually(t, "the canary has the new path", func() bool { return canary.call("GET", "any", "/two").status == http.StatusOK })
	waiting := r.Rollout()
	if waiting == nil {
		t.Fatal("a new path is not held")
	}
	for _, c := range []struct {
		weights []int
		want    string
	}{{[]int{0, 100}, "two"}, {[]int{100, 0}, "one"}} {
		r.apply(with(weighted("/two", one, two, c.weights...)))
		r.live()
		r.want(r.call("GET", "any", "/one"), 200, c.want)
		r.want(canary.call("GET", "any", "/two"), 200, c.want)
		r.want(r.call("GET", "any", "/two"), 404, "")
	}
	if now := r.Rollout(); now == nil || !now.Since.Equal(waiting.Since) {
		t.Errorf("what waited waits anew: %+v, before %+v", now, waiting)
	}

	if err := r.Promote(); err != nil {
		t.Fatal(err)
	}
	r.live()
	r.stop()
	c := r.config
	c.Listen = r.Addr()
	again, err := New(c, slog.New(slog.DiscardHandler), prometheus.NewRegistry(), nil)
	if err != nil {
		t.Fatal(err)
	}
	run(t, again)
	again.SetReady(map[string]bool{one.address: true, two.address: true})
	for _, weights := range [][]int{{0, 100}, {100, 0}} { // as the record of releases gives them right after
		if err := again.Apply(context.Background(), with(weighted("/two", one, two, weights...))); err != nil {
			t.Fatal(err)
		}
		if again.Rollout() != nil {
			t.Error("what was live is held after a restart")
		}
	}
	eventually(t, "the gateways are back", func() bool { return len(again.Gateways()) == 2 })
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := again.WaitRollout(ctx); err != nil {
		t.Fatal(err)
	}
	r.want(r.call("GET", "any", "/two"), 200, "one")
}

func TestCarry(t *testing.T) {
	spec := func(alter func(*api.FunctionSpec)) *api.Function {
		f := &api.Function{Metadata: api.Metadata{Name: "f"}, Spec: api.FunctionSpec{
			Revisions: []api.Revision{{Name: "r1"}, {Name: "r2"}},
			Traffic:   []api.Traffic{{Revision: "r1", Weight: 95}, {Revision: "r2", Weight: 5}},
		}}
		alter(&f.Spec)
		return f
	}
	old := spec(func(*api.FunctionSpec) {})
	for name, c := range map[string]struct {
		alter func(*api.FunctionSpec)
		to    int // traffic entries, or -1: not carried
	}{
		"weights":    {func(s *api.FunctionSpec) { s.Traffic = []api.Traffic{{Revision: "r1", Weight: 100}} }, 1},
		"no weights": {func(s *api.FunctionSpec) { s.Traffic = nil }, 0},
		"a revision that others have not": {func(s *api.FunctionSpec) {
			s.Revisions = append(s.Revisions, api.Revision{Name: "r3"})
			s.Traffic = []api.Traffic{{Revision: "r1", Weight: 95}, {Revision: "r3", Weight: 5}}
		}, -1},
		"all to the last of others": {func(s *api.FunctionSpec) {
			s.Revisions, s.Traffic = append(s.Revisions, api.Revision{Name: "r3"}), nil
		}, -1},
		"a match": {func(s *api.FunctionSpec) {
			s.Traffic = append(s.Traffic, api.Traffic{Revision: "r2", Match: &api.TrafficMatch{Headers: map[string]string{"a": "b"}}})
		}, -1},
	} {
		got := carry(functions(old), functions(spec(c.alter))).Functions[0].Spec.Traffic
		if c.to < 0 && (len(got) != 2 || got[0].Weight != 95 || got[1].Revision != "r2") || c.to >= 0 && len(got) != c.to {
			t.Errorf("%s: %+v", name, got)
		}
	}
}
