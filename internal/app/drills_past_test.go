package app

import (
	"math"
	"math/rand/v2"
	"testing"
)

// TestRisen: steady traffic is the minute's, however its last quarter came out; what has
// begun or doubled since is that of its end.
func TestRisen(t *testing.T) {
	for _, c := range []struct{ all, last, want float64 }{
		{7200, 1800, 120}, {7200, 1880, 120}, {7200, 1500, 120}, {1800, 1800, 120}, {9000, 3600, 240}, {0, 0, 0}, {1, 1, 1.0 / 60}, {20, 20, 20.0 / 15},
	} {
		if got := risen(c.all, c.last); math.Abs(got-c.want) > 1e-9 {
			t.Errorf("%v calls in a minute, %v at its end: %v/s, want %v/s", c.all, c.last, got, c.want)
		}
	}
	r, sum, square := rand.New(rand.NewPCG(1, 1)), 0.0, 0.0
	const trials, rate = 20_000, 120.0
	for range trials {
		last := 15*rate + math.Sqrt(15*rate)*r.NormFloat64()
		got := risen(last+45*rate+math.Sqrt(45*rate)*r.NormFloat64(), last)/rate - 1
		sum, square = sum+got/trials, square+got*got/trials
	}
	if sum > 0.004 || math.Sqrt(square) > 0.015 {
		t.Errorf("steady traffic is taken for %+.2f %% more, ± %.2f %%", 100*sum, 100*math.Sqrt(square))
	}
}
