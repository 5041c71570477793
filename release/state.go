package release

import (
	"maps"
	"slices"
)

// State is how a function's releases stand, for people and programs.
type State struct {
	Weights  Weights   `json:"weights"`            // in force
	Written  Weights   `json:"written"`            // in the file
	Override *Override `json:"override,omitempty"` // goes before the file's
	Void     string    `json:"void,omitempty"`     // why the override does not
	Bad      []string  `json:"bad,omitempty"`      // revisions that were rolled back from
	Progress *Progress `json:"progress,omitempty"` // the automatic release, also when it has ended
	Waiting  string    `json:"waiting,omitempty"`  // what the release waits for
	Figures  *Figures  `json:"figures,omitempty"`  // of the release's step
	Events   []Event   `json:"events,omitempty"`   // the last ones, the newest last
}

// State describes a function in force; ok is false for others.
func (l *Ledger) State(function string) (s State, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f := l.set[function]
	if f == nil {
		return s, false
	}
	s.Written = written(f)
	s.Weights, s.Void = l.weights(f)
	if r := l.functions[function]; r != nil {
		s.Override, s.Progress, s.Events = r.override, r.progress, slices.Clone(r.events)
		s.Bad = slices.Sorted(maps.Keys(r.bad))
	}
	return s, true
}
