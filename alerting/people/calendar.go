package people

import (
	"time"

	"github.com/kongdao/kongdao/api"
)

// Turn is a time in which one person is on call.
type Turn struct {
	Person   string    `json:"person"` // name of a Person
	From     time.Time `json:"from"`
	Until    time.Time `json:"until"` // not included
	Override bool      `json:"override,omitempty"`
}

// At is who is on call in c at t: always exactly one person. Its From is not after
// t, its Until is.
func At(c api.Calendar, t time.Time) Turn {
	for _, o := range c.Overrides {
		if !t.Before(o.From) && t.Before(o.Until) {
			return Turn{Person: o.Person, From: o.From, Until: o.Until, Override: true}
		}
	}
	n := shift(c, t)
	turn := Turn{Person: c.Rotation[floorMod(n, len(c.Rotation))], From: begin(c, n), Until: begin(c, n+1)}
	for _, o := range c.Overrides { // of which none holds t
		if !o.Until.After(t) && o.Until.After(turn.From) {
			turn.From = o.Until
		}
		if o.From.After(t) && o.From.Before(turn.Until) && o.From.Before(o.Until) {
			turn.Until = o.From
		}
	}
	return turn
}

// Between are the turns from one moment to another, in order and without gaps.
// There are at most limit.
func Between(c api.Calendar, from, until time.Time, limit int) []Turn {
	var turns []Turn
	for from.Before(until) && len(turns) < limit {
		t := At(c, from)
		turns = append(turns, t)
		from = t.Until
	}
	return turns
}

// begin is when the nth shift starts; shifts before the first have negative
// numbers. Where clocks leave out the hour of the handover, it is an hour earlier
// or later, where they repeat it, it is one of the two: begin decides for both
// sides of the handover.
func begin(c api.Calendar, n int) time.Time {
	y, m, d := c.Start.Date()
	return time.Date(y, m, d+n*c.ShiftDays, c.Hour, c.Minute, 0, 0, c.Location)
}

// shift is the number of the shift that holds t. Clocks may leave out hours and
// even days, so a first guess is corrected.
func shift(c api.Calendar, t time.Time) int {
	y, m, d := t.In(c.Location).Date()
	days := time.Date(y, m, d, 0, 0, 0, 0, time.UTC).Sub(c.Start) / (24 * time.Hour)
	n := int(days) / c.ShiftDays
	for t.Before(begin(c, n)) {
		n--
	}
	for !t.Before(begin(c, n+1)) {
		n++
	}
	return n
}

func floorMod(n, m int) int { return ((n % m) + m) % m }
