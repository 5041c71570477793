package search

import (
	"fmt"
	"math"
	"time"

	"github.com/kongdao/kongdao/capacity/usage"
)

// Result is a pod's safe rate and how far to trust it. In JSON times are seconds and
// rates requests a second.
type Result struct {
	Estimate  float64      `json:"estimate"`    // where the limit is most likely; to compare with, never to give to a pod; 0: not found
	Safe      float64      `json:"safe_rate"`   // the lower bound of the interval: give a pod no more
	High      float64      `json:"high"`        // its upper bound: the limit is very likely below; 0: not found
	Proven    float64      `json:"proven_rate"` // highest rate that kept the objective in a probe of its own, with confidence; 0: none
	Objective string       `json:"objective"`
	Requests  int          `json:"requests"`
	Broke     int          `json:"broke_objective"` // requests on the way that were late or failed
	Load      float64      `json:"load_s"`          // time under load
	Peak      float64      `json:"peak_rate"`       // highest rate tried
	Steps     []StepResult `json:"steps"`
	Warnings  []string     `json:"warnings,omitempty"` // why to trust the answer less
	Notes     []Note       `json:"notes,omitempty"`    // what the answer depends on, and what nobody knows
	Scaling   *Scaling     `json:"scaling,omitempty"`  // the limit as requests at once
	// Pod is what the pod used meanwhile; nil: nobody looked, or nothing was there to see.
	Pod *usage.Summary `json:"pod,omitempty"`
}

// StepResult is one probe.
type StepResult struct {
	Rate     float64 `json:"rate"`
	Seconds  float64 `json:"duration_s"`
	Requests int     `json:"requests"`
	Broke    int     `json:"broke_objective"`
	Proof    bool    `json:"proof"`
	Kept     bool    `json:"kept"`
	Invalid  string  `json:"invalid,omitempty"` // the probe says nothing about the pod

	Seen
	// Estimate and Low are what was known after it: where the limit is most likely, and
	// its lower bound; 0: nothing.
	Estimate float64     `json:"estimate_so_far,omitempty"`
	Low      float64     `json:"low_so_far,omitempty"`
	Pod      *usage.Step `json:"pod,omitempty"` // what the pod used; nil: not known
}

// String is one line of progress.
func (s StepResult) String() string {
	what := "climb"
	if s.Proof {
		what = "prove"
	}
	line := fmt.Sprintf("%s %.1f/s for %.1f s: %d of %d requests broke the objective, %s",
		what, s.Rate, s.Seconds, s.Broke, s.Requests, s.verdict())
	if s.Invalid != "" {
		line += ": " + s.Invalid
	}
	return line
}

func (s StepResult) verdict() string {
	switch {
	case s.Invalid != "":
		return "discarded"
	case s.Kept && s.Proof:
		return "proven"
	case s.Kept:
		return "kept"
	case s.Proof:
		return "not proven"
	}
	return "broken"
}

// conclude turns what is known into the result. No more is promised than what a
// probe has shown to be kept.
func (r *Result) conclude(c Config, l *ladder, e Estimate) {
	r.Objective = c.Objective.String()
	r.Proven = round(l.proven)
	r.Safe = round(min(e.Low, max(l.proven, l.passed)))
	if math.IsInf(min(l.broke, l.refused), 1) && (e.bad < chance || e.High > 1.5*r.Peak) {
		r.warn(c, l, e)
		return
	}
	r.Estimate = round(e.Rate)
	r.High = max(e.High, l.proven)
	if !math.IsInf(l.broke, 1) { // a burst may have been what broke it
		r.High = max(r.High, 1.01*l.broke)
	}
	r.High = math.Ceil(r.High*10) / 10
	r.warn(c, l, e)
}

func (r *Result) warn(c Config, l *ladder, e Estimate) {
	warn := func(format string, args ...any) { r.Warnings = append(r.Warnings, fmt.Sprintf(format, args...)) }
	if l.passed == 0 && l.proven == 0 {
		warn("even %.1f/s broke the objective: is it met without load, and was the pod warm?", c.Start)
	}
	if l.proven == 0 {
		warn("no rate could be proven within the budget: the safe rate is what all probes together make likely")
	}
	if math.IsInf(l.broke, 1) {
		warn("no rate broke the objective beyond doubt: the limit may be well above %.1f/s", max(l.proven, l.passed))
	}
	if e.drift.sure > 0.8 {
		warn("it gets slower with time, as with a leak: its limit falls by %.0f %% within %v, after which this is the safe rate", 100*(1-math.Exp(-e.drift.down)), c.Budget)
	}
	if r.Estimate > 0 && r.Safe < 0.85*r.Estimate {
		warn("a wide interval: the safe rate is %.0f %% below the estimate; more time, or an earlier result to start from, narrows it", 100*(1-r.Safe/r.Estimate))
	}
	if c.Objective.Success > 0 {
		if needed := 3 / (1 - c.Objective.Success); float64(r.Requests) < needed {
			warn("%d requests are too few to show %g %% of successes: %.0f without a failure would do", r.Requests, 100*c.Objective.Success, needed)
		}
	}
}

// round is to a tenth, downwards: a rate has no more digits that mean anything.
func round(rate float64) float64 {
	if math.IsInf(rate, 0) || math.IsNaN(rate) {
		return 0
	}
	return math.Floor(rate*10+1e-9) / 10
}

// Duration is the time under load.
func (r Result) Duration() time.Duration { return time.Duration(r.Load * float64(time.Second)) }
