package search

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"github.com/kongdao/kongdao/capacity/usl"
)

// LongCalls is the mean time of a call without load, in seconds, from which on a pod's
// limit is better said as calls at once than as calls a second: a rate then changes
// with whatever the calls do, and a pod is full long before a second's calls have ended.
const LongCalls = 1.0

// Scaling is the limit on the other axis: requests that are in the pod at once.
type Scaling struct {
	Concurrency float64  `json:"concurrency_at_safe_rate"` // on average; 0: not known
	Better      string   `json:"better_axis,omitempty"`    // why concurrency is the limit to give, and not a rate; empty: it is not
	Law         *usl.Fit `json:"usl,omitempty"`
	None        string   `json:"no_usl,omitempty"` // why there is no fit
}

// scale fills in the result's scaling from its steps.
func (r *Result) scale() {
	var s Scaling
	steady := r.steady()
	if len(steady) > 0 {
		if took := steady[0].Mean; took >= LongCalls {
			s.Better = fmt.Sprintf("calls take %v", short(took))
		}
		s.Concurrency = math.Round(100*r.Safe*meanAt(steady, r.Safe)) / 100
	}
	var points []usl.Point
	for _, x := range steady {
		points = append(points, usl.Point{Concurrency: x.InFlight, Throughput: x.ended})
	}
	fit, err := usl.Of(points)
	if err != nil {
		s.None = err.Error()
	} else {
		s.Law = &fit
	}
	r.Scaling = &s
}

// steady are the steps that went on for all of their time, by rate, those at one rate
// joined: what was seen in a step that was cut short was not steady.
func (r *Result) steady() (out []StepResult) {
	var all []StepResult
	for _, s := range r.Steps {
		if s.Invalid == "" && s.whole && s.InFlight > 0 {
			all = append(all, s)
		}
	}
	slices.SortStableFunc(all, func(a, b StepResult) int { return cmp.Compare(a.Rate, b.Rate) })
	for i := 0; i < len(all); {
		first, seconds := all[i], 0.0
		var mean, ended, rate float64
		for ; i < len(all) && all[i].Rate <= 1.005*first.Rate; i++ {
			w := all[i].Seconds
			seconds += w
			mean, ended, rate = mean+w*all[i].Mean, ended+w*all[i].ended, rate+w*all[i].Rate
		}
		first.Mean, first.ended, first.Rate = mean/seconds, ended/seconds, rate/seconds
		first.InFlight = first.Mean * first.ended
		out = append(out, first)
	}
	return out
}

// meanAt is the mean time of a request at a rate, by a straight line between steps.
func meanAt(steps []StepResult, rate float64) float64 {
	for i, s := range steps {
		if s.Rate < rate {
			continue
		}
		if i == 0 {
			return s.Mean
		}
		a := steps[i-1]
		return a.Mean + (rate-a.Rate)/(s.Rate-a.Rate)*(s.Mean-a.Mean)
	}
	return steps[len(steps)-1].Mean
}

// lines are for people.
func (s Scaling) lines() (all []string) {
	if s.Concurrency > 0 {
		text := fmt.Sprintf("%.3g at once at the safe rate", s.Concurrency)
		if s.Better != "" {
			text += "; " + s.Better + ", so that this is the better limit: spec.concurrency"
		}
		all = append(all, text)
	}
	f := s.Law
	if f == nil {
		return append(all, "USL not fitted: "+s.None)
	}
	text := fmt.Sprintf("USL: λ %.4g/s, σ %.3g (%.2g to %.2g), κ %.2g (%.2g to %.2g)",
		f.Lambda.Value, f.Sigma.Value, f.Sigma.Low, f.Sigma.High, f.Kappa.Value, f.Kappa.Low, f.Kappa.High)
	switch {
	case f.Peak > 0:
		text += fmt.Sprintf(", most %.1f/s with N* %.3g at once", f.Ceiling, f.Peak)
	case f.Ceiling > 0:
		text += fmt.Sprintf(", no more than %.1f/s with however many", f.Ceiling)
	}
	all = append(all, text)
	if f.Beyond != "" {
		all = append(all, "USL: "+f.Beyond)
	}
	for _, p := range f.Poor {
		all = append(all, "USL: a poor fit: "+p)
	}
	return all
}
