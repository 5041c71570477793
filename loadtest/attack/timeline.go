package attack

import (
	"sync/atomic"
	"time"

	"github.com/kongdao/kongdao/loadtest/sketch"
)

// Interval is a stretch of a run. Requests belong to the interval in which they were
// due, but for what is said to have been sent in it.
type Interval struct {
	At, Length time.Duration // its begin, from the begin of the run
	Planned    uint64        // requests that were due in it
	Sent       uint64        // requests that were sent in it, whenever they were due
	Late       uint64
	Lagging    uint64 // sent in it
	Dropped    uint64
	Failed     uint64        // without a whole answer, or answered with 500 and above
	Own        uint64        // failed for want of the generator's own means; part of Failed
	Good       uint64        // answered with 200 to 399
	Latency    sketch.Sketch // from planned times; canceled and dropped ones are left out
	Lag        sketch.Sketch // of requests that were sent in it
	Self       Self
}

// Lengths of intervals: a run has about twenty at least, so that they can be compared
// with each other, and six hundred at most, so that they take 10 MB.
const (
	leastIntervals, mostIntervals = 20, 600
	shortest                      = 100 * time.Millisecond
	endless                       = 10 * time.Hour // of a run without a planned end: what is later counts for the last interval
)

// IntervalOf is the length of the intervals of a run; 0 is a run without a planned end.
func IntervalOf(run time.Duration) time.Duration {
	switch {
	case run <= 0 || (run > leastIntervals*time.Second && run <= mostIntervals*time.Second):
		return time.Second
	case run <= leastIntervals*time.Second:
		return max(shortest, roundUp(run/leastIntervals, shortest))
	}
	return roundUp(run/mostIntervals, time.Second)
}

func roundUp(d, unit time.Duration) time.Duration { return (d + unit - 1) / unit * unit }

// timeline counts a run by intervals. Workers add without waiting for each other.
type timeline struct {
	length time.Duration
	slots  []atomic.Pointer[slot]
}

type slot struct {
	planned, sent, late, lagging, dropped, failed, own, good atomic.Uint64
	latency, lag                                             *sketch.Recorder
	self                                                     Self // by watch alone
}

func newTimeline(run, maxBehind time.Duration) *timeline {
	t := &timeline{length: IntervalOf(run)}
	if run <= 0 {
		run = endless
	}
	t.slots = make([]atomic.Pointer[slot], (run+maxBehind)/t.length+2)
	return t
}

func (t *timeline) at(d time.Duration) *slot {
	p := &t.slots[max(0, min(int(d/t.length), len(t.slots)-1))]
	if s := p.Load(); s != nil {
		return s
	}
	p.CompareAndSwap(nil, &slot{latency: sketch.NewRecorder(), lag: sketch.NewRecorder()})
	return p.Load()
}

// add counts a request that was sent.
func (t *timeline) add(c Config, d due, sent, latency time.Duration, r Reply) {
	s := t.at(d.planned)
	s.planned.Add(1)
	at := t.at(sent)
	at.sent.Add(1)
	if !d.follows {
		at.lag.Add(d.lag)
		if sent-d.planned > c.LateAfter {
			s.late.Add(1)
		}
	}
	if d.lag > c.LateAfter {
		at.lagging.Add(1)
	}
	if r.Fault == KindCanceled {
		return
	}
	s.latency.Add(latency)
	switch {
	case r.Fault != "" || r.Status >= 500:
		s.failed.Add(1)
	case r.Status >= 200 && r.Status < 400:
		s.good.Add(1)
	}
	if OwnFault(r.Fault) {
		s.own.Add(1)
	}
}

// drop counts a request that was never sent.
func (t *timeline) drop(planned time.Duration) {
	s := t.at(planned)
	s.planned.Add(1)
	s.dropped.Add(1)
}

// intervals are all up to the last in which something happened.
func (t *timeline) intervals() []Interval {
	var all []Interval
	last := 0
	for i := range t.slots {
		v := Interval{At: time.Duration(i) * t.length, Length: t.length}
		if s := t.slots[i].Load(); s != nil {
			v.Planned, v.Sent, v.Late, v.Lagging = s.planned.Load(), s.sent.Load(), s.late.Load(), s.lagging.Load()
			v.Dropped, v.Failed, v.Own, v.Good = s.dropped.Load(), s.failed.Load(), s.own.Load(), s.good.Load()
			v.Latency, v.Lag, v.Self = s.latency.Sketch(), s.lag.Sketch(), s.self
			if v.Planned+v.Sent > 0 {
				last = i + 1
			}
		}
		all = append(all, v)
	}
	return all[:last]
}

// describe adds what was seen in the interval that has ended last.
func (t *timeline) describe(p *Progress) {
	i := int(p.Elapsed/t.length) - 1
	if i < 0 || i >= len(t.slots) {
		return
	}
	s := t.slots[i].Load()
	if s == nil {
		return
	}
	p.Planned = float64(s.planned.Load()) / t.length.Seconds()
	latency := s.latency.Sketch()
	p.NowP50, p.NowP99, p.NowLagP99 = latency.Quantile(0.5), latency.Quantile(0.99), s.lag.Sketch().Quantile(0.99)
}
