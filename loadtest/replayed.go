package loadtest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/kongdao/kongdao/loadtest/attack"
	"github.com/kongdao/kongdao/loadtest/replay"
	"github.com/kongdao/kongdao/loadtest/report"
	"github.com/kongdao/kongdao/loadtest/scenario"
)

// Replayed is what is wanted of a run of recorded calls.
type Replayed struct {
	Workers    int           // 0: scenario.DefaultWorkers
	Timeout    time.Duration // 0: scenario.DefaultTimeout
	Length     time.Duration // of the run, where it is known
	Thresholds []string
}

// Replay carries out a run of recorded calls, and closes them. Of the options it uses
// Name, Run, Limits, Observe, Progress and Results.
func Replay(ctx context.Context, calls *replay.Replay, target string, w Replayed, o Options) (report.Result, error) {
	plan, err := scenario.Recorded(target, w.Length, w.Workers, w.Timeout, w.Thresholds, o.Limits)
	if err != nil {
		return report.Result{}, errors.Join(fmt.Errorf("%w: %w", ErrInvalidScenario, err), calls.Close())
	}
	if o.Run == "" {
		o.Run = NewRunID()
	}
	c := attack.DefaultConfig()
	c.Run, c.Workers, c.Timeout, c.Duration, c.LateAfter = o.Run, plan.Workers, plan.Timeout, o.Limits.MaxDuration, MaxLag
	c.Meter = attack.NewMeter(o.Limits.Bytes())
	hooks := attack.Hooks{Progress: o.Progress}
	if o.Observe != nil {
		hooks.Observe = func(x attack.Observation) bool {
			stop := o.Observe(x)
			if stop {
				calls.Stop()
			}
			return stop
		}
	}
	results := newWriter(o.Results)
	if o.Results != nil {
		hooks.Result = results.write
	}
	a, err := attack.New(c, calls, calls.Target, hooks)
	if err != nil {
		return report.Result{}, errors.Join(err, calls.Close())
	}
	defer context.AfterFunc(ctx, calls.Stop)() // it may be waiting for a call
	stats, err := a.Run(ctx)
	if err = errors.Join(err, results.flush(), calls.Close()); err != nil {
		return report.Result{}, fmt.Errorf("load test %s: %w", o.Run, err)
	}
	r := summarise(plan, stats)
	r.Run, r.Scenario = o.Run, o.Name
	return r, nil
}
