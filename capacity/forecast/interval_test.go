package forecast

import (
	"math"
	"testing"
)

// Values of tables of Student's t.
func TestStudentT(t *testing.T) {
	for _, c := range []struct{ p, free, want float64 }{
		{0.5, 5, 0},
		{0.9, 1, 3.078},
		{0.99, 1, 31.821},
		{0.9, 2, 1.886},
		{0.99, 2, 6.965},
		{0.95, 3, 2.353},
		{0.99, 3, 4.541},
		{0.999, 3, 10.215},
		{0.95, 5, 2.015},
		{0.99, 5, 3.365},
		{0.9, 7, 1.415},
		{0.99, 7, 2.998},
		{0.999, 7, 4.785},
		{0.95, 30, 1.697},
		{0.99, 1000, 2.330},
	} {
		if got := studentT(c.p, c.free); math.Abs(got-c.want) > 0.003*c.want+0.0005 {
			t.Errorf("t(%g, %g) is %.4f, want %.3f", c.p, c.free, got, c.want)
		}
	}
}

func TestQuantileOfFewValues(t *testing.T) {
	v := []float64{1, 2, 3, 4}
	for q, want := range map[float64]float64{0: 1, 0.2: 1, 0.5: 2.5, 0.8: 4, 1: 4} {
		if got := quantile(v, q); math.Abs(got-want) > 1e-12 {
			t.Errorf("%g: %g, want %g", q, got, want)
		}
	}
	if quantile(nil, 0.5) != 0 {
		t.Error("of nothing")
	}
}
