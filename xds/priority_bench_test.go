package xds

import (
	"context"
	"testing"
	"time"

	"github.com/kongdao/kongdao/api"
)

// BenchmarkPriorities counts how many requests of the high class pass that come at
// random, at a third of the limit, while the normal class asks for three times the
// limit.
func BenchmarkPriorities(b *testing.B) {
	const limit, seconds = 300, 10
	p := newPod(b, "p", "zb-a")
	f := function("feed", "/feed", p)
	f.Spec.Capacity.PerPodQPS = limit
	f.Spec.Routes = append(f.Spec.Routes, api.Route{Path: "/pay", Priority: api.PriorityHigh})
	r := newRig(b, functions(f))
	for b.Loop() {
		ctx, cancel := context.WithTimeout(context.Background(), seconds*time.Second)
		flood := make(chan *load, 1)
		go func() { flood <- r.offer(ctx, 3*limit, "any", "/feed") }()
		high := r.offerAt(ctx, atRandom(limit/3), "any", "/pay")
		normal := <-flood
		cancel()
		b.ReportMetric(100*float64(high.status[200])/float64(high.status[200]+high.status[429]), "%high")
		b.ReportMetric(float64(high.status[200]+normal.status[200])/seconds, "admitted/s")
		b.ReportMetric(float64(normal.status[200])/seconds, "normal/s")
	}
}
