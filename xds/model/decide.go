package model

import (
	"net/http"
	"slices"
)

// Verdict is what a function does with a request that one of its rules took.
type Verdict struct {
	Status   int        // above 0: the gateway answers itself, with Reason
	Reason   string     // for people
	Admitted Admission  // who calls, and by what right
	Pinned   *PinnedPod // the request goes to this pod alone, without a limit
	Shares   []Share    // else it goes to one of these
	Cost     uint32     // what it takes from the function's bucket
	Matched  bool       // by Function.Matches or by name, and not by weight
	Shadow   bool       // a stress test's: to the revision for them, without callers' limits
	Why      string     // what chose among the revisions, for people
}

// Decide tells what happens to a request with these headers. The order is the one
// that the translator gives Envoy: broken, a stress test's, named, pinned, access,
// match, weight. Whether stress tests are refused is asked before, see
// World.RefusesMarked.
func (f *Function) Decide(values Values, caller Caller) Verdict {
	if f.Invalid != "" {
		return Verdict{Status: http.StatusServiceUnavailable, Reason: f.Invalid}
	}
	if f.Shadow != nil && Marked(values) {
		return f.shadow(values, caller)
	}
	if names := values(RevisionHeader); len(names) > 0 {
		return f.choose(names, values, caller)
	}
	for _, p := range f.Pinned {
		if slices.Contains(values(PodHeader), p.Token) {
			return Verdict{Pinned: p, Cost: 1}
		}
	}
	v := Verdict{Cost: f.Cost, Admitted: f.Admit(values, caller, Call)}
	if no := v.Admitted; no.Status != 0 {
		return Verdict{Status: no.Status, Reason: no.Reason, Admitted: no}
	}
	for _, m := range f.Matches {
		if m.matches(values) {
			v.Shares, v.Cost, v.Matched, v.Why = []Share{{m.Revision, 100}}, m.Cost, true, m.why()
			return v
		}
	}
	v.Shares, v.Why = f.draw(values)
	return v
}
