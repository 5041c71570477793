package app_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/kongdao/kongdao/api"
	"github.com/kongdao/kongdao/capacity/podtest"
	"github.com/kongdao/kongdao/loadtest"
	"github.com/kongdao/kongdao/loadtest/attack"
)

// realRun is what a load test of a pod in a process of its own saw, sorted, in seconds.
type realRun struct {
	seen    []float64 // by the generator, from the planned time
	law     []float64 // by the pod's law, from the arrival
	came    []float64 // when they reached the pod, since it began
	late    []float64 // how much later its workers woke
	invalid []string
}

// onRealPod offers a rate to a fresh pod, at Poisson times.
func onRealPod(tb testing.TB, law podtest.Law, rate float64, d time.Duration, seed uint64) (r realRun) {
	tb.Helper()
	pods, stop := podtest.Start(tb, law, 1)
	defer stop()
	spec := api.ScenarioSpec{
		Targets: []api.Target{{Method: "GET", URL: "http://" + pods[0] + "/"}},
		Stages:  []api.Stage{{Rate: rate, Duration: api.Duration(d)}},
		Workers: 256, Timeout: api.Duration(time.Minute), Arrivals: "poisson",
	}
	got, err := loadtest.Run(tb.Context(), spec, loadtest.Options{Seed: seed, Observe: func(o attack.Observation) bool {
		if o.Status == 200 {
			r.seen = append(r.seen, o.Latency.Seconds())
		}
		return false
	}})
	if err != nil {
		tb.Fatal(err)
	}
	r.invalid = got.InvalidReasons
	f := podtest.FiguresOf(tb, pods[0])
	r.came, r.law, r.late = inSeconds(f.Came), inSeconds(f.Law), inSeconds(f.Late)
	slices.Sort(r.seen)
	if n := uint64(len(r.seen)); n != got.Sent || len(r.law) != len(r.seen) {
		tb.Fatalf("%d sent, %d answers, %d requests at the pod", got.Sent, n, len(r.law))
	}
	return r
}

func inSeconds(all []time.Duration) (out []float64) {
	for _, d := range all {
		out = append(out, d.Seconds())
	}
	slices.Sort(out)
	return out
}

// compared are the quantiles at which real pods are held against simulated ones.
var compared = []float64{0.5, 0.9, 0.99}

// simulated are quantiles of as many runs of simulated pods, each a function of the
// run's pod: for each of compared its values, sorted.
func simulated(law podtest.Law, runs int, run func(p *podtest.Pod, observe func(time.Duration) bool)) [][]float64 {
	all := make([][]float64, len(compared))
	for n := range runs {
		var took []float64
		run(podtest.New(law, rand.New(rand.NewPCG(uint64(n), 31))), func(l time.Duration) bool {
			took = append(took, l.Seconds())
			return false
		})
		slices.Sort(took)
		for i, q := range compared {
			all[i] = append(all[i], podtest.Quantile(took, q))
		}
	}
	for _, v := range all {
		slices.Sort(v)
	}
	return all
}

// sameArrivals are the requests that a real pod got.
func sameArrivals(r realRun) func(p *podtest.Pod, observe func(time.Duration) bool) {
	return func(p *podtest.Pod, observe func(time.Duration) bool) {
		for _, at := range r.came {
			observe(p.Serve(at))
		}
	}
}

// TestSimulatedPodsAreLikeRealOnes: pods in processes of their own under load of the
// generator take as long as simulated ones, by a two-sample test: what a run shows is
// among what simulated pods show that get the same requests at the same times. So a
// generator that was late on a busy machine is no fault of the law. What the machine
// adds to a call comes on top, and never makes one faster.
func TestSimulatedPodsAreLikeRealOnes(t *testing.T) {
	const d, runs, attempts = 8 * time.Second, 400, 3
	for law, rate := range map[int]float64{0: 225, 2: 170, 4: 210} { // 4 workers, 2 workers, pauses
		law := podtest.Laws()[law]
		t.Run(law.Name, func(t *testing.T) {
			t.Parallel()
			for n := range uint64(attempts) {
				real := onRealPod(t, law, rate, d, n+1)
				wrong := unlike(real, simulated(law, runs, sameArrivals(real)))
				if len(wrong) == 0 {
					return
				}
				t.Logf("attempt %d: %q; %q", n+1, wrong, real.invalid)
			}
			t.Errorf("not like the simulation, %d times", attempts)
		})
	}
}

// unlike says what a simulation does not explain.
func unlike(r realRun, sim [][]float64) (wrong []string) {
	const chance = 1.05 // beyond what the runs of a simulation cover
	for i, q := range compared {
		low, high := sim[i][0]/chance, sim[i][len(sim[i])-1]*chance
		law, seen := podtest.Quantile(r.law, q), podtest.Quantile(r.seen, q)
		if law < low || law > high {
			wrong = append(wrong, fmt.Sprintf("p%.0f by the law %.1f ms, simulated %.1f to %.1f ms", 100*q, 1e3*law, 1e3*low, 1e3*high))
		}
		if seen < law {
			wrong = append(wrong, fmt.Sprintf("p%.0f seen %.1f ms, less than the law's %.1f ms", 100*q, 1e3*seen, 1e3*law))
		}
	}
	// Several timers are late on the way of a call, and this is one of them.
	slack := 0.005 + 6*podtest.Quantile(r.late, 0.5)
	law, seen := podtest.Quantile(r.law, 0.5), podtest.Quantile(r.seen, 0.5)
	if seen > law+slack && len(r.invalid) == 0 {
		wrong = append(wrong, fmt.Sprintf("p50 seen %.1f ms, by the law %.1f ms, timers explain %.1f ms", 1e3*seen, 1e3*law, 1e3*slack))
	}
	return wrong
}
