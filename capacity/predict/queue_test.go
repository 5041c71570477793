package predict

import (
	"container/heap"
	"math"
	"math/rand/v2"
	"slices"
)

// fleet is a fleet of pods of known law, simulated: each works on places calls at the
// same time, further ones wait in line.
type fleet struct {
	pods, places int
	inTurn       bool // calls are dealt out in turn, else by chance
	service      func(*rand.Rand) float64
}

func exponential(mean float64) func(*rand.Rand) float64 {
	return func(r *rand.Rand) float64 { return mean * r.ExpFloat64() }
}

// lognormal has this mean and a coefficient of variation of cv.
func lognormal(mean, cv float64) func(*rand.Rand) float64 {
	s2 := math.Log(1 + cv*cv)
	return func(r *rand.Rand) float64 { return mean * math.Exp(math.Sqrt(s2)*r.NormFloat64()-s2/2) }
}

func constant(mean float64) func(*rand.Rand) float64 {
	return func(*rand.Rand) float64 { return mean }
}

// free are the times at which the places of a pod are free.
type free []float64

func (f free) Len() int           { return len(f) }
func (f free) Less(i, j int) bool { return f[i] < f[j] }
func (f free) Swap(i, j int)      { f[i], f[j] = f[j], f[i] }
func (f *free) Push(x any)        { *f = append(*f, x.(float64)) }
func (f *free) Pop() any {
	last := (*f)[len(*f)-1]
	*f = (*f)[:len(*f)-1]
	return last
}

// run offers calls by chance, with a rate for each pod, and returns their durations,
// sorted, but for a first part in which queues fill.
func (f fleet) run(r *rand.Rand, rate float64, calls int) []float64 {
	pods := make([]free, f.pods)
	for i := range pods {
		pods[i] = make(free, f.places)
	}
	warm := calls / 4
	now := 0.0
	var took []float64
	for n := range calls + warm {
		now += r.ExpFloat64() / (rate * float64(f.pods))
		p := &pods[n%f.pods]
		if !f.inTurn {
			p = &pods[r.IntN(f.pods)]
		}
		begin := max(now, (*p)[0])
		(*p)[0] = begin + f.service(r)
		if n >= warm {
			took = append(took, (*p)[0]-now)
		}
		heap.Fix(p, 0)
	}
	slices.Sort(took)
	return took
}

func quantile(sorted []float64, p float64) float64 {
	return sorted[min(len(sorted)-1, int(p*float64(len(sorted))))]
}

// past is stretches of ten seconds at these rates of a pod.
func (f fleet) past(r *rand.Rand, rates ...float64) (all []Sample) {
	for _, rate := range rates {
		calls := int(10 * rate * float64(f.pods))
		took := f.run(r, rate, calls)
		s := Sample{Rate: rate, Pods: float64(f.pods), Calls: float64(calls)}
		for _, p := range Levels() {
			s.Quantiles = append(s.Quantiles, quantile(took, p))
		}
		all = append(all, s)
	}
	return all
}
