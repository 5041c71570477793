package translate

import (
	"cmp"
	"math"
	"net/netip"
	"slices"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpoint "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/kongdao/kongdao/xds/model"
)

// standing is a pod with its place among those of its revision.
type standing struct {
	pod    *model.Pod
	rank   int // Envoy's priority; below 0: not in rotation
	weight uint32
}

// assignment lists the pods of a revision that are in rotation, by priority and
// zone. Localities have no weights: the pods of all zones of a priority share
// alike, whatever the numbers of pods in the zones.
func assignment(r *model.Revision) *endpoint.ClusterLoadAssignment {
	ranks := model.Ranks(r.Pods)
	places := make([]standing, len(r.Pods))
	scale := scaleOf(r.Pods)
	for i, p := range r.Pods {
		places[i] = standing{p, -1, weightOf(p, scale)}
		if p.InRotation() {
			places[i].rank = ranks[p.Priority]
		}
	}
	return assign(r, places)
}

// assign lists pods as they stand.
func assign(r *model.Revision, pods []standing) *endpoint.ClusterLoadAssignment {
	type place struct {
		rank int
		zone string
	}
	weighted := differ(pods)
	// A pod that was reported down is taken out here too, so that Envoy and the
	// limit agree at once; unless all were, when the reporter may be the one who
	// is cut off and Envoy's own checks decide.
	anyReady := slices.ContainsFunc(r.Pods, func(p *model.Pod) bool { return p.InRotation() && p.Ready })
	places := map[place][]*endpoint.LbEndpoint{}
	for _, s := range pods {
		if s.rank < 0 {
			continue
		}
		e := lbEndpoint(s.pod)
		if weighted {
			e.LoadBalancingWeight = wrapperspb.UInt32(s.weight)
		}
		if s.pod.Down && anyReady {
			e.HealthStatus = core.HealthStatus_UNHEALTHY
		}
		at := place{s.rank, s.pod.Zone}
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

// scaleOf is what weights are multiplied by, so that the factor of a lifted pod is not
// rounded away.
func scaleOf(pods []*model.Pod) uint32 {
	if slices.ContainsFunc(pods, func(p *model.Pod) bool { return p.Lift > 0 }) {
		return liftScale
	}
	return 1
}

const liftScale = 100

func weightOf(p *model.Pod, scale uint32) uint32 {
	if p.Lift > 0 {
		return uint32(max(1, math.Round(float64(p.Weight)*float64(scale)*p.Lift)))
	}
	return uint32(p.Weight) * scale
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
func differ(pods []standing) bool {
	var weight uint32
	for _, s := range pods {
		if s.rank < 0 {
			continue
		}
		if weight != 0 && s.weight != weight {
			return true
		}
		weight = s.weight
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
