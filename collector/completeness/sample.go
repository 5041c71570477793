package completeness

import "time"

// Sample is what a gateway counted up to one moment.
type Sample struct {
	Gateway, Zone string
	Time          time.Time     // of the gateway's clock, no later than the counters were read
	Took          time.Duration // after Time the counters had been read for sure
	Total         uint64        // requests that it began since it was started
	Active        uint64        // of these, requests in flight
	Dropped       uint64        // log entries that it says it dropped
	Uptime        time.Duration // since it was started, in whole seconds
	Process       int           // of the gateway, where that is known; another one begins to count at zero
	Ended         time.Time     // when the process before this one ended, where that is known
}

// completed is how many requests ended, and were or will be in the log.
func (s Sample) completed() int64 { return int64(s.Total) - int64(s.Active) }

// restarted tells whether the gateway was started again between two samples.
func (s Sample) restarted(before Sample) bool {
	if s.Process != 0 && before.Process != 0 {
		return s.Process != before.Process
	}
	// Envoy works its uptime out when it flushes statistics, every 5 s unless told
	// otherwise: it may be that old.
	const slack = 15 * time.Second
	return s.Total < before.Total || s.Uptime < before.Uptime || s.Uptime+slack < before.Uptime+s.Time.Sub(before.Time)
}

// death is when the process before s ended, after the sample before in any case.
// Unless that is known it is the earliest moment at which s can have started.
func (s Sample) death(before Sample, gone time.Time) (at int64, known bool) {
	for _, at := range []time.Time{s.Ended, gone} {
		if at.After(before.Time) && at.Before(s.Time) {
			return at.UnixMicro(), true
		}
	}
	return min(max(s.started(), before.Time.UnixMicro()+1), s.Time.UnixMicro()-1), false
}

// started is the earliest moment at which the process can have started.
func (s Sample) started() int64 { return s.Time.Add(-s.Uptime - time.Second).UnixMicro() }

// mark closes the interval since the sample before.
func (s Sample) mark(before Sample) mark {
	return mark{
		at: s.Time.UnixMicro(), counted: s.completed() - before.completed(),
		dropped:   max(0, int64(s.Dropped)-int64(before.Dropped)),
		completed: s.completed(), uptime: int64(s.Uptime / time.Second),
	}
}
