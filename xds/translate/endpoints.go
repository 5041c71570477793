package translate

import (
	"cmp"
	"net/netip"
	"slices"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpoint "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/kongdao/kongdao/xds/model"
)

// assignment lists the pods of a revision that are in rotation, by priority and
// zone. Localities have no weights: the pods of all zones of a priority share
// alike, whatever the numbers of pods in the zones.
func assignment(r *model.Revision) *endpoint.ClusterLoadAssignment {
	type place struct {
		rank int
		zone string
	}
	ranks := model.Ranks(r.Pods)
	weighted := differ(r.Pods)
	// A pod that was reported down is taken out here too, so that Envoy and the
	// limit agree at once; unless all were, when the reporter may be the one who
	// is cut off and Envoy's own checks decide.
	anyReady := slices.ContainsFunc(r.Pods, func(p *model.Pod) bool { return p.InRotation() && p.Ready })
	places := map[place][]*endpoint.LbEndpoint{}
	for _, p := range r.Pods {
		if !p.InRotation() {
			continue
		}
		e := lbEndpoint(p)
		if weighted {
			e.LoadBalancingWeight = wrapperspb.UInt32(uint32(p.Weight))
		}
		if p.Down && anyReady {
			e.HealthStatus = core.HealthStatus_UNHEALTHY
		}
		at := place{ranks[p.Priority], p.Zone}
		places[at] = append(places[at], e)
	}
	a := &endpoint.ClusterLoadAssignment{ClusterName: r.Cluster()}
	for at, endpoints := range places {
		a.Endpoints = append(a.Endpoints, &endpoint.LocalityLbEndpoints{
			Locality: &core.Locality{Zone: at.zone}, Priority: uint32(at.rank), LbEndpoints: endpoints,
		})
	}
	slices.SortFunc(a.Endpoints, func(x, y *endpoint.LocalityLbEndpoints) int {
		return cmp.Or(cmp.Compare(x.Priority, y.Priority), cmp.Compare(x.Locality.Zone, y.Locality.Zone))
	})
	return a
}

// replaced tells whether both revisions have pods in rotation and none in common.
func replaced(was, now *model.Revision) bool {
	old, stays, any := map[string]bool{}, false, false
	for _, p := range was.Pods {
		if p.InRotation() {
			old[p.Address] = true
		}
	}
	for _, p := range now.Pods {
		if p.InRotation() {
			any = true
			stays = stays || old[p.Address]
		}
	}
	return len(old) > 0 && any && !stays
}

// differ tells whether the pods in rotation have different weights.
func differ(pods []*model.Pod) bool {
	weight := 0
	for _, p := range pods {
		if !p.InRotation() {
			continue
		}
		if weight != 0 && p.Weight != weight {
			return true
		}
		weight = p.Weight
	}
	return false
}

func pinnedAssignment(p *model.PinnedPod) *endpoint.ClusterLoadAssignment {
	return &endpoint.ClusterLoadAssignment{
		ClusterName: p.Cluster(),
		Endpoints: []*endpoint.LocalityLbEndpoints{{
			Locality:    &core.Locality{Zone: p.Pod.Zone},
			LbEndpoints: []*endpoint.LbEndpoint{lbEndpoint(p.Pod)},
		}},
	}
}

func lbEndpoint(p *model.Pod) *endpoint.LbEndpoint {
	// The model has checked the address; the zero value would be refused by the
	// preflight and not go out.
	at, _ := netip.ParseAddrPort(p.Address)
	return &endpoint.LbEndpoint{
		HostIdentifier: &endpoint.LbEndpoint_Endpoint{Endpoint: &endpoint.Endpoint{Address: socket(at.Addr().String(), uint32(at.Port()))}},
		Metadata:       metadata(keyZone, p.Zone, keyPod, p.Address),
	}
}

func socket(address string, port uint32) *core.Address {
	return &core.Address{Address: &core.Address_SocketAddress{SocketAddress: &core.SocketAddress{
		Address: address, PortSpecifier: &core.SocketAddress_PortValue{PortValue: port},
	}}}
}
