package explain

import (
	"math/rand/v2"
	"slices"
	"testing"

	route "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"github.com/google/go-cmp/cmp"

	"github.com/kongdao/kongdao/api"
	"github.com/kongdao/kongdao/api/grpcjson/grpcjsontest"
	"github.com/kongdao/kongdao/xds/model"
	"github.com/kongdao/kongdao/xds/translate"
)

// TestDescribe looks for each route in the shard that is named, as gateways get it,
// and wants a word of every filter.
func TestDescribe(t *testing.T) {
	pods := []api.Endpoint{{Address: "127.0.0.1:9101", Zone: "za"}, {Address: "127.0.0.1:9102", Zone: "zb"}}
	cfg := translate.Config{Address: "127.0.0.1", Port: 9000, Shards: 4}
	routed, shards := 0, map[string]bool{}
	for i := range uint64(5) {
		c := chance{rand.New(rand.NewPCG(11, i)), grpcjsontest.Transcode(t)}
		w := c.world(12, pods, nil)
		sent, err := translate.Changes(cfg, nil, w)
		if err != nil {
			t.Fatal(err)
		}
		for range 400 {
			r := c.request()
			a := Describe(w, r, Layout{Plain: "127.0.0.1:9000", TLS: "127.0.0.1:9443", Shard: cfg.ShardName})
			if a.Listener != "127.0.0.1:9000" || len(a.Verdicts) != len(a.Filters) {
				t.Fatalf("%s", a.Text())
			}
			for i, v := range a.Verdicts {
				if v.Filter != a.Filters[i] || v.Verdict == "" {
					t.Errorf("%s %s%s: %s says %q", r.Method, r.Host, r.Path, a.Filters[i], v.Verdict)
				}
			}
			if a.Route == "" {
				continue
			}
			routed++
			shards[a.Shard] = true
			if !hasRoute(sent.Routes[a.Shard], a.Route) {
				t.Errorf("%s %s%s: the route %s is not in %q", r.Method, r.Host, r.Path, a.Route, a.Shard)
			}
		}
	}
	if routed < 200 || len(shards) < 4 {
		t.Errorf("%d requests were routed, in the shards %v: too few for this test to mean anything", routed, shards)
	}
}

func hasRoute(c *route.RouteConfiguration, name string) bool {
	return slices.ContainsFunc(c.GetVirtualHosts(), func(v *route.VirtualHost) bool {
		return slices.ContainsFunc(v.GetRoutes(), func(r *route.Route) bool { return r.GetName() == name })
	})
}

func TestVerdicts(t *testing.T) {
	f := &api.Function{Metadata: api.Metadata{Name: "pay"}}
	f.Spec.Routes = []api.Route{{Hosts: []string{"*.example.com"}, Path: "/pay", Source: api.Source{File: "pay.yaml", Line: 5}}}
	f.Spec.Revisions = []api.Revision{{Name: "r1", Endpoints: []api.Endpoint{{Address: "127.0.0.1:9101", Zone: "za"}}}}
	f.Spec.Access = &api.Access{Consumers: []string{"ann"}, IP: &api.Addresses{Deny: []string{"10.0.0.0/8"}}}
	f.Spec.Limits = []api.CallerLimit{{Per: api.PerConsumer, Rate: 10}}
	f.Spec.Capacity.PerPodQPS = 100
	w := model.Build(model.Input{
		Set: api.Set{Functions: []*api.Function{f}}, Ready: map[string]bool{"127.0.0.1:9101": true},
		Keys: map[string][]string{"ann": {model.HashKey("key-a")}},
	})
	said := func(headers ...string) (texts []string) {
		r, err := ParseRequest("GET", "https://api.example.com/pay", headers)
		if err != nil {
			t.Fatal(err)
		}
		a := Describe(w, r, Layout{Plain: "127.0.0.1:9000", TLS: "127.0.0.1:9443"})
		texts = append(texts, a.Listener, a.Shard)
		for _, v := range a.Verdicts {
			texts = append(texts, v.Filter+": "+v.Verdict)
		}
		return texts
	}
	want := []string{
		"127.0.0.1:9443, with TLS", "any-host",
		"kongdao.any_host.scope: no route of an exact host takes it",
		"kongdao.any_host.reroute: looks among hosts with wildcards",
		"kongdao.addresses: is taken as let in: no address is given",
		"kongdao.access: lets it in: by the key of ann",
		"kongdao.callers: names the caller: ann",
		"kongdao.callers.0: consumer: lets 10/s in of ann, bursts of 10",
		"envoy.filters.http.local_ratelimit: lets 100/s in, bursts of 3",
		"envoy.filters.http.router: sends it to a pod of r1",
	}
	if diff := cmp.Diff(want, said("x-api-key: key-a")); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	refused := said()
	if last := refused[len(refused)-1]; last != "kongdao.access: answers 401: needed: a key in x-api-key, or a client certificate, or a signature in authorization" {
		t.Errorf("refused: %s", last)
	}
}
