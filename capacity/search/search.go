package search

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"
)

// Config says what is searched for and at what cost.
type Config struct {
	Objective Objective
	Start     float64       // first rate, requests a second; 0: EarlierShare of Earlier
	Earlier   float64       // safe rate of an earlier search, where this one ends as soon as it confirms it; 0: none
	Factor    float64       // step of the climb
	MaxRate   float64       // never tried beyond, requests a second
	Budget    time.Duration // time under load
	MaxBroken int           // requests that may break the objective on the way; the search ends then
}

// DefaultConfig is five minutes and steps of a fifth. Objective, and Start or
// Earlier, are still to be set.
func DefaultConfig() Config {
	return Config{Factor: 1.2, MaxRate: 20_000, Budget: 5 * time.Minute, MaxBroken: 290}
}

// minBudget is about the least in which a rate of 100/s can be proven for a p99.
const minBudget = 20 * time.Second

// Validate reports every field that is wrong.
func (c Config) Validate() error {
	errs := []error{c.Objective.Validate()}
	check := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	check(c.Start > 0 || c.Start == 0 && c.Earlier > 0, "start: give a first rate above 0, or an earlier result")
	check(c.Earlier >= 0, "earlier: must not be negative")
	check(c.Factor > 1.01 && c.Factor <= 2, "factor: %g is not above 1.01 and up to 2: the peak is this far above the limit", c.Factor)
	check(c.MaxRate > 0, "maxRate: must be above 0")
	check(c.MaxBroken >= 50, "maxBroken: %d is below 50, with which no limit can be told", c.MaxBroken)
	check(c.Budget >= minBudget, "budget: %v is below %v, in which nothing can be proven", c.Budget, minBudget)
	return errors.Join(errs...)
}

// Probe offers rate requests a second to one pod for d, open loop and best with
// Poisson arrivals, and reports each request to observe as it ends: its latency
// from the planned time, and whether it was answered well (5xx, timeouts, refusals
// and requests that could not be sent were not). It ends early when observe answers
// true. observe is called by one goroutine at a time.
type Probe func(ctx context.Context, rate float64, d time.Duration, observe func(latency time.Duration, ok bool) (stop bool)) (Outcome, error)

// Outcome is what a probe says about itself.
type Outcome struct {
	Elapsed time.Duration // time under load; 0: all that was asked for
	// Invalid says why the generator, not the pod, may be what was measured; empty: it
	// was the pod. It is taken for a fault that makes latencies longer, as lag and a
	// lack of CPU do, so that such a probe may still show that the objective is kept,
	// but not that it is broken.
	Invalid string
	Limited int // requests that a rate limit refused

	// Rate is the rate that the pod really had, requests a second, where a probe cannot
	// choose it exactly; 0: what was asked for.
	Rate float64
	// Broke says why the rate is too high although the pod's requests do not show it,
	// such as that others suffer from it; empty: they tell.
	Broke string
}

// ErrLimited means that a rate limit stood before the pod: what would be measured
// is the limit.
var ErrLimited = errors.New("requests were refused by a rate limit: lift it for the search, or lower the highest rate")

// maxStarved is how many probes may go without requests before the search ends.
const maxStarved = 3

// Run searches with probe. report, if not nil, gets every step when it has ended.
// Together with an error it returns what was found so far. When ctx has ended that is
// concluded from, with a warning; after other errors it is not.
func Run(ctx context.Context, c Config, probe Probe, report func(StepResult)) (Result, error) {
	if c.Start == 0 {
		c.Start = c.First()
	}
	if err := c.Validate(); err != nil {
		return Result{}, err
	}
	c.Objective.Latency = slices.SortedFunc(slices.Values(c.Objective.Latency), func(a, b Bound) int { return cmp.Compare(a.Quantile, b.Quantile) })
	x := &run{config: c, ladder: newLadder(c), knowledge: newKnowledge(c.Objective)}
	for {
		s, ok := x.ladder.next(x.estimate)
		if !ok {
			break
		}
		if err := x.step(ctx, s, probe); err != nil {
			if ctx.Err() != nil {
				x.result.Warnings = append(x.result.Warnings, fmt.Sprintf("ended early, after %.0f s of %v", x.result.Load, c.Budget))
				x.conclude()
			}
			return x.result, fmt.Errorf("probe at %.1f/s: %w", s.Rate, err)
		}
		x.tell(report)
		if x.starved > maxStarved {
			x.result.Warnings = append(x.result.Warnings, "ended early: the generator did not send what was asked for")
			break
		}
	}
	x.conclude()
	return x.result, nil
}

func (x *run) conclude() {
	e := x.estimate()
	if !x.ladder.confirmed {
		e.Low *= 1 - unconfirmed
	}
	if x.disturbed != "" {
		e.Low *= 1 - unconfirmed
		x.result.Warnings = append(x.result.Warnings, "the generator disturbed itself, so the limit may be higher: "+x.disturbed)
	}
	x.result.conclude(x.config, x.ladder, e)
	x.result.scale()
}

// run drives the ladder with real probes.
type run struct {
	config  Config
	ladder  *ladder
	result  Result
	starved int

	knowledge *knowledge
	known     *Estimate // after the last step; nil: not asked for yet
	doubts    []doubt
	flooded   bool // the last probe broke beyond doubt

	doubted   float64 // rate of the last step that was made again
	disturbed string  // why, the last time
}

// estimate is what is known after the last step.
func (x *run) estimate() Estimate {
	if x.known == nil {
		ended := x.ladder.refused
		if x.ladder.nothing() {
			ended = math.Inf(1)
		}
		e := x.knowledge.estimate(ended)
		x.known = &e
	}
	return *x.known
}

func (x *run) step(ctx context.Context, s Step, probe Probe) error {
	x.known = nil
	if err := x.drain(ctx, s, probe); err != nil {
		return err
	}
	j, m := newJudge(x.config.Objective, s), newMeter(s.Rate)
	o, err := probe(ctx, s.Rate, s.Duration, m.around(j.observe))
	if err = cmp.Or(err, ctx.Err()); err != nil {
		return err
	}
	if o.Limited > 0 {
		return fmt.Errorf("%d %w", o.Limited, ErrLimited)
	}
	if o.Elapsed <= 0 {
		o.Elapsed = s.Duration
	}
	when := (x.ladder.used + o.Elapsed/2).Seconds() / x.config.Budget.Seconds()
	if o.Rate > 0 {
		s.Rate = o.Rate
	}
	f := finding{verdict: j.verdict(), surely: j.surelyBroken(), held: !j.surelyBroken() && !j.any((*criterion).exceeded), near: j.near(), byChance: j.byChance(), used: o.Elapsed, broke: j.broke, seen: j.seen}
	if o.Broke != "" {
		f.verdict, f.held, f.byChance = broken, false, false
		x.result.Warnings = append(x.result.Warnings, fmt.Sprintf("at %.1f/s %s", s.Rate, o.Broke))
	}
	invalid := x.invalid(s, j, o, f)
	x.flooded = f.surely
	x.add(s, j, o, f, invalid)
	x.result.Steps[len(x.result.Steps)-1].Seen = m.seen(o.Elapsed, s.Duration)
	if len(x.result.Steps) == 1 {
		x.result.Notes = append(x.result.Notes, m.cold(s.Rate))
	}
	if invalid != "" {
		x.ladder.discard(s, f)
		x.doubt(s.Rate, when, j)
		return nil
	}
	if o.Invalid != "" { // broken for the second time: take it as that, but not as certain
		f.surely, f.byChance = false, false
	}
	x.knowledge.add(s.Rate, when, j)
	x.ladder.record(s, f)
	return nil
}

// doubt puts a discarded probe aside. One says nothing; of several, to count those that
// were kept alone would turn luck into a promise.
func (x *run) doubt(rate, when float64, j *judge) {
	x.doubts = append(x.doubts, doubt{rate, when, j})
	if len(x.doubts) == 1 {
		return
	}
	for _, d := range x.doubts {
		if d.judge != nil {
			x.knowledge.add(d.rate, d.when, d.judge)
		}
	}
	x.doubts = []doubt{{}} // the next one is not the first
}

// doubt is a probe that was discarded.
type doubt struct {
	rate, when float64
	judge      *judge
}

// drain gives the pod a second of little load after a probe that broke it, so that
// what is left of that is not taken for the next rate's.
func (x *run) drain(ctx context.Context, s Step, probe Probe) error {
	if !x.flooded {
		return nil
	}
	x.flooded = false
	broke, n := 0, 0
	o, err := probe(ctx, drainShare*s.Rate, time.Second, func(latency time.Duration, ok bool) bool {
		n++
		if x.config.Objective.breaks(latency, ok) {
			broke++
		}
		return false
	})
	if err = cmp.Or(err, ctx.Err()); err != nil {
		return err
	}
	x.result.Requests += n
	x.result.Broke += broke
	x.result.Load += o.Elapsed.Seconds()
	x.ladder.used += o.Elapsed
	x.ladder.harmed += broke
	return nil
}

// drainShare is the rate of that second, as a part of the next probe's.
const drainShare = 0.3

// invalid says why a probe is discarded, empty when it counts. A probe that broke the
// objective while the generator disturbed itself is made again once; to go on until
// one is kept would turn luck into a promise.
func (x *run) invalid(s Step, j *judge, o Outcome, f finding) string {
	switch {
	case f.verdict == kept && float64(j.seen) < 0.5*s.Rate*o.Elapsed.Seconds():
		x.starved++
		return fmt.Sprintf("only %d requests in %v", j.seen, o.Elapsed.Round(time.Millisecond))
	case f.verdict == broken && o.Invalid != "":
		x.disturbed = o.Invalid
		if x.doubted != s.Rate {
			x.doubted = s.Rate
			return o.Invalid
		}
	}
	return ""
}

func (x *run) add(s Step, j *judge, o Outcome, f finding, invalid string) {
	r := &x.result
	r.Requests += j.seen
	r.Broke += j.broke
	r.Load += o.Elapsed.Seconds()
	r.Peak = max(r.Peak, math.Round(s.Rate*10)/10)
	r.Steps = append(r.Steps, StepResult{
		Rate: s.Rate, Seconds: o.Elapsed.Seconds(), Requests: j.seen, Broke: j.broke,
		Proof: s.Prove, Kept: f.verdict == kept && invalid == "", Invalid: invalid,
	})
}

// tell reports the last step with what is known after it.
func (x *run) tell(report func(StepResult)) {
	s := &x.result.Steps[len(x.result.Steps)-1]
	e := x.estimate()
	s.Estimate, s.Low = round(e.Rate), round(e.Low)
	if report != nil {
		report(*s)
	}
}
