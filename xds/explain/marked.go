package explain

import (
	"net/http"

	"github.com/kongdao/kongdao/xds/model"
)

// refuseMarked is the answer to a stress test's request where those are refused; it
// is false for all others.
func (a *Answer) refuseMarked(w *model.World, f *model.Function) bool {
	if !model.Marked(a.request.values) || !w.RefusesMarked(f) {
		return false
	}
	if len(a.Filters) == 0 || a.Filters[len(a.Filters)-1] != filterRevision {
		a.Filters = append(a.Filters, filterRevision)
	}
	a.Status, a.Reason, a.Error = http.StatusTooManyRequests, model.ReasonLoadTest, "limited"
	a.LimitedBy = model.LimitedByLoadTest
	return true
}

// shadowLimit is the limit of a revision for stress tests: its own pods' capacity,
// and none of callers.
func (a *Answer) shadowLimit(f *model.Function, v model.Verdict) {
	if l, ok := limitOf(f, v); ok {
		l.Burst = int(f.ShadowTier().Burst / max(v.Cost, 1))
		a.Limits = append(a.Limits, l)
	}
}
