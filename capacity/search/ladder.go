package search

import (
	"math"
	"time"
)

// Step is one probe to make.
type Step struct {
	Rate     float64       // requests a second
	Duration time.Duration // at most: the judge may end it earlier
	Warmup   time.Duration // first part, which is not judged
	Prove    bool          // a visit close to the limit; else a step of the climb, which ends when it visibly breaks
	Harm     int           // requests that may break the objective before it ends
}

// Shape of the search. The shares are those that kept the error, over-promises and
// the peak low on the simulated pods, for budgets from 35 s to 5 min.
const (
	climbShare    = 0.6  // of the budget, at most, to find where it breaks
	nearFactor    = 1.06 // step of the climb once bad requests appear
	shortestStep  = 1250 * time.Millisecond
	visitRequests = 6000
	visitFactor   = 1.12 // of a visit, at most, above what was kept
	climbRequests = 1200 // of a step of the climb
	visits        = 20   // in a budget without a climb
	climbHarm     = 4    // part of the bad requests that one step of the climb may take
	agreeing      = 0.97 // of an earlier search's answer: a lower bound with which it is confirmed
	confirmShare  = 0.15 // of time and of bad requests, kept for the last visit at the lower bound
)

// around are the rates to visit, in turn, as parts of the one that uses up the time
// and the bad requests together: rates apart tell the slope.
func around() []float64 { return []float64{1, 1.03, 0.96, 1.015, 0.98} }

// pace is the rate, as a part of the estimate, at which the bad requests that are left
// last for the time that is left. Each tells about as much wherever it is seen, and
// more time below the limit tells of drift and asks for no peak.
func (l *ladder) pace(e Estimate, left time.Duration, harm int) float64 {
	allowed := min(e.allowed, l.config.Objective.strictest())
	share := float64(harm) / (e.Rate * left.Seconds()) / allowed
	byLoad := max((share-e.queue.base)/(1-e.queue.base), leastByLoad)
	slope := priorSlope
	if e.queue.width > 0 {
		slope = e.queue.slope
	}
	return min(max(1+math.Log(byLoad)/slope, slowest), 1)
}

// A visit is at slowest of the estimate at least, and where the load makes leastByLoad
// of the late requests that it may make: below there is nothing to see.
const slowest, leastByLoad = 0.9, 0.3

// finding is what a probe says to the ladder.
type finding struct {
	verdict  verdict
	surely   bool // broken beyond doubt
	held     bool // not broken by more than chance
	near     bool // kept, but not by much
	byChance bool // broken by so few that it is worth another try
	used     time.Duration
	broke    int // requests
	seen     int // requests of all
}

// ladder chooses the rates. It is pure: time is what the steps used.
type ladder struct {
	config    Config
	used      time.Duration
	harmed    int // requests that broke the objective
	climbing  bool
	again     bool    // this climb step is the second at its rate
	rate      float64 // of the climb
	before    tally   // requests of the climb's steps that passed
	passed    float64 // highest rate that passed in the climb
	proven    float64 // highest rate that was proven
	broke     float64 // lowest rate that broke beyond doubt; +Inf: none
	doubted   float64 // lowest rate that broke in a discarded probe; +Inf: none
	refused   float64 // rate at which the climb ended; +Inf: none
	visited   int
	confirmed bool // the last visit kept the objective with confidence
	done      bool // the lower bound has been confirmed, or there is nothing to confirm
}

func newLadder(c Config) *ladder {
	return &ladder{config: c, climbing: true, rate: min(c.Start, c.MaxRate), refused: math.Inf(1), broke: math.Inf(1), doubted: math.Inf(1)}
}

// next is the next step; false when the budget or the question is used up. at tells
// what is known about the limit.
func (l *ladder) next(at func() Estimate) (Step, bool) {
	if l.done || l.harm() <= 0 {
		return Step{}, false
	}
	if l.climbing {
		l.aim(at)
	}
	if l.climbing {
		if s := l.climb(); l.used+s.Duration <= share(l.config.Budget, climbShare) {
			return s, true
		}
		l.climbing = false
	}
	s := l.visit(at())
	return s, s.Duration >= l.shortest(s.Rate) && s.Rate > 0
}

// aim lowers the next step of the climb to where the limit seems to be. From there
// visits go on.
func (l *ladder) aim(at func() Estimate) {
	if l.passed == 0 || l.again {
		return
	}
	e := at()
	if e.queue.width == 0 || e.Rate > l.rate {
		return
	}
	l.rate = e.Rate
	l.climbing = l.rate > nearFactor*l.passed
}

// harm is how many more requests may break the objective.
func (l *ladder) harm() int { return l.config.MaxBroken - l.harmed }

func (l *ladder) climb() Step {
	longest := max(min(l.config.Budget/40, 8*time.Second), shortestStep)
	d := min(max(time.Duration(climbRequests/l.rate*float64(time.Second)), shortestStep), longest)
	if l.again {
		d *= 2
	}
	return Step{Rate: l.rate, Duration: d, Harm: min(l.harm(), l.config.MaxBroken/climbHarm)}
}

func (l *ladder) warmup() time.Duration { return min(time.Second, l.config.Budget/40) }

// shortest is the least that a visit is worth.
func (l *ladder) shortest(rate float64) time.Duration {
	return l.warmup() + time.Duration(2*fewest/rate*float64(time.Second))
}

// long is how long a visit is: on a fast pod shorter, as its requests are what is used
// up first.
func (l *ladder) long(rate float64) time.Duration {
	most := l.warmup() + time.Duration(visitRequests/rate*float64(time.Second))
	return max(min(l.config.Budget/visits, most), l.shortest(rate))
}

// visit is a probe close to the limit, or the last one at its lower bound.
func (l *ladder) visit(e Estimate) Step {
	s := Step{Warmup: l.warmup(), Prove: true}
	left := l.config.Budget - l.used
	reserved := share(l.config.Budget, confirmShare)
	kept := int(confirmShare * float64(l.config.MaxBroken))
	each := l.long(e.Rate)
	agrees := l.config.Earlier > 0 && l.visited > 2 && e.Low >= agreeing*l.config.Earlier
	if left < reserved+each || l.harm() <= kept || agrees {
		l.done = true
		s.Rate, s.Duration, s.Harm = min(e.Low, l.config.MaxRate), left, l.harm()
		if l.harmed == 0 { // what nothing speaks against
			s.Rate = max(s.Rate, l.passed)
		}
		if agrees {
			s.Duration = min(left, reserved)
		}
		return s
	}
	turn := around()[l.visited%len(around())]
	s.Rate = snap(min(e.Rate*turn*l.pace(e, left-reserved, l.harm()-kept), l.highest()))
	if l.nothing() && !math.IsInf(min(l.refused, l.broke), 1) {
		s.Rate = snap(downwards * min(l.refused, l.broke))
	}
	if s.Rate >= l.config.MaxRate {
		s.Rate = l.config.MaxRate
	}
	s.Duration, s.Harm = max(l.long(s.Rate), l.shortest(s.Rate)), l.harm()-kept
	if s.Rate == l.config.MaxRate && l.harmed == 0 && l.passed >= atMost*s.Rate {
		s.Duration = max(s.Duration, reserved) // nothing speaks against it: prove it at once
	}
	l.visited++
	return s
}

// nothing tells that no rate was kept so far.
func (l *ladder) nothing() bool { return max(l.passed, l.proven) == 0 }

// atMost is from which share of the highest rate on there is nothing beyond.
const atMost = 0.97

// downwards is the step from a rate that broke when none has been kept.
const downwards = 0.6

// highest is the highest rate that is not a leap.
func (l *ladder) highest() float64 {
	if kept := max(l.passed, l.proven); kept > 0 {
		return visitFactor * kept
	}
	return l.config.MaxRate
}

// discard takes in a probe that says nothing, but for the time that it took.
func (l *ladder) discard(s Step, f finding) {
	l.used += f.used
	l.harmed += f.broke
	if f.verdict == broken {
		l.doubted = min(l.doubted, s.Rate)
	}
}

func (l *ladder) record(s Step, f finding) {
	l.used += f.used
	l.harmed += f.broke
	if f.surely {
		l.broke = min(l.broke, s.Rate)
	}
	if s.Prove && f.held {
		l.passed = max(l.passed, s.Rate)
	}
	switch {
	case s.Prove && f.verdict == kept:
		l.proven = max(l.proven, s.Rate)
		l.done = l.done || s.Rate >= atMost*l.config.MaxRate // there is nothing beyond
		l.confirmed = l.done
	case s.Prove:
	case f.verdict == kept:
		l.advance(s.Rate, f.near && l.more(f))
		l.before.n, l.before.bad = l.before.n+float64(f.seen), l.before.bad+float64(f.broke)
	case f.byChance && !l.again:
		l.again = true
	default:
		l.refused = min(l.refused, s.Rate)
		l.climbing = false
	}
}

// more tells that more requests are bad than at lower rates: some pods have them at any
// rate.
func (l *ladder) more(f finding) bool {
	return f.broke >= fewFailures && float64(f.broke)*l.before.n > 2*l.before.bad*float64(f.seen)
}

// advance goes on from the rate that the pod had. The climb ends where that was far
// from what was asked for: there is no more to be had.
func (l *ladder) advance(had float64, near bool) {
	l.again = false
	l.passed = max(l.passed, had)
	factor := l.config.Factor
	if near {
		factor = min(factor, nearFactor)
	}
	l.climbing = l.rate < l.config.MaxRate && had > 0.9*l.rate
	l.rate = min(l.rate*factor, l.config.MaxRate)
}

func share(d time.Duration, of float64) time.Duration { return time.Duration(float64(d) * of) }
