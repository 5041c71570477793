package forecast_test

import (
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kongdao/kongdao/capacity/forecast"
)

const day = 24 * time.Hour

var monday = time.Date(2026, 9, 7, 0, 0, 0, 0, time.UTC)

// law is traffic whose law is known: the rate at an hour, without noise.
func law(growthPerWeek float64) func(hour int) float64 {
	return func(hour int) float64 {
		h, d := hour%24, hour/24%7
		rate := 100 * (1.2 + math.Sin(2*math.Pi*float64(h-9)/24))
		if d >= 5 {
			rate *= 0.6
		}
		return rate * math.Pow(1+growthPerWeek, float64(hour)/168)
	}
}

// observed adds noise to a law, of so many percent.
func observed(seed uint64, hours int, noise float64, of func(int) float64) forecast.Series {
	r := rand.New(rand.NewPCG(seed, 1))
	s := forecast.Series{Start: monday, Step: time.Hour}
	for h := range hours {
		s.Values = append(s.Values, of(h)*math.Exp(noise*r.NormFloat64()))
	}
	return s
}

func forecastOf(t *testing.T, s forecast.Series, o forecast.Options) forecast.Forecast {
	t.Helper()
	f, err := forecast.Make(s, o)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// off is the mean relative error of a forecast against the law.
func off(f forecast.Forecast, from int, of func(int) float64) float64 {
	sum := 0.0
	for h, v := range f.Point {
		sum += math.Abs(v-of(from+h)) / of(from+h) / float64(len(f.Point))
	}
	return sum
}

func TestKnownLaw(t *testing.T) {
	for name, c := range map[string]struct {
		growth, noise, most float64
		spoil               func(forecast.Series)
	}{
		"no noise": {0, 0, 0.01, nil},
		"noise":    {0, 0.1, 0.05, nil},
		"growth":   {0.05, 0.05, 0.05, nil},
		"gaps": {0, 0.05, 0.05, func(s forecast.Series) {
			for h := range s.Values {
				if h%5 == 0 || h > 400 && h < 470 {
					s.Values[h] = math.NaN()
				}
			}
		}},
		"outliers": {0, 0.05, 0.06, func(s forecast.Series) {
			for h := 17; h < len(s.Values); h += 61 {
				s.Values[h] *= 20
			}
		}},
		"an outage": {0, 0.05, 0.05, func(s forecast.Series) {
			for h := 900; h < 905; h++ {
				s.Values[h] = 0
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			const hours = 8 * 168
			of := law(c.growth)
			s := observed(1, hours, c.noise, of)
			if c.spoil != nil {
				c.spoil(s)
			}
			f := forecastOf(t, s, forecast.Options{Horizon: 7 * day})
			if e := off(f, hours, of); e > c.most {
				t.Errorf("%.1f %% off the law, want %.0f %% at most", 100*e, 100*c.most)
			}
			if len(f.Point) != 168 || !f.Start.Equal(monday.Add(hours*time.Hour)) || !slices.Equal(f.Seasons, []string{"daily", "weekly"}) {
				t.Errorf("%d points from %s, seasons %v", len(f.Point), f.Start, f.Seasons)
			}
		})
	}
}

// A rate that doubled two days ago is the rate of now, not an outlier.
func TestChangeOfLevel(t *testing.T) {
	const hours = 6 * 168
	doubled := func(h int) float64 {
		if h >= hours-48 {
			return 2 * law(0)(h)
		}
		return law(0)(h)
	}
	f := forecastOf(t, observed(2, hours, 0.05, doubled), forecast.Options{Horizon: 2 * day})
	if e := off(f, hours, doubled); e > 0.25 {
		t.Errorf("%.0f %% off", 100*e)
	}
}

// Errors that a back-test reports are those that come: their size, the coverage of
// intervals, and how often the peak is above the one planned for.
func TestErrorsAreThoseThatCome(t *testing.T) {
	const hours, horizon = 6 * 168, 48
	of := law(0.02)
	inside, said, real, above, runs := 0, 0.0, 0.0, 0, 60
	for run := range runs {
		s := observed(uint64(run), hours+horizon, 0.1, of)
		future := s.Values[hours:]
		s.Values = s.Values[:hours]
		f := forecastOf(t, s, forecast.Options{Horizon: horizon * time.Hour})
		said += f.Accuracy.SMAPE / float64(runs)
		for h, v := range future {
			real += 2 * math.Abs(v-f.Point[h]) / (v + f.Point[h]) / float64(runs*horizon)
			if low, high := f.Interval(h, 0.9); low <= v && v <= high {
				inside++
			}
		}
		if peak, _ := f.Peak(0.05); slices.Max(future) > peak {
			above++
		}
		if f.Accuracy.Naive <= f.Accuracy.SMAPE {
			t.Errorf("run %d: no better than last week: %+v", run, f.Accuracy)
		}
	}
	if said < 0.9*real || said > 1.15*real {
		t.Errorf("sMAPE was said to be %.4f, it was %.4f", said, real)
	}
	if c := float64(inside) / float64(runs*horizon); c < 0.88 || c > 0.97 {
		t.Errorf("%.3f are in their 90 %% interval", c)
	}
	if above > 8 {
		t.Errorf("the peak was above the one with risk 0.05 in %d of %d runs", above, runs)
	}
}

func TestShortHistorySaysWhatItDoesNotKnow(t *testing.T) {
	for _, c := range []struct {
		hours   int
		seasons int
		note    string
	}{
		{9 * 24, 1, "9 days of history: no weekly season"},
		{52, 1, "2 days of history: no weekly season"},
		{53, 1, "a standard deviation of 25 % is assumed"},
		{16 * 24, 2, "its error is known for 23 hours ahead alone"},
	} {
		f := forecastOf(t, observed(3, c.hours, 0.05, law(0)), forecast.Options{})
		if len(f.Seasons) != c.seasons || !strings.Contains(strings.Join(f.Notes, "\n"), c.note) {
			t.Errorf("%d hours: seasons %v, notes %q, want %q", c.hours, f.Seasons, f.Notes, c.note)
		}
	}
	if _, err := forecast.Make(observed(3, 40, 0, law(0)), forecast.Options{}); !errors.Is(err, forecast.ErrShort) {
		t.Errorf("40 hours: %v", err)
	}
	if _, err := forecast.Make(forecast.Series{Start: monday, Step: time.Hour}, forecast.Options{}); !errors.Is(err, forecast.ErrShort) {
		t.Errorf("nothing: %v", err)
	}
}

func promotion(factor float64, at ...time.Time) forecast.Event {
	e := forecast.Event{Name: "promotion", Factor: factor}
	for _, t := range at {
		e.Windows = append(e.Windows, forecast.Window{From: t, To: t.Add(day)})
	}
	return e
}

func TestEvents(t *testing.T) {
	const hours = 8 * 168
	begin, next := monday.Add(30*day), monday.Add(hours*time.Hour+2*day)
	of := func(h int) float64 {
		if h >= 30*24 && h < 31*24 || h >= hours+48 && h < hours+72 {
			return 5 * law(0)(h)
		}
		return law(0)(h)
	}
	s := observed(4, hours, 0.05, of)
	learned := forecastOf(t, s, forecast.Options{Horizon: 7 * day, Events: []forecast.Event{promotion(0, begin, next)}})
	if e := off(learned, hours, of); e > 0.07 {
		t.Errorf("%.1f %% off with an event that was there before", 100*e)
	}
	if x := learned.Events; len(x) != 1 || x[0].Source != forecast.Learned || x[0].Past != 1 || math.Abs(x[0].Factor-5) > 0.6 {
		t.Errorf("%+v", x)
	}
	_, at := learned.Peak(0.5)
	if at.Before(next) || !at.Before(next.Add(day)) {
		t.Errorf("the peak is at %s, not in the event", at)
	}
	declared := forecastOf(t, s, forecast.Options{Horizon: 7 * day, Events: []forecast.Event{promotion(8, begin, next)}})
	if x := declared.Events; len(x) != 1 || x[0].Source != forecast.Declared || x[0].Factor != 8 {
		t.Errorf("%+v", x)
	}
	unknown := forecastOf(t, s, forecast.Options{Horizon: 7 * day, Events: []forecast.Event{promotion(0, next)}})
	if x := unknown.Events; len(x) != 1 || x[0].Source != forecast.Unknown || !strings.Contains(strings.Join(unknown.Notes, "\n"), "event promotion: no earlier one") {
		t.Errorf("%+v %q", x, unknown.Notes)
	}
	outside := forecastOf(t, s, forecast.Options{Horizon: 7 * day, Events: []forecast.Event{promotion(8, next.Add(30*day))}})
	if len(outside.Events) != 0 {
		t.Errorf("%+v", outside.Events)
	}
}

func TestLessRiskIsNeverALowerPeak(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 5))
	for range 30 {
		s := observed(r.Uint64(), 50+r.IntN(800), 0.5*r.Float64(), law(0.2*r.Float64()-0.1))
		f := forecastOf(t, s, forecast.Options{Horizon: time.Duration(1+r.IntN(300)) * time.Hour})
		last := 0.0
		for _, risk := range []float64{0.5, 0.3, 0.1, 0.05, 0.01, 0.001, 1e-6} {
			rate, _ := f.Peak(risk)
			if rate < last || math.IsNaN(rate) || math.IsInf(rate, 0) {
				t.Fatalf("risk %g: %g after %g", risk, rate, last)
			}
			last = rate
		}
	}
}

func TestRefusals(t *testing.T) {
	for want, s := range map[string]forecast.Series{
		"step:":      {Values: []float64{1}},
		"values[1]:": {Step: time.Hour, Values: []float64{1, -1}},
		"season":     {Step: 7 * time.Hour, Values: make([]float64, 1000)},
	} {
		if _, err := forecast.Make(s, forecast.Options{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
}

// FuzzMake wants finite rates of whatever history.
func FuzzMake(f *testing.F) {
	f.Add([]byte{0, 1, 2, 255, 3}, uint16(400), true)
	f.Add([]byte{0}, uint16(200), false)
	f.Add([]byte{254, 0, 0, 0, 0, 0, 0}, uint16(900), true)
	f.Fuzz(func(t *testing.T, pattern []byte, hours uint16, gaps bool) {
		if len(pattern) == 0 {
			return
		}
		s := forecast.Series{Start: monday, Step: time.Hour}
		for h := range int(hours % 1000) {
			v := float64(pattern[(h*h+h)%len(pattern)])
			if v == 255 && gaps {
				v = math.NaN()
			}
			s.Values = append(s.Values, v*v*v)
		}
		out, err := forecast.Make(s, forecast.Options{Horizon: 3 * day, Events: []forecast.Event{promotion(0, monday.Add(3*day), s.End().Add(day))}})
		if err != nil {
			return
		}
		for h, v := range out.Point {
			low, high := out.Interval(h, 0.9)
			if !(v >= 0) || math.IsInf(v, 0) || !(low >= 0 && low <= high) {
				t.Fatalf("%d: %v in [%v, %v]", h, v, low, high)
			}
		}
		if peak, _ := out.Peak(0.01); !(peak >= 0) || math.IsInf(peak, 0) {
			t.Fatal(peak)
		}
	})
}
