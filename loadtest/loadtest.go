// Package loadtest runs load tests: a scenario is checked and planned
// ([scenario]), carried out by a bounded generator that measures from planned
// times ([attack]), and reported ([report]).
//
// [Run] is the one way in. It reports a run as invalid when the generator itself
// may be what was measured:
//
//   - this process used more than MaxCPU of all cores;
//   - more than 1 % of the requests (and at least MinLagging) were sent over
//     MaxLag later than they could have been, which is "lag p99 > MaxLag". Lag is
//     the delay of the generator alone: from the planned time, or from the moment
//     a worker became free if that is later, to the sending. Waiting for a free
//     worker is the server's slowness, counts as latency, and is no lag;
//   - more than MaxDropped of the requests were due but never sent, so that the
//     offered load was not that of the plan;
//   - more than MaxDropped of them failed for want of file descriptors, local ports or
//     buffers of this machine, which the target has no part in;
//   - in more than MaxFull of its seconds it used all of its cores, or garbage collection
//     stopped it for more than MaxPaused of the time;
//   - the caller stopped it, or more bytes were received and sent than may be.
package loadtest

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"time"

	vegeta "github.com/tsenart/vegeta/v12/lib"

	"github.com/kongdao/kongdao/api"
	"github.com/kongdao/kongdao/loadtest/attack"
	"github.com/kongdao/kongdao/loadtest/report"
	"github.com/kongdao/kongdao/loadtest/scenario"
)

// Limits of the self-check.
const (
	MaxCPU     = 0.80                  // share of all cores; above it the generator queues for the CPU as its server does
	MaxLag     = 10 * time.Millisecond // a tenth of a typical objective
	MinLagging = 3                     // in short runs single hiccups of a shared machine are no verdict
	MaxDropped = 0.001                 // share of the requests that were due
	MaxFull    = 0.05                  // share of the intervals in which the process may use all of its cores
	MaxPaused  = 0.05                  // share of the time in which garbage collection may stop it; its pauses are lag, too
)

// Options are what a run needs besides its scenario. The zero value is a run on
// this machine alone that only returns its result.
type Options struct {
	Name   string          // of the scenario, for the report
	Run    string          // id of the run; empty: a new one
	Limits scenario.Limits // zero: scenario.DefaultLimits
	Files  scenario.Files  // what the scenario may read; zero: nothing
	Seed   uint64          // of Poisson arrivals and random values
	// Pacer replaces the scenario's stages as the source of planned times, so that
	// the rate may change while the run goes on; the stages still set its length
	// and its caps. nil: the stages.
	Pacer    vegeta.Pacer
	Observe  func(attack.Observation) (stop bool) // every request; see attack.Hooks
	Progress func(attack.Progress)                // once a second
	Results  io.Writer                            // single results in vegeta's gob encoding; nil: none
	Share    attack.Share                         // of the plan, for one of several generators; see Measure
	// Canary is how long the plan is tried out before the run, at a hundredth of its
	// highest rate: a target that does not answer well then is spared the run. 0: not at
	// all; see CanaryAuto.
	Canary time.Duration
	Begin  time.Time // not before; zero: at once
}

// NewRunID is a fresh id for a run.
func NewRunID() string {
	var b [6]byte
	_, _ = rand.Read(b[:]) // never fails
	return "lt-" + hex.EncodeToString(b[:])
}

// ErrInvalidScenario marks errors of the scenario, as against those of a run.
var ErrInvalidScenario = errors.New("invalid scenario")

// Run carries out a load test and waits for its end. Errors are those of the
// scenario (ErrInvalidScenario) and of writing results. A stopped, an invalid and a
// failed run are results, not errors.
func Run(ctx context.Context, spec api.ScenarioSpec, o Options) (report.Result, error) {
	plan, o, err := prepare(spec, o)
	if err != nil {
		return report.Result{}, err
	}
	var seen *report.Canary
	meter := attack.NewMeter(o.Share.Bytes(plan.MaxBytes()))
	if d := canaryPhase(plan, o); d > 0 {
		t, err := try(ctx, plan, o, d, meter)
		if err != nil {
			return report.Result{}, err
		}
		var refused *report.Result
		if seen, refused = judge(plan, o, d, []Tried{t}); refused != nil {
			return *refused, nil
		}
	}
	stats, err := carryOut(ctx, plan, o, meter)
	if err != nil {
		return report.Result{}, err
	}
	r := summarise(plan, stats)
	r.Run, r.Scenario, r.Canary = o.Run, o.Name, seen
	return r, nil
}

// prepare checks the scenario and fills in defaults.
func prepare(spec api.ScenarioSpec, o Options) (scenario.Plan, Options, error) {
	if o.Limits.MaxRate == 0 && o.Limits.MaxTotal == 0 {
		own := o.Limits
		o.Limits = scenario.DefaultLimits()
		o.Limits.Hosts, o.Limits.MaxBytes = own.Hosts, own.MaxBytes
	}
	if o.Run == "" {
		o.Run = NewRunID()
	}
	plan, err := scenario.NewIn(spec, shared(o.Limits, o.Share), o.Files)
	if err != nil {
		return plan, o, fmt.Errorf("%w: %w", ErrInvalidScenario, err)
	}
	return plan, o, nil
}

func carryOut(ctx context.Context, plan scenario.Plan, o Options, m *attack.Meter) (attack.Stats, error) {
	results := newWriter(o.Results)
	stats, err := start(ctx, plan, o, m, results)
	if err = errors.Join(err, results.flush()); err != nil {
		return stats, fmt.Errorf("load test %s: %w", o.Run, err)
	}
	return stats, nil
}

func start(ctx context.Context, p scenario.Plan, o Options, m *attack.Meter, results *writer) (attack.Stats, error) {
	c := attack.DefaultConfig()
	c.Run, c.Workers, c.Timeout, c.Duration, c.Series = o.Run, max(1, o.Share.Part(p.Workers)), p.Timeout, p.Duration(), len(p.Series)
	c.LateAfter, c.Meter = MaxLag, m
	pacer := o.Pacer
	if pacer == nil {
		pacer = p.Pacer(o.Seed)
	} else {
		pacer = &capped{Pacer: pacer, most: o.Limits.MaxTotal, gap: time.Duration(float64(time.Second) / o.Limits.MaxRate)}
	}
	pacer = o.Share.Pacer(pacer)
	hooks := attack.Hooks{Observe: o.Observe, Progress: o.Progress}
	if o.Results != nil {
		hooks.Result = results.write
	}
	sender, err := p.Sender(ctx, o.Run, o.Seed, o.Share, c.Meter)
	if err != nil {
		return attack.Stats{}, err
	}
	a, err := attack.NewFor(c, pacer, sender, hooks)
	if err != nil {
		return attack.Stats{}, errors.Join(err, sender.Close())
	}
	waitFor(ctx, o.Begin)
	return a.Run(ctx)
}

// capped holds a pacer from outside to the limits, which its rates are not
// checked against beforehand.
type capped struct {
	vegeta.Pacer
	most uint64
	gap  time.Duration // least time between two requests
}

func (c *capped) Pace(elapsed time.Duration, hits uint64) (time.Duration, bool) {
	if hits >= c.most {
		return 0, true
	}
	wait, stop := c.Pacer.Pace(elapsed, hits)
	return max(wait, c.gap), stop
}

// writer encodes single results; the buffer keeps a worker from waiting for the
// disk at each of them.
type writer struct {
	buffer *bufio.Writer
	encode vegeta.Encoder
}

func newWriter(w io.Writer) *writer {
	if w == nil {
		return &writer{}
	}
	b := bufio.NewWriterSize(w, 1<<16)
	return &writer{buffer: b, encode: vegeta.NewEncoder(b)}
}

func (w *writer) write(r *vegeta.Result) error { return w.encode(r) }

func (w *writer) flush() error {
	if w.buffer == nil {
		return nil
	}
	return w.buffer.Flush()
}
