package usl

import (
	"math"

	"gonum.org/v1/gonum/mat"
)

// curve is the law in the time of a request, in which it is linear:
//
//	N/X = c[0] + c[1](N-1) + c[2]N(N-1)  with  c = (1/λ, σ/λ, κ/λ)
type curve [3]float64

// law are λ, σ and κ.
func (c curve) law() (lambda, sigma, kappa float64) { return 1 / c[0], c[1] / c[0], c[2] / c[0] }

// terms are what the coefficients are multiplied by.
func terms(n float64) [3]float64 { return [3]float64{1, n - 1, n * (n - 1)} }

func (c curve) seconds(n float64) float64 {
	t := terms(n)
	return c[0]*t[0] + c[1]*t[1] + c[2]*t[2]
}

// peak is N* and X there. Without κ there is no N*, and X ends at λ/σ.
func (c curve) peak() (n, x float64) {
	lambda, sigma, kappa := c.law()
	switch {
	case kappa > 0 && sigma < 1:
		n = max(1, math.Sqrt((1-sigma)/kappa))
		return n, n / c.seconds(n)
	case kappa > 0:
		return 1, lambda
	case sigma > 0:
		return 0, lambda / sigma
	}
	return 0, 0
}

// squares is the sum over the squares of what X is off.
func (c curve) squares(points []Point) (sum float64) {
	for _, p := range points {
		s := c.seconds(p.Concurrency)
		if !(s > 0) {
			return math.Inf(1)
		}
		d := p.Throughput - p.Concurrency/s
		sum += d * d
	}
	return sum
}

// solve is the curve of least squares with no coefficient below 0: the best of those
// that are so by themselves, where a coefficient may also be left out.
func solve(points []Point) (best curve, ok bool) {
	least := math.Inf(1)
	for _, use := range [][]int{{0, 1, 2}, {0, 1}, {0, 2}, {0}} {
		c, fits := descend(points, use)
		if !fits || c[0] <= 0 || c[1] < 0 || c[2] < 0 {
			continue
		}
		if s := c.squares(points); s < least {
			best, least, ok = c, s, true
		}
	}
	return best, ok
}

// Steps of the descent, and the share of the squares by which the last one is to
// better them for another to be worth it.
const (
	maxSteps = 60
	worthIt  = 1e-12
)

// descend is Gauss and Newton's way with the coefficients in use, from where the
// linear fit of the time of a request begins.
func descend(points []Point, use []int) (c curve, ok bool) {
	d, ok := linear(points, use, func(p Point) (weight, target float64) {
		return p.Throughput * p.Throughput / p.Concurrency, p.Concurrency / p.Throughput
	})
	if !ok {
		return c, false
	}
	c = d
	now := c.squares(points)
	if math.IsInf(now, 1) { // a start outside of what makes sense
		c = curve{points[0].Concurrency / points[0].Throughput}
		now = c.squares(points)
	}
	for range maxSteps {
		d, ok := linear(points, use, func(p Point) (weight, target float64) {
			s := c.seconds(p.Concurrency)
			return p.Concurrency / (s * s), s - (p.Throughput-p.Concurrency/s)*s*s/p.Concurrency
		})
		if !ok {
			break
		}
		next, squares := c.toward(d, points, now)
		if now-squares <= worthIt*now {
			return next, true
		}
		c, now = next, squares
	}
	return c, true
}

// toward goes to d, or as far as it gets better.
func (c curve) toward(d curve, points []Point, now float64) (curve, float64) {
	for part := 1.0; part > 1e-4; part /= 2 {
		next := curve{}
		for i := range c {
			next[i] = c[i] + part*(d[i]-c[i])
		}
		if s := next.squares(points); s <= now {
			return next, s
		}
	}
	return c, now
}

// linear is the weighted linear least squares fit of the time of a request. Columns
// are scaled, since N² may be a million.
func linear(points []Point, use []int, of func(Point) (weight, target float64)) (c curve, ok bool) {
	a, b := mat.NewDense(len(points), len(use), nil), mat.NewDense(len(points), 1, nil)
	scale := make([]float64, len(use))
	for i, p := range points {
		w, y := of(p)
		t := terms(p.Concurrency)
		b.Set(i, 0, w*y)
		for k, u := range use {
			a.Set(i, k, w*t[u])
			scale[k] = math.Hypot(scale[k], w*t[u])
		}
	}
	for k, s := range scale {
		if !(s > 0) {
			return c, false
		}
		for i := range points {
			a.Set(i, k, a.At(i, k)/s)
		}
	}
	var x mat.Dense
	if err := x.Solve(a, b); err != nil {
		return c, false
	}
	for k, u := range use {
		c[u] = x.At(k, 0) / scale[k]
	}
	return c, true
}
