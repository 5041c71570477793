package forecast

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"time"
)

// Options say what to forecast.
type Options struct {
	Horizon time.Duration // how far; 0: as long as a week
	Seasons []Season      // shortest first; nil: a day and a week
	Events  []Event
	Zone    *time.Location // whose clocks seasons follow; nil: UTC
}

// Season is a period with a name.
type Season struct {
	Name   string
	Length time.Duration // a whole number of steps
}

// DayAndWeek are the seasons of what people do.
func DayAndWeek() []Season {
	return []Season{{"daily", 24 * time.Hour}, {"weekly", 7 * 24 * time.Hour}}
}

// ErrShort is for a history of which nothing can be said.
var ErrShort = errors.New("too short a history")

// cycles of a season that a history has to have for it to be known.
const cycles = 2

// Forecast is what to expect from Start on.
type Forecast struct {
	Start    time.Time     `json:"start"`
	Step     time.Duration `json:"step_ns"`
	Point    []float64     `json:"point"`   // the rate of each step, events included
	Seasons  []string      `json:"seasons"` // that it knows
	Events   []Effect      `json:"events"`  // in the horizon
	Accuracy Accuracy      `json:"accuracy"`
	Notes    []string      `json:"notes"` // what it could not know

	spread spread
	peaks  []float64
}

// Make forecasts a series. It fails with ErrShort when the shortest season was not
// seen twice and then once more, to be tried on.
func Make(s Series, o Options) (Forecast, error) {
	if err := s.validate(); err != nil {
		return Forecast{}, err
	}
	if o.Seasons == nil {
		o.Seasons = DayAndWeek()
	}
	if o.Horizon == 0 {
		o.Horizon = 7 * 24 * time.Hour
	}
	s = s.tidy()
	if s.changes(o.Zone, int(o.Horizon/s.Step)) {
		return makeByClock(s, o)
	}
	f := Forecast{Start: s.End(), Step: s.Step, Seasons: []string{}, Events: []Effect{}, Notes: []string{}}
	periods, err := f.periods(s, o.Seasons)
	if err != nil {
		return Forecast{}, err
	}
	steps := max(1, int(o.Horizon/s.Step))
	whole := s
	s = s.recent(longest(periods))
	out := s.marked(o.Events)
	all := candidates()
	w := walkThrough(s.Values, out, periods, steps, all)
	f.Accuracy, f.spread = w.accuracy(), w.spread()
	if len(periods) == 0 || w.steps >= min(steps, periods[0]) { // else no trial saw a peak
		f.peaks = w.peakErrors()
	}
	f.Point = average(predictions(s.Values, out, periods, steps, all, w.chosen()), w.chosen())
	f.bound(s)
	f.doubts(w, steps)
	f.event(whole, o.Events, periods)
	return f, nil
}

// periods are those of the seasons that the history can tell.
func (f *Forecast) periods(s Series, seasons []Season) (all []int, err error) {
	length := time.Duration(len(s.Values)) * s.Step
	for _, season := range seasons {
		if season.Length%s.Step != 0 || season.Length <= s.Step {
			return nil, fmt.Errorf("season %s: is %s, want whole steps of %s, and two at least", season.Name, season.Length, s.Step)
		}
		if length < cycles*season.Length+s.Step {
			f.Notes = append(f.Notes, fmt.Sprintf("%s of history: no %s season", days(length), season.Name))
			continue
		}
		f.Seasons = append(f.Seasons, season.Name)
		all = append(all, int(season.Length/s.Step))
	}
	if len(all) == 0 && len(seasons) > 0 || len(s.Values) < 4 {
		return nil, fmt.Errorf("%s of history: %w", days(length), ErrShort)
	}
	if gaps := len(s.Values) - s.Known(); gaps > 0 {
		f.Notes = append(f.Notes, fmt.Sprintf("%s of the history unknown", days(time.Duration(gaps)*s.Step)))
	}
	if 2*s.Known() < len(s.Values) {
		return nil, fmt.Errorf("more gaps than history: %w", ErrShort)
	}
	return all, nil
}

// furthest is how many times the highest rate of the past a forecast may reach
// without events: a slope that goes on for ever says more than anybody knows.
const furthest = 4

func (f *Forecast) bound(s Series) {
	highest := 0.0
	for _, v := range s.Values {
		if v > highest { // no gap
			highest = v
		}
	}
	for h := range f.Point {
		f.Point[h] = math.Min(f.Point[h], furthest*highest)
	}
}

// doubts says what the back-test could not tell.
func (f *Forecast) doubts(w walk, steps int) {
	if len(f.peaks) < fewest {
		f.Notes = append(f.Notes, fmt.Sprintf("too short a history to say how wrong forecasts of its peak are: a standard deviation of %.0f %% is assumed", 100*assumed))
	}
	if w.steps < steps {
		f.Notes = append(f.Notes, fmt.Sprintf("its error is known for %s ahead alone", days(time.Duration(w.steps)*f.Step)))
	}
}

func (f *Forecast) event(s Series, events []Event, periods []int) {
	if len(events) == 0 {
		return
	}
	fit := fitTo(s.Values, s.marked(events), periods, apart{logs: true, model: true})
	without := make([]float64, len(s.Values))
	for t := range without {
		without[t] = fit.within(t)
	}
	effects, notes := s.effects(events, without, f.Point)
	f.Events, f.Notes = append(f.Events, effects...), append(f.Notes, notes...)
}

// Interval holds the rate at a step of the horizon with the given probability, as
// far as errors of the past tell.
func (f Forecast) Interval(step int, probability float64) (low, high float64) {
	return f.spread.interval(f.Point[step], step, probability)
}

// Peak is the rate that the busiest step of the horizon is above with probability
// risk alone, in (0,0.5], and when it is expected. A smaller risk never gives a
// smaller rate. With too short a history to know errors some are assumed.
func (f Forecast) Peak(risk float64) (rate float64, at time.Time) {
	i := 0
	for h, v := range f.Point {
		if v > f.Point[i] {
			i = h
		}
	}
	return f.Point[i] * math.Exp(margin(f.peaks, min(max(risk, 1e-9), 0.5))), f.Start.Add(time.Duration(i) * f.Step)
}

// days is a length of time for people.
func days(d time.Duration) string {
	const day = 24 * time.Hour
	if d < 2*day {
		return fmt.Sprintf("%.0f hours", d.Hours())
	}
	return fmt.Sprintf("%.0f days", math.Floor(d.Hours()/24))
}

// Known says whether an event of that name has a factor in this forecast.
func (f Forecast) Known(event string) bool {
	return slices.ContainsFunc(f.Events, func(e Effect) bool { return e.Name == event && e.Factor > 0 })
}
