package attack

import (
	"fmt"
	"math"
	"time"
)

// Swing is a rate that goes up and down around a stage's line:
//
//	rate(x)  = Amplitude·sin(2π·x/Period + Phase)
//	swing(x) = Amplitude·Period/(2π)·(cos(Phase) − cos(2π·x/Period + Phase))
//
//	where  x  seconds since the stage began; swing(x) is the integral of the rate
//
// The zero value does not swing.
type Swing struct {
	Amplitude float64       // requests a second; never above the line
	Period    time.Duration // above 0 where there is an amplitude
	Phase     float64       // radians: 0 begins at the line and rises, π/2 begins at the peak
}

func (w Swing) rate(x float64) float64 {
	if w.Amplitude == 0 {
		return 0
	}
	return w.Amplitude * math.Sin(2*math.Pi*x/w.Period.Seconds()+w.Phase)
}

func (w Swing) due(x float64) float64 {
	if w.Amplitude == 0 {
		return 0
	}
	p := w.Period.Seconds()
	return w.Amplitude * p / (2 * math.Pi) * (math.Cos(w.Phase) - math.Cos(2*math.Pi*x/p+w.Phase))
}

func (w Swing) validate(line float64) error {
	switch {
	case w.Amplitude == 0:
		return nil
	case w.Amplitude < 0 || math.IsNaN(w.Amplitude) || w.Amplitude > line:
		return fmt.Errorf("amplitude %v must be from 0 to %v: a rate is never below 0", w.Amplitude, line)
	case w.Period <= 0:
		return fmt.Errorf("period %v must be above 0", w.Period)
	case math.IsNaN(w.Phase) || math.IsInf(w.Phase, 0):
		return fmt.Errorf("phase %v must be a number", w.Phase)
	}
	return nil
}

// bisect solves H(x) = n, which has no closed form with a swing. H never falls, so
// halving always ends, to the nanosecond: the first at which n requests are due.
func (s Stage) bisect(n float64) time.Duration {
	low, high := time.Duration(0), s.Duration
	for low < high {
		middle := low + (high-low)/2
		if s.due(middle.Seconds()) < n-1e-9 { // what floating point may lose
			low = middle + 1
		} else {
			high = middle
		}
	}
	return low
}
