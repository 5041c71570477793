package search

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/kongdao/kongdao/capacity/podtest"
)

// subject is a simulated pod, what it has to keep, and the rate at which it just does.
type subject struct {
	podtest.Law
	objective Objective
	timeout   time.Duration // requests that take longer fail; 0: none does
	truth     float64       // TestTruths checks it
}

// judged are the pods that the constants of the search were chosen on.
func judged() (all []subject) {
	for _, l := range podtest.Laws() {
		all = append(all, subject{Law: l, objective: Objective{Latency: []Bound{{0.99, l.Limit}}, Success: 0.999}, truth: podtest.Known(l)})
	}
	return all
}

// heldOut are pods that no constant was chosen on.
func heldOut() []subject {
	const ms = time.Millisecond
	latency := func(q float64, limit time.Duration) Objective { return Objective{Latency: []Bound{{q, limit}}} }
	bimodal := func(r *rand.Rand) float64 {
		if r.Float64() < 0.1 {
			return 0.060
		}
		return 0.005
	}
	law := func(name string, workers int, service func(*rand.Rand) float64) podtest.Law {
		return podtest.Law{Name: name, Workers: workers, Service: service}
	}
	batch := law("a pause of 0.2 s in 15 s", 4, podtest.Lognormal(0.010, 0.7))
	batch.PauseEvery, batch.Pause = 15*time.Second, 200*ms
	noisy := law("noisier neighbour", 8, podtest.Lognormal(0.020, 0.8))
	noisy.Noise, noisy.NoiseOn, noisy.NoiseOff = 0.15, 4*time.Second, 10*time.Second
	leaks := law("smaller leak", 8, podtest.Exponential(0.020))
	leaks.Leak = 0.05
	return []subject{
		{Law: law("1 worker, CV 0.3", 1, podtest.Lognormal(0.005, 0.3)), objective: latency(0.99, 40*ms), truth: 138.5},
		{Law: law("32 workers, CV 2", 32, podtest.Lognormal(0.060, 2)), objective: latency(0.99, 700*ms), truth: 508.8},
		{Law: law("8 workers, bimodal", 8, bimodal), objective: latency(0.99, 120*ms), truth: 686.6},
		{Law: law("3 workers, CV 3, p95", 3, podtest.Lognormal(0.010, 3)), objective: latency(0.95, 200*ms), truth: 233.6},
		{Law: law("6 workers, exponential, p99.9", 6, podtest.Exponential(0.012)), objective: latency(0.999, 150*ms), truth: 456.3},
		{Law: batch, objective: latency(0.99, 250*ms), truth: 355.2},
		{Law: law("success alone, 99.5 %", 4, podtest.Lognormal(0.015, 1)), objective: Objective{Latency: []Bound{{0.5, 10 * time.Second}}, Success: 0.995}, timeout: 300 * ms, truth: 246.9},
		{Law: law("p50, p90 and p99", 2, podtest.Lognormal(0.008, 0.5)), objective: Objective{Latency: []Bound{{0.5, 25 * ms}, {0.9, 60 * ms}, {0.99, 110 * ms}}}, truth: 223.1},
		{Law: noisy, objective: latency(0.99, 150*ms), truth: 326.9},
		{Law: leaks, objective: latency(0.99, 200*ms), truth: 356.2},
		{Law: law("slow pod", 2, podtest.Lognormal(0.100, 1)), objective: latency(0.99, time.Second), truth: 14.7},
		{Law: law("fast pod", 16, podtest.Lognormal(0.003, 1)), objective: latency(0.99, 20*ms), truth: 4986.2},
	}
}

func (s subject) probe(r *rand.Rand) Probe { return s.probeOf(podtest.New(s.Law, r)) }

// load is what the pod's share of bad requests is at a rate in the long run, over what
// is allowed, for the promise that fares worst; of a pod that leaks, when it has leaked.
func (s subject) load(rate float64, requests int, seed uint64) float64 {
	p := podtest.New(s.Law, rand.New(rand.NewPCG(seed, 2)))
	if s.Leak > 0 {
		p.Load(1e-6, 300*time.Second, func(time.Duration) bool { return false })
	}
	bad, n := make([]int, len(s.objective.Latency)+1), 0
	p.Load(rate, time.Duration(float64(requests)/rate*float64(time.Second)), func(l time.Duration) bool {
		n++
		ok := s.timeout == 0 || l <= s.timeout
		for i, b := range s.objective.Latency {
			if l > b.Limit || !ok {
				bad[i]++
			}
		}
		if !ok {
			bad[len(bad)-1]++
		}
		return false
	})
	worst := 0.0
	for i, b := range s.objective.Latency {
		worst = max(worst, float64(bad[i])/float64(n)/(1-b.Quantile))
	}
	if s.objective.Success > 0 {
		worst = max(worst, float64(bad[len(bad)-1])/float64(n)/(1-s.objective.Success))
	}
	return worst
}

// The truths above are right to 3 %: the objective holds below and breaks above.
func TestTruths(t *testing.T) {
	for _, s := range append(judged(), heldOut()...) {
		requests := 500_000
		if s.Pause > 0 || s.Noise > 0 { // what is late comes in long bursts
			requests = 2_000_000
		}
		low, high := s.load(0.97*s.truth, requests, 1), s.load(1.03*s.truth, requests, 1)
		if low > 1 || high < 1 {
			t.Errorf("%s, %.1f/s: %.2f of the allowed bad requests 3 %% below, %.2f above", s.Name, s.truth, low, high)
		}
	}
}
