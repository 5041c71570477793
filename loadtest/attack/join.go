package attack

import (
	"cmp"
	"maps"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/kongdao/kongdao/loadtest/sketch"
)

// Join makes one run of the shares of several generators. Histograms are merged, so
// percentiles are those of all requests: a mean of percentiles is none. What
// generators say of themselves is that of the one that was worst off.
func Join(all ...Stats) Stats {
	t := Stats{
		Status: map[int]uint64{}, Faults: map[string]uint64{},
		Latency: hdrhistogram.New(1, highest, 3), Lag: hdrhistogram.New(1, highest, 3),
	}
	for _, s := range all {
		if t.Began.IsZero() || s.Began.Before(t.Began) {
			t.Began = s.Began
		}
		t.Sending, t.CPU = max(t.Sending, s.Sending), max(t.CPU, s.CPU)
		t.Planned, t.Sent, t.Followed = t.Planned+s.Planned, t.Sent+s.Sent, t.Followed+s.Followed
		t.Late, t.Lagging, t.Dropped, t.Canceled = t.Late+s.Late, t.Lagging+s.Lagging, t.Dropped+s.Dropped, t.Canceled+s.Canceled
		t.BytesIn, t.BytesOut = t.BytesIn+s.BytesIn, t.BytesOut+s.BytesOut
		t.Wire, t.MostWire = t.Wire+s.Wire, t.MostWire+s.MostWire
		add(t.Status, s.Status)
		add(t.Faults, s.Faults)
		t.Latency.Merge(s.Latency)
		t.Lag.Merge(s.Lag)
		t.Stopped = cmp.Or(t.Stopped, s.Stopped)
		t.joinSeries(s.Series)
		t.joinIntervals(s.Intervals)
	}
	return t
}

func add[K comparable](to, from map[K]uint64) {
	for k, n := range from {
		to[k] += n
	}
}

func (t *Stats) joinSeries(more []Series) {
	for i, s := range more {
		if i == len(t.Series) {
			s.Status, s.Faults, s.Latency = maps.Clone(s.Status), maps.Clone(s.Faults), hdrhistogram.Import(s.Latency.Export())
			t.Series = append(t.Series, s)
			continue
		}
		t.Series[i].Merge(s)
	}
}

func (t *Stats) joinIntervals(more []Interval) {
	for i, v := range more {
		if i == len(t.Intervals) {
			t.Intervals = append(t.Intervals, v)
			continue
		}
		to := &t.Intervals[i]
		to.Planned, to.Sent, to.Late, to.Lagging = to.Planned+v.Planned, to.Sent+v.Sent, to.Late+v.Late, to.Lagging+v.Lagging
		to.Dropped, to.Failed, to.Own, to.Good = to.Dropped+v.Dropped, to.Failed+v.Failed, to.Own+v.Own, to.Good+v.Good
		to.Latency, to.Lag = sketch.Merge(to.Latency, v.Latency), sketch.Merge(to.Lag, v.Lag)
		a, b := to.Self, v.Self
		to.Self = Self{
			CPU: max(a.CPU, b.CPU), Core: max(a.Core, b.Core), Cores: max(a.Cores, b.Cores),
			Waited: max(a.Waited, b.Waited), Paused: max(a.Paused, b.Paused), Longest: max(a.Longest, b.Longest),
		}
	}
}
