package sequential

import (
	"math"
	"math/rand/v2"
	"testing"
)

// alarmed draws calls: share b of them go to b, and each fails with the probability
// that p gives for its moment. It looks all the time, and says when the alarm was raised; 0: never.
func alarmed(c *rand.Rand, calls int, weight, margin, alpha float64, p func(i int, b bool) float64) (at int) {
	var a, b Sample
	for i := range calls {
		toB := c.Float64() < weight
		s := &a
		if toB {
			s = &b
		}
		s.N++
		if c.Float64() < p(i, toB) {
			s.K++
		}
		if i%10 == 0 && Worse(a, b, margin, alpha) {
			return i + 1
		}
	}
	return 0
}

func TestFalseAlarmsOverManyLooks(t *testing.T) {
	const runs, calls, alpha = 100, 3000, 0.05
	for name, p := range map[string]func(i int, b bool) float64{
		"no errors":              func(int, bool) float64 { return 0 },
		"few errors":             func(int, bool) float64 { return 0.01 },
		"many errors":            func(int, bool) float64 { return 0.4 },
		"an incident for both":   func(i int, _ bool) float64 { return map[bool]float64{true: 0.4, false: 0.01}[i > 1000 && i < 2000] },
		"at the margin exactly":  func(_ int, b bool) float64 { return map[bool]float64{true: 0.12, false: 0.02}[b] },
		"errors that grow":       func(i int, _ bool) float64 { return float64(i) / 10_000 },
		"the new one has fewer":  func(_ int, b bool) float64 { return map[bool]float64{true: 0.01, false: 0.2}[b] },
		"every call of both bad": func(int, bool) float64 { return 1 },
	} {
		margin := 0.0
		if name == "at the margin exactly" {
			margin = 0.1
		}
		for _, weight := range []float64{0.05, 0.5} {
			c := rand.New(rand.NewPCG(1, 2))
			alarms := 0
			for range runs {
				if alarmed(c, calls, weight, margin, alpha, p) > 0 {
					alarms++
				}
			}
			if share := float64(alarms) / runs; share > alpha {
				t.Errorf("%s, weight %v: %d of %d runs raised an alarm, want at most %v", name, weight, alarms, runs, alpha)
			}
		}
	}
}

// A bad revision is found after few of its calls; with one that is merely a little
// worse it takes longer, and it is found.
func TestPower(t *testing.T) {
	for _, c := range []struct {
		name   string
		p0, p1 float64
		calls  int // of both together, weight 5 %
	}{
		{"half of the calls fail", 0, 0.5, 1000},
		{"half of the calls fail, and some of the old one", 0.01, 0.5, 1200},
		{"all calls fail", 0.001, 1, 600},
		{"a tenth fails", 0.001, 0.1, 8000},
	} {
		random := rand.New(rand.NewPCG(3, 4))
		const runs = 100
		late, sum := 0, 0
		for range runs {
			at := alarmed(random, c.calls, 0.05, 0.01, 0.001, func(_ int, b bool) float64 {
				if b {
					return c.p1
				}
				return c.p0
			})
			if at == 0 {
				late++
			}
			sum += at
		}
		t.Logf("%s: found after %d calls of both on average, %.0f of the bad one; %d of %d not within %d", c.name, sum/max(1, runs-late), float64(sum)/float64(max(1, runs-late))*0.05, late, runs, c.calls)
		if late > runs/50 {
			t.Errorf("%s: %d of %d runs found nothing in %d calls", c.name, late, runs, c.calls)
		}
	}
}

func TestIntervalHoldsTheShareSeen(t *testing.T) {
	for n := uint64(0); n < 200; n++ {
		for k := uint64(0); k <= n; k++ {
			low, high := Sample{n, k}.Interval(0.01)
			if share := (Sample{n, k}).Share(); low > share || high < share && n > 0 || low < 0 || high > 1 || math.IsNaN(low+high) {
				t.Fatalf("%d of %d: from %v to %v", k, n, low, high)
			}
		}
	}
	low, high := Sample{1e9, 1e6}.Interval(1e-6)
	if low < 0.00098 || high > 0.00102 {
		t.Errorf("a million of a milliard: from %v to %v", low, high)
	}
}
