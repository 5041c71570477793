package people

import (
	"math/rand/v2"
	"testing"
	"testing/quick"
	"time"

	"github.com/kongdao/kongdao/api"
)

// zones with clocks that jump: half an hour, at midnight, or over a whole day.
var zones = []string{"Asia/Shanghai", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/Sao_Paulo", "Pacific/Apia", "Asia/Beirut", "UTC"}

func calendar(t *testing.T, s api.OnCallSpec) api.Calendar {
	t.Helper()
	c, err := s.Calendar()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func random(t *testing.T, r *rand.Rand) api.Calendar {
	t.Helper()
	clock := time.Date(2000, 1, 1, r.IntN(24), 15*r.IntN(4), 0, 0, time.UTC)
	c := calendar(t, api.OnCallSpec{
		TimeZone: zones[r.IntN(len(zones))], Start: "2011-12-0" + string(rune('1'+r.IntN(9))), Handover: clock.Format("15:04"),
		ShiftDays: 1 + r.IntN(9), Rotation: []string{"a", "b", "c", "d", "e"}[:1+r.IntN(5)],
	})
	from := moment(r)
	for range r.IntN(4) { // in order, some of them adjacent
		from = from.Add(time.Duration(r.IntN(3)) * 7 * time.Hour)
		until := from.Add(time.Duration(1+r.IntN(100)) * time.Hour)
		c.Overrides = append(c.Overrides, api.Span{From: from, Until: until, Person: "x"})
		from = until
	}
	return c
}

// moment is around the end of 2011, when Samoa left out a day, or any in twenty
// years.
func moment(r *rand.Rand) time.Time {
	if r.IntN(3) == 0 {
		return time.Date(2011, 12, 25, 0, 0, r.IntN(10*86400), 0, time.UTC)
	}
	return time.Date(2005, 1, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(r.Int64N(int64(20 * 365 * 24 * time.Hour))))
}

// At any moment exactly one person is on call: the turn of a moment holds it, all
// moments of a turn have the same turn, and turns follow each other without gap.
func TestExactlyOneIsOnCall(t *testing.T) {
	property := func(seed uint64) bool {
		r := rand.New(rand.NewPCG(seed, 2))
		c := random(t, r)
		at := moment(r)
		turn := At(c, at)
		if turn.Person == "" || at.Before(turn.From) || !at.Before(turn.Until) {
			t.Logf("%v in %+v: %+v", at, c, turn)
			return false
		}
		inside := turn.From.Add(time.Duration(r.Int64N(int64(turn.Until.Sub(turn.From)))))
		next, before := At(c, turn.Until), At(c, turn.From.Add(-1))
		same := At(c, inside) == turn && At(c, turn.From) == turn
		if !same || !next.From.Equal(turn.Until) || !before.Until.Equal(turn.From) {
			t.Logf("%v in %+v: %+v after %+v before %+v", at, c, turn, before, next)
			return false
		}
		return true
	}
	if err := quick.Check(property, &quick.Config{MaxCount: 3000}); err != nil {
		t.Error(err)
	}
}

// Without overrides everybody has the same number of shifts, in order.
func TestRotationIsFair(t *testing.T) {
	c := calendar(t, api.OnCallSpec{TimeZone: "Europe/Berlin", Start: "2026-01-05", Handover: "10:00", ShiftDays: 7, Rotation: []string{"a", "b", "c"}})
	turns := Between(c, begin(c, -6), begin(c, 60), 1000)
	if len(turns) != 66 {
		t.Fatalf("%d turns", len(turns))
	}
	for i, turn := range turns {
		if want := string(rune('a' + i%3)); turn.Person != want {
			t.Errorf("shift %d has %s, want %s", i, turn.Person, want)
		}
		if h := turn.From.In(c.Location); h.Hour() != 10 || h.Minute() != 0 || h.Weekday() != time.Monday {
			t.Errorf("shift %d begins %s", i, h)
		}
	}
}

func TestHandoverByTheClockOnTheWall(t *testing.T) {
	c := calendar(t, api.OnCallSpec{
		TimeZone: "Europe/Berlin", Start: "2026-03-27", Handover: "02:30", ShiftDays: 1, Rotation: []string{"a", "b"},
		Overrides: []api.Override{{From: "2026-03-28T12:00", Until: "2026-03-28T18:00", Person: "x"}},
	})
	for at, want := range map[string]string{
		"2026-03-27T01:29:59Z": "b", "2026-03-27T01:30:00Z": "a", // 02:30 in winter
		"2026-03-28T10:59:59Z": "b", "2026-03-28T11:00:00Z": "x", "2026-03-28T17:00:00Z": "b",
		"2026-03-30T00:29:59Z": "a", "2026-03-30T00:30:00Z": "b", // 02:30 in summer
	} {
		moment, err := time.Parse(time.RFC3339, at)
		if err != nil {
			t.Fatal(err)
		}
		if got := At(c, moment).Person; got != want {
			t.Errorf("%s: %s is on call, want %s", at, got, want)
		}
	}
}
