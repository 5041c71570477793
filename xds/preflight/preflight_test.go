package preflight

import (
	"testing"

	cluster "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpoint "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	route "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	matcher "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
)

func to(name string, m *route.RouteMatch) *route.Route {
	return &route.Route{Name: name, Match: m, Action: &route.Route_Route{Route: &route.RouteAction{
		ClusterSpecifier: &route.RouteAction_Cluster{Cluster: "c"},
	}}}
}

func path(p string) *route.RouteMatch {
	return &route.RouteMatch{PathSpecifier: &route.RouteMatch_Path{Path: p}}
}

func regex(e string) *route.RouteMatch {
	return &route.RouteMatch{PathSpecifier: &route.RouteMatch_SafeRegex{SafeRegex: &matcher.RegexMatcher{Regex: e}}}
}

func assignment(address string, port uint32) *endpoint.ClusterLoadAssignment {
	return &endpoint.ClusterLoadAssignment{ClusterName: "f/r", Endpoints: []*endpoint.LocalityLbEndpoints{{
		LbEndpoints: []*endpoint.LbEndpoint{{HostIdentifier: &endpoint.LbEndpoint_Endpoint{Endpoint: &endpoint.Endpoint{
			Address: &core.Address{Address: &core.Address_SocketAddress{SocketAddress: &core.SocketAddress{
				Address: address, PortSpecifier: &core.SocketAddress_PortValue{PortValue: port},
			}}},
		}}}},
	}}}
}

func TestProblemsNameTheirFunction(t *testing.T) {
	hosts := func(vs ...*route.VirtualHost) *route.RouteConfiguration {
		return &route.RouteConfiguration{Name: "shard", VirtualHosts: vs}
	}
	host := func(domain string, routes ...*route.Route) *route.VirtualHost {
		return &route.VirtualHost{Name: domain, Domains: []string{domain}, Routes: routes}
	}
	for name, c := range map[string]struct {
		m    proto.Message
		want []string // functions; empty for nobody's
	}{
		"good routes":      {hosts(host("a", to("f/0", path("/")))), nil},
		"good endpoints":   {assignment("127.0.0.1", 80), nil},
		"bad regex":        {hosts(host("a", to("f/0", path("/")), to("g/1", regex("[")))), []string{"g"}},
		"two of them":      {hosts(host("a", to("f/0", regex("(")), to("g/1", regex("[")))), []string{"f", "g"}},
		"no match":         {hosts(host("a", to("f/0", nil))), []string{"f"}},
		"a host twice":     {hosts(host("a"), host("a")), []string{""}},
		"no name":          {hosts(&route.VirtualHost{Domains: []string{"a"}}), []string{""}},
		"endpoint no port": {assignment("127.0.0.1", 0), []string{"f"}},
		"endpoint no IP":   {assignment("invalid IP", 80), []string{"f"}},
		"cluster timeout":  {&cluster.Cluster{Name: "f/r", ConnectTimeout: durationpb.New(0)}, []string{"f"}},
	} {
		var got []string
		for _, p := range Check("f/r", c.m) {
			got = append(got, p.Function)
		}
		if len(got) != len(c.want) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
			continue
		}
		for i := range got {
			if got[i] != c.want[i] {
				t.Errorf("%s: %v, want %v", name, got, c.want)
			}
		}
	}
}
