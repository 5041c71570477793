package attack

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"time"
)

// Stage is a stretch of the plan whose rate goes in a straight line from From to
// To, requests a second, and swings around it.
type Stage struct {
	From, To float64
	Duration time.Duration
	Swing    Swing
}

// Stages is a pacer that plans request n, counted from 0, for the time at which
// n requests are due:
//
//	H(t) = Σ over whole stages H(D)  +  From·x + (To−From)/(2·D)·x² + swing(x)
//
//	where  x  seconds since the current stage began
//	       D  duration of that stage, seconds
//
//	rate
//	 To ┤          ╭────────
//	    │       ╭──╯
//	From┤───────╯
//	    └──────────────────▶ t
//
// The first request is due at once and the last before the end, so a constant
// stage of rate r over D seconds has exactly r·D requests (rounded up). A plan is
// a pure function of n: it does not drift, and it stops by itself.
type Stages []Stage

// Constant is a plan of one rate, requests a second.
func Constant(rate float64, d time.Duration) Stages {
	return Stages{{From: rate, To: rate, Duration: d}}
}

// Validate reports every stage that cannot be planned.
func (ss Stages) Validate() error {
	var errs []error
	if len(ss) == 0 {
		errs = append(errs, errors.New("stages: must not be empty"))
	}
	for i, s := range ss {
		if s.Duration <= 0 {
			errs = append(errs, fmt.Errorf("stages[%d].duration: must be above 0", i))
		}
		for _, rate := range []float64{s.From, s.To} {
			if rate < 0 || math.IsNaN(rate) || math.IsInf(rate, 0) {
				errs = append(errs, fmt.Errorf("stages[%d]: rate %v must be a number, 0 or above", i, rate))
				break
			}
		}
		if err := s.Swing.validate(min(s.From, s.To)); err != nil {
			errs = append(errs, fmt.Errorf("stages[%d]: %w", i, err))
		}
	}
	if len(errs) == 0 && ss.Total() == 0 {
		errs = append(errs, errors.New("stages: plan no request at all"))
	}
	return errors.Join(errs...)
}

// Duration is the length of the plan.
func (ss Stages) Duration() time.Duration {
	var d time.Duration
	for _, s := range ss {
		d += s.Duration
	}
	return d
}

// Total is the number of requests in the plan.
func (ss Stages) Total() uint64 { return roundedUp(ss.due(ss.Duration())) }

// MaxRate is the highest rate of the plan, requests a second.
func (ss Stages) MaxRate() float64 {
	highest := 0.0
	for _, s := range ss {
		highest = max(highest, max(s.From, s.To)+s.Swing.Amplitude)
	}
	return highest
}

// Pace is the wait from elapsed to the planned time of the next request.
func (ss Stages) Pace(elapsed time.Duration, hits uint64) (wait time.Duration, stop bool) {
	if hits >= ss.Total() {
		return 0, true
	}
	return max(0, ss.at(float64(hits))-elapsed), false
}

// Rate is the planned rate after elapsed, requests a second; 0 after the end.
func (ss Stages) Rate(elapsed time.Duration) float64 {
	for _, s := range ss {
		if elapsed < s.Duration {
			return s.From + (s.To-s.From)*elapsed.Seconds()/s.Duration.Seconds() + s.Swing.rate(elapsed.Seconds())
		}
		elapsed -= s.Duration
	}
	return 0
}

// due is H(t).
func (ss Stages) due(t time.Duration) float64 {
	sum := 0.0
	for _, s := range ss {
		if t < s.Duration {
			return sum + s.due(t.Seconds())
		}
		sum += s.hits()
		t -= s.Duration
	}
	return sum
}

func (s Stage) hits() float64 {
	return (s.From+s.To)/2*s.Duration.Seconds() + s.Swing.due(s.Duration.Seconds())
}

// due is H within the stage, x seconds after its begin.
func (s Stage) due(x float64) float64 {
	return s.From*x + (s.To-s.From)/(2*s.Duration.Seconds())*x*x + s.Swing.due(x)
}

// at is the inverse of H: when n requests are due.
func (ss Stages) at(n float64) time.Duration {
	var begin time.Duration
	for i, s := range ss {
		last := i == len(ss)-1
		if hits := s.hits(); hits > 0 && (n < hits || last) {
			return begin + s.at(min(n, hits))
		}
		n -= s.hits()
		begin += s.Duration
	}
	return begin
}

// at solves From·x + k·x² = n for x. The form 2n/(From+√(From²+4kn)) stays exact
// when k is tiny.
func (s Stage) at(n float64) time.Duration {
	if n <= 0 {
		return 0
	}
	if s.Swing.Amplitude != 0 {
		return s.bisect(n)
	}
	k := (s.To - s.From) / (2 * s.Duration.Seconds())
	x := 2 * n / (s.From + math.Sqrt(max(0, s.From*s.From+4*k*n)))
	return min(s.Duration, time.Duration(x*float64(time.Second)))
}

// roundedUp forgives the rounding errors of floating point.
func roundedUp(hits float64) uint64 { return uint64(math.Ceil(hits - 1e-6)) }

// Poisson is a plan with the rates of Stages in which requests arrive at random,
// independently of each other, as those of many users do. The number of requests
// varies by about its square root. The same seed gives the same plan.
//
// It turns a Poisson process of rate 1 into one of rate H'(t) by the change of
// time t = H⁻¹(E), E being a sum of exponential gaps with mean 1.
type Poisson struct {
	stages Stages
	random *rand.Rand
	due    float64 // E
	hits   uint64  // requests that due is for
}

// NewPoisson returns a pacer for one run; it must not be shared by two.
func NewPoisson(stages Stages, seed uint64) *Poisson {
	return &Poisson{stages: stages, random: rand.New(rand.NewPCG(seed, 0x6b6f6e67))}
}

// Pace is the wait from elapsed to the planned time of the next request.
func (p *Poisson) Pace(elapsed time.Duration, hits uint64) (wait time.Duration, stop bool) {
	for ; p.hits <= hits; p.hits++ {
		p.due += p.random.ExpFloat64()
	}
	if p.due >= p.stages.due(p.stages.Duration()) {
		return 0, true
	}
	return max(0, p.stages.at(p.due)-elapsed), false
}

// Rate is the mean rate after elapsed, requests a second.
func (p *Poisson) Rate(elapsed time.Duration) float64 { return p.stages.Rate(elapsed) }
