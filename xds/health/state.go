package health

import "time"

// requeryAfter is the pause after a ready target refused a connection: long
// enough for a process that merely swaps its listener, short enough to see a dead
// zone early.
const requeryAfter = 50 * time.Millisecond

// result is what one probe found.
type result int

const (
	passed  result = iota
	refused        // nobody listens
	timeout        // no answer in time
	failed         // anything else, such as a status other than 200
)

func (r result) String() string {
	return [...]string{"passed", "refused", "timeout", "failed"}[r]
}

// state is what is known of one target.
type state struct {
	ready     bool
	asked     bool // at least once
	successes int  // in a row
	failures  int  // in a row
	refusals  int  // in a row
}

// newState is that of a target nobody has asked yet.
func newState() state { return state{ready: true} }

// observe takes one result in and returns when to ask again.
func (s *state) observe(r result, cfg Config) (again time.Duration) {
	first := !s.asked
	s.asked = true
	if r == passed {
		s.successes, s.failures, s.refusals = s.successes+1, 0, 0
		s.ready = s.ready || s.successes >= cfg.Healthy
		return cfg.Interval.Std()
	}
	s.successes, s.failures = 0, s.failures+1
	if r == refused {
		s.refusals++
	} else {
		s.refusals = 0
	}
	if s.failures >= cfg.Unhealthy || s.refusals >= 2 || first && r == refused {
		s.ready = false
	}
	if s.ready && r == refused {
		return min(requeryAfter, cfg.Interval.Std())
	}
	return cfg.Interval.Std()
}
