package predict

import (
	"math"
	"math/rand/v2"

	"github.com/kongdao/kongdao/internal/queue"
)

// simulated is how many calls a pod gets in a simulation: 200 of them are above p99.
const simulated = 20_000

// simulate are the durations of calls at a rate of one pod, in the order in which they
// came. The same model has the same chances each time, so that models differ by what
// they are.
func (m model) simulate(rate, pods float64, calls int) []float64 {
	line := queue.NewLine(m.places, 0)
	var table [8192]float64
	m.service.fill(&table)
	warm := calls / 4
	c := m.chances.of(m.dealers, int(math.Round(pods)), calls+warm)
	took, step := m.chances.room(calls), 1/rate
	for n, at := range c.at[:calls+warm] {
		now := at * step
		service := table[c.service[n]]
		begin := line.Serve(now, m.held*service)
		if n >= warm {
			took = append(took, begin-now+service)
		}
	}
	return took
}

// quantiles are those of a simulation.
func (m model) quantiles(rate, pods float64, calls int, levels ...float64) []float64 {
	took := m.simulate(rate, pods, calls)
	defer m.chances.done(took)
	ranks := make([]int, len(levels))
	for i, p := range levels {
		ranks[i] = min(len(took)-1, int(p*float64(len(took))))
	}
	return ranked(took, ranks...)
}

// manyDealers together are as good as chance.
const manyDealers = 16

// arrivals are the calls that reach one pod.
type arrivals struct {
	r     *rand.Rand
	step  float64   // mean time between two calls of a dealer
	turns int       // of which the pod gets one
	after []float64 // when each dealer's next call for the pod comes
}

// newArrivals are one a unit of time.
func newArrivals(r *rand.Rand, dealers, pods int) *arrivals {
	a := &arrivals{r: r, step: float64(dealers) / float64(pods), turns: pods, after: make([]float64, dealers)}
	for i := range a.after {
		for range 1 + r.IntN(pods) {
			a.after[i] += a.step * r.ExpFloat64()
		}
	}
	return a
}

// next is the time of the next call.
func (a *arrivals) next() float64 {
	first := 0
	for i, at := range a.after {
		if at < a.after[first] {
			first = i
		}
	}
	now := a.after[first]
	for range a.turns {
		a.after[first] += a.step * a.r.ExpFloat64()
	}
	return now
}

// fill spreads the law evenly over a table, so that any entry is as likely as another.
func (l law) fill(table *[8192]float64) {
	part, sum := 0, l.mass[0]
	for i := range table {
		for level := (float64(i) + 0.5) / float64(len(table)); part < len(l.at)-1 && sum < level; {
			part++
			sum += l.mass[part]
		}
		table[i] = l.at[part]
	}
}
