package search

import "math"

// Estimate is what is known about the rate at which the objective breaks, requests a
// second.
type Estimate struct {
	Rate float64 // the middle: as likely too high as too low
	Low  float64 // it is above this with all but lowRisk, less margin
	High float64 // and below this with all but highRisk
}

// middle is the quantile that was as often too high as too low on the simulated pods:
// what is bad at any rate makes the curve look flatter than it is close to its crossing.
const middle = 0.25

const lowRisk, highRisk = 0.005, 0.03

// margin is what the lower bound is lowered by, as a share of it, for laws that the
// curve does not fit; unconfirmed is more of it, where a last visit at the bound did
// not keep the objective with confidence.
const margin, unconfirmed = 0.03, 0.05

// knowledge is a curve for each promise of the objective; the one that breaks first
// is the limit.
type knowledge struct{ curves []*curve }

func newKnowledge(o Objective) (k knowledge) {
	for _, b := range o.Latency {
		k.curves = append(k.curves, newCurve(1-b.Quantile))
	}
	if o.Success > 0 {
		k.curves = append(k.curves, newCurve(1-o.Success))
	}
	return k
}

// add takes in a probe, whose criteria are in the order of the curves.
func (k knowledge) add(rate float64, j *judge) {
	at := stepOf(rate)
	for i, c := range j.criteria {
		for b := range c.blocks {
			c.blocks[b].at = at
		}
		k.curves[i].add(tally{at, float64(c.n), float64(c.count)}, c.blocks, c.single)
	}
}

func (k knowledge) estimate(ended float64) Estimate {
	e := Estimate{math.Inf(1), math.Inf(1), math.Inf(1)}
	for _, c := range k.curves {
		if c.silent() {
			continue
		}
		x := c.crossing(ended)
		e.Rate = min(e.Rate, x.quantile(middle))
		e.Low = min(e.Low, (1-margin)*x.quantile(lowRisk))
		e.High = min(e.High, x.quantile(1-highRisk))
	}
	return e
}
