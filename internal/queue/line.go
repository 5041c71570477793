// Package queue is a queueing server in virtual time: requests wait in one line, first
// come first served, for the place that is free first. A minute of it takes
// milliseconds. All simulations of the module, those that predict and those that tests
// compare with, are made of it.
package queue

// Line is a server's places with the line in front of them. Times are of the caller's
// choice of unit and zero. Not for concurrent use.
type Line struct {
	free []float64 // when each place is free; a heap, the first one on top
}

// NewLine has so many places, at least 1, that are all free at a time.
func NewLine(places int, at float64) *Line {
	l := &Line{free: make([]float64, max(1, places))}
	for i := range l.free {
		l.free[i] = at
	}
	return l
}

// Serve is a request that comes at a time, not before the one before it, and holds its
// place for so long. It returns when the request gets its place.
func (l *Line) Serve(at, hold float64) (begin float64) {
	begin = max(at, l.free[0])
	l.sink(begin + hold)
	return begin
}

// sink takes the place on top until a time, and puts it where it belongs.
func (l *Line) sink(until float64) {
	free := l.free
	i := 0
	for {
		next := 2*i + 1
		if next >= len(free) {
			break
		}
		if next+1 < len(free) && free[next+1] < free[next] {
			next++
		}
		if until <= free[next] {
			break
		}
		free[i] = free[next]
		i = next
	}
	free[i] = until
}
