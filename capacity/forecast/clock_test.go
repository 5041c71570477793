package forecast_test

import (
	"math"
	"testing"
	"time"

	"github.com/kongdao/kongdao/capacity/forecast"
)

// byBerlin is traffic of people who live by the clocks of Berlin, without noise.
func byBerlin(t *testing.T, start time.Time, hours int) (s forecast.Series, of func(int) float64, berlin *time.Location) {
	t.Helper()
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	of = func(hour int) float64 {
		at := start.Add(time.Duration(hour) * time.Hour).In(berlin)
		rate := 100 * (1.2 + math.Sin(2*math.Pi*float64(at.Hour()-9)/24))
		if d := at.Weekday(); d == time.Saturday || d == time.Sunday {
			rate *= 0.6
		}
		return rate
	}
	return observed(6, hours, 0.02, func(h int) float64 { return of(h) }), of, berlin
}

// Clocks are changed before the forecast begins, within it, and forwards and backwards.
func TestSeasonsGoByTheClock(t *testing.T) {
	for name, changed := range map[string]time.Time{
		"back":    time.Date(2026, 10, 25, 1, 0, 0, 0, time.UTC),
		"forward": time.Date(2026, 3, 29, 1, 0, 0, 0, time.UTC),
	} {
		for before, into := range map[string]time.Duration{"two days ago": -2 * day, "now": 0, "in two days": 2 * day} {
			t.Run(name+" "+before, func(t *testing.T) {
				const hours = 8 * 168
				start := changed.Add(-into - hours*time.Hour)
				s, of, berlin := byBerlin(t, start, hours)
				s.Start = start
				next := forecast.Window{From: s.End().Add(3 * day), To: s.End().Add(3*day + 5*time.Hour)}
				f := forecastOf(t, s, forecast.Options{Horizon: 7 * day, Zone: berlin, Events: []forecast.Event{{Name: "half", Factor: 0.5, Windows: []forecast.Window{next}}}})
				if len(f.Point) != 168 || !f.Start.Equal(s.End()) {
					t.Fatalf("%d points from %s, want 168 from %s", len(f.Point), f.Start, s.End())
				}
				if e := f.Events[0]; !e.From.Equal(next.From) || !e.To.Equal(next.To) {
					t.Errorf("the event is from %s to %s, want %s to %s", e.From, e.To, next.From, next.To)
				}
				for h := 72; h < 77; h++ {
					f.Point[h] *= 2
				}
				byUTC := forecastOf(t, s, forecast.Options{Horizon: 7 * day})
				if a, b := off(f, hours, of), off(byUTC, hours, of); a > 0.03 || b < 2*a {
					t.Errorf("%.1f %% off by the clock, %.1f %% by UTC", 100*a, 100*b)
				}
				if len(f.Notes) != 0 {
					t.Errorf("notes %q", f.Notes)
				}
			})
		}
	}
}

// Where clocks are not changed a zone changes nothing.
func TestZoneWithoutChanges(t *testing.T) {
	s := observed(7, 5*168, 0.1, law(0))
	shanghai, err := time.LoadLocation("Asia/Shanghai")
	if err != nil {
		t.Fatal(err)
	}
	a, b := forecastOf(t, s, forecast.Options{Horizon: 2 * day}), forecastOf(t, s, forecast.Options{Horizon: 2 * day, Zone: shanghai})
	for h := range a.Point {
		if a.Point[h] != b.Point[h] {
			t.Fatalf("%d: %v and %v", h, a.Point[h], b.Point[h])
		}
	}
}
