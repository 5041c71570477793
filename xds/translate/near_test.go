package translate

import (
	"testing"

	endpoint "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"

	"github.com/kongdao/kongdao/api"
	"github.com/kongdao/kongdao/xds/model"
)

// near is a function with a pod in zone a, three in b and one in c that is down,
// and gateways in a and b.
func near(t *testing.T, weights map[string]int) *Delta {
	t.Helper()
	f := &api.Function{Metadata: api.Metadata{Name: "f"}}
	in := model.Input{
		Ready: map[string]bool{}, ZoneWeights: weights, Views: []string{"a", "b"},
		Fleet: model.EvenFleet(map[string]int{"a": 1, "b": 1}, 1),
	}
	rev := api.Revision{Name: "r1"}
	for i, zone := range []string{"a", "b", "b", "b", "c"} {
		at := "127.0.0.1:910" + string(rune('0'+i))
		rev.Endpoints = append(rev.Endpoints, api.Endpoint{Address: at, Zone: zone})
		in.Ready[at] = zone != "c"
	}
	f.Spec.Revisions = []api.Revision{rev}
	f.Spec.Routes = []api.Route{{Path: "/f"}}
	in.Set.Functions = []*api.Function{f}
	d, err := Changes(Config{Address: "127.0.0.1", Port: 9000, Shards: 1}, nil, model.Build(in))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// weights are those of pods by zone and priority; 0 where none is given.
func weights(a *endpoint.ClusterLoadAssignment) map[string][]uint32 {
	all := map[string][]uint32{}
	for _, l := range a.GetEndpoints() {
		key := l.GetLocality().GetZone() + string(rune('0'+l.GetPriority()))
		for _, e := range l.GetLbEndpoints() {
			all[key] = append(all[key], e.GetLoadBalancingWeight().GetValue())
		}
	}
	return all
}

// TestViews: a's gateway admits as much as two pods take and has one at home; b's
// pods take what both leave. Pods without a share stand by behind.
func TestViews(t *testing.T) {
	d := near(t, nil)
	check(t, d.Views["a"])
	check(t, d.Views["b"])
	a, b := weights(d.Views["a"]["f/r1"]), weights(d.Views["b"]["f/r1"])
	if len(a["a0"]) != 1 || a["a0"][0] != topWeight || len(a["b0"]) != 3 || a["b0"][0] != topWeight/3 || len(a["c1"]) != 1 {
		t.Errorf("from a: %v", a)
	}
	if len(b["b0"]) != 3 || b["b0"][0] != 0 || len(b["a1"]) != 1 || len(b["c1"]) != 1 {
		t.Errorf("from b: %v", b)
	}
	d = near(t, map[string]int{"a": 0})
	if a = weights(d.Views["a"]["f/r1"]); len(a["b0"]) != 3 || len(a["c1"]) != 1 || len(a) != 2 {
		t.Errorf("from a, which is drained: %v", a)
	}
	d = near(t, map[string]int{"a": 0, "b": 0})
	if d.Views["a"]["f/r1"] != nil {
		t.Errorf("nobody is ready, and a has endpoints of its own: %v", d.Views["a"])
	}
}
