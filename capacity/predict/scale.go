package predict

import (
	"errors"
	"math"
)

// ErrScale means that a rate that was measured says nothing of another revision.
var ErrScale = errors.New("cannot be scaled")

// farFrom is by how much a measured rate may be off the nearest one that waiting in
// line explains, as a logarithm.
const farFrom = 0.25

// Scale says how many times the rate of one pod another revision can take, when a
// search found the rate of a pod of the old one: as many calls as that rate tells are
// worked on at a time, by both, and each has the times that its own calls took. It
// returns ErrTooFew, or ErrScale where no number of workers explains the rate.
func Scale(old, now []Sample, measured float64, bounds []Bound, dealers int, pods float64) (float64, error) {
	before, err := bins(old)
	if err != nil {
		return 0, err
	}
	after, err := bins(now)
	if err != nil {
		return 0, err
	}
	rate := func(base Sample, workers int) float64 {
		m := known(base, dealers, workers).model
		least := math.Inf(1)
		for _, b := range bounds {
			least = min(least, m.within(b, pods, 4*simulated))
		}
		return least
	}
	workers, was := 0, 0.0
	off := math.Inf(1)
	for low, high := 0, len(places)-1; low <= high; {
		i := (low + high) / 2
		r := rate(before[0], places[i])
		if d := math.Abs(math.Log(r / measured)); d < off {
			workers, was, off = places[i], r, d
		}
		if r < measured {
			low = i + 1
		} else {
			high = i - 1
		}
	}
	if off > farFrom || len(bounds) == 0 {
		return 0, ErrScale
	}
	return rate(after[0], workers) / was, nil
}
