package loadtest

import (
	"context"
	"fmt"
	"time"

	"github.com/kongdao/kongdao/api"
	"github.com/kongdao/kongdao/loadtest/attack"
	"github.com/kongdao/kongdao/loadtest/report"
	"github.com/kongdao/kongdao/loadtest/scenario"
)

// Check says whether Measure would carry the scenario out.
func Check(spec api.ScenarioSpec, o Options) error {
	_, _, err := prepare(spec, o)
	return err
}

// Measure carries out one share of a scenario, for [Join]. Limits are those of the
// share: of several generators each may have so much.
func Measure(ctx context.Context, spec api.ScenarioSpec, o Options) (attack.Stats, error) {
	plan, o, err := prepare(spec, o)
	if err != nil {
		return attack.Stats{}, err
	}
	return carryOut(ctx, plan, o, attack.NewMeter(o.Share.Bytes(plan.MaxBytes())))
}

// Part is what one generator measured.
type Part struct {
	Agent report.Agent // name and clock
	Stats attack.Stats
}

// Join is the result of a scenario that several generators have shared. It is invalid
// when one of them is, or when others are missing: lost says why.
func Join(spec api.ScenarioSpec, o Options, parts []Part, lost []string) (report.Result, error) {
	o.Share = attack.Share{Of: max(1, len(parts))}
	plan, o, err := prepare(spec, o)
	if err != nil {
		return report.Result{}, err
	}
	all := make([]attack.Stats, len(parts))
	for i, p := range parts {
		all[i] = p.Stats
	}
	r := summarise(plan, attack.Join(all...))
	r.Run, r.Scenario = o.Run, o.Name
	r.InvalidReasons = lost
	for _, p := range parts {
		reasons := doubts(p.Stats)
		for _, reason := range reasons {
			r.InvalidReasons = append(r.InvalidReasons, fmt.Sprintf("agent %s: %s", p.Agent.Name, reason))
		}
		a := p.Agent
		a.Valid, a.Sent, a.CPU, a.LagP99 = len(reasons) == 0, p.Stats.Sent, p.Stats.CPU, attack.Quantile(p.Stats.Lag, 99).Seconds()
		a.Rate = rate(p.Stats.Sent, max(p.Stats.Sending, plan.Duration()))
		r.Agents = append(r.Agents, a)
	}
	r.Valid = len(r.InvalidReasons) == 0
	return r, nil
}

// shared are limits of as many generators as share the plan.
// But for bytes, of which there is one cap for all of them.
func shared(l scenario.Limits, s attack.Share) scenario.Limits {
	if !s.Whole() {
		l.MaxRate, l.MaxTotal, l.MaxInFlight = l.MaxRate*float64(s.Of), l.MaxTotal*uint64(s.Of), l.MaxInFlight*s.Of
	}
	return l
}

func waitFor(ctx context.Context, begin time.Time) {
	if begin.IsZero() {
		return
	}
	timer := time.NewTimer(time.Until(begin))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
