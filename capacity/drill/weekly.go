package drill

import (
	"fmt"
	"strings"
	"time"
)

// Weekly is a time of the week, or of every day.
type Weekly struct {
	Daily  bool
	Day    time.Weekday // unless Daily
	Hour   int
	Minute int
}

// ParseWeekly reads such as "Tue 10:00" or "daily 10:00".
func ParseWeekly(text string) (w Weekly, err error) {
	wrong := fmt.Errorf("is %q, want a day and a time such as Tue 10:00, or daily 10:00", text)
	day, clock, ok := strings.Cut(text, " ")
	at, err := time.Parse("15:04", clock)
	if !ok || err != nil {
		return w, wrong
	}
	w.Hour, w.Minute = at.Hour(), at.Minute()
	if w.Daily = day == "daily"; w.Daily {
		return w, nil
	}
	for d := time.Sunday; d <= time.Saturday; d++ {
		if name := d.String(); day == name || day == name[:3] {
			w.Day = d
			return w, nil
		}
	}
	return w, wrong
}

// Last is the latest time not after now, where it is told by the clocks of a place. A
// time that a clock skips is the one an hour later.
func (w Weekly) Last(now time.Time, where *time.Location) time.Time {
	local := now.In(where)
	for back := range 9 {
		day := local.AddDate(0, 0, -back)
		at := time.Date(day.Year(), day.Month(), day.Day(), w.Hour, w.Minute, 0, 0, where)
		if !at.After(now) && (w.Daily || at.Weekday() == w.Day) {
			return at
		}
	}
	return time.Time{}
}
