package search

import "math"

// drift is how the crossing changes while the search goes on, read from how long
// requests take: of all visits, at rates close to each other, the mean logarithm of
// the time is a plane over the logarithm of the rate and the time of the visit.
type drift struct {
	down float64 // by how much the logarithm of the crossing falls within the budget
	off  float64 // deviation of that
	sure float64 // probability that it falls at all
}

// What is believed before: most pods do not change, and of those that do the mean
// logarithm changes by leakWidth. The crossing falls by part of what the mean rises by:
// the mean rises with the slower service, and with the load that this makes.
const (
	leakPrior = 0.2
	leakWidth = 0.2
	leakPart  = 0.5
	fewVisits = 6
	byRate    = 2.0  // by how much the mean logarithm rises with that of the rate, give or take one
	longVisit = 15.0 // seconds
	oneVisit  = 0.06 // deviation of the mean logarithm of a visit
)

func driftOf(probes []probed) drift {
	var visits []probed
	for _, p := range probes {
		if p.prove && p.took.n >= fewest {
			visits = append(visits, p)
		}
	}
	n := len(visits)
	if n < fewVisits {
		return drift{}
	}
	// Least squares, by taking the means and the rate out.
	var weight, rate, when, took []float64
	for _, v := range visits {
		at := math.Log(v.rate)
		weight = append(weight, math.Sqrt(float64(v.took.n)/v.rate/longVisit))
		rate, when, took = append(rate, at), append(when, v.when), append(took, v.took.meanLog()-byRate*at)
	}
	center(rate, weight)
	center(when, weight)
	center(took, weight)
	// What is believed of the slope by rate, as one visit more: rates are too close to
	// each other, and follow the limit down too well, to tell it from the time.
	rate, when, took = append(rate, oneVisit), append(when, 0), append(took, 0)
	takeOut(rate, when)
	takeOut(rate, took)
	spread := dot(when, when)
	if spread < 1e-6 {
		return drift{}
	}
	slope := dot(when, took) / spread
	takeOut(when, took)
	se2 := dot(took, took) / float64(n-2) / spread * 1.3 // few visits: a wider law than the normal
	if slope <= 0 {
		return drift{}
	}
	all := se2 + leakWidth*leakWidth
	odds := leakPrior / (1 - leakPrior) * math.Sqrt(se2/all) * math.Exp(slope*slope/2*(1/se2-1/all))
	d := drift{sure: 1}
	if !math.IsInf(odds, 1) {
		d.sure = odds / (1 + odds)
	}
	d.down = leakPart * d.sure * slope * leakWidth * leakWidth / all
	d.off = leakPart * d.sure * math.Sqrt(se2*leakWidth*leakWidth/all)
	return d
}

// rate is what a rate that was tried when a part of the budget was over amounts to at
// its end.
func (d drift) rate(rate, when float64) float64 { return rate * math.Exp(-d.down*(1-when)) }

func dot(a, b []float64) (sum float64) {
	for i := range a {
		sum += a[i] * b[i]
	}
	return sum
}

// center takes the mean out, and leaves of each as much as its weight.
func center(a, weight []float64) {
	sum, all := 0.0, 0.0
	for i, w := range weight {
		sum += w * w * a[i]
		all += w * w
	}
	for i, w := range weight {
		a[i] = w * (a[i] - sum/all)
	}
}

// takeOut leaves of b what is not a multiple of a.
func takeOut(a, b []float64) {
	d := dot(a, a)
	if d < 1e-12 {
		return
	}
	f := dot(a, b) / d
	for i := range b {
		b[i] -= f * a[i]
	}
}

// meanLog is the mean logarithm of the times.
func (s *sketch) meanLog() (sum float64) {
	for i, n := range s.counts {
		sum += float64(n) * sketchStep * float64(i)
	}
	return sum / float64(max(s.n, 1))
}
