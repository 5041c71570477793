package objective_test

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/kongdao/kongdao/capacity/objective"
)

func TestBroken(t *testing.T) {
	b := objective.Bound{Failed: 0.001, Slow: 0.01, Latency: 100 * time.Millisecond}
	for name, c := range map[string]struct {
		bound objective.Bound
		count objective.Count
		want  string
	}{
		"nothing":                   {b, objective.Count{}, ""},
		"all well":                  {b, objective.Count{Calls: 1000}, ""},
		"two failures":              {b, objective.Count{Calls: 2, Failed: 2}, ""},
		"three of twenty":           {b, objective.Count{Calls: 20, Failed: 3}, "3 of 20 calls failed, 0.1 % may"},
		"three of a thousand":       {b, objective.Count{Calls: 1000, Failed: 3}, ""},
		"ten of a thousand":         {b, objective.Count{Calls: 1000, Failed: 10}, "10 of 1000 calls failed"},
		"slow as allowed":           {b, objective.Count{Calls: 1000, Slow: 14}, ""},
		"slow":                      {b, objective.Count{Calls: 1000, Slow: 40}, "40 of 1000 calls took longer than 100ms, 1 % may"},
		"no failure may be":         {objective.Bound{}, objective.Count{Calls: 1000, Failed: 3}, "3 of 1000"},
		"any failure may be":        {objective.Bound{Failed: 1}, objective.Count{Calls: 1000, Failed: 1000}, ""},
		"slow does not matter":      {objective.Bound{Failed: 0.5}, objective.Count{Calls: 1000, Slow: 1000}, ""},
		"everything fails, at once": {b, objective.Count{Calls: 1e9, Failed: 1e9}, "failed"},
	} {
		if got := c.bound.Broken(c.count); (got == "") != (c.want == "") || !strings.Contains(got, c.want) {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

// TestAlarmsAreNotRaisedByChance: a share that is just what is allowed.
func TestAlarmsAreNotRaisedByChance(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	b := objective.Bound{Failed: 0.01}
	alarms := 0
	const trials = 20_000
	for range trials {
		c := objective.Count{Calls: 500}
		for range c.Calls {
			if r.Float64() < b.Failed {
				c.Failed++
			}
		}
		if b.Broken(c) != "" {
			alarms++
		}
	}
	if share := float64(alarms) / trials; share > 3e-4 {
		t.Errorf("an alarm in %.5f of all looks", share)
	}
}

func TestWindow(t *testing.T) {
	w := objective.Window{Length: 5 * time.Second}
	began := time.Unix(0, 0)
	for i := range 100 {
		w.Add(began.Add(time.Duration(i)*200*time.Millisecond), objective.Count{Calls: uint64(10 * i), Failed: uint64(i)})
	}
	if got := w.Last(); got.Calls != 250 || got.Failed != 25 {
		t.Errorf("got %+v", got)
	}
	w.Add(began.Add(time.Hour), objective.Count{Calls: 3}) // it began anew
	if got := w.Last(); got.Calls > math.MaxUint32 {
		t.Errorf("got %+v", got)
	}
	if got := (&objective.Window{}).Last(); got != (objective.Count{}) {
		t.Errorf("got %+v", got)
	}
}
