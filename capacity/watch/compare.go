package watch

import (
	"fmt"
	"math"
	"slices"

	"github.com/kongdao/kongdao/capacity/predict"
)

// Change is how a revision's calls compare with those of the one before, at the same
// load.
type Change struct {
	Before     string  `json:"before" doc:"revision that it is compared with"`
	Known      bool    `json:"known" doc:"false: why says what is missing"`
	Slower     float64 `json:"slower" doc:"calls take so many times as long; 1: the same"`
	Low        float64 `json:"slower_low" doc:"at least, with 99 %"`
	High       float64 `json:"slower_high" doc:"at most, with 99 %"`
	Worse      bool    `json:"worse" doc:"slower_low is above 1.1: a pod can take that much less"`
	Confidence float64 `json:"confidence" doc:"that calls take longer at all, 0 to 1"`
	Why        string  `json:"why,omitempty"`
}

// What a comparison rests on at least.
const (
	leastStretches = 12
	leastCalls     = 500
	worseFrom      = 1.1
	beyond         = 2.58 // standard errors, for 99 %
	together       = 1.5  // neighbouring stretches are alike: what widens the error
)

// Compare holds a revision against the one before. The first two minutes of either,
// in which caches are cold, are for the caller to leave out.
func Compare(before string, old, now []Stretch) Change {
	c := Change{Before: before}
	low, high := common(old, now)
	a, b := group(old, low, high), group(now, low, high)
	if len(a.x) < leastStretches || len(b.x) < leastStretches || a.calls < leastCalls || b.calls < leastCalls {
		c.Why = fmt.Sprintf("not enough calls at the same load: %d and %d stretches of 10 s, %.0f and %.0f calls", len(a.x), len(b.x), a.calls, b.calls)
		return c
	}
	xa, ya, xb, yb := mean(a.x), mean(a.y), mean(b.x), mean(b.y)
	sxx, sxy := a.sums(xa, ya)
	sxxB, sxyB := b.sums(xb, yb)
	sxx, sxy = sxx+sxxB, sxy+sxyB
	slope := 0.0
	if sxx > 1e-9 {
		slope = max(0, sxy/sxx) // more load never makes calls faster
	}
	off := yb - ya - slope*(xb-xa)
	variance := (a.rest(xa, ya, slope) + b.rest(xb, yb, slope)) / float64(len(a.x)+len(b.x)-3)
	spread := 1/float64(len(a.x)) + 1/float64(len(b.x))
	if sxx > 1e-9 {
		spread += (xb - xa) * (xb - xa) / sxx
	}
	e := max(together*math.Sqrt(variance*spread), 0.005)
	c.Known, c.Slower, c.Low, c.High = true, math.Exp(off), math.Exp(off-beyond*e), math.Exp(off+beyond*e)
	c.Worse, c.Confidence = c.Low > worseFrom, 0.5*math.Erfc(-off/e/math.Sqrt2)
	return c
}

// common are the rates that both had.
func common(a, b []Stretch) (low, high float64) {
	ends := func(all []Stretch) (float64, float64) {
		low, high := math.Inf(1), 0.0
		for _, s := range all {
			low, high = min(low, s.Rate), max(high, s.Rate)
		}
		return low, high
	}
	la, ha := ends(a)
	lb, hb := ends(b)
	return 0.9 * max(la, lb), 1.1 * min(ha, hb)
}

// line is stretches as points.
type line struct {
	x, y  []float64
	calls float64
}

func group(all []Stretch, low, high float64) (l line) {
	for _, s := range all {
		if s.Rate < low || s.Rate > high || s.Rate <= 0 || len(s.Quantiles) != len(predict.Levels()) {
			continue
		}
		l.x, l.y, l.calls = append(l.x, math.Log(s.Rate)), append(l.y, took(s.Quantiles)), l.calls+s.Calls
	}
	return l
}

// took is how long calls of a stretch took, as a logarithm: that of the mean of all
// but the longest tenth, whose mean is much chance.
func took(quantiles []float64) float64 {
	levels := predict.Levels()
	end := slices.Index(levels, 0.9)
	sum, last := 0.0, 0.0
	for i := 0; i <= end; i++ {
		sum += (levels[i] - last) * quantiles[i]
		last = levels[i]
	}
	return math.Log(max(sum/last, 1e-9))
}

func mean(all []float64) (m float64) {
	for _, v := range all {
		m += v / float64(len(all))
	}
	return m
}

func (l line) sums(x, y float64) (sxx, sxy float64) {
	for i := range l.x {
		sxx += (l.x[i] - x) * (l.x[i] - x)
		sxy += (l.x[i] - x) * (l.y[i] - y)
	}
	return sxx, sxy
}

// rest is what the line does not explain.
func (l line) rest(x, y, slope float64) (sum float64) {
	for i := range l.x {
		d := l.y[i] - y - slope*(l.x[i]-x)
		sum += d * d
	}
	return sum
}
