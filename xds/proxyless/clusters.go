package proxyless

import (
	"cmp"
	"math"
	"net/netip"
	"slices"

	cluster "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpoint "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/kongdao/kongdao/xds/model"
)

// plenty is a circuit breaker that does not break; without one clients take 1,024.
const plenty = 1 << 20

// Shell is a cluster of which nothing is known but its name: its endpoints are those
// that a client has, or none. Pods get equal parts, as from gateways.
func Shell(name string) *cluster.Cluster { return clusterOf(name, plenty) }

func clusterOf(name string, most uint32) *cluster.Cluster {
	return &cluster.Cluster{
		Name:                 name,
		ClusterDiscoveryType: &cluster.Cluster_Type{Type: cluster.Cluster_EDS},
		EdsClusterConfig:     &cluster.Cluster_EdsClusterConfig{EdsConfig: ads()},
		LbPolicy:             cluster.Cluster_ROUND_ROBIN,
		CircuitBreakers: &cluster.CircuitBreakers{Thresholds: []*cluster.CircuitBreakers_Thresholds{{
			MaxRequests: wrapperspb.UInt32(cmp.Or(most, plenty)),
		}}},
	}
}

// place is where pods stand together.
type place struct {
	rank           int
	zone, revision string
}

// fullWeight is what a revision that gets everything weighs. Weights of places add up
// to it, and must stay well below 1<<32.
const fullWeight = 100_000_000

// endpointsOf lists the pods of the revisions that share the calls of a cluster. Each
// zone's part of a revision is a locality of its own, which weighs what its pods are
// to get: pods of all zones of a priority get equal parts.
//
// Revisions are weighed here, and not between clusters, since clients that hear of a
// new cluster fail calls to it until they have made room for it; of endpoints they
// take notice without.
//
// A revision's next priority gets calls when no pod of those before is known to be
// up; that of all revisions, when no pod of those before can be reached.
func endpointsOf(name string, shares []model.Share) *endpoint.ClusterLoadAssignment {
	a := &endpoint.ClusterLoadAssignment{ClusterName: name}
	seen := map[string]bool{}
	for _, s := range shares {
		a.Endpoints = append(a.Endpoints, localities(s, seen)...)
	}
	slices.SortFunc(a.Endpoints, func(x, y *endpoint.LocalityLbEndpoints) int {
		return cmp.Or(cmp.Compare(x.Priority, y.Priority), cmp.Compare(x.Locality.Zone, y.Locality.Zone), cmp.Compare(x.Locality.SubZone, y.Locality.SubZone))
	})
	return a
}

// localities are those of one revision. An address that was seen counts for the
// revision before: clients refuse endpoints with one twice.
func localities(s model.Share, seen map[string]bool) (all []*endpoint.LocalityLbEndpoints) {
	pods := reachable(s.Revision.Pods, seen)
	ranks := model.Ranks(pods)
	at, weight := map[place][]*model.Pod{}, map[int]float64{}
	for _, p := range pods {
		here := place{ranks[p.Priority], p.Zone, s.Revision.Name}
		at[here] = append(at[here], p)
		weight[here.rank] += float64(p.Weight)
	}
	for here, together := range at {
		l := &endpoint.LocalityLbEndpoints{
			Locality: &core.Locality{Zone: here.zone, SubZone: here.revision}, Priority: uint32(here.rank),
		}
		own := 0.0
		for _, p := range together {
			own += float64(p.Weight)
			l.LbEndpoints = append(l.LbEndpoints, lbEndpoint(p))
		}
		part := own / weight[here.rank] * float64(s.Weight) / 100
		l.LoadBalancingWeight = wrapperspb.UInt32(uint32(math.Max(1, math.Round(part*fullWeight))))
		all = append(all, l)
	}
	return all
}

// reachable are the pods that are in rotation and not known to be down. When all are,
// whoever reports it may be the one that is cut off, and clients find out.
func reachable(all []*model.Pod, seen map[string]bool) (pods []*model.Pod) {
	anyReady := slices.ContainsFunc(all, func(p *model.Pod) bool { return p.InRotation() && p.Ready })
	for _, p := range all {
		if !p.InRotation() || p.Down && anyReady || seen[p.Address] {
			continue
		}
		seen[p.Address] = true
		pods = append(pods, p)
	}
	return pods
}

func lbEndpoint(p *model.Pod) *endpoint.LbEndpoint {
	at, _ := netip.ParseAddrPort(p.Address) // the model has checked it
	return &endpoint.LbEndpoint{HostIdentifier: &endpoint.LbEndpoint_Endpoint{Endpoint: &endpoint.Endpoint{
		Address: &core.Address{Address: &core.Address_SocketAddress{SocketAddress: &core.SocketAddress{
			Address: at.Addr().String(), PortSpecifier: &core.SocketAddress_PortValue{PortValue: uint32(at.Port())},
		}}},
	}}}
}
