package predict

import (
	"cmp"
	"math"
	"slices"
	"time"
)

// Bound is what an objective wants of a quantile of the duration.
type Bound struct {
	Quantile float64 // such as 0.99; between 0.5 and 0.999
	Latency  time.Duration
}

// Rate is the highest rate of one pod that keeps bounds, requests a second. Low and
// High are its interval, of 5 % to 95 % of what was seen.
type Rate struct {
	Low, Rate, High float64
	How             How
}

// A rate is known better than the latency at it: where latency rises steeply, which is
// where bounds break, much of it is little rate.
const ratesAreOff = 1.03

// mostCalls is how many calls are simulated of all models together, each time: the
// fewer agree with the past, the closer they are looked at.
const mostCalls = 80 * simulated

// leastWeight is that of a model worth asking for its rate.
const leastWeight = 0.01

// Within is the highest rate at which one pod of so many keeps all bounds: seen, where
// a bound was broken within the rates of the past, else by the models. How is Unknown
// without bounds or bins.
func (c Curve) Within(bounds []Bound, pods float64) Rate {
	if len(c.bins) == 0 || len(c.models) == 0 || len(bounds) == 0 {
		return Rate{How: Unknown}
	}
	best := Rate{How: Unknown}
	for _, b := range bounds {
		r := c.within(b, pods)
		if best.How == Unknown || r.Rate < best.Rate {
			best = r
		}
	}
	return best
}

func (c Curve) within(b Bound, pods float64) Rate {
	var p, weights, rates []float64
	for _, bin := range c.bins {
		p = append(p, math.Log(interpolate(Levels(), bin.Quantiles, b.Quantile)))
		weights, rates = append(weights, bin.Calls), append(rates, bin.Rate)
	}
	seen := monotone(p, weights)
	limit, last := math.Log(b.Latency.Seconds()), len(seen)-1
	spread := func(i int) float64 { // of the logarithm of a quantile of the bin
		return 1.6*2.2*math.Sqrt(clustering/c.bins[i].Calls) + 0.02
	}
	by := c.byModels(b, pods)
	switch {
	case seen[0] > limit:
		return Rate{0, 0, rates[0], Seen}
	case seen[last] <= limit:
		by.Rate = max(by.Rate, c.Highest())
		if seen[last]+spread(last) <= limit {
			by.Low = max(by.Low, c.Highest())
		}
		by.High = max(by.High, by.Rate)
		return by
	}
	// The models are sharper than a bin is wide, where they agree with it.
	r := Rate{rates[0], 0, rates[last], Seen}
	for i := range seen {
		if seen[i]+spread(i) <= limit {
			r.Low = rates[i]
		}
	}
	for i := last; i >= 0 && seen[i]-spread(i) > limit; i-- {
		r.High = rates[i]
	}
	i, _ := slices.BinarySearch(seen, limit)
	i = max(i, 1)
	part := (limit - seen[i-1]) / (seen[i] - seen[i-1])
	r.Rate = rates[i-1] + part*(rates[i]-rates[i-1])
	if by.Rate >= r.Low && by.Rate <= r.High {
		r.Rate, r.Low, r.High = by.Rate, max(r.Low, by.Low), min(r.High, by.High)
	}
	return r
}

// byModels asks all models that count for something.
func (c Curve) byModels(b Bound, pods float64) Rate {
	type answer struct{ rate, weight float64 }
	var all []answer
	sum := 0.0
	calls := min(max(mostCalls/max(1, len(c.models)), 2*simulated), 8*simulated)
	for _, m := range c.models {
		if m.weight >= leastWeight {
			all = append(all, answer{m.within(b, pods, calls), m.weight})
			sum += m.weight
		}
	}
	slices.SortFunc(all, func(a, b answer) int { return cmp.Compare(a.rate, b.rate) })
	at := func(part float64) float64 {
		s := 0.0
		for _, a := range all {
			if s += a.weight; s >= part*sum {
				return a.rate
			}
		}
		return all[len(all)-1].rate
	}
	if len(all) == 0 {
		return Rate{How: Unknown}
	}
	return Rate{at(0.05) / ratesAreOff, at(0.5), at(0.95) * ratesAreOff, Extrapolated}
}

// within is the highest rate at which the model keeps a bound: by formulas, and where
// those are only near the truth put right by simulations.
func (m model) within(b Bound, pods float64, calls int) float64 {
	limit := b.Latency.Seconds()
	rate := m.byFormula(b.Quantile, limit, pods)
	if l, ok := m.at(rate, pods); !ok || l.exact() {
		return rate
	}
	for range 3 {
		l, ok := m.at(rate, pods)
		if !ok || rate <= 0 {
			break
		}
		factor := m.quantiles(rate, pods, calls, b.Quantile)[0] / l.quantile(b.Quantile) // of the simulation to the formula
		rate = m.byFormula(b.Quantile, limit/factor, pods)
	}
	return rate
}

func (m model) byFormula(quantile, limit, pods float64) float64 {
	low, high := 0.0, overload*m.capacity()
	for range 18 {
		middle := (low + high) / 2
		if l, ok := m.at(middle, pods); ok && l.above(limit) <= 1-quantile {
			low = middle
		} else {
			high = middle
		}
	}
	return low
}
