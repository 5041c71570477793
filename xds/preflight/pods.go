package preflight

import (
	"errors"
	"fmt"
	"math"
	"net/netip"

	cluster "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	endpoint "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
)

// Sizes of a hash ring that Envoy assumes when none are given.
const (
	leastRing = 1024
	mostRing  = 8 << 20
)

// checkCluster finds what Envoy notices too late to refuse: a ring that cannot be
// built leaves the cluster warming for ever, with neither an acceptance nor a
// refusal, and Envoy takes no change of clusters after it.
func checkCluster(c *cluster.Cluster) error {
	ring := c.GetRingHashLbConfig()
	if ring == nil || c.GetLbPolicy() != cluster.Cluster_RING_HASH {
		return nil
	}
	least, most := uint64(leastRing), uint64(mostRing)
	if v := ring.GetMinimumRingSize(); v != nil {
		least = v.GetValue()
	}
	if v := ring.GetMaximumRingSize(); v != nil {
		most = v.GetValue()
	}
	if least > most {
		return fmt.Errorf("the ring's least size %d is above its largest %d", least, most)
	}
	return nil
}

// checkEndpoints finds what makes Envoy refuse all endpoints that come together:
// addresses that are none, weights whose sum does not fit.
func checkEndpoints(a *endpoint.ClusterLoadAssignment) error {
	zones := map[uint32]uint64{} // sum of weights by priority
	for _, l := range a.GetEndpoints() {
		sum := uint64(0)
		for _, e := range l.GetLbEndpoints() {
			if err := checkEndpoint(e); err != nil {
				return err
			}
			sum += uint64(max(e.GetLoadBalancingWeight().GetValue(), 1))
		}
		zones[l.GetPriority()] += uint64(l.GetLoadBalancingWeight().GetValue())
		if max(sum, zones[l.GetPriority()]) > math.MaxUint32 {
			return errors.New("the weights of endpoints add up to more than 4294967295")
		}
	}
	return nil
}

func checkEndpoint(e *endpoint.LbEndpoint) error {
	at := e.GetEndpoint().GetAddress().GetSocketAddress()
	if _, err := netip.ParseAddr(at.GetAddress()); err != nil || at.GetPortValue() == 0 || at.GetPortValue() > math.MaxUint16 {
		return fmt.Errorf("endpoint %s:%d is not an IP address with a port", at.GetAddress(), at.GetPortValue())
	}
	return nil
}
