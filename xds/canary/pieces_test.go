package canary

import (
	"testing"

	route "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
)

// A host that is in two route configurations is tried once: Envoy wants each domain
// once.
func TestTrialHasEachHostOnce(t *testing.T) {
	of := func(name string) *route.RouteConfiguration {
		return &route.RouteConfiguration{Name: name, VirtualHosts: []*route.VirtualHost{{
			Name: "*", Domains: []string{"*"}, Routes: []*route.Route{{Name: name}},
		}}}
	}
	a, b := of("a"), of("b")
	got := trial([]*route.RouteConfiguration{a, b}).GetVirtualHosts()
	if len(got) != 1 || len(got[0].GetDomains()) != 1 || len(got[0].GetRoutes()) != 2 {
		t.Errorf("hosts are %v", got)
	}
	if len(a.GetVirtualHosts()[0].GetRoutes()) != 1 {
		t.Error("the first configuration was changed")
	}
}
