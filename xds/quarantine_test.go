package xds

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	cluster "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpoint "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	route "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	tls "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	matcher "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/kongdao/kongdao/api"
	"github.com/kongdao/kongdao/xds/translate"
)

// badName is the function that is made bad.
const badName = "bad"

// badKind is something that Envoy would refuse, and perhaps everything with it.
type badKind struct {
	name   string
	stage  string              // that finds it
	spec   func(*api.Function) // through the resource; or
	route  func(*route.Route)  // put into the function's routes, or
	pods   func(*endpoint.ClusterLoadAssignment)
	of     func(*cluster.Cluster) // put into its cluster
	passed bool                   // its own conditions are bad: no route is left
}

func action(r *route.Route) *route.RouteAction { return r.GetRoute() }

func anyOf(m proto.Message) *anypb.Any {
	a, err := anypb.New(m)
	if err != nil {
		panic(err) // a mistake in this file
	}
	return a
}

func headerOption(name, value string) *core.HeaderValueOption {
	return &core.HeaderValueOption{Header: &core.HeaderValue{Key: name, Value: value}}
}

func badKinds() []badKind {
	unknown := &anypb.Any{TypeUrl: "type.googleapis.com/kongdao.test.Unknown"}
	return []badKind{
		{name: "header name with a newline", stage: stageCheck, passed: true, spec: func(f *api.Function) {
			f.Spec.Routes[0].Headers = map[string]api.Matcher{"not a\nheader": api.Is("1")}
		}},
		{name: "endpoint that is no address", stage: stageModel, spec: func(f *api.Function) {
			f.Spec.Revisions[0].Endpoints[0].Address = "nowhere"
		}},
		{name: "endpoint on port 70000", stage: stageModel, spec: func(f *api.Function) {
			f.Spec.Revisions[0].Endpoints[0].Address = "127.0.0.1:70000"
		}},
		{name: "traffic to a revision that is not there", stage: stageModel, spec: func(f *api.Function) {
			f.Spec.Traffic = []api.Traffic{{Revision: "r9", Weight: 100}}
		}},
		{name: "negative timeout", stage: stageModel, spec: func(f *api.Function) { f.Spec.Timeout = -1 }},

		{name: "bad regex", stage: stageCheck, passed: true, route: func(r *route.Route) {
			r.Match.PathSpecifier = &route.RouteMatch_SafeRegex{SafeRegex: &matcher.RegexMatcher{Regex: "["}}
		}},
		{name: "bad regex in a query", stage: stageCheck, passed: true, route: func(r *route.Route) {
			r.Match.QueryParameters = []*route.QueryParameterMatcher{{Name: "q", QueryParameterMatchSpecifier: &route.QueryParameterMatcher_StringMatch{
				StringMatch: &matcher.StringMatcher{MatchPattern: &matcher.StringMatcher_SafeRegex{SafeRegex: &matcher.RegexMatcher{Regex: "("}}},
			}}}
		}},
		{name: "header value with a newline", stage: stageCheck, route: func(r *route.Route) {
			r.RequestHeadersToAdd = append(r.RequestHeadersToAdd, headerOption("x-a", "1\n2"))
		}},
		{name: "unknown format in a header", stage: stageCanary, route: func(r *route.Route) {
			r.RequestHeadersToAdd = append(r.RequestHeadersToAdd, headerOption("x-a", "%NOBODY_KNOWS%"))
		}},
		{name: "header that must not be changed", stage: stageCanary, route: func(r *route.Route) {
			r.RequestHeadersToAdd = append(r.RequestHeadersToAdd, headerOption(":path", "/"))
		}},
		{name: "unknown extension on a route", stage: stageCanary, route: func(r *route.Route) {
			r.TypedPerFilterConfig = map[string]*anypb.Any{"kongdao.test.unknown": unknown}
		}},
		{name: "weights that add up to nothing", stage: stageCanary, route: func(r *route.Route) {
			action(r).ClusterSpecifier = &route.RouteAction_WeightedClusters{WeightedClusters: &route.WeightedCluster{
				Clusters: []*route.WeightedCluster_ClusterWeight{{Name: "a", Weight: wrapperspb.UInt32(0)}, {Name: "b", Weight: wrapperspb.UInt32(0)}},
			}}
		}},
		{name: "back-off that shrinks", stage: stageCanary, route: func(r *route.Route) {
			action(r).RetryPolicy = &route.RetryPolicy{RetryOn: "5xx", RetryBackOff: &route.RetryPolicy_RetryBackOff{
				BaseInterval: durationpb.New(time.Second), MaxInterval: durationpb.New(time.Millisecond),
			}}
		}},
		{name: "two rewrites", stage: stageCanary, route: func(r *route.Route) {
			action(r).PrefixRewrite = "/x"
			action(r).RegexRewrite = &matcher.RegexMatchAndSubstitute{Pattern: &matcher.RegexMatcher{Regex: "a"}, Substitution: "b"}
		}},
		{name: "answer that is too long", stage: stageCanary, route: func(r *route.Route) {
			r.Action = &route.Route_DirectResponse{DirectResponse: &route.DirectResponseAction{Status: 200, Body: &core.DataSource{
				Specifier: &core.DataSource_InlineString{InlineString: strings.Repeat("x", 5000)},
			}}}
		}},

		{name: "endpoint put in on port 70000", stage: stageCheck, pods: func(a *endpoint.ClusterLoadAssignment) {
			at := a.Endpoints[0].LbEndpoints[0].GetEndpoint().GetAddress().GetSocketAddress()
			at.PortSpecifier = &core.SocketAddress_PortValue{PortValue: 70_000}
		}},
		{name: "priority out of range", stage: stageCheck, pods: func(a *endpoint.ClusterLoadAssignment) { a.Endpoints[0].Priority = 200 }},
		{name: "impossible ring", stage: stageCheck, of: func(c *cluster.Cluster) {
			c.LbPolicy = cluster.Cluster_RING_HASH
			c.LbConfig = &cluster.Cluster_RingHashLbConfig_{RingHashLbConfig: &cluster.Cluster_RingHashLbConfig{
				MinimumRingSize: wrapperspb.UInt64(2048), MaximumRingSize: wrapperspb.UInt64(1024),
			}}
		}},
		{name: "connect timeout of nothing", stage: stageCheck, of: func(c *cluster.Cluster) { c.ConnectTimeout = durationpb.New(0) }},
		{name: "health check without an interval", stage: stageCheck, of: func(c *cluster.Cluster) { c.HealthChecks[0].Interval = nil }},
		{name: "health check that expects an impossible status", stage: stageCanary, of: func(c *cluster.Cluster) {
			c.HealthChecks[0].HealthChecker = &core.HealthCheck_HttpHealthCheck_{HttpHealthCheck: &core.HealthCheck_HttpHealthCheck{
				Path: "/", ExpectedStatuses: []*typev3.Int64Range{{Start: 300, End: 200}},
			}}
		}},
		{name: "unknown transport", stage: stageCanary, of: func(c *cluster.Cluster) {
			c.TransportSocket = &core.TransportSocket{Name: "nobody", ConfigType: &core.TransportSocket_TypedConfig{TypedConfig: unknown}}
		}},
		{name: "unknown way of balancing", stage: stageCanary, of: func(c *cluster.Cluster) {
			c.LoadBalancingPolicy = &cluster.LoadBalancingPolicy{Policies: []*cluster.LoadBalancingPolicy_Policy{{
				TypedExtensionConfig: &core.TypedExtensionConfig{Name: "nobody", TypedConfig: unknown},
			}}}
		}},
		{name: "certificate without its key", stage: stageCanary, of: func(c *cluster.Cluster) {
			c.TransportSocket = &core.TransportSocket{Name: "envoy.transport_sockets.tls", ConfigType: &core.TransportSocket_TypedConfig{
				TypedConfig: anyOf(&tls.UpstreamTlsContext{CommonTlsContext: &tls.CommonTlsContext{TlsCertificates: []*tls.TlsCertificate{{
					CertificateChain: &core.DataSource{Specifier: &core.DataSource_InlineString{InlineString: "no certificate"}},
				}}}}),
			}}
		}},
		{name: "subsets without a key", stage: stageCanary, of: func(c *cluster.Cluster) {
			c.LbPolicy = cluster.Cluster_CLUSTER_PROVIDED
			c.LbSubsetConfig = &cluster.Cluster_LbSubsetConfig{FallbackPolicy: 1, DefaultSubset: &structpb.Struct{}}
		}},
	}
}

// tamper puts the kind into what is translated of the bad function, unless that is
// in quarantine already.
func (k badKind) tamper(d *translate.Delta) {
	for name, c := range d.Clusters {
		if k.of != nil && strings.HasPrefix(name, badName+"/") {
			k.of(c)
		}
	}
	for name, a := range d.Endpoints {
		if k.pods != nil && strings.HasPrefix(name, badName+"/") {
			k.pods(a)
		}
	}
	for _, c := range routesIn(d) {
		for _, v := range c.VirtualHosts {
			k.tamperRoutes(v)
		}
	}
}

// routesIn are the route configurations of a change, whole or in part.
func routesIn(d *translate.Delta) []*route.RouteConfiguration {
	all := slices.Collect(maps.Values(d.Routes))
	for _, p := range d.Patches {
		all = append(all, p.Put)
	}
	return all
}

// tamperRoutes keeps conditions bad when the route is a mere answer.
func (k badKind) tamperRoutes(v *route.VirtualHost) {
	for _, r := range v.Routes {
		if k.route != nil && strings.HasPrefix(r.GetName(), badName+"/") && (r.GetRoute() != nil || k.passed) {
			k.route(r)
		}
	}
}

// TestBadPiecesAreNamedAndHurtNobody puts everything that is bad, one by one,
// among many good functions, each time together with a change of a good one.
func TestBadPiecesAreNamedAndHurtNobody(t *testing.T) {
	const many = 1000
	a := newPod(t, "a", "z")
	good := make([]*api.Function, many)
	for i := range good {
		good[i] = function(fmt.Sprintf("good%03d", i), fmt.Sprintf("/good%03d", i))
		good[i].Spec.Routes[0].Hosts = []string{fmt.Sprintf("h%03d.example.com", i%100)}
	}
	badOne := func(i int) *api.Function {
		f := function(badName, "/bad", a)
		f.Spec.Routes[0].Hosts = []string{"h001.example.com"} // among good ones
		f.Spec.Timeout = api.Duration(time.Duration(i+1) * time.Second)
		return f
	}
	r := newRig(t, functions(append(slices.Clone(good), badOne(0))...), withCanary(t))
	r.want(r.call("GET", "h001.example.com", "/bad"), 200, "a")
	tampered := tamperWith(r)
	slowest := time.Duration(0)
	for i, kind := range badKinds() {
		t.Run(kind.name, func(t *testing.T) {
			bad := badOne(2*i + 1)
			if kind.spec != nil {
				kind.spec(bad)
			}
			n := 7 * i % many
			changed := *good[n]
			changed.Spec.Revisions = []api.Revision{{Name: fmt.Sprint("r", i+2), Endpoints: endpoints(a)}}
			good[n] = &changed
			begin := time.Now()
			tampered.Store(&kind)
			r.apply(functions(append(slices.Clone(good), bad)...))
			r.live()
			slowest = max(slowest, time.Since(begin))
			list := r.State().Quarantined
			if len(list) != 1 || list[0].Function != badName || list[0].Stage != kind.stage || list[0].Reason == "" {
				t.Fatalf("quarantined %+v, want %s by %s", list, badName, kind.stage)
			}
			t.Logf("%s: %s", list[0].Name, list[0].Reason)
			answer := r.call("GET", "h001.example.com", "/bad")
			if kind.passed {
				r.want(answer, 404, "")
			} else if r.want(answer, 503, "reason"); answer.header.Get(translate.QuarantineHeader) != list[0].Name {
				t.Errorf("header %q, want %q", answer.header.Get(translate.QuarantineHeader), list[0].Name)
			}
			r.want(r.call("GET", fmt.Sprintf("h%03d.example.com", n%100), fmt.Sprintf("/good%03d", n)), 200, "a")
			tampered.Store(nil)
			r.apply(functions(append(slices.Clone(good), badOne(2*i+2))...))
			r.live()
			if list := r.State().Quarantined; len(list) != 0 {
				t.Fatalf("still quarantined: %+v", list)
			}
			r.want(r.call("GET", "h001.example.com", "/bad"), 200, "a")
		})
	}
	t.Logf("slowest change with something bad in it: %v", slowest)
}

// withCanary gives a rig's control plane a canary Envoy.
func withCanary(t testing.TB) func(*Config) {
	return func(c *Config) { c.Canary.Path, c.Canary.Dir = envoyBinary(t), t.TempDir() }
}

// tamperWith puts a kind into what the control plane translates from now on.
func tamperWith(r *rig) *atomic.Pointer[badKind] {
	tampered := &atomic.Pointer[badKind]{}
	tamper := func(d *translate.Delta) {
		if kind := tampered.Load(); kind != nil {
			kind.tamper(d)
		}
	}
	r.tamper.Store(&tamper)
	return tampered
}

// TestAHostThatIsThereTwiceHoldsItsPartBack has what no function is to blame for:
// the gateways keep the part of the routes that it is in, and all others change.
func TestAHostThatIsThereTwiceHoldsItsPartBack(t *testing.T) {
	a := newPod(t, "a", "z")
	at := func(name, host, path string) *api.Function {
		f := function(name, path, a)
		f.Spec.Routes[0].Hosts = []string{host}
		return f
	}
	r := newRig(t, functions(at("one", "one.example.com", "/1"), at("two", "two.example.com", "/1")), withCanary(t))
	double := func(d *translate.Delta) {
		for _, c := range routesIn(d) {
			for _, v := range c.VirtualHosts {
				if v.GetName() == "one.example.com" {
					c.VirtualHosts = append(c.VirtualHosts, v)
					break
				}
			}
		}
	}
	r.tamper.Store(&double)
	r.apply(functions(at("one", "one.example.com", "/2"), at("two", "two.example.com", "/2")))
	eventually(t, "the fault is told", func() bool { return strings.Contains(r.State().Fault, `host "one.example.com" twice`) })
	eventually(t, "the other host has its change", func() bool { return r.call("GET", "two.example.com", "/2").status == 200 })
	r.want(r.call("GET", "one.example.com", "/1"), 200, "a")
	r.tamper.Store(nil)
	r.apply(functions(at("one", "one.example.com", "/3"), at("two", "two.example.com", "/2")))
	r.live()
	r.want(r.call("GET", "one.example.com", "/3"), 200, "a")
	if fault := r.State().Fault; fault != "" {
		t.Errorf("fault %q after it was mended", fault)
	}
}

// TestACanaryThatDiesIsStartedAgain kills it, changes something, and makes
// something bad that only a canary knows.
func TestACanaryThatDiesIsStartedAgain(t *testing.T) {
	a := newPod(t, "a", "z")
	r := newRig(t, functions(function(badName, "/bad", a)), withCanary(t))
	if err := r.canary.Kill(); err != nil {
		t.Fatal(err)
	}
	r.apply(functions(function(badName, "/bad/2", a)))
	r.live()
	r.want(r.call("GET", "any", "/bad/2"), 200, "a")
	eventually(t, "the canary is back", func() bool { return r.canary.Restarts() > 0 && r.State().Canary == "up" })
	tampered := tamperWith(r)
	tampered.Store(&badKind{route: func(r *route.Route) {
		action(r).PrefixRewrite, r.RequestHeadersToAdd = "/", []*core.HeaderValueOption{headerOption(":path", "/")}
	}})
	r.apply(functions(function(badName, "/bad/3", a)))
	r.live()
	r.want(r.call("GET", "any", "/bad/3"), 503, "may not be modified")
}

// TestWhatWasNotTriedIsTriedLater begins without a canary: something bad reaches
// the gateway, which refuses it. When there is one, it is named and taken out.
func TestWhatWasNotTriedIsTriedLater(t *testing.T) {
	a := newPod(t, "a", "z")
	dir := t.TempDir()
	allowed, script := filepath.Join(dir, "allowed"), filepath.Join(dir, "envoy")
	text := fmt.Sprintf("#!/bin/sh\n[ \"$1\" = --version ] || [ -e %s ] || exit 1\nexec %s \"$@\"\n", allowed, envoyBinary(t))
	if err := os.WriteFile(script, []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
	r := newRig(t, functions(function(badName, "/bad", a), function("good", "/good", a)), func(c *Config) {
		c.Canary.Path, c.Canary.Dir = script, t.TempDir()
	})
	if got := r.State().Canary; got != "missing" {
		t.Errorf("the canary is %s", got)
	}
	tampered := tamperWith(r)
	tampered.Store(&badKind{route: func(r *route.Route) { r.RequestHeadersToAdd = []*core.HeaderValueOption{headerOption(":path", "/")} }})
	r.apply(functions(function(badName, "/bad/2", a), function("good", "/good/2", a)))
	eventually(t, "the gateway refuses it", func() bool { return len(r.State().Rejections) > 0 })
	r.want(r.call("GET", "any", "/good"), 200, "a") // it is in the same part
	if err := os.WriteFile(allowed, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the good function has its change", func() bool { return r.call("GET", "any", "/good/2").status == 200 })
	r.want(r.call("GET", "any", "/bad/2"), 503, "may not be modified")
	r.mu.Lock()
	r.reject = nil // the one that was expected
	r.mu.Unlock()
}
