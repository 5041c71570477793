package forecast

import (
	"errors"
	"fmt"
	"math"
	"time"
)

// Series is a rate over time, one value a step from Start on. NaN is a gap: nobody
// knows what was then.
type Series struct {
	Start  time.Time
	Step   time.Duration
	Values []float64 // 0 or above, or NaN
}

// End is where the forecast begins.
func (s Series) End() time.Time { return s.at(len(s.Values)) }

func (s Series) at(i int) time.Time { return s.Start.Add(time.Duration(i) * s.Step) }

// index is the step that a moment is in; it may be outside of the series.
func (s Series) index(t time.Time) int {
	return int(math.Floor(float64(t.Sub(s.Start)) / float64(s.Step)))
}

// Known is how many values are not gaps.
func (s Series) Known() (n int) {
	for _, v := range s.Values {
		if !math.IsNaN(v) {
			n++
		}
	}
	return n
}

// Mean is the mean of the last steps that are known; 0 when none is.
func (s Series) Mean(steps int) float64 {
	sum, n := 0.0, 0
	for _, v := range s.Values[max(0, len(s.Values)-steps):] {
		if !math.IsNaN(v) {
			sum, n = sum+v, n+1
		}
	}
	if n == 0 {
		return 0
	}
	return sum / float64(n)
}

func (s Series) validate() error {
	if s.Step <= 0 {
		return errors.New("step: want a length of time above 0")
	}
	for i, v := range s.Values {
		if v < 0 || math.IsInf(v, 0) {
			return fmt.Errorf("values[%d]: is %v, want 0 or above, or NaN for a gap", i, v)
		}
	}
	return nil
}

// tidy leaves out gaps at the beginning.
func (s Series) tidy() Series {
	i := 0
	for i < len(s.Values) && math.IsNaN(s.Values[i]) {
		i++
	}
	return s.after(i)
}

func (s Series) after(i int) Series {
	return Series{Start: s.at(i), Step: s.Step, Values: s.Values[i:]}
}

// How much of a history is looked at, but for earlier dates of events: older days
// tell little of tomorrow, and take time.
const (
	recentCycles = 10
	recentSteps  = 1000 // at least
)

func (s Series) recent(period int) Series {
	return s.after(max(0, len(s.Values)-max(recentCycles*period, recentSteps)))
}
