package attack

import (
	"time"

	vegeta "github.com/tsenart/vegeta/v12/lib"
)

// Stream is one plan of several that are carried out together.
type Stream struct {
	Pacer vegeta.Pacer
	After time.Duration // its begin, from the begin of the run
	End   time.Duration // of its plan, from its own begin; 0: when the pacer stops
}

// Merged is a pacer for several streams: their requests in the order of their
// planned times, each of them exactly when its own pacer says. Of requests for the
// same moment that of the first stream comes first. It serves one run.
type Merged struct {
	streams []*schedule
	after   []time.Duration
	next    []time.Duration // planned time of each stream's next request, from the begin of the run
	done    []bool
	taken   uint64 // requests that were planned
	at      time.Duration
	last    int
}

var _ Streams = (*Merged)(nil)

// Merge returns a pacer for one run; it must not be shared by two.
func Merge(streams ...Stream) *Merged {
	m := &Merged{}
	for i, s := range streams {
		m.streams = append(m.streams, newSchedule(s.Pacer, s.End))
		m.after, m.next, m.done = append(m.after, s.After), append(m.next, 0), append(m.done, false)
		m.advance(i)
	}
	return m
}

func (m *Merged) advance(i int) {
	at, ok := m.streams[i].next()
	m.next[i], m.done[i] = m.after[i]+at, !ok
}

// Pace is the wait from elapsed to the planned time of the next request.
func (m *Merged) Pace(elapsed time.Duration, hits uint64) (wait time.Duration, stop bool) {
	for ; m.taken <= hits; m.taken++ {
		i := m.earliest()
		if i < 0 {
			return 0, true
		}
		m.last, m.at = i, m.next[i]
		m.advance(i)
	}
	return max(0, m.at-elapsed), false
}

func (m *Merged) earliest() int {
	best := -1
	for i := range m.streams {
		if !m.done[i] && (best < 0 || m.next[i] < m.next[best]) {
			best = i
		}
	}
	return best
}

// Rate is the sum of the streams' rates after elapsed, requests a second.
func (m *Merged) Rate(elapsed time.Duration) float64 {
	sum := 0.0
	for i, s := range m.streams {
		own := elapsed - m.after[i]
		if own >= 0 && (s.end == 0 || own <= s.end) {
			sum += s.pacer.Rate(own)
		}
	}
	return sum
}

// Stream is the one that the last request that Pace planned belongs to, from 0.
func (m *Merged) Stream() int { return m.last }
