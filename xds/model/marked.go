package model

import (
	"net/http"
	"slices"
)

// LimitedByLoadTest is what a refusal of a stress test's request is called, for
// programs, and ReasonLoadTest for people.
const (
	LimitedByLoadTest = "load-test"
	ReasonLoadTest    = "requests of stress tests are refused here"
)

// Marked tells whether a request says that it is of a stress test.
func Marked(values Values) bool { return len(values(LoadTestHeader)) > 0 }

// RefusesMarked tells whether gateways refuse the requests of stress tests that a
// rule of the function took: for good, or all of them at this moment.
func (w *World) RefusesMarked(f *Function) bool { return w.MarkedRefused || f.MarkedRefused }

// ShadowTier is the bucket of the revision for stress tests, which is not the
// function's: its pods are others. Unlike that of a function it is not kept while a
// limit changes, so what a test gets beyond its limit then is one bucket more.
func (f *Function) ShadowTier() Tier { return tierOf(f.Shadow.Cost, 1, Tier{}) }

// shadow is the verdict on a stress test's request to a function that has a revision
// for them. It goes there or to the pod that it has the right to, or is refused:
// whatever else it asks for, it reaches no pod of production.
func (f *Function) shadow(values Values, caller Caller) Verdict {
	if len(values(RevisionHeader)) > 0 {
		return Verdict{Status: http.StatusForbidden, Reason: "a stress test's request may not choose a revision: they all go to " + f.Shadow.Name}
	}
	for _, p := range f.Pinned {
		if slices.Contains(values(PodHeader), p.Token) {
			return Verdict{Pinned: p, Cost: 1}
		}
	}
	v := Verdict{Cost: f.Shadow.Cost, Admitted: f.Admit(values, caller, Call)}
	if no := v.Admitted; no.Status != 0 {
		return Verdict{Status: no.Status, Reason: no.Reason, Admitted: no}
	}
	v.Shares, v.Matched, v.Shadow = []Share{{f.Shadow, 100}}, true, true
	v.Why = "it is a stress test's, which go to a revision of their own"
	return v
}

// addLoadTests fills in what becomes of stress tests' requests. It is for a function
// that is served.
func addLoadTests(f *Function) {
	if l := f.spec.Spec.LoadTest; l != nil && l.Revision != "" {
		f.Shadow = f.Revision(l.Revision)
	}
}
