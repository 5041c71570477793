package watch

import (
	"errors"
	"math"

	"github.com/kongdao/kongdao/api"
	"github.com/kongdao/kongdao/capacity/predict"
)

// scaledOff is what the ends of a scaled interval are moved outwards by: searches and
// models are off by some percent each.
const scaledOff = 1.08

// Scaled judges a revision whose own calls are not enough to tell, by what a search
// found of an earlier one and by how much longer calls take now, at any load. e is what
// its own calls say; it is returned when there is nothing better.
func Scaled(e Estimate, old, now []Stretch, m api.Measured, o api.Objective, dealers int, pods float64) Estimate {
	high := m.High
	if high == 0 {
		high = m.Low
	}
	measured := math.Sqrt(m.Low * high)
	ratio, err := predict.Scale(samples(old), samples(now), measured, boundsOf(o), dealers, pods)
	switch {
	case errors.Is(err, predict.ErrTooFew):
		return e
	case err != nil:
		return e.because("%s; what was measured of %s is not explained by calls that wait in line", e.Why, m.Revision)
	}
	e.Known, e.Why, e.How = true, "", ScaledFrom
	e.Safe, e.Low, e.High = tenth(ratio*measured), tenth(ratio*m.Low/scaledOff), tenth(ratio*high*scaledOff)
	return e
}

// ScaledFrom is where the estimate of Scaled comes from.
const ScaledFrom predict.How = "scaled"

func samples(all []Stretch) (out []predict.Sample) {
	for _, s := range all {
		out = append(out, s.Sample)
	}
	return out
}
