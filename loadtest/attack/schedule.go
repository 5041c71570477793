package attack

import (
	"errors"
	"time"

	vegeta "github.com/tsenart/vegeta/v12/lib"
)

// maxBurst is how many requests a pacer may plan for one and the same moment. A
// pacer without any spacing ("as fast as possible") has no planned times to
// measure from.
const maxBurst = 100_000

var errNoSpacing = errors.New("pacer plans everything for one moment: an open load needs a rate")

// schedule asks the pacer for planned times. It lives in plan time, not in real
// time: the pacer is told that the last request went out when it was planned, so
// it never "catches up" and the plan does not depend on the server's speed.
type schedule struct {
	pacer   vegeta.Pacer
	streams Streams       // the pacer; nil: it has none
	end     time.Duration // 0: none
	at      time.Duration // planned time of the last request
	hits    uint64
	stream  int // of the last request; -1: the pacer has none
	burst   int
	ended   bool
	err     error
}

func newSchedule(p vegeta.Pacer, end time.Duration) *schedule {
	streams, _ := p.(Streams)
	return &schedule{pacer: p, streams: streams, end: end, stream: -1}
}

// next is the planned time of the next request, from the begin of the run.
func (s *schedule) next() (at time.Duration, ok bool) {
	if s.ended {
		return 0, false
	}
	wait, stop := s.pacer.Pace(s.at, s.hits)
	at = s.at + max(0, wait)
	if s.burst++; wait > 0 {
		s.burst = 0
	}
	if s.burst > maxBurst {
		s.err = errNoSpacing
	}
	if stop || s.err != nil || (s.end > 0 && at > s.end) {
		s.ended = true
		return 0, false
	}
	if s.streams != nil {
		s.stream = s.streams.Stream()
	}
	s.at = at
	s.hits++
	return at, true
}
