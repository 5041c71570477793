package loadtest

import (
	"math"
	"time"

	"github.com/kongdao/kongdao/loadtest/attack"
	"github.com/kongdao/kongdao/loadtest/report"
	"github.com/kongdao/kongdao/loadtest/scenario"
)

func summarise(p scenario.Plan, s attack.Stats) report.Result {
	// A run that was carried out lasted as long as planned even though its last
	// request was due a little earlier; a backlog makes it longer.
	whole := p.Duration()
	if s.Stopped != attack.StopPlan || whole == 0 { // recorded calls end when they end
		whole = s.Sending
	}
	r := report.Result{
		Started: s.Began, Seconds: max(whole, s.Sending).Seconds(), Stopped: string(s.Stopped),
		OfferedRate: rate(s.Planned, whole), AchievedRate: rate(s.Sent-s.Followed, max(whole, s.Sending)),
		Sent: s.Sent, Late: s.Late, Dropped: s.Dropped, Canceled: s.Canceled,
		Latency: report.LatencyOf(s.Latency), Status: s.Status, Errors: s.Faults,
		BytesIn: s.BytesIn, BytesOut: s.BytesOut, BytesWire: s.Wire, CPU: math.Round(s.CPU*1000) / 1000,
		Lag: report.Lag{
			P50: attack.Quantile(s.Lag, 50).Seconds(),
			P99: attack.Quantile(s.Lag, 99).Seconds(),
			Max: attack.Quantile(s.Lag, 100).Seconds(),
		},
	}
	r.Histogram = report.Encoded(s.Latency)
	r.Intervals = intervals(s.Intervals)
	r.Confidence = r.ConfidenceOf(s.Latency)
	r.InvalidReasons = doubts(s)
	r.Valid = len(r.InvalidReasons) == 0
	r.Parts = parts(p, s)
	var outcomes []report.ThresholdOutcome
	for _, t := range p.Thresholds {
		r, s := chosen(t.Of, p, r, s)
		measured := measure(t.Metric, r, s)
		outcome := report.ThresholdOutcome{Expr: t.String(), OK: t.Holds(measured)}
		if !math.IsNaN(measured) {
			outcome.Actual = measured
		}
		outcomes = append(outcomes, outcome)
	}
	r.Thresholds = outcomes
	return r
}

func rate(n uint64, d time.Duration) float64 {
	if d <= 0 {
		return 0
	}
	return math.Round(float64(n)/d.Seconds()*1000) / 1000
}

// measure is a threshold's figure in its unit; NaN when nothing was measured.
func measure(metric string, r report.Result, s attack.Stats) float64 {
	switch metric {
	case "achieved_rate":
		return r.AchievedRate
	case "offered_rate":
		return r.OfferedRate
	case "sent":
		return float64(r.Sent)
	case "late":
		return float64(r.Late)
	case "dropped":
		return float64(r.Dropped)
	}
	if s.Latency.TotalCount() == 0 {
		return math.NaN()
	}
	switch metric {
	case "success":
		return r.Success()
	case "errors":
		return 1 - r.Success()
	case "mean":
		return r.Latency.Mean
	case "max":
		return r.Latency.Max
	}
	if p, ok := scenario.Percentile(metric); ok {
		return attack.Quantile(s.Latency, p).Seconds()
	}
	return math.NaN()
}
