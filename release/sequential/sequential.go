// Package sequential compares shares of calls, such as that of failed ones, while
// the calls still come in, and may be looked at as often as one likes.
//
// A usual test is right for one look at a number of calls that was fixed before;
// looked at after every call it is sure to raise a false alarm some day. Here each
// share has a confidence sequence: intervals that hold all together, for all
// numbers of calls, with the given probability. It is the method of mixtures: with
// k hits in n calls,
//
//	M(p) = ∫ q^k (1-q)^(n-k) dq / (p^k (1-p)^(n-k)) = B(k+1, n-k+1) / (p^k (1-p)^(n-k))
//
// where q runs from 0 to 1 and B is the beta function, is a martingale that begins
// with 1 if p is the true share. By Ville's inequality it ever reaches 1/alpha with
// probability alpha at most, so the shares p with M(p) < 1/alpha are the interval.
//
// Sources: H. Robbins, "Statistical methods related to the law of the iterated
// logarithm", Annals of Mathematical Statistics 41 (1970); S. Howard, A. Ramdas, J.
// McAuliffe, J. Sekhon, "Time-uniform, nonparametric, nonasymptotic confidence
// sequences", Annals of Statistics 49 (2021); R. Johari, P. Koomen, L. Pekelis, D.
// Walsh, "Always valid inference: continuous monitoring of A/B tests", Operations
// Research 70 (2022).
//
// What is assumed: calls are independent, and their share does not change while it
// is watched. Of two samples that are taken side by side, from the same stream of
// calls at fixed weights, an incident that hits both moves both, and the test of
// this package shows that it raises no alarm.
package sequential

import "math"

// Sample is what was seen: N calls, K of them hits. K is N at most.
type Sample struct{ N, K uint64 }

// Share is the part of hits; 0 without calls.
func (s Sample) Share() float64 {
	if s.N == 0 {
		return 0
	}
	return float64(s.K) / float64(s.N)
}

// Interval holds the true share, at this look and at all others together, with
// probability 1 - alpha. Without calls it is from 0 to 1. alpha is above 0 and
// below 1.
func (s Sample) Interval(alpha float64) (low, high float64) {
	n, k := float64(s.N), float64(s.K)
	if s.N == 0 {
		return 0, 1
	}
	limit := -math.Log(alpha) - logBeta(k+1, n-k+1)
	inside := func(p float64) bool { return -mul(k, math.Log(p))-mul(n-k, math.Log1p(-p)) < limit }
	share := s.Share()
	return bisect(share, 0, inside), bisect(share, 1, inside)
}

// Worse tells whether the share of b is above that of a by more than margin. Where
// it is not, the answer is ever true with probability alpha at most, however often
// it is asked.
func Worse(a, b Sample, margin, alpha float64) bool {
	if b.Share() <= a.Share()+margin {
		return false // intervals hold the shares that were seen
	}
	_, high := a.Interval(alpha / 2)
	low, _ := b.Interval(alpha / 2)
	return low > high+margin
}

// bisect is where inside ends on the way from a place that is inside to an end.
func bisect(from, end float64, inside func(float64) bool) float64 {
	if from == end || inside(end) {
		return end
	}
	for range 60 { // halves of 1: beyond a float's precision
		if middle := (from + end) / 2; inside(middle) {
			from = middle
		} else {
			end = middle
		}
	}
	return end
}

func logBeta(a, b float64) float64 {
	x, _ := math.Lgamma(a)
	y, _ := math.Lgamma(b)
	z, _ := math.Lgamma(a + b)
	return x + y - z
}

// mul is 0 where a is, also for an infinite b.
func mul(a, b float64) float64 {
	if a == 0 {
		return 0
	}
	return a * b
}
