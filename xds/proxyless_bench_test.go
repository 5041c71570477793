package xds

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/kongdao/kongdao/api"
)

// BenchmarkCallersFollow is from the moment when a zone is restored to the first call
// of a gRPC client that goes there, with 1,000 functions besides.
func BenchmarkCallersFollow(b *testing.B) {
	pods := []*pod{namedPod(b, "a", "zb-a"), namedPod(b, "b", "zb-b")}
	set := functions(directly("feed", revision("r1", pods...)))
	for i := range 1000 {
		set.Functions = append(set.Functions, directly(fmt.Sprintf("f%d", i), api.Revision{
			Name: "r1", Endpoints: []api.Endpoint{{Address: fmt.Sprintf("127.0.1.%d:%d", i%250+1, 1000+i), Zone: "zb-c"}},
		}))
	}
	for _, f := range set.Functions {
		f.Spec.Routes[0].Hosts = []string{f.Name + ".test"} // what any host can reach lies together
	}
	r := newDirectRig(b, "127.0.0.1:0", set)
	conn := r.dial("feed")
	answers := func(name string, times int) {
		for n := 0; n < times; {
			got, err := ask(conn, say)
			if err != nil {
				b.Fatal(err)
			}
			if n++; got != name {
				n = 0
			}
		}
	}
	r.SetZoneWeight("zb-b", 0)
	answers("a", 100)
	var all []time.Duration
	for i := 0; b.Loop(); i++ {
		to, from := pods[(i+1)%2], pods[i%2]
		began := time.Now()
		r.SetZoneWeight(to.zone, 100)
		answers(to.name, 1)
		all = append(all, time.Since(began))
		r.SetZoneWeight(from.zone, 0)
		answers(to.name, 100)
	}
	slices.Sort(all)
	b.ReportMetric(all[len(all)/2].Seconds()*1000, "p50-ms")
	b.ReportMetric(all[len(all)*99/100].Seconds()*1000, "p99-ms")
}
