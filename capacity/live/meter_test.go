package live

import (
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// TestMeterKnowsRates: of calls that are heard of in bursts and late, from gateways whose
// clocks differ by minutes, one of which leaves.
func TestMeterKnowsRates(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	m := newMeter(100 * time.Millisecond)
	began := time.Unix(1_700_000_000, 0)
	skew := map[string]time.Duration{"a": 0, "b": 90 * time.Second, "c": -4 * time.Minute}
	n := 0
	hear := func(from, to int, rates map[string]float64) time.Time {
		var now time.Time
		for half := 2 * from; half < 2*to; half++ { // two blocks a second
			now = began.Add(time.Duration(half+1)*time.Second/2 + 700*time.Millisecond)
			for _, g := range slices.Sorted(maps.Keys(rates)) {
				for range int(rates[g]/2 + r.Float64()) {
					at := began.Add(time.Duration(half)*time.Second/2 + time.Duration(r.Int64N(int64(time.Second/2))))
					m.add(Call{At: at.Add(skew[g]), Gateway: g, Weight: 2}, n%4 == 0, now)
					n++
				}
			}
		}
		return now
	}
	near := func(what string, got, want, by float64) {
		t.Helper()
		if math.Abs(got/want-1) > by {
			t.Errorf("%s: %.3f, want %.3f", what, got, want)
		}
	}
	now := hear(0, 30, map[string]float64{"a": 100, "b": 50, "c": 20})
	near("all", m.traffic(now), 2*170, 0.02)
	near("share", m.share(), 0.25, 0.01)
	m.mark()
	if m.share() != 0 {
		t.Error("a window without calls has a share")
	}
	now = hear(30, 60, map[string]float64{"a": 200, "b": 50})
	near("one left, one has more", m.traffic(now), 2*250, 0.03)
	if got := m.traffic(now.Add(time.Minute)); got != 0 {
		t.Errorf("all are silent: %v", got)
	}
	now = hear(60, 400, map[string]float64{"a": 10})
	near("few", m.traffic(now), 20, 0.05)
	if n := len(m.gateways["a"].counts); n > remembered+10 {
		t.Errorf("%d slots are kept", n)
	}
}
