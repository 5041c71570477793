package translate

import (
	"fmt"
	"testing"

	route "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"

	"github.com/kongdao/kongdao/api"
	"github.com/kongdao/kongdao/xds/model"
)

// costsOf are the costs of a function's routes to pods, with their buckets.
func costsOf(c *route.RouteConfiguration, function string) (all []string) {
	for _, v := range c.GetVirtualHosts() {
		for _, r := range v.GetRoutes() {
			fields := r.GetMetadata().GetFilterMetadata()[Namespace].GetFields()
			if r.GetRoute() == nil || fields[keyFunction].GetStringValue() != function {
				continue
			}
			for _, tier := range model.Tiers() {
				if fields[tier.Key].GetStringValue() != "" {
					all = append(all, tier.Key+" "+fields[keyCost].GetStringValue())
				}
			}
		}
	}
	return all
}

// sharing is what changes for two functions on hosts of their own, of which the
// first has a revision of its own for some.
func sharing(t *testing.T, before *model.World, parts map[string]float64) (*Delta, *model.World) {
	t.Helper()
	in := model.Input{Ready: map[string]bool{}, Fleet: model.EvenFleet(map[string]int{"": 2}, 1), Previous: before}
	for i, name := range []string{"feed", "other"} {
		at := fmt.Sprint("127.0.0.1:910", i)
		f := &api.Function{Metadata: api.Metadata{Name: name}}
		f.Spec.Revisions = []api.Revision{
			{Name: "r1", Endpoints: []api.Endpoint{{Address: at}}},
			{Name: "r2", Endpoints: []api.Endpoint{{Address: at}}},
		}
		f.Spec.Traffic = []api.Traffic{{Revision: "r2", Match: &api.TrafficMatch{Headers: map[string]string{"x-gray": "1"}}}, {Revision: "r1", Weight: 100}}
		f.Spec.Routes = []api.Route{{Hosts: []string{name + ".example.com"}, Path: "/f"}, {Hosts: []string{"*"}, Path: "/ws/" + name, Websocket: true}}
		f.Spec.Access = &api.Access{Public: true}
		f.Spec.Capacity.PerPodQPS = 400
		in.Ready[at] = true
		in.Set.Functions = append(in.Set.Functions, f)
	}
	if parts != nil {
		in.Weighted = map[string]*model.Fleet{"feed": {Gateways: 2, Parts: parts}}
	}
	w := model.Build(in)
	d, err := Changes(Config{Address: "127.0.0.1", Port: 9000, Shards: 4096}, before, w)
	if err != nil {
		t.Fatal(err)
	}
	return d, w
}

// TestNodeRoutes: gateways with parts of their own get routes with costs of their
// own, and nothing else differs for them.
func TestNodeRoutes(t *testing.T) {
	d, w := sharing(t, nil, nil)
	if len(d.Nodes) != 0 {
		t.Errorf("even parts, and gateways get routes of their own: %v", d.Nodes)
	}
	shard := Config{Shards: 4096}.ShardName("feed.example.com")
	even := fmt.Sprint([]string{"fn 5000", "fn 5000"})
	if got := fmt.Sprint(costsOf(d.Routes[shard], "feed")); got != even {
		t.Errorf("costs of even parts: %s", got)
	}

	d, w = sharing(t, w, map[string]float64{"gw-1": 0.8, "gw-2": 0.2})
	for node, cost := range map[string]string{"gw-1": "fn 3125", "gw-2": "fn 12500"} {
		check(t, d.Nodes[node])
		for _, name := range []string{shard, Websockets} {
			c := d.Nodes[node][name]
			if got := costsOf(c, "feed"); len(got) == 0 || got[0] != cost || got[len(got)-1] != cost {
				t.Errorf("%s: costs in %s: %v, want %s", node, name, got, cost)
			}
		}
		if got := costsOf(d.Nodes[node][Websockets], "other"); len(got) == 0 || got[0] != "fn 5000" {
			t.Errorf("%s: costs of another function: %v", node, got)
		}
		if len(d.Nodes[node]) != 2 {
			t.Errorf("%s gets %d configurations of its own", node, len(d.Nodes[node]))
		}
	}
	if got := fmt.Sprint(costsOf(d.RoutesOf(shard), "feed")); got != even {
		t.Errorf("costs of other gateways: %s", got)
	}

	// A part that is so small that a request would not fit moves to a larger bucket.
	small, _ := sharing(t, w, map[string]float64{"gw-1": 0.95, "gw-2": 0.05})
	if got := costsOf(small.Nodes["gw-2"][shard], "feed"); len(got) == 0 || got[0] != "fn_slow2 50000" {
		t.Errorf("costs of a small part: %v", got)
	}

	d, _ = sharing(t, w, map[string]float64{"gw-2": 0.4})
	if c, there := d.Nodes["gw-1"][shard]; !there || c != nil {
		t.Error("a gateway without a part of its own does not get the common routes back")
	}
	d, _ = sharing(t, w, nil)
	for _, node := range []string{"gw-1", "gw-2"} {
		if c, there := d.Nodes[node][shard]; !there || c != nil {
			t.Errorf("%s does not get the common routes back", node)
		}
	}
}
