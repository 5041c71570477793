package xds

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/kongdao/kongdao/api"
	"github.com/kongdao/kongdao/xds/serve"
)

// BenchmarkReadiness publishes the change of one pod's readiness among many
// functions of six pods each, without a gateway: what a change costs here.
func BenchmarkReadiness(b *testing.B) {
	for _, n := range []int{100, 1000, 10_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			c := DefaultConfig()
			c.FirstReadiness = 0
			s, err := New(c, slog.New(slog.DiscardHandler), prometheus.NewRegistry(), nil)
			if err != nil {
				b.Fatal(err)
			}
			defer s.Close()
			set := manyFunctions(n)
			if err := s.Apply(context.Background(), set); err != nil {
				b.Fatal(err)
			}
			s.publishOnce(context.Background(), s.lines[serve.DefaultGroup])
			b.ReportAllocs()
			start := time.Now()
			for i := range b.N {
				s.SetReadiness(set.Functions[i%n].Spec.Revisions[0].Endpoints[0].Address, i/n%2 == 0)
				s.publishOnce(context.Background(), s.lines[serve.DefaultGroup])
			}
			b.ReportMetric(float64(time.Since(start).Microseconds())/1000/float64(b.N), "ms/change")
		})
	}
}

func manyFunctions(n int) api.Set {
	var set api.Set
	for i := range n {
		f := &api.Function{Metadata: api.Metadata{Name: fmt.Sprintf("f%05d", i)}}
		f.Spec.Routes = []api.Route{{Hosts: []string{fmt.Sprintf("h%d.example.com", i)}, Path: "/*"}}
		rev := api.Revision{Name: "r1"}
		for p := range 6 {
			rev.Endpoints = append(rev.Endpoints, api.Endpoint{
				Address: fmt.Sprintf("10.%d.%d.%d:8080", p, i/250, i%250), Zone: fmt.Sprint("z", p%3),
			})
		}
		f.Spec.Revisions = []api.Revision{rev}
		f.Spec.Capacity.PerPodQPS = 100
		f.Spec.Access = &api.Access{Public: true}
		set.Functions = append(set.Functions, f)
	}
	return set
}

// BenchmarkRouteLive changes one function's route among many until a real Envoy
// has accepted it. The functions have no pods: checking the health of tens of
// thousands would be what is measured.
func BenchmarkRouteLive(b *testing.B) {
	const n = 5000
	c := DefaultConfig()
	c.Gateway = freeAddr(b)
	s, err := New(c, slog.New(slog.DiscardHandler), prometheus.NewRegistry(), nil)
	if err != nil {
		b.Fatal(err)
	}
	run(b, s)
	set := manyFunctions(n)
	for _, f := range set.Functions {
		f.Spec.Revisions[0].Endpoints = nil
	}
	wait := func() {
		ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
		defer cancel()
		if err := s.Apply(ctx, set); err != nil {
			b.Fatal(err)
		}
		if err := s.WaitLive(ctx); err != nil {
			b.Fatal(err)
		}
	}
	startEnvoy(b, "gw-1", s.Addr(), freeAddr(b))
	eventually(b, "the gateway connects", func() bool { return len(s.State().Gateways) == 1 })
	wait()
	b.ResetTimer()
	start := time.Now()
	for i := range b.N {
		f := *set.Functions[i%n]
		f.Spec.Timeout = api.Duration(time.Duration(i+1) * time.Second)
		set.Functions[i%n] = &f
		wait()
	}
	b.ReportMetric(float64(time.Since(start).Microseconds())/1000/float64(b.N), "ms/change")
}
