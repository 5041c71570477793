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
	Prove    bool          // must keep the objective with confidence; else it must not visibly break it
}

// Shape of the search. The shares are those that kept over-promises, bad requests
// and the peak low on the simulated pods, for budgets from 35 s to 5 min.
const (
	climbShare = 0.6  // of the budget, at most, to find where it breaks
	proofShare = 0.22 // of the budget, for one proof
	nearFactor = 1.12 // step of the climb once bad requests appear
	up         = 1.08 // from a proven rate to the next
	effort     = 4    // proofs that still fit in; with fewer, go back further
)

// finding is what a probe says to the ladder.
type finding struct {
	verdict  verdict
	surely   bool // broken beyond doubt
	near     bool // kept, but not by much
	byChance bool // broken by so few that it is worth another try
	used     time.Duration
}

// ladder chooses the rates. It is pure: time is what the steps used.
type ladder struct {
	config   Config
	used     time.Duration
	climbing bool
	again    bool    // this climb step is the second at its rate
	rate     float64 // of the climb
	passed   float64 // highest rate that passed in the climb
	proven   float64 // highest rate that was proven
	refused  float64 // lowest rate that broke or could not be proven; +Inf: none
	broke    float64 // lowest rate that broke beyond doubt; +Inf: none
	doubted  float64 // lowest rate that broke in a discarded probe; +Inf: none
	failures int     // proofs that failed
}

func newLadder(c Config) *ladder {
	return &ladder{config: c, climbing: true, rate: min(c.Start, c.MaxRate), refused: math.Inf(1), broke: math.Inf(1), doubted: math.Inf(1)}
}

// next is the next step; false when the budget or the question is used up.
func (l *ladder) next() (Step, bool) {
	if l.climbing {
		if s := l.climb(); l.used+s.Duration <= share(l.config.Budget, climbShare) {
			return s, true
		}
		l.climbing = false
	}
	rate := l.candidate()
	left := l.config.Budget - l.used
	if rate <= 0 || left < l.shortest(rate) {
		return Step{}, false
	}
	d := min(left, max(l.shortest(rate), share(l.config.Budget, proofShare)))
	return Step{Rate: rate, Duration: d, Warmup: l.warmup(), Prove: true}, true
}

func (l *ladder) climb() Step {
	d := min(max(l.config.Budget/25, 1250*time.Millisecond), 8*time.Second)
	if l.again {
		d *= 2
	}
	return Step{Rate: l.rate, Duration: d, Warmup: d / 4}
}

func (l *ladder) warmup() time.Duration { return min(time.Second, l.config.Budget/40) }

// shortest is how long a proof takes when no request is bad.
func (l *ladder) shortest(rate float64) time.Duration {
	requests := float64(fewest)
	for _, b := range l.config.Objective.Latency {
		requests = max(requests, 1.05*(confidence*unseen/(1-b.Quantile)+every))
	}
	return l.warmup() + time.Duration(requests/rate*float64(time.Second))
}

// candidate is the next rate to prove, 0 when there is none worth it.
func (l *ladder) candidate() float64 {
	switch {
	case l.proven > 0:
		higher := min(l.proven*up, l.config.MaxRate)
		if higher >= 0.995*l.refused || higher <= l.proven {
			return 0
		}
		return higher
	case math.IsInf(l.refused, 1):
		return l.passed
	case l.passed == 0 && l.failures == 0:
		return l.refused * 0.6 // it broke where the search began: nothing is known below
	}
	return l.refused * l.back()
}

// back is how far to go below a rate that was refused. With little time left a
// rate further down is sooner proven than the best one.
func (l *ladder) back() float64 {
	short := float64(l.config.Budget-l.used) < effort*float64(l.shortest(l.refused))
	switch {
	case l.failures == 0 && short:
		return 0.75
	case l.failures == 0:
		return 0.82
	case short, l.failures > 3:
		return 0.85
	}
	return 0.92
}

// discard takes in a probe that says nothing, but for the time that it took.
func (l *ladder) discard(s Step, f finding) {
	l.used += f.used
	if f.verdict == broken {
		l.doubted = min(l.doubted, s.Rate)
	}
}

func (l *ladder) record(s Step, f finding) {
	l.used += f.used
	if f.surely {
		l.broke = min(l.broke, s.Rate)
	}
	switch {
	case s.Prove && f.verdict == kept:
		l.proven = max(l.proven, s.Rate)
	case s.Prove:
		l.failures++
		l.refused = min(l.refused, s.Rate)
	case f.verdict == kept:
		l.advance(f.near)
	case f.byChance && !l.again:
		l.again = true
	default:
		l.refused = min(l.refused, s.Rate)
		l.climbing = false
	}
}

func (l *ladder) advance(near bool) {
	l.again = false
	l.passed = l.rate
	factor := l.config.Factor
	if near {
		factor = min(factor, nearFactor)
	}
	l.climbing = l.rate < l.config.MaxRate
	l.rate = min(l.rate*factor, l.config.MaxRate)
}

func share(d time.Duration, of float64) time.Duration { return time.Duration(float64(d) * of) }
