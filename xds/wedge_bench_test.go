package xds

import (
	"fmt"
	"slices"
	"testing"
	"time"

	cluster "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	ring "github.com/envoyproxy/go-control-plane/envoy/extensions/load_balancing_policies/ring_hash/v3"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/kongdao/kongdao/api"
)

// BenchmarkSilence has a cluster of a kind that nobody knows, over which an Envoy
// falls silent, in the same change as another function's new path: how long until
// that is live, and until the bad one is named.
func BenchmarkSilence(b *testing.B) {
	a := newPod(b, "a", "z")
	r := newRig(b, functions(function(badName, "/bad", a), function("good", "/good", a)), withCanary(b))
	tampered := tamperWith(r)
	var others, named []time.Duration
	for i := 0; b.Loop(); i++ {
		tampered.Store(&badKind{of: func(c *cluster.Cluster) { newKind(c, 2*i) }})
		r.apply(functions(release(badName, 2*i, a), function("good", fmt.Sprint("/good/", 2*i), a)))
		r.live()
		tampered.Store(&badKind{of: func(c *cluster.Cluster) { newKind(c, 2*i+1); silencing(c) }})
		path, start := fmt.Sprint("/good/", 2*i+1), time.Now()
		r.apply(functions(release(badName, 2*i+1, a), function("good", path, a)))
		eventually(b, "the other change is live", func() bool { return r.call("GET", "any", path).status == 200 })
		others = append(others, time.Since(start))
		r.live()
		named = append(named, time.Since(start))
		if list := r.State().Quarantined; len(list) != 1 {
			b.Fatalf("quarantined %+v", list)
		}
	}
	slices.Sort(others)
	slices.Sort(named)
	b.ReportMetric(float64(others[len(others)/2].Microseconds())/1000, "others-p50-ms")
	b.ReportMetric(float64(others[len(others)-1].Microseconds())/1000, "others-max-ms")
	b.ReportMetric(float64(named[len(named)/2].Microseconds())/1000, "named-p50-ms")
	b.ReportMetric(float64(named[len(named)-1].Microseconds())/1000, "named-max-ms")
}

// release is a function with a revision of this number.
func release(name string, number int, pods ...*pod) *api.Function {
	f := function(name, "/"+name, pods...)
	f.Spec.Revisions[0].Name = fmt.Sprint("x", number)
	return f
}

// newKind makes a cluster differ from all that were tried before.
func newKind(c *cluster.Cluster, i int) {
	c.PerConnectionBufferLimitBytes = wrapperspb.UInt32(uint32(100_000 + i))
}

// silencing makes a cluster one that our checks pass and that Envoy falls silent over.
func silencing(c *cluster.Cluster) {
	c.CommonLbConfig = nil
	c.LoadBalancingPolicy = &cluster.LoadBalancingPolicy{Policies: []*cluster.LoadBalancingPolicy_Policy{{
		TypedExtensionConfig: &core.TypedExtensionConfig{Name: "ring", TypedConfig: anyOf(&ring.RingHash{
			MinimumRingSize: wrapperspb.UInt64(2048), MaximumRingSize: wrapperspb.UInt64(1024),
		})},
	}}}
}
