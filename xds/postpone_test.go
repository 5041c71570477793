package xds

import (
	"fmt"
	"slices"
	"testing"
	"time"

	cluster "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/kongdao/kongdao/api"
	"github.com/kongdao/kongdao/xds/envoy"
	"github.com/kongdao/kongdao/xds/translate"
)

// endless makes a cluster one that Envoy accepts and that never finishes warming: it
// asks for its pods where nobody answers. Envoy takes no cluster after it.
func endless(c *cluster.Cluster) {
	c.EdsClusterConfig.EdsConfig = &core.ConfigSource{
		ResourceApiVersion: core.ApiVersion_V3, InitialFetchTimeout: durationpb.New(0),
		ConfigSourceSpecifier: &core.ConfigSource_ApiConfigSource{ApiConfigSource: &core.ApiConfigSource{
			ApiType: core.ApiConfigSource_DELTA_GRPC, TransportApiVersion: core.ApiVersion_V3,
			GrpcServices: []*core.GrpcService{{TargetSpecifier: &core.GrpcService_EnvoyGrpc_{
				EnvoyGrpc: &core.GrpcService_EnvoyGrpc{ClusterName: envoy.XDSCluster},
			}}},
		}},
	}
}

// patientCanary gives a canary Envoy that is never impatient.
func patientCanary(t testing.TB) func(*Config) {
	return func(c *Config) {
		withCanary(t)(c)
		c.Canary.Patience = api.Duration(time.Hour)
	}
}

// decided tells whether everything that was wanted was published.
func (r *rig) decided() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	reached, _ := r.reached(r.wanted)
	return reached
}

// TestWhatIsUndecidedKeepsNothingElseWaiting has an Envoy that does not get on with a
// function's cluster, and nobody who is impatient: all other changes are live, in the
// same change and in later ones, and what the function was is served.
func TestWhatIsUndecidedKeepsNothingElseWaiting(t *testing.T) {
	a, b := newPod(t, "a", "z"), newPod(t, "b", "z")
	r := newRig(t, functions(function(badName, "/bad", a), function("gone", "/moves", a), function("good", "/good", a)), patientCanary(t))
	tampered := tamperWith(r)
	tampered.Store(&badKind{of: endless})
	bad := release(badName, 1, b)
	bad.Spec.Routes = append(bad.Spec.Routes, api.Route{Path: "/moves"}) // from one that goes
	for i := range 3 {
		path := fmt.Sprint("/good/", i)
		r.apply(functions(bad, function("good", path, a)))
		eventually(t, "the other change is live", func() bool { return r.call("GET", "any", path).status == 200 })
		r.want(r.call("GET", "any", "/bad"), 200, "a")
		r.want(r.call("GET", "any", "/moves"), 200, "a")
	}
	if r.decided() {
		t.Error("all counts as published")
	}
	if list := r.State().Quarantined; len(list) != 0 {
		t.Errorf("quarantined %+v", list)
	}
	tampered.Store(nil)
	r.apply(functions(bad, function("good", "/good", a)))
	r.live()
	r.want(r.call("GET", "any", "/bad"), 200, "b")
	r.want(r.call("GET", "any", "/moves"), 200, "b")
}

// TestSilenceIsNamed has clusters that Envoy falls silent over, of kinds that no check
// knows: of a function that changes, and of a new one.
func TestSilenceIsNamed(t *testing.T) {
	a := newPod(t, "a", "z")
	r := newRig(t, functions(function(badName, "/bad", a), function("good", "/good", a)), patientCanary(t))
	tampered := tamperWith(r)
	good := func(i int) {
		t.Helper()
		tampered.Store(&badKind{of: func(c *cluster.Cluster) { newKind(c, i) }})
		r.apply(functions(release(badName, i, a), function("good", fmt.Sprint("/good/", i), a)))
		r.live()
		r.want(r.call("GET", "any", "/bad"), 200, "a")
		if list := r.State().Quarantined; len(list) != 0 {
			t.Errorf("still quarantined: %+v", list)
		}
	}
	bad := func(i int) {
		t.Helper()
		tampered.Store(&badKind{of: func(c *cluster.Cluster) { newKind(c, i); silencing(c) }})
		path := fmt.Sprint("/good/", i)
		r.apply(functions(release(badName, i, a), function("good", path, a)))
		eventually(t, "the other change is live", func() bool { return r.call("GET", "any", path).status == 200 })
		r.live()
		list := r.State().Quarantined
		if len(list) != 1 || list[0].Name != badName || list[0].Stage != stageCanary {
			t.Errorf("quarantined %+v", list)
		}
		if got := r.call("GET", "any", "/bad"); got.status != 503 || got.header.Get(translate.QuarantineHeader) != badName {
			t.Errorf("got %d %v", got.status, got.header)
		}
	}
	good(0)
	bad(1)
	good(2)
	r.apply(functions(function("good", "/good", a)))
	r.live()
	bad(3)
	bad(3) // it is known
	good(4)
}

// TestWaysThatMeet tells which changes of routes can be about the same requests.
func TestWaysThatMeet(t *testing.T) {
	f := func(routes ...api.Route) *api.Function { return &api.Function{Spec: api.FunctionSpec{Routes: routes}} }
	at := func(path string, hosts ...string) api.Route { return api.Route{Path: path, Hosts: hosts} }
	gets := api.Route{Path: "/x", Hosts: []string{"a"}, Methods: []string{"GET"}}
	for _, c := range []struct {
		name         string
		before, now  *api.Function // gives up what now has not
		gained       api.Route
		wantMeetings bool
	}{
		{"nothing given up", f(at("/x", "a")), f(at("/x", "a")), at("/x", "a"), false},
		{"the same", f(at("/x", "a")), nil, at("/x", "A:80"), true},
		{"another host", f(at("/x", "a")), nil, at("/x", "b"), false},
		{"any host", f(at("/x")), nil, at("/x", "b"), true},
		{"many hosts", f(at("/x", "b")), nil, at("/x", "*.example.com"), true},
		{"another path", f(at("/x", "a")), nil, at("/y", "a"), false},
		{"a path kept", f(at("/x", "a"), at("/y", "a")), f(at("/x", "a")), at("/x", "a"), false},
		{"fewer methods", f(at("/x", "a")), f(gets), at("/x", "a"), true},
		{"below a prefix", f(at("/x/*", "a")), nil, at("/x/1", "a"), true},
		{"a prefix", f(at("/x/1", "a")), nil, at("/x/*", "a"), true},
		{"prefixes", f(at("/x/*", "a")), nil, at("/x/y/*", "a"), true},
		{"other prefixes", f(at("/x/*", "a")), nil, at("/y/*", "a"), false},
		{"a template", f(at("/x/{id}", "a")), nil, at("/x/1", "a"), true},
		{"a template in a prefix", f(at("/x/{id}", "a")), nil, at("/x/*", "a"), true},
		{"beside a template", f(at("/x/{id}", "a")), nil, at("/x/1/2", "a"), false},
	} {
		gained := waysOf([]api.Route{c.gained})
		got := slices.ContainsFunc(waysOf(routesBeyond(c.before, c.now)), func(w way) bool { return gained[0].meets(w) })
		if got != c.wantMeetings {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}
