package loadtest

import "testing"

func TestBeyondChance(t *testing.T) {
	for _, c := range []struct {
		k, n uint64
		q    float64
		want bool
	}{
		{0, 5, 0.001, false},
		{1, 5, 0.0001, false}, // of one nothing is concluded
		{2, 5, 0.001, true},   // 1e-5
		{2, 5, 0.01, true},    // 9.8e-4
		{2, 6, 0.01, false},   // 1.5e-3
		{1, 1000, 0.001, false},
		{5, 1000, 0.001, false}, // 3.6e-3
		{7, 1000, 0.001, true},  // 8e-5
		{60, 100, 0.5, false},
		{70, 100, 0.5, true},
		{5, 5, 1, false},
		{2, 60_000, 0, true},
	} {
		if got := beyondChance(c.k, c.n, c.q); got != c.want {
			t.Errorf("%d of %d at %v: %v", c.k, c.n, c.q, got)
		}
	}
}
