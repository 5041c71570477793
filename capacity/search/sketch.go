package search

import (
	"math"
	"time"
)

// sketch is how many requests took how long, in steps of 5 %, as parts of a unit.
type sketch struct {
	unit   float64 // seconds
	counts [sketchBins]int32
	n      int
}

const (
	sketchStep  = 0.05 // of the logarithm
	sketchBelow = 120  // steps below the unit: to a four-hundredth of it
	sketchBins  = sketchBelow + 60
)

func newSketch(unit time.Duration) *sketch { return &sketch{unit: unit.Seconds()} }

func (s *sketch) observe(latency time.Duration) {
	i := 0
	if latency > 0 {
		i = sketchBelow + int(math.Floor(math.Log(latency.Seconds()/s.unit)/sketchStep))
	}
	s.counts[min(max(i, 0), sketchBins-1)]++
	s.n++
}

func (s *sketch) add(o *sketch) {
	for i, n := range o.counts {
		s.counts[i] += n
	}
	s.n += o.n
}

// edge is the lower end of a bin, seconds.
func (s *sketch) edge(bin int) float64 { return s.unit * math.Exp(sketchStep*float64(bin-sketchBelow)) }

// above is how many requests took longer than this many seconds, to a bin.
func (s *sketch) above(limit float64) (n float64) {
	from := sketchBelow + int(math.Round(math.Log(limit/s.unit)/sketchStep))
	for _, c := range s.counts[min(max(from, 0), sketchBins):] {
		n += float64(c)
	}
	return n
}

// reached is the lowest bin from which on no more than a share of the requests are.
func (s *sketch) reached(share float64) int {
	left := float64(s.n) * share
	for i := sketchBins - 1; i > 0; i-- {
		if left -= float64(s.counts[i]); left < 0 {
			return i + 1
		}
	}
	return 0
}

// atoms are the times as few points with masses that add up to 1: of the body few are
// enough, of the tail there is one for each bin.
func (s *sketch) atoms() (out []atom) {
	body := s.reached(0.03)
	var a atom
	for i, n := range s.counts {
		if n == 0 {
			continue
		}
		m := float64(n) / float64(s.n)
		a.at += m * s.edge(i) * math.Exp(sketchStep/2)
		a.mass += m
		if a.mass > 0.02 || i >= body || i == sketchBins-1 {
			out = append(out, atom{a.at / a.mass, a.mass})
			a = atom{}
		}
	}
	if a.mass > 0 {
		out = append(out, atom{a.at / a.mass, a.mass})
	}
	return out
}

type atom struct{ at, mass float64 }
