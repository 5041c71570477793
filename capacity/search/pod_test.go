package search

import (
	"container/heap"
	"context"
	"math"
	"math/rand/v2"
	"time"
)

// pod is a simulated pod in virtual time: workers, one queue, Poisson arrivals.
type pod struct {
	name    string
	workers int
	service func(*rand.Rand) float64 // seconds
	limit   time.Duration            // of the p99 objective
	base    float64                  // share of requests that are late at any rate
}

func lognormal(mean, cv float64) func(*rand.Rand) float64 {
	s2 := math.Log(1 + cv*cv)
	mu, sigma := math.Log(mean)-s2/2, math.Sqrt(s2)
	return func(r *rand.Rand) float64 { return math.Exp(mu + sigma*r.NormFloat64()) }
}

var pods = []pod{
	{"4 workers, lognormal", 4, lognormal(0.0133, 1), 100 * time.Millisecond, 0},
	{"1 worker, deterministic", 1, func(*rand.Rand) float64 { return 0.004 }, 40 * time.Millisecond, 0},
	{"16 workers, heavy tail", 16, lognormal(0.040, 1.5), 350 * time.Millisecond, 0.0055},
}

func (p pod) objective() Objective {
	return Objective{Latency: []Bound{{0.99, p.limit}}, Success: 0.999}
}

// probe keeps the queue between probes, as a real pod does.
func (p pod) probe(r *rand.Rand) Probe {
	free := make(freeAt, p.workers)
	now := 0.0
	return func(_ context.Context, rate float64, d time.Duration, observe func(time.Duration, bool) bool) (Outcome, error) {
		begin := now
		for {
			now += r.ExpFloat64() / rate
			if now-begin >= d.Seconds() {
				now = begin + d.Seconds()
				break
			}
			start := max(free[0], now)
			free[0] = start + p.service(r)
			end := free[0]
			heap.Fix(&free, 0)
			if observe(time.Duration((end-now)*float64(time.Second)), true) {
				break
			}
		}
		return Outcome{Elapsed: time.Duration((now - begin) * float64(time.Second))}, nil
	}
}

// truth is the rate at which exactly 1 % of the requests are late.
func (p pod) truth(r *rand.Rand) float64 {
	lo, hi := 10.0, 2000.0
	for hi/lo > 1.002 {
		mid := (lo + hi) / 2
		n, late := 0, 0
		_, _ = p.probe(r)(context.Background(), mid, time.Duration(400_000/mid*float64(time.Second)), func(l time.Duration, _ bool) bool {
			n++
			if l > p.limit {
				late++
			}
			return false
		})
		if float64(late) <= 0.01*float64(n) {
			lo = mid
		} else {
			hi = mid
		}
	}
	return lo
}

type freeAt []float64

func (f freeAt) Len() int           { return len(f) }
func (f freeAt) Less(i, j int) bool { return f[i] < f[j] }
func (f freeAt) Swap(i, j int)      { f[i], f[j] = f[j], f[i] }
func (f *freeAt) Push(any)          {}
func (f *freeAt) Pop() any          { return nil }
