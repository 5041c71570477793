package predict

import (
	"cmp"
	"math"
	"slices"
	"time"
)

// Curve is a function's latency by the rate of one pod.
type Curve struct {
	bins   []Sample // by rate
	seen   []float64
	models []model // with a weight worth counting
}

// Estimate is what to expect of a function's p99.
type Estimate struct {
	P99  time.Duration `json:"p99_ns"`
	Low  time.Duration `json:"p99_low_ns"`  // 5 % of what was seen speaks for less
	High time.Duration `json:"p99_high_ns"` // 5 % speaks for more; 0: a queue that grows without end is not out of the question
	How  How           `json:"how"`
}

// How is where an estimate comes from.
type How string

// The ways, from the surest to the least sure.
const (
	Seen         How = "seen"         // the pods had this rate before
	Extrapolated How = "extrapolated" // more than they ever had, by queueing models
	Saturated    How = "saturated"    // beyond what they can do: there is no p99
	Unknown      How = "unknown"      // too few calls to tell
)

// seenUpTo is how far beyond the highest rate seen that rate still counts as seen.
const seenUpTo = 1.03

// Fit learns from the past, or returns ErrTooFew. dealers is how many deal calls out to
// pods in turn, each for itself, as the threads of gateways do; 0: very many.
// workers is how many calls a pod works on at a time while others wait, where that is
// known; 0: nobody knows, and whatever agrees with the past is tried.
func Fit(samples []Sample, dealers, workers int) (Curve, error) {
	all, err := bins(samples)
	if err != nil {
		return Curve{}, err
	}
	c := Curve{bins: all}
	var p99, weights []float64
	for _, b := range all {
		p99 = append(p99, math.Log(interpolate(Levels(), b.Quantiles, 0.99)))
		weights = append(weights, b.Calls)
	}
	c.seen = monotone(p99, weights)
	c.models, err = models(all, dealers, workers)
	return c, err
}

// Highest is the highest rate of one pod that was seen, requests a second; 0 without
// any.
func (c Curve) Highest() float64 {
	if len(c.bins) == 0 {
		return 0
	}
	return c.bins[len(c.bins)-1].Rate
}

// noModelIsTrue widens the interval of an extrapolation: what is off by a few percent
// within the rates that were seen is off by more beyond.
const noModelIsTrue = 1.12

// At is the p99 to expect when one pod of so many gets this rate.
func (c Curve) At(rate, pods float64) Estimate {
	switch {
	case len(c.bins) == 0:
		return Estimate{How: Unknown}
	case rate <= seenUpTo*c.Highest():
		return c.inside(rate)
	}
	return c.beyond(rate, pods)
}

// inside is what was seen at the rate, straight between bins.
func (c Curve) inside(rate float64) Estimate {
	var rates, values []float64
	for i, b := range c.bins {
		rates, values = append(rates, b.Rate), append(values, math.Exp(c.seen[i]))
	}
	v := interpolate(rates, values, rate)
	i, _ := slices.BinarySearch(rates, rate)
	// A p99 of n calls is off by 1/√n times this; 1.6 for 5 % to 95 %.
	spread := math.Exp(1.6*2.2*math.Sqrt(clustering/c.bins[min(i, len(rates)-1)].Calls) + 0.02)
	return Estimate{P99: seconds(v), Low: seconds(v / spread), High: seconds(v * spread), How: Seen}
}

// beyond asks all models.
func (c Curve) beyond(rate, pods float64) Estimate {
	type answer struct{ p99, weight float64 }
	var all []answer
	for _, m := range c.models {
		all = append(all, answer{m.p99(rate, pods), m.weight})
	}
	slices.SortFunc(all, func(a, b answer) int { return cmp.Compare(a.p99, b.p99) })
	at := func(part float64) float64 {
		sum := 0.0
		for _, a := range all {
			if sum += a.weight; sum >= part {
				return a.p99
			}
		}
		return math.Inf(1)
	}
	least := math.Exp(c.seen[len(c.seen)-1])
	e := Estimate{How: Extrapolated, Low: seconds(at(0.05) / noModelIsTrue), P99: seconds(max(at(0.5), least)), High: seconds(at(0.95) * noModelIsTrue)}
	if e.P99 == 0 {
		e.How = Saturated
	}
	return e
}

// seconds is 0 for what has no end.
func seconds(s float64) time.Duration {
	if math.IsInf(s, 0) || math.IsNaN(s) || s > math.MaxInt64/1e9 {
		return 0
	}
	return time.Duration(s * 1e9)
}
