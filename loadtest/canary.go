package loadtest

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	vegeta "github.com/tsenart/vegeta/v12/lib"

	"github.com/kongdao/kongdao/api"
	"github.com/kongdao/kongdao/loadtest/attack"
	"github.com/kongdao/kongdao/loadtest/report"
	"github.com/kongdao/kongdao/loadtest/scenario"
)

// CanaryAuto is a first phase as the scenario says, or where targets are other
// machines; see [scenario.Plan.CanaryPhase].
const CanaryAuto time.Duration = -1

// CanaryMark ends the id of a run on requests of its first phase, so that whoever
// counts the run's calls does not count these.
const CanaryMark = "-canary"

// stopCanary is what a result says of a run that has not begun.
const stopCanary = "canary"

// Tried is what one generator saw in the first phase.
type Tried struct {
	Stats attack.Stats
	Said  []string // a few errors, as texts
}

// CanaryPhase is how long the first phase of a run takes; 0: there is none.
func CanaryPhase(spec api.ScenarioSpec, o Options) (time.Duration, error) {
	plan, o, err := prepare(spec, o)
	if err != nil {
		return 0, err
	}
	return canaryPhase(plan, o), nil
}

func canaryPhase(p scenario.Plan, o Options) time.Duration {
	if o.Canary == CanaryAuto {
		return p.CanaryPhase()
	}
	return o.Canary
}

// Try carries out one share of the first phase, for [JudgeCanary].
func Try(ctx context.Context, spec api.ScenarioSpec, o Options, d time.Duration) (Tried, error) {
	plan, o, err := prepare(spec, o)
	if err != nil {
		return Tried{}, err
	}
	return try(ctx, plan, o, d, attack.NewMeter(o.Share.Bytes(plan.MaxBytes())))
}

func try(ctx context.Context, p scenario.Plan, o Options, d time.Duration, m *attack.Meter) (t Tried, err error) {
	first := p.Canary(d, o.Share.Of)
	c := attack.DefaultConfig()
	c.Run, c.Workers, c.Timeout, c.Duration, c.Series = o.Run+CanaryMark, max(1, o.Share.Part(first.Workers)), p.Timeout, d, len(p.Series)
	c.LateAfter, c.Meter = MaxLag, m
	sender, err := first.Sender(ctx, c.Run, o.Seed, o.Share, m)
	if err != nil {
		return t, fmt.Errorf("canary phase of load test %s: %w", o.Run, err)
	}
	hooks := attack.Hooks{Progress: o.Progress, Result: func(r *vegeta.Result) error {
		t.hear(r.Error)
		return nil
	}}
	a, err := attack.NewFor(c, o.Share.Pacer(first.Pacer()), sender, hooks)
	if err != nil {
		return t, errors.Join(err, sender.Close())
	}
	if t.Stats, err = a.Run(ctx); err != nil {
		return t, fmt.Errorf("canary phase of load test %s: %w", o.Run, err)
	}
	return t, nil
}

// mostSaid is how many different errors are told.
const mostSaid = 3

func (t *Tried) hear(text string) {
	if text != "" && len(t.Said) < mostSaid && !slices.Contains(t.Said, text) {
		t.Said = append(t.Said, text)
	}
}

// JudgeCanary says whether the run may begin. When it may not, the result is that of a
// run that has sent nothing; else nil is returned beside what was seen.
func JudgeCanary(spec api.ScenarioSpec, o Options, d time.Duration, all []Tried) (*report.Canary, *report.Result, error) {
	plan, o, err := prepare(spec, o)
	if err != nil {
		return nil, nil, err
	}
	seen, refused := judge(plan, o, d, all)
	return seen, refused, nil
}

func judge(p scenario.Plan, o Options, d time.Duration, all []Tried) (*report.Canary, *report.Result) {
	var parts []attack.Stats
	var said Tried
	for _, t := range all {
		parts = append(parts, t.Stats)
		for _, text := range t.Said {
			said.hear(text)
		}
	}
	s := attack.Join(parts...)
	first := p.Canary(d, max(1, len(all)))
	c := &report.Canary{
		Seconds: max(d, s.Sending).Seconds(), Rate: first.Rate, Sent: s.Sent,
		Latency: report.LatencyOf(s.Latency), Status: s.Status, Errors: s.Faults,
	}
	if s.Stopped != attack.StopPlan {
		c.Seconds = s.Sending.Seconds()
		c.Broken = doubts(s)
	} else {
		c.Broken = brokenAtOnce(p, s, uint64(first.Workers), said.Said)
	}
	if c.OK = len(c.Broken) == 0; c.OK {
		return c, nil
	}
	r := &report.Result{Run: o.Run, Scenario: o.Name, Started: s.Began, Seconds: c.Seconds, Stopped: stopCanary, Canary: c, BytesWire: s.Wire}
	if s.Stopped != attack.StopPlan {
		r.Stopped = string(s.Stopped)
	}
	for _, why := range c.Broken {
		r.InvalidReasons = append(r.InvalidReasons, "the canary phase, before the run: "+why)
	}
	if r.Stopped == stopCanary {
		r.InvalidReasons[len(r.InvalidReasons)-1] += "; the run was not begun (--canary-phase 0 begins without this phase)"
	}
	return c, r
}

// brokenAtOnce are the thresholds that so few requests have broken already, beyond
// chance, and that no request was answered well. The first request of each connection
// is slow by nature: as many slow ones as there are workers do not count.
func brokenAtOnce(p scenario.Plan, s attack.Stats, workers uint64, said []string) []string {
	whole := figures(s)
	n := s.Sent - s.Canceled
	if n == 0 {
		return nil
	}
	if good(whole) == 0 {
		text := fmt.Sprintf("none of %d requests was answered well: %s", n, answered(whole))
		for _, x := range said {
			text += "; " + x
		}
		return []string{text}
	}
	var broken []string
	for _, t := range p.Thresholds {
		r, s := chosen(t.Of, p, whole, s)
		if bad, of, allowed := against(t, r, s, workers); beyondChance(bad, of, allowed) {
			broken = append(broken, fmt.Sprintf("%s is broken already: %d of %d requests, %.4g %% may; %s, p50 %.1f ms, max %.1f ms",
				t, bad, of, 100*allowed, answered(r), 1000*r.Latency.P50, 1000*r.Latency.Max))
		}
	}
	return broken
}

func figures(s attack.Stats) report.Result {
	return report.Result{Sent: s.Sent, Canceled: s.Canceled, Status: s.Status, Errors: s.Faults, Latency: report.LatencyOf(s.Latency)}
}

func good(r report.Result) (n uint64) {
	for code, count := range r.Status {
		if code >= 200 && code < 400 {
			n += count
		}
	}
	return n
}

func answered(r report.Result) string {
	return report.Answers(r.Status, r.Errors)
}

// against counts the requests that a threshold is against, and the share of them that
// it allows. Thresholds that tell nothing of single requests allow all.
func against(t scenario.Threshold, r report.Result, s attack.Stats, workers uint64) (bad, of uint64, allowed float64) {
	of = r.Sent - r.Canceled
	below := t.Operator == "<" || t.Operator == "<="
	percent, latency := scenario.Percentile(t.Metric)
	if t.Metric == "max" {
		percent, latency = 100, true
	}
	switch {
	case t.Metric == "success" && !below:
		return of - min(of, good(r)), of, 1 - t.Value
	case t.Metric == "errors" && below:
		return of - min(of, good(r)), of, t.Value
	case latency && below:
		slow := slower(s.Latency, t.Value)
		return slow - min(slow, workers), of - min(of, workers), 1 - percent/100
	}
	return 0, of, 1
}

// slower counts latencies above a bound in seconds.
func slower(h *hdrhistogram.Histogram, bound float64) (n uint64) {
	for _, b := range h.Distribution() {
		if b.Count > 0 && float64(b.From)/1e6 > bound {
			n += uint64(b.Count)
		}
	}
	return n
}

// chance is how seldom a target that keeps its threshold may be refused.
const chance = 1e-3

// beyondChance tells whether k of n or more are next to impossible where each is bad
// with probability q; of a single one nothing is concluded.
//
//	P(X ≥ k) < 10⁻³ and k ≥ 2  with  X binomial of n and q
func beyondChance(k, n uint64, q float64) bool {
	if k < 2 || q >= 1 || float64(k) <= float64(n)*q {
		return false
	}
	if q <= 0 {
		return true
	}
	logOf := func(x uint64) float64 { v, _ := math.Lgamma(float64(x) + 1); return v }
	tail := 0.0
	for i := k; i <= n; i++ {
		tail += math.Exp(logOf(n) - logOf(i) - logOf(n-i) + float64(i)*math.Log(q) + float64(n-i)*math.Log1p(-q))
	}
	return tail < chance
}
