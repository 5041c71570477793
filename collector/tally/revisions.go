package tally

import (
	"strconv"
	"time"
)

// Revision counts the calls of one revision that no limit refused.
type Revision struct{ Calls, Failed, Slow uint64 }

// Revisions counts the calls of a function by revision since the start: those that
// failed ended in 5xx, those that were slow took longer than the bound, which is
// rounded up by a tenth at most; 0: none was. It is for real traffic alone.
func (m *Metrics) Revisions(function string, slow time.Duration) map[string]Revision {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := map[string]Revision{}
	for _, s := range m.calls.series { // function, revision, zone, code
		if code, err := strconv.Atoi(s.labels[3]); s.labels[0] == function && err == nil && code >= 500 {
			r := all[s.labels[1]]
			r.Failed += s.n
			all[s.labels[1]] = r
		}
	}
	first := len(m.grid.upper) // cell of calls that are slow
	if us := slow.Microseconds(); us > 0 {
		first = m.grid.cell(uint32(min(us, 1<<31))) + 1
	}
	for _, s := range m.duration.series { // function, revision, zone
		if s.labels[0] != function {
			continue
		}
		r := all[s.labels[1]]
		r.Calls += s.n
		for _, n := range s.cells[min(first, len(s.cells)):] {
			r.Slow += n
		}
		all[s.labels[1]] = r
	}
	return all
}
