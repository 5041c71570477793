package model

import (
	"net/http"
	"slices"
)

// Verdict is what a function does with a request that one of its rules took.
type Verdict struct {
	Status   int        // above 0: the gateway answers itself, with Reason
	Reason   string     // for people
	Consumer string     // whose key it was
	Pinned   *PinnedPod // the request goes to this pod alone, without a limit
	Shares   []Share    // else it goes to one of these
	Cost     uint32     // what it takes from the function's bucket
	Matched  bool       // by Function.Matches or by name, and not by weight
	Why      string     // what chose among the revisions, for people
}

// Decide tells what happens to a request with these headers. The order is the one
// that the translator gives Envoy: broken, named, pinned, closed, key, match,
// weight.
func (f *Function) Decide(values Values) Verdict {
	if f.Invalid != "" {
		return Verdict{Status: http.StatusServiceUnavailable, Reason: f.Invalid}
	}
	if names := values(RevisionHeader); len(names) > 0 {
		return f.choose(names, values)
	}
	for _, p := range f.Pinned {
		if slices.Contains(values(PodHeader), p.Token) {
			return Verdict{Pinned: p, Cost: 1}
		}
	}
	v := Verdict{Cost: f.Cost}
	switch {
	case f.Access.Public:
	case !f.Access.Asked:
		return Verdict{Status: http.StatusForbidden, Reason: "the function is closed: it has no access"}
	default:
		if v.Consumer = f.Access.consumer(values(KeyHeader)); v.Consumer == "" {
			return Verdict{Status: http.StatusUnauthorized, Reason: "a valid " + KeyHeader + " is needed"}
		}
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

func (a Access) consumer(keys []string) string {
	for _, k := range a.Keys {
		if k.Value != "" && slices.Contains(keys, k.Value) {
			return k.Consumer
		}
	}
	return ""
}
