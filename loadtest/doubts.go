package loadtest

import (
	"fmt"
	"strings"
	"time"

	"github.com/kongdao/kongdao/loadtest/attack"
	"github.com/kongdao/kongdao/loadtest/report"
)

// doubts are the reasons for which the run says little about the server, each with
// the seconds concerned.
func doubts(s attack.Stats) []string {
	var reasons []string
	doubt := func(where func(attack.Interval) bool, format string, args ...any) {
		reasons = append(reasons, fmt.Sprintf(format, args...)+when(s, where))
	}
	if s.Sent == 0 {
		doubt(never, "no request was sent")
	}
	switch full := count(s, isFull); {
	case s.CPU > MaxCPU:
		doubt(isBusy, "the generator's process used %.0f %% of all cores, more than %.0f %%", 100*s.CPU, 100*MaxCPU)
	case full >= MinLagging && float64(full) > MaxFull*float64(len(s.Intervals)):
		doubt(isFull, "the generator's process used all of its cores")
	}
	if s.Lagging >= MinLagging && float64(s.Lagging) > 0.01*float64(s.Sent) {
		doubt(isLagging, "%d of %d requests were sent over %v later than they could have been (lag p99 %v)",
			s.Lagging, s.Sent, MaxLag, attack.Quantile(s.Lag, 99).Round(100*time.Microsecond))
		reasons[len(reasons)-1] += why(s, isLagging)
	}
	if share := paused(s); share > MaxPaused {
		doubt(isPaused, "garbage collection stopped the generator for %.0f %% of the time, more than %.0f %%", 100*share, 100*MaxPaused)
	}
	if due := s.Sent + s.Dropped; float64(s.Dropped) > MaxDropped*float64(due) {
		doubt(hasDropped, "%d of %d requests that were due were never sent", s.Dropped, due)
	}
	if own := s.Own(); float64(own) > MaxDropped*float64(s.Sent) {
		doubt(hasOwn, "%d of %d requests never reached the target for want of the generator's own means (%s)", own, s.Sent, means(s.Faults))
	}
	if s.Stopped == attack.StopBytes {
		doubt(never, "stopped after %v: %d bytes were received and sent, above the cap of %d (--max-bytes, or limits.maxBytes of the scenario)",
			s.Sending.Round(10*time.Millisecond), s.Wire, s.MostWire)
	}
	if s.Stopped == attack.StopCaller {
		doubt(never, "stopped after %v", s.Sending.Round(10*time.Millisecond))
	}
	return reasons
}

func never(attack.Interval) bool        { return false }
func isBusy(i attack.Interval) bool     { return i.Self.CPU > MaxCPU }
func isFull(i attack.Interval) bool     { return i.Self.CPU > 0.95 }
func isLagging(i attack.Interval) bool  { return float64(i.Lagging) > 0.01*float64(i.Sent) }
func hasDropped(i attack.Interval) bool { return i.Dropped > 0 }
func hasOwn(i attack.Interval) bool     { return i.Own > 0 }
func isPaused(i attack.Interval) bool {
	return i.Self.Paused.Seconds() > MaxPaused*i.Length.Seconds()
}

func count(s attack.Stats, is func(attack.Interval) bool) int {
	n := 0
	for _, i := range s.Intervals {
		if is(i) {
			n++
		}
	}
	return n
}

func paused(s attack.Stats) float64 {
	var sum, all time.Duration
	for _, i := range s.Intervals {
		sum, all = sum+i.Self.Paused, all+i.Length
	}
	if all == 0 {
		return 0
	}
	return sum.Seconds() / all.Seconds()
}

// when is ", from 3 to 5 s", empty when no interval is concerned.
func when(s attack.Stats, is func(attack.Interval) bool) string {
	var some []attack.Interval
	for _, i := range s.Intervals {
		if is(i) {
			some = append(some, i)
		}
	}
	if len(some) == 0 {
		return ""
	}
	return ", in " + report.Spans(intervals(some))
}

// why is what the generator went through in the intervals concerned. One figure
// alone proves nothing: whoever reads it knows what else runs there.
func why(s attack.Stats, is func(attack.Interval) bool) string {
	var worst attack.Self
	for _, i := range s.Intervals {
		if is(i) {
			worst.CPU, worst.Core, worst.Cores = max(worst.CPU, i.Self.CPU), max(worst.Core, i.Self.Core), max(worst.Cores, i.Self.Cores)
			worst.Waited, worst.Longest = max(worst.Waited, i.Self.Waited), max(worst.Longest, i.Self.Longest)
		}
	}
	if worst == (attack.Self{}) {
		return ""
	}
	text := fmt.Sprintf("; its process used up to %.0f %% of its cores", 100*worst.CPU)
	if worst.Core > 0 {
		text += fmt.Sprintf(", which were %.0f %% busy with everything (the busiest %.0f %%)", 100*worst.Cores, 100*worst.Core)
	}
	if worst.Waited > 0 {
		text += fmt.Sprintf(", its threads waited %v an interval for a core", worst.Waited.Round(time.Millisecond))
	}
	return text + fmt.Sprintf(", garbage collection paused for at most %v", worst.Longest.Round(10*time.Microsecond))
}

// means says which, and how to have more of them.
func means(faults map[string]uint64) string {
	var parts []string
	for _, m := range []struct{ kind, text string }{
		{attack.KindFiles, "no file descriptors: raise ulimit -n"},
		{attack.KindPorts, "no local ports: give the target more addresses, or use fewer connections"},
		{attack.KindBuffers, "no memory for connections"},
	} {
		if n := faults[m.kind]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d times %s", n, m.text))
		}
	}
	return strings.Join(parts, "; ")
}

// intervals are those of a report.
func intervals(in []attack.Interval) []report.Interval {
	var out []report.Interval
	for _, i := range in {
		v := report.Interval{
			At: i.At.Seconds(), Length: i.Length.Seconds(), Planned: i.Planned, Sent: i.Sent, Late: i.Late, Lagging: i.Lagging,
			Dropped: i.Dropped, Failed: i.Failed, Own: i.Own, Good: i.Good, LagP99: i.Lag.Quantile(0.99).Seconds(),
			CPU: i.Self.CPU, Core: i.Self.Core, Waited: i.Self.Waited.Seconds(), Paused: i.Self.Paused.Seconds(), LongestP: i.Self.Longest.Seconds(),
		}
		v.Describe(i.Latency)
		out = append(out, v)
	}
	return out
}
