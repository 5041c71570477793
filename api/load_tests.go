package api

import (
	"fmt"
	"slices"
)

// LoadTests says what becomes of a function's calls that stress tests make: those
// that carry x-kongdao-load-test. The zero value is not valid.
type LoadTests struct {
	Revision string `yaml:"revision" json:"revision,omitempty"` // they go to it and never elsewhere; it gets no other calls; empty: where all go
	Refuse   bool   `yaml:"refuse" json:"refuse,omitempty"`     // the gateway answers 429
}

// Takes tells whether a revision is for stress tests alone.
func (l *LoadTests) Takes(revision string) bool {
	return l != nil && l.Revision != "" && l.Revision == revision
}

// checkLoadTests checks that a revision for stress tests is for nothing else: what
// is sent to it must not reach a pod of production.
func (f *Function) checkLoadTests(r *report) {
	l := f.Spec.LoadTest
	if l == nil {
		return
	}
	switch {
	case l.Revision == "" && !l.Refuse:
		r.add("spec.loadTest", "is empty, want the revision that stress tests go to, or refuse: true")
		return
	case l.Refuse && l.Revision != "":
		r.add("spec.loadTest.refuse", "is true beside a revision for stress tests, want one of the two")
		return
	case l.Refuse:
		return
	}
	at := "spec.loadTest.revision"
	i := slices.IndexFunc(f.Spec.Revisions, func(rev Revision) bool { return rev.Name == l.Revision })
	if i < 0 {
		r.add(at, "is %s, want %s", quote(l.Revision), oneOf(f.revisionNames()))
		return
	}
	if by := f.otherCalls(l.Revision); by != "" {
		r.add(at, "is %s, which %s: want a revision that no other calls reach", quote(l.Revision), by)
	}
	for _, other := range f.Spec.Revisions {
		for _, e := range other.Endpoints {
			if other.Name != l.Revision && slices.ContainsFunc(f.Spec.Revisions[i].Endpoints, func(own Endpoint) bool { return own.Address == e.Address }) {
				r.add(at, "is %s, whose pod %s is one of %s, too: want pods of its own", quote(l.Revision), e.Address, other.Name)
			}
		}
	}
}

func (f *Function) revisionNames() (names []string) {
	for _, rev := range f.Spec.Revisions {
		if rev.Name != "" && !slices.Contains(names, rev.Name) {
			names = append(names, rev.Name)
		}
	}
	return names
}

// otherCalls says which calls besides stress tests reach a revision; empty: none.
func (f *Function) otherCalls(revision string) string {
	for i, t := range f.Spec.Traffic {
		if t.Revision == revision && (t.Weight > 0 || t.Match != nil) {
			return fmt.Sprintf("gets calls by spec.traffic[%d]", i)
		}
	}
	if len(f.Spec.Traffic) == 0 && f.Spec.Revisions[len(f.Spec.Revisions)-1].Name == revision {
		return "gets all calls, as the last one of a function without traffic"
	}
	if f.Spec.Release != nil && f.Spec.Release.Revision == revision {
		return "spec.release moves calls to"
	}
	return ""
}
