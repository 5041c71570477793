package forecast

import (
	"fmt"
	"math"
	"time"
)

// Event is something with a name that changes the rate for a while, whenever it is:
// a promotion, a holiday.
type Event struct {
	Name    string
	Windows []Window // when it was and will be
	Factor  float64  // what the rate is multiplied by; 0: as it was before
}

// Window is a stretch of time, its end not in it.
type Window struct{ From, To time.Time }

// Effect is what an event does to the horizon.
type Effect struct {
	Name   string    `json:"name"`
	From   time.Time `json:"from"`
	To     time.Time `json:"to"`
	Factor float64   `json:"factor"` // 0: unknown, and not in the forecast
	Source string    `json:"source"` // declared, learned or unknown
	Past   int       `json:"past"`   // occasions that it was learned from
}

// Where the factor of an event is from.
const (
	Declared = "declared"
	Learned  = "learned"
	Unknown  = "unknown"
)

// marked says which steps of a series some event covers.
func (s Series) marked(events []Event) []bool {
	in := make([]bool, len(s.Values))
	for _, e := range events {
		for _, w := range e.Windows {
			for i := max(0, s.index(w.From)); i < min(len(in), s.indexEnd(w.To)); i++ {
				in[i] = true
			}
		}
	}
	return in
}

// indexEnd is the first step that begins at t or later.
func (s Series) indexEnd(t time.Time) int {
	return int(math.Ceil(float64(t.Sub(s.Start)) / float64(s.Step)))
}

// learn is what an event did to the peak of its windows in the past, the mean over
// occasions, given what would have been without it; n is how many occasions.
func (s Series) learn(e Event, without []float64) (factor float64, n int) {
	sum := 0.0
	for _, w := range e.Windows {
		from, to := s.index(w.From), s.indexEnd(w.To)
		if from < 0 || to > len(s.Values) {
			continue // not all of it is known
		}
		was, would := 0.0, 0.0
		for i := from; i < to; i++ {
			if !math.IsNaN(s.Values[i]) {
				was, would = math.Max(was, s.Values[i]), math.Max(would, without[i])
			}
		}
		if would > 0 {
			sum, n = sum+was/would, n+1
		}
	}
	if n == 0 {
		return 0, 0
	}
	return sum / float64(n), n
}

// effects multiplies the forecast by what is known of events in it, and says so.
func (s Series) effects(events []Event, without, point []float64) (all []Effect, notes []string) {
	horizon := Window{s.End(), s.at(len(s.Values) + len(point))}
	for _, e := range events {
		x := Effect{Name: e.Name, Factor: e.Factor, Source: Declared}
		if e.Factor == 0 {
			x.Source = Learned
			x.Factor, x.Past = s.learn(e, without)
		}
		if x.Factor == 0 {
			x.Source = Unknown
		}
		for _, w := range e.Windows {
			if !w.To.After(horizon.From) || !w.From.Before(horizon.To) {
				continue
			}
			x.From, x.To = w.From, w.To
			all = append(all, x)
			if x.Source == Unknown {
				notes = append(notes, fmt.Sprintf("event %s: no earlier one in the history and no factor given: it is not in the forecast", e.Name))
				continue
			}
			for i := max(0, s.index(w.From)-len(s.Values)); i < min(len(point), s.indexEnd(w.To)-len(s.Values)); i++ {
				point[i] *= x.Factor
			}
		}
	}
	return all, notes
}
