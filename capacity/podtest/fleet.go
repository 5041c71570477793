package podtest

import (
	"math/rand/v2"
	"slices"

	"github.com/kongdao/kongdao/internal/queue"
)

// Fleet is pods of one law that share their calls, simulated. Of the law workers and
// service times count, neither pauses nor what makes service longer.
type Fleet struct {
	Law
	Pods   int
	InTurn bool // calls are dealt out in turn, else by chance
}

// Run offers calls by chance, with a rate for each pod, and returns their durations in
// seconds, sorted, but for a first part in which queues fill.
func (f Fleet) Run(r *rand.Rand, rate float64, calls int) []float64 {
	took := f.InOrder(r, rate, calls)
	slices.Sort(took)
	return took
}

// InOrder is Run in the order in which calls come.
func (f Fleet) InOrder(r *rand.Rand, rate float64, calls int) []float64 {
	pods := make([]*queue.Line, f.Pods)
	for i := range pods {
		pods[i] = queue.NewLine(f.Workers, 0)
	}
	warm := calls / 4
	now := 0.0
	took := make([]float64, 0, calls)
	for n := range calls + warm {
		now += r.ExpFloat64() / (rate * float64(f.Pods))
		p := pods[n%f.Pods]
		if !f.InTurn {
			p = pods[r.IntN(f.Pods)]
		}
		service := f.Service(r)
		if begin := p.Serve(now, service); n >= warm {
			took = append(took, begin+service-now)
		}
	}
	return took
}

// Capacity is the rate at which a pod of the law saturates, requests a second, by the
// mean of many service times.
func (l Law) Capacity() float64 {
	const draws = 20_000
	r, mean := rand.New(rand.NewPCG(3, 3)), 0.0
	for range draws {
		mean += l.Service(r) / draws
	}
	return float64(l.Workers) / mean
}

// Quantile of sorted values.
func Quantile(sorted []float64, p float64) float64 {
	return sorted[min(len(sorted)-1, int(p*float64(len(sorted))))]
}
