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
		"given up":                   {attack.Stats{Sent: 1000, Stopped: attack.StopCaller, Sending: time.Second}, "stopped after 1s"},
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
