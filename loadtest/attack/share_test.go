package attack_test

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	vegeta "github.com/tsenart/vegeta/v12/lib"

	"github.com/kongdao/kongdao/loadtest/attack"
)

// The shares of all generators are the plan: no request less, none more, none at
// another time.
func TestSharesAreThePlan(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 3))
	for range 300 {
		var stages attack.Stages
		for range 1 + r.IntN(3) {
			stages = append(stages, attack.Stage{From: r.Float64() * 50, To: 1 + r.Float64()*50, Duration: time.Duration(1+r.IntN(5000)) * time.Millisecond})
		}
		seed, generators := r.Uint64(), 1+r.IntN(7)
		pacers := map[string]func() vegeta.Pacer{
			"even":    func() vegeta.Pacer { return stages },
			"poisson": func() vegeta.Pacer { return attack.NewPoisson(stages, seed) },
			"merged": func() vegeta.Pacer {
				return attack.Merge(attack.Stream{Pacer: stages}, attack.Stream{Pacer: attack.NewPoisson(stages, seed), After: time.Second})
			},
		}
		for name, pacer := range pacers {
			var together []time.Duration
			for i := range generators {
				together = append(together, planned(attack.Share{Index: i, Of: generators}.Pacer(pacer()))...)
			}
			slices.Sort(together)
			if diff := cmp.Diff(planned(pacer()), together); diff != "" {
				t.Fatalf("%s, %v, %d generators: -plan +shares\n%s", name, stages, generators, diff)
			}
		}
		workers, sum := 1+r.IntN(100), 0
		for i := range generators {
			sum += attack.Share{Index: i, Of: generators}.Part(workers)
		}
		if sum != workers {
			t.Fatalf("%d workers are %d in shares of %d", workers, sum, generators)
		}
	}
}

// Percentiles of a joined run are those of all its requests.
func TestJoinMergesHistograms(t *testing.T) {
	fast := run(t, t.Context(), config(), attack.Constant(100, time.Second), vegeta.NewStaticTargeter(vegeta.Target{Method: "GET", URL: "http://127.0.0.1:1"}), attack.Hooks{})
	slow := fast
	slow.Sent, slow.Intervals = 300, nil
	slow.Latency = attack.Join(fast).Latency
	slow.Latency.Reset()
	for range 300 {
		_ = slow.Latency.RecordValue(50_000)
	}
	all := attack.Join(fast, slow)
	if all.Sent != 400 || all.Latency.TotalCount() != 400 {
		t.Errorf("%d requests, %d latencies", all.Sent, all.Latency.TotalCount())
	}
	if got := attack.Quantile(all.Latency, 50); got < 49*time.Millisecond || got > 51*time.Millisecond {
		t.Errorf("the median of 100 fast and 300 slow requests is %v", got)
	}
	if fast.Latency.TotalCount() != 100 {
		t.Error("joining changed a share")
	}
}
