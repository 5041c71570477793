package proxyless

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	endpoint "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	"google.golang.org/protobuf/proto"

	"github.com/kongdao/kongdao/api"
	"github.com/kongdao/kongdao/xds/model"
)

// function is one that is offered: three pods, of which one stands by in zb-c.
func function() *api.Function {
	return &api.Function{
		Metadata: api.Metadata{Name: "feed"},
		Spec: api.FunctionSpec{
			Routes: []api.Route{{Path: "/shop.Feed/*"}},
			Revisions: []api.Revision{
				{Name: "r1", Protocol: api.GRPC, Endpoints: []api.Endpoint{
					{Address: "10.0.0.1:80", Zone: "zb-a"},
					{Address: "10.0.0.2:80", Zone: "zb-a"},
					{Address: "10.0.0.3:80", Zone: "zb-b"},
					{Address: "10.0.0.4:80", Zone: "zb-c"},
				}},
				{Name: "r2", Protocol: api.GRPC, Endpoints: []api.Endpoint{{Address: "10.0.0.5:80", Zone: "zb-b"}}},
			},
			Traffic: []api.Traffic{{Revision: "r1", Weight: 75}, {Revision: "r2", Weight: 25}},
			Access:  &api.Access{Public: true},
		},
	}
}

func build(alter func(*model.Input), fs ...*api.Function) *model.World {
	zone := func(name string, priority uint32) *api.Zone {
		return &api.Zone{Metadata: api.Metadata{Name: name}, Spec: api.ZoneSpec{Priority: priority}}
	}
	in := model.Input{Set: api.Set{Functions: fs, Zones: []*api.Zone{zone("zb-a", 0), zone("zb-b", 0), zone("zb-c", 3)}}, Ready: map[string]bool{}}
	for _, f := range fs {
		for _, r := range f.Spec.Revisions {
			for _, e := range r.Endpoints {
				in.Ready[e.Address] = true
			}
		}
	}
	if alter != nil {
		alter(&in)
	}
	return model.Build(in)
}

func TestWhatIsOffered(t *testing.T) {
	for _, c := range []struct {
		alter func(*api.FunctionSpec)
		want  string // beginning of the reason
	}{
		{func(*api.FunctionSpec) {}, ""},
		{func(s *api.FunctionSpec) { s.Access = nil }, "access: it is not public"},
		{func(s *api.FunctionSpec) { s.Access = &api.Access{Consumers: []string{"a"}} }, "access: it is not public"},
		{func(s *api.FunctionSpec) { s.Access.External = &api.External{URL: "http://127.0.0.1:1"} }, "access: it is not public"},
		{func(s *api.FunctionSpec) {
			s.Access.JWT = []api.JWT{{Name: "a", JWKS: api.JWKS{URL: "http://127.0.0.1:1"}}}
		}, "access: it is not public"},
		{func(s *api.FunctionSpec) { s.Access.IP = &api.Addresses{Deny: []string{"10.0.0.0/8"}} }, "access.ip: "},
		{func(s *api.FunctionSpec) { s.Capacity.PerPodQPS = 10 }, "capacity: "},
		{func(s *api.FunctionSpec) { s.Limits = []api.CallerLimit{{Rate: 1, Per: "ip"}} }, "limits: "},
		{func(s *api.FunctionSpec) { s.Concurrency = 10 }, ""},
		{func(s *api.FunctionSpec) { s.Sticky = &api.Sticky{Header: "x-user"} }, "sticky: "},
		{func(s *api.FunctionSpec) { s.Revisions[1].Protocol = "" }, "its pods do not speak gRPC"},
		{func(s *api.FunctionSpec) {
			s.Revisions[1].Protocol, s.Traffic = "", []api.Traffic{{Revision: "r1", Weight: 100}}
		}, ""},
		{func(s *api.FunctionSpec) { s.Revisions[0].Endpoints[0].Address = "nonsense" }, "it is not served: "},
		{func(s *api.FunctionSpec) { s.Routes = nil }, "it has no routes"},
		{func(s *api.FunctionSpec) { s.Routes[0].Path = "/a/{b}" }, "route feed/0 has a template"},
		{func(s *api.FunctionSpec) { s.Routes[0].Headers = map[string]api.Matcher{"x-a": {}} }, "route feed/0 has conditions"},
		{func(s *api.FunctionSpec) { s.Routes[0].Respond = &api.Respond{Status: 204} }, "route feed/0 leads to no gRPC method"},
		{func(s *api.FunctionSpec) { s.Routes[0].Redirect = &api.Redirect{} }, "route feed/0 leads to no gRPC method"},
		{func(s *api.FunctionSpec) { s.Routes[0].Rewrite = "/other/*" }, "route feed/0 rewrites"},
		{func(s *api.FunctionSpec) { s.Routes[0].RewriteHost = "b" }, "route feed/0 rewrites"},
		{func(s *api.FunctionSpec) { s.RequestHeaders.Remove = []string{"x-admin"} }, "route feed/0 changes headers"},
		{func(s *api.FunctionSpec) { s.Routes[0].ResponseHeaders.Remove = []string{"x-pod"} }, "route feed/0 changes headers"},
		{func(s *api.FunctionSpec) { s.MaxRequestBytes = 100 }, "route feed/0 bounds"},
		{func(s *api.FunctionSpec) { s.LoadTest = &api.LoadTests{Refuse: true} }, "loadTest: "},
		{func(s *api.FunctionSpec) {
			s.LoadTest, s.Traffic = &api.LoadTests{Revision: "r2"}, []api.Traffic{{Revision: "r1", Weight: 100}}
		}, "loadTest: "},
		{func(s *api.FunctionSpec) { s.Mirror = []api.Mirror{{Revision: "r1", Percent: 1}} }, ""},
	} {
		f := function()
		c.alter(&f.Spec)
		w := build(nil, f)
		got := Refusal(w.Function("feed"))
		if c.want == "" && got != "" || !strings.HasPrefix(got, c.want) {
			t.Errorf("got %q, want %q…", got, c.want)
		}
		d, err := Changes(nil, w)
		if err != nil || (len(d.Listeners) == 1) != (got == "") || len(d.Clusters) != len(d.Listeners) {
			t.Errorf("%q: %v, %v", got, d, err)
		}
	}
}

// places are localities as "priority zone/revision weight pods".
func places(a *endpoint.ClusterLoadAssignment) (all []string) {
	for _, l := range a.GetEndpoints() {
		var pods []string
		for _, e := range l.GetLbEndpoints() {
			pods = append(pods, e.GetEndpoint().GetAddress().GetSocketAddress().GetAddress())
		}
		all = append(all, fmt.Sprintf("%d %s/%s %d %s", l.GetPriority(), l.GetLocality().GetZone(), l.GetLocality().GetSubZone(),
			l.GetLoadBalancingWeight().GetValue(), strings.Join(pods, " ")))
	}
	return all
}

func TestWhereCallsGo(t *testing.T) {
	for _, c := range []struct {
		name  string
		alter func(*model.Input)
		want  []string
	}{
		{"all is well", nil, []string{
			"0 zb-a/r1 50000000 10.0.0.1 10.0.0.2", "0 zb-b/r1 25000000 10.0.0.3", "0 zb-b/r2 25000000 10.0.0.5", "1 zb-c/r1 75000000 10.0.0.4",
		}},
		{"a pod is down", func(in *model.Input) { in.Ready["10.0.0.1:80"] = false }, []string{
			"0 zb-a/r1 37500000 10.0.0.2", "0 zb-b/r1 37500000 10.0.0.3", "0 zb-b/r2 25000000 10.0.0.5", "1 zb-c/r1 75000000 10.0.0.4",
		}},
		{"a zone is drained", func(in *model.Input) { in.ZoneWeights = map[string]int{"zb-a": 0} }, []string{
			"0 zb-b/r1 75000000 10.0.0.3", "0 zb-b/r2 25000000 10.0.0.5", "1 zb-c/r1 75000000 10.0.0.4",
		}},
		{"a zone is half drained", func(in *model.Input) { in.ZoneWeights = map[string]int{"zb-a": 50} }, []string{
			"0 zb-a/r1 37500000 10.0.0.1 10.0.0.2", "0 zb-b/r1 37500000 10.0.0.3", "0 zb-b/r2 25000000 10.0.0.5", "1 zb-c/r1 75000000 10.0.0.4",
		}},
		{"a priority is down", func(in *model.Input) {
			in.Ready["10.0.0.1:80"], in.Ready["10.0.0.2:80"], in.Ready["10.0.0.3:80"] = false, false, false
		}, []string{"0 zb-b/r2 25000000 10.0.0.5", "0 zb-c/r1 75000000 10.0.0.4"}},
		{"all of a revision are down", func(in *model.Input) { in.Ready["10.0.0.5:80"] = false }, []string{
			"0 zb-a/r1 50000000 10.0.0.1 10.0.0.2", "0 zb-b/r1 25000000 10.0.0.3", "0 zb-b/r2 25000000 10.0.0.5", "1 zb-c/r1 75000000 10.0.0.4",
		}},
		{"nothing is left", func(in *model.Input) { in.ZoneWeights = map[string]int{"zb-a": 0, "zb-b": 0, "zb-c": 0} }, nil},
		{"revisions share a pod", func(in *model.Input) { in.Set.Functions[0].Spec.Revisions[1].Endpoints[0].Address = "10.0.0.3:80" }, []string{
			"0 zb-a/r1 50000000 10.0.0.1 10.0.0.2", "0 zb-b/r1 25000000 10.0.0.3", "1 zb-c/r1 75000000 10.0.0.4",
		}},
		{"a pod is taken out", func(in *model.Input) { in.Pins = []model.Pin{{Function: "feed", Address: "10.0.0.3:80"}} }, []string{
			"0 zb-a/r1 75000000 10.0.0.1 10.0.0.2", "0 zb-b/r2 25000000 10.0.0.5", "1 zb-c/r1 75000000 10.0.0.4",
		}},
	} {
		d, err := Changes(nil, build(c.alter, function()))
		if err != nil {
			t.Fatal(err)
		}
		if got := places(d.Endpoints["feed"]); !slices.Equal(got, c.want) {
			t.Errorf("%s:\n got %q\nwant %q", c.name, got, c.want)
		}
	}
}

func TestRoutes(t *testing.T) {
	f := function()
	s := &f.Spec
	s.Routes = []api.Route{
		{Path: "/*", Timeout: api.Duration(3 * time.Second)},
		{Path: "/shop.Feed/*"},
		{Path: "/shop.Feed/Get", Methods: []string{"POST"}},
		{Path: "/page", Methods: []string{"GET"}},
	}
	s.Traffic = append([]api.Traffic{
		{Revision: "r2", Match: &api.TrafficMatch{Headers: map[string]string{"X-Gray": "1"}, Users: &api.Users{Header: "x-user", In: []string{"b.c", "a"}}}},
		{Revision: "r2", Match: &api.TrafficMatch{Cookies: map[string]string{"gray": "1"}}},
	}, s.Traffic...)
	s.Timeout, s.Idempotent, s.Concurrency, s.Retries.Attempts = api.Duration(time.Second), true, 7, 2
	d, err := Changes(nil, build(func(in *model.Input) { in.Broken = map[string]string{"feed/1": "it is bad"} }, f))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range d.Routes["feed"].GetVirtualHosts()[0].GetRoutes() {
		line := r.GetName() + " " + r.GetMatch().GetPath() + r.GetMatch().GetPrefix() + " " + r.GetRoute().GetCluster()
		for _, h := range r.GetMatch().GetHeaders() {
			line += " " + h.GetName() + "=" + h.GetStringMatch().GetExact() + h.GetStringMatch().GetSafeRegex().GetRegex()
		}
		if a := r.GetRoute(); a != nil {
			line += fmt.Sprintf(" %v %s*%d", a.GetMaxStreamDuration().GetMaxStreamDuration().AsDuration(), a.GetRetryPolicy().GetRetryOn(), a.GetRetryPolicy().GetNumRetries().GetValue())
		}
		got = append(got, line)
	}
	want := []string{
		`feed/2 /shop.Feed/Get feed/r2 x-gray=1 x-user=a|b\.c 1s unavailable*2`,
		`feed/2 /shop.Feed/Get feed 1s unavailable*2`,
		`feed/1 /shop.Feed/ `,
		`feed/0 / feed/r2 x-gray=1 x-user=a|b\.c 3s unavailable*2`,
		`feed/0 / feed 3s unavailable*2`,
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q\nwant %q", got, want)
	}
	if got := places(d.Endpoints["feed/r2"]); !slices.Equal(got, []string{"0 zb-b/r2 100000000 10.0.0.5"}) {
		t.Errorf("%q", got)
	}
	for name, c := range d.Clusters {
		if most := c.GetCircuitBreakers().GetThresholds()[0].GetMaxRequests().GetValue(); most != 7 {
			t.Errorf("%s takes %d", name, most)
		}
	}
}

func TestRetriesAreThoseOfGateways(t *testing.T) {
	for _, c := range []struct {
		idempotent bool
		retries    api.Retries
		want       bool
	}{
		{false, api.Retries{}, false},
		{true, api.Retries{}, true},
		{true, api.Retries{Off: true}, false},
		{true, api.Retries{On: []string{"connect-failure", "refused"}}, false},
		{true, api.Retries{On: []string{"connect-failure", "reset"}}, true},
		{true, api.Retries{On: []string{"503"}}, true},
		{true, api.Retries{On: []string{"500"}}, false},
	} {
		if got := retryPolicy(&model.Function{Idempotent: c.idempotent, Retries: c.retries}) != nil; got != c.want {
			t.Errorf("%+v: %v", c, got)
		}
	}
}

func TestChangesAloneAreTranslated(t *testing.T) {
	other := function()
	other.Name = "other"
	first := build(nil, function(), other)
	changed := function()
	changed.Spec.Traffic = append(changed.Spec.Traffic, api.Traffic{Revision: "r2", Match: &api.TrafficMatch{Headers: map[string]string{"x": "1"}}})
	second := build(func(in *model.Input) { in.Previous = first }, changed, other)
	d, err := Changes(first, second)
	if err != nil || len(d.Listeners) != 1 || len(d.Clusters) != 2 || len(d.Withdrawn)+len(d.Removed) != 0 {
		t.Fatalf("%+v, %v", d, err)
	}
	whole, _ := Changes(nil, second)
	for name, a := range d.Endpoints {
		if !proto.Equal(a, whole.Endpoints[name]) {
			t.Errorf("%s differs", name)
		}
	}
	closed := function()
	closed.Spec.Access = nil
	d, err = Changes(second, build(func(in *model.Input) { in.Previous = second }, closed))
	if err != nil || !slices.Equal(d.Withdrawn, []string{"feed", "other"}) || !slices.Equal(d.Removed, []string{"feed", "feed/r2", "other"}) || len(d.Listeners) != 0 {
		t.Errorf("%+v, %v", d, err)
	}
}
