package release

import (
	"slices"
	"time"
)

// Rise is a revision that got more of the traffic than before.
type Rise struct {
	Revision string
	Percent  int // since then
	Time     time.Time
}

// keptRises is how many are remembered of each function.
const keptRises = 20

// kindRise is a line of a shortened journal, whose weights have lost their times.
const kindRise = "rise"

// rise notes which revision gained most from new weights.
func (r *record) rise(e event) {
	if e.Time.IsZero() { // of a shortened journal
		return
	}
	best, gain := Weight{}, 0
	for _, w := range e.Weights {
		if more := w.Percent - r.current.Of(w.Revision); more > gain {
			best, gain = w, more
		}
	}
	if gain > 0 {
		r.rises = last(append(r.rises, Rise{best.Revision, best.Percent, e.Time}), keptRises)
	}
}

// Risen is the revision of a function that got more of the traffic last, up to a
// moment; false if none is remembered.
func (l *Ledger) Risen(function string, at time.Time) (Rise, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	r := l.functions[function]
	if r == nil {
		return Rise{}, false
	}
	for _, rise := range slices.Backward(r.rises) {
		if !rise.Time.After(at) {
			return rise, true
		}
	}
	return Rise{}, false
}
