// Package usl fits the universal scalability law to what a pod did with so many
// requests in it at once, and says when the law does not describe it.
//
//	X(N) = λN / (1 + σ(N-1) + κN(N-1))
//
//	where  N  requests in the pod at once
//	       X  requests a second that it ends
//	       λ  X of one request alone
//	       σ  share of the work for which requests wait for each other, 0 or more
//	       κ  what each pair of requests costs more, such as to keep caches alike, 0 or more
//
// With κ above 0 more than N* = √((1-σ)/κ) at once make the pod slower; without, X
// comes near to λ/σ and no nearer.
//
// The fit is that of least squares of X, none of σ and κ below 0. In N/X, the time of
// a request, the law is linear, which gives the start. Intervals are those of the
// jackknife: how much the answer moves when each point in turn is left out. It is
// arithmetic alone: no clock, no state.
package usl

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"

	"gonum.org/v1/gonum/stat/distuv"
)

// Point is what was seen in one stretch of steady load.
type Point struct {
	Concurrency float64 // requests in the pod at once, above 0
	Throughput  float64 // requests a second that it ended, above 0
}

// Value is an estimate with the 90 % interval of the jackknife.
type Value struct {
	Value float64 `json:"value"`
	Low   float64 `json:"low"`
	High  float64 `json:"high"`
}

// Fit is the law that comes closest. Rates are requests a second.
type Fit struct {
	Lambda Value `json:"lambda"`
	Sigma  Value `json:"sigma"`
	Kappa  Value `json:"kappa"`

	Peak    float64  `json:"peak_concurrency"` // N*: more at once make the pod slower; 0: the fit has none
	Ceiling float64  `json:"ceiling"`          // X at N*, or what X comes near to without one; 0: there is none
	Points  int      `json:"points"`           // levels of concurrency that it rests on
	Lowest  float64  `json:"lowest_concurrency"`
	Highest float64  `json:"highest_concurrency"`
	R2      float64  `json:"r2"`               // share of the variation of X that it explains, at most 1
	Off     float64  `json:"off"`              // root of the mean square of what it is off, as a share of X
	Poor    []string `json:"poor,omitempty"`   // why it is no good description; empty: nothing speaks against it
	Beyond  string   `json:"beyond,omitempty"` // how far N* is outside of what was seen; empty: it was reached, or there is none
}

// ErrTooFew means that the points are fewer than Fewest different ones.
var ErrTooFew = errors.New("too few levels of concurrency")

// Fewest is the number of different levels of concurrency that a fit rests on: twice
// as many as it has parameters.
const Fewest = 6

// alike is how close levels of concurrency are that count as one, as a share.
const alike = 0.03

// Of fits the law. Points that are not above 0 are left out, those at like concurrency
// count as one.
func Of(points []Point) (Fit, error) {
	points = levels(points)
	if len(points) < Fewest {
		return Fit{}, fmt.Errorf("%w: %d, want %d", ErrTooFew, len(points), Fewest)
	}
	c, ok := solve(points)
	if !ok {
		return Fit{}, errors.New("no law fits at all")
	}
	f := Fit{Points: len(points), Lowest: points[0].Concurrency, Highest: points[len(points)-1].Concurrency}
	f.Lambda.Value, f.Sigma.Value, f.Kappa.Value = c.law()
	f.Peak, f.Ceiling = c.peak()
	f.intervals(points)
	f.judge(points, c)
	return f, nil
}

// At is the rate with n requests at once.
func (f Fit) At(n float64) float64 {
	return f.Lambda.Value * n / (1 + f.Sigma.Value*(n-1) + f.Kappa.Value*n*(n-1))
}

// levels are the points in the order of concurrency, like ones joined.
func levels(points []Point) (out []Point) {
	points = slices.DeleteFunc(slices.Clone(points), func(p Point) bool {
		return !(p.Concurrency > 0) || !(p.Throughput > 0) || math.IsInf(p.Concurrency, 1) || math.IsInf(p.Throughput, 1)
	})
	slices.SortFunc(points, func(a, b Point) int {
		return cmp.Or(cmp.Compare(a.Concurrency, b.Concurrency), cmp.Compare(a.Throughput, b.Throughput))
	})
	for i := 0; i < len(points); {
		n, x, k := 0.0, 0.0, 0.0
		first := points[i].Concurrency
		for ; i < len(points) && points[i].Concurrency <= (1+alike)*first; i++ {
			n, x, k = n+points[i].Concurrency, x+points[i].Throughput, k+1
		}
		out = append(out, Point{n / k, x / k})
	}
	return out
}

// intervals leaves out each point in turn.
func (f *Fit) intervals(points []Point) {
	var lambdas, sigmas, kappas []float64
	for i := range points {
		c, ok := solve(slices.Delete(slices.Clone(points), i, i+1))
		if !ok {
			continue
		}
		l, s, k := c.law()
		lambdas, sigmas, kappas = append(lambdas, l), append(sigmas, s), append(kappas, k)
	}
	f.Lambda.spread(lambdas)
	f.Sigma.spread(sigmas)
	f.Kappa.spread(kappas)
}

// spread sets the interval from what the estimate is without each point.
func (v *Value) spread(without []float64) {
	n := float64(len(without))
	if n < 2 {
		v.Low, v.High = 0, math.MaxFloat64
		return
	}
	mean, squares := 0.0, 0.0
	for _, x := range without {
		mean += x / n
	}
	for _, x := range without {
		squares += (x - mean) * (x - mean)
	}
	off := distuv.StudentsT{Mu: 0, Sigma: 1, Nu: n - 1}.Quantile(0.95) * math.Sqrt((n-1)/n*squares)
	v.Low, v.High = max(0, v.Value-off), v.Value+off
}
