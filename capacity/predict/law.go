package predict

import (
	"math"
	"slices"
)

// law is a distribution of times, as atoms with masses that add up to 1.
type law struct{ at, mass []float64 }

// The body has atoms within 2 % of each other, or medians would rise in jumps; of the
// tail there are more.
var strata = []struct {
	from, to float64
	atoms    int
}{{0, 0.9, 180}, {0.9, 0.98, 32}, {0.98, 0.995, 30}, {0.995, 0.999, 10}, {0.999, 1, 3}}

// lawOf is the distribution with these quantiles at Levels, straight in the logarithm
// between them.
func lawOf(quantiles []float64) law {
	levels := Levels()
	var l law
	for _, s := range strata {
		width := (s.to - s.from) / float64(s.atoms)
		for i := range s.atoms {
			l.at = append(l.at, interpolate(levels, quantiles, s.from+(float64(i)+0.5)*width))
			l.mass = append(l.mass, width)
		}
	}
	return l
}

// interpolate is y at x, straight in the logarithm of y, flat beyond the ends.
func interpolate(xs, ys []float64, x float64) float64 {
	i, found := slices.BinarySearch(xs, x)
	switch {
	case found:
		return ys[i]
	case i == 0:
		return ys[0]
	case i == len(xs):
		return ys[len(ys)-1]
	}
	part := (x - xs[i-1]) / (xs[i] - xs[i-1])
	return math.Exp((1-part)*math.Log(ys[i-1]) + part*math.Log(ys[i]))
}

func (l law) mean() (m float64) {
	for i, t := range l.at {
		m += l.mass[i] * t
	}
	return m
}

// corrected is a law whose quantiles were off by so much at judged, as logarithms.
func (l law) corrected(off []float64) law {
	factors := make([]float64, len(off))
	for i, o := range off {
		factors[i] = math.Exp(-o)
	}
	at, p, last := make([]float64, len(l.at)), 0.0, 0.0
	for i, t := range l.at {
		p += l.mass[i]
		at[i] = max(last, t*interpolate(judged(), factors, p-l.mass[i]/2))
		last = at[i]
	}
	return law{at, l.mass}
}

// cv2 is the squared coefficient of variation.
func (l law) cv2() float64 {
	m, v := l.mean(), 0.0
	for i, t := range l.at {
		v += l.mass[i] * (t - m) * (t - m)
	}
	return v / (m * m)
}

// erlang is the probability that a call waits at c places with load a, by Erlang's
// formula; 1 when the load is c or more.
func erlang(c int, a float64) float64 {
	if a >= float64(c) {
		return 1
	}
	b := 1.0 // of Erlang's loss formula, for 0, 1, 2, … places
	for n := 1; n <= c; n++ {
		b = a * b / (float64(n) + a*b)
	}
	rho := a / float64(c)
	return b / (1 - rho*(1-b))
}

// regular is the share of σ in ρ for arrivals whose times between have the squared
// coefficient of variation ca2, as sums of 1/ca2 exponential ones: σ is the root of
// σ = (k·ρ⁻¹ / (k·ρ⁻¹ + 1 - σ))^k with the pod's rate as unit.
func regular(rho, ca2 float64) float64 {
	if ca2 >= 1 || rho <= 0 {
		return 1
	}
	k := 1 / ca2
	sigma := rho
	for range 60 {
		sigma = math.Pow(k*rho/(k*rho+1-sigma), k)
	}
	return min(1, sigma/rho)
}
