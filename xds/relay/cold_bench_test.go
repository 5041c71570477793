package relay

import (
	"fmt"
	"maps"
	"testing"
	"time"

	endpoint "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"google.golang.org/protobuf/types/known/anypb"
)

// BenchmarkColdStart is the time from nothing to the first answer of a gateway with as
// many functions: from disk, with the control plane away, and beside it the same from
// a control plane that is there.
func BenchmarkColdStart(b *testing.B) {
	for _, functions := range []int{100, 1_000, 10_000} {
		b.Run(fmt.Sprintf("functions=%d", functions), func(b *testing.B) { coldStart(b, functions) })
	}
}

func coldStart(b *testing.B, functions int) {
	dir, addr := b.TempDir(), freeAddr(b)
	group, at, stop := controlPlane(b, "127.0.0.1:0")
	clusters, endpoints := map[string]*anypb.Any{}, map[string]*anypb.Any{}
	for i := range functions {
		name := fmt.Sprintf("f%d/r", i)
		maps.Copy(clusters, eds(b, name, nil))
		endpoints[name] = pack(b, &endpoint.ClusterLoadAssignment{ClusterName: name})
	}
	group.Update(resource.ClusterType, clusters, nil)
	group.Update(resource.EndpointType, endpoints, nil)
	group.Update(resource.ListenerType, answering(b, addr, "x"), nil)
	group.Open()
	first := func(present bool) time.Duration {
		begin := time.Now()
		r := start(b, dir, addr, at, nil)
		for answer(addr) == "" {
			if time.Since(begin) > 4*patience {
				b.Fatal("no answer")
			}
		}
		took := time.Since(begin)
		if present {
			acked(b, group)
		}
		r.stop()
		return took
	}
	var present, away time.Duration
	n := 0
	for b.Loop() {
		n++
		present += first(true)
	}
	stop()
	for range n {
		away += first(false)
	}
	b.ReportMetric(present.Seconds()/float64(n), "control-plane-s")
	b.ReportMetric(away.Seconds()/float64(n), "disk-s")
	b.ReportMetric(away.Seconds()/present.Seconds(), "disk/control-plane")
}
