package forecast

import "time"

// wall is a moment as clocks of a place show it, as if that were UTC.
func wall(t time.Time, where *time.Location) time.Time {
	_, offset := t.In(where).Zone()
	return t.UTC().Add(time.Duration(offset) * time.Second)
}

// unwall is the moment at which clocks of a place show t.
func unwall(t time.Time, where *time.Location) time.Time {
	y, m, d := t.Date()
	return time.Date(y, m, d, t.Hour(), t.Minute(), t.Second(), t.Nanosecond(), where)
}

// changes says whether clocks of a place are changed, by whole steps, between the
// start of a series and so many steps after its end: if not, hours of the clock are
// hours of UTC, moved.
func (s Series) changes(where *time.Location, steps int) bool {
	if where == nil {
		return false
	}
	_, before := s.Start.In(where).Zone()
	found := false
	for t, end := s.Start, s.at(len(s.Values)+steps); t.Before(end); {
		_, next := t.In(where).ZoneBounds()
		if next.IsZero() {
			break
		}
		t = next
		_, now := next.In(where).Zone()
		if next.Before(end) && now != before {
			if time.Duration(now-before)*time.Second%s.Step != 0 {
				return false
			}
			found = true
		}
		before = now
	}
	return found
}

// byClock is a series by the clocks of a place. An hour that they show twice has the
// mean of both, one that they leave out that of its neighbours.
func (s Series) byClock(where *time.Location) Series {
	c := Series{Start: wall(s.Start, where), Step: s.Step}
	var n []int // values of each step
	for i, v := range s.Values {
		at := max(0, c.index(wall(s.at(i), where)))
		for len(c.Values) <= at {
			c.Values, n = append(c.Values, 0), append(n, 0)
		}
		c.Values[at], n[at] = c.Values[at]+v, n[at]+1
	}
	for i := range c.Values {
		if n[i] > 0 {
			c.Values[i] /= float64(n[i])
			continue
		}
		next := i
		for n[next] == 0 {
			next++
		}
		c.Values[i], n[i] = (c.Values[i-1]+c.Values[next])/2, 1
	}
	return c
}

// onClock are events by the clocks of a place.
func onClock(events []Event, where *time.Location) []Event {
	all := make([]Event, len(events))
	for i, e := range events {
		all[i] = e
		all[i].Windows = make([]Window, len(e.Windows))
		for k, w := range e.Windows {
			all[i].Windows[k] = Window{wall(w.From, where), wall(w.To, where)}
		}
	}
	return all
}

// makeByClock is Make where clocks are changed: seasons are of the clock.
func makeByClock(s Series, o Options) (Forecast, error) {
	where, c := o.Zone, s.byClock(o.Zone)
	steps := max(1, int(o.Horizon/s.Step))
	last := c.index(wall(s.at(len(s.Values)+steps-1), where)) + 1
	o.Events, o.Horizon, o.Zone = onClock(o.Events, where), time.Duration(max(steps, last-len(c.Values)))*s.Step, nil
	f, err := Make(c, o)
	if err != nil {
		return f, err
	}
	point := make([]float64, steps)
	for h := range point {
		k := c.index(wall(s.at(len(s.Values)+h), where)) - len(c.Values)
		point[h] = f.Point[min(max(k, 0), len(f.Point)-1)]
	}
	f.Start, f.Point = s.End(), point
	for i, e := range f.Events {
		f.Events[i].From, f.Events[i].To = unwall(e.From, where), unwall(e.To, where)
	}
	return f, nil
}
