package loadtest

import (
	"strings"
	"testing"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/kongdao/kongdao/loadtest/attack"
)

func TestDoubts(t *testing.T) {
	for name, c := range map[string]struct {
		stats attack.Stats
		want  string // empty: valid
	}{
		"a clean run":                {attack.Stats{Sent: 1000, CPU: 0.5}, ""},
		"late is not lagging":        {attack.Stats{Sent: 1000, Late: 900}, ""},
		"one hiccup of few requests": {attack.Stats{Sent: 50, Lagging: 2}, ""},
		"one in a hundred":           {attack.Stats{Sent: 1000, Lagging: 10}, ""},
		"one in a thousand dropped":  {attack.Stats{Sent: 999, Dropped: 1}, ""},
		"seen enough":                {attack.Stats{Sent: 100, Stopped: attack.StopObserver}, ""},
		"nothing sent":               {attack.Stats{}, "no request was sent"},
		"no CPU left":                {attack.Stats{Sent: 1000, CPU: 0.81}, "81 % of all cores"},
		"lagging":                    {attack.Stats{Sent: 1000, Lagging: 11}, "11 of 1000 requests were sent over 10ms later"},
		"dropped":                    {attack.Stats{Sent: 1000, Dropped: 2}, "2 of 1002 requests that were due were never sent"},
		"own faults":                 {attack.Stats{Sent: 1000, Faults: map[string]uint64{attack.KindFiles: 2, attack.KindRefused: 7}}, "2 of 1000 requests never reached the target for want of the generator's own means (2 times no file descriptors: raise ulimit -n)"},
		"the target's faults":        {attack.Stats{Sent: 1000, Faults: map[string]uint64{attack.KindRefused: 500}}, ""},
		"no CPU for three seconds":   {attack.Stats{Sent: 1000, CPU: 0.3, Intervals: seconds(20, func(i int, v *attack.Interval) { v.Self.CPU = 0.97 * float64((i/3)%2) })}, "used all of its cores, in 3–6 s, 9–12 s, 15–18 s"},
		"no CPU for two seconds":     {attack.Stats{Sent: 1000, CPU: 0.3, Intervals: seconds(20, func(i int, v *attack.Interval) { v.Self.CPU = 0.97 * float64(1-min(1, i/2)) })}, ""},
		"collecting garbage":         {attack.Stats{Sent: 1000, Intervals: seconds(10, func(i int, v *attack.Interval) { v.Self.Paused = time.Duration(i/5) * 120 * time.Millisecond })}, "garbage collection stopped the generator for 6 % of the time, more than 5 %, in 5–10 s"},
		"lagging in two seconds": {attack.Stats{Sent: 1000, Lagging: 20, Intervals: seconds(10, func(i int, v *attack.Interval) {
			v.Sent, v.Self.Core = 100, 0.5
			if i == 4 || i == 5 {
				v.Lagging, v.Self = 10, attack.Self{CPU: 0.3, Core: 1, Cores: 0.9, Waited: 400 * time.Millisecond}
			}
		})}, "in 4–6 s; its process used up to 30 % of its cores, which were 90 % busy with everything (the busiest 100 %), its threads waited 400ms an interval for a core"},
		"given up": {attack.Stats{Sent: 1000, Stopped: attack.StopCaller, Sending: time.Second}, "stopped after 1s"},
	} {
		t.Run(name, func(t *testing.T) {
			c.stats.Lag = hdrhistogram.New(1, 1000, 3)
			got := strings.Join(doubts(c.stats), "\n")
			if (got == "") != (c.want == "") || !strings.Contains(got, c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

// seconds are intervals of a second.
func seconds(n int, fill func(int, *attack.Interval)) []attack.Interval {
	all := make([]attack.Interval, n)
	for i := range all {
		all[i].At, all[i].Length = time.Duration(i)*time.Second, time.Second
		fill(i, &all[i])
	}
	return all
}
