package search

import "math"

// Estimate is what is known about the rate at which the objective breaks, requests a
// second.
type Estimate struct {
	Rate float64 // the middle: as likely too high as too low
	Low  float64 // it is above this with all but lowRisk, less margin
	High float64 // and below this with all but highRisk

	allowed float64 // share of bad requests of the promise that breaks first
	drift   drift
	queue   belief
	bad     float64 // requests that broke it
}

// middle is the quantile that was as often too high as too low on the simulated pods:
// what is bad at any rate makes the curve look flatter than it is close to its crossing.
const middle = 0.25

const lowRisk, highRisk = 0.005, 0.03

// margin is what the lower bound is lowered by, as a share of it, for laws that the
// curve does not fit; unconfirmed is more of it, where a last visit at the bound did
// not keep the objective with confidence.
const margin, unconfirmed = 0.05, 0.05

// knowledge is a curve for each promise of the objective; the one that breaks first
// is the limit.
type knowledge struct {
	curves []*curve
	bounds []Bound
	seen   latencies
}

func newKnowledge(o Objective) *knowledge {
	k := &knowledge{bounds: o.Latency}
	for _, b := range o.Latency {
		k.curves = append(k.curves, newCurve(1-b.Quantile))
	}
	if o.Success > 0 {
		k.curves = append(k.curves, newCurve(1-o.Success))
	}
	return k
}

// add takes in a probe, whose criteria are in the order of the curves.
func (k *knowledge) add(rate, when float64, j *judge) {
	at := stepOf(rate)
	for i, c := range j.criteria {
		for b := range c.blocks {
			c.blocks[b].at, c.blocks[b].when = at, when
		}
		k.curves[i].add(tally{at, float64(c.n), float64(c.count), when}, c.blocks, c.single)
	}
	if j.prove || !j.any((*criterion).exceeded) { // a step that broke is too short for its queue to be steady
		k.seen.probes = append(k.seen.probes, probed{rate, when, j.took, j.prove})
	}
}

func (k *knowledge) estimate(ended float64) Estimate {
	e := Estimate{Rate: math.Inf(1), Low: math.Inf(1), High: math.Inf(1), allowed: 1}
	d := driftOf(k.seen.probes)
	e.drift = d
	beliefs := k.seen.believe(k.bounds, d)
	for i, c := range k.curves {
		if c.silent() {
			continue
		}
		b := belief{}
		if i < len(beliefs) {
			b = beliefs[i]
		}
		x := c.crossing(ended, b, d)
		if rate := x.quantile(middle); rate < e.Rate {
			e.Rate, e.allowed, e.queue, e.bad = rate, c.allowed, b, c.bad
		}
		e.Low = min(e.Low, (1-margin)*x.quantile(lowRisk)*math.Exp(-d.off))
		e.High = min(e.High, x.quantile(1-highRisk))
	}
	return e
}
