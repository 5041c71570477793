package loadtest

import (
	"maps"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/kongdao/kongdao/loadtest/attack"
	"github.com/kongdao/kongdao/loadtest/report"
	"github.com/kongdao/kongdao/loadtest/scenario"
)

// parts are the figures of each kind of request, when there are several.
func parts(p scenario.Plan, s attack.Stats) []report.Part {
	var all []report.Part
	for i, x := range s.Series {
		all = append(all, report.Part{
			Scenario: p.Series[i].Scenario, Target: p.Series[i].Target, Tags: p.Series[i].Tags,
			Sent: x.Sent, Latency: report.LatencyOf(x.Latency), Status: x.Status, Errors: x.Faults,
		})
	}
	return all
}

// chosen are the figures of the requests that a threshold is about. Figures that
// only the whole run has stay as they are.
func chosen(of scenario.Selector, p scenario.Plan, r report.Result, s attack.Stats) (report.Result, attack.Stats) {
	if of.All() || len(s.Series) == 0 { // one kind alone is the whole
		return r, s
	}
	sum := attack.Series{Status: map[int]uint64{}, Faults: map[string]uint64{}}
	for i, x := range s.Series {
		switch {
		case !of.Has(p.Series[i]):
		case sum.Latency == nil:
			sum = x
			sum.Status, sum.Faults = maps.Clone(x.Status), maps.Clone(x.Faults)
			sum.Latency = hdrhistogram.Import(x.Latency.Export())
		default:
			sum.Merge(x)
		}
	}
	s.Latency = sum.Latency
	r.Sent, r.Canceled, r.Dropped, r.Status, r.Errors = sum.Sent, sum.Canceled, 0, sum.Status, sum.Faults
	r.Latency = report.LatencyOf(sum.Latency)
	return r, s
}
