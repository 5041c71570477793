package release

import (
	"slices"
	"strings"

	"github.com/kongdao/kongdao/api"
)

// releasing are the functions in force whose file has a release, by name.
func (l *Ledger) releasing() (fs []*api.Function) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, name := range l.releases {
		fs = append(fs, l.set[name])
	}
	return fs
}

// noteReleases remembers which functions of a set have a release, so that the
// controller does not look through all.
func (l *Ledger) noteReleases(set api.Set) {
	l.releases = nil
	for _, f := range set.Functions {
		if f.Spec.Release != nil {
			l.releases = append(l.releases, f.Name)
		}
	}
	slices.SortFunc(l.releases, strings.Compare)
}

// advance puts a release on a step, unless it is not any more where the caller saw
// it: a command came in between.
func (l *Ledger) advance(function string, seen, p *Progress, percent int, why string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	f := l.set[function]
	if f == nil || !l.stands(function, seen, f) || p.Before.missing(f) != "" {
		return nil
	}
	return l.commit(l.step(function, p, percent, l.now().UTC(), why)...)
}

// rollBack ends a release for its verdict, unless a command came in between.
func (l *Ledger) rollBack(function string, seen *Progress, why string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	f := l.set[function]
	if f == nil || !l.stands(function, seen, f) {
		return nil
	}
	return l.commit(l.back(function, seen.in(RolledBack, l.now().UTC(), why))...)
}

// alreadyDone notes a release whose revision had everything from the start.
func (l *Ledger) alreadyDone(function, revision string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	p := &Progress{Revision: revision, Phase: Done, Percent: 100, Since: l.now().UTC(), Reason: "it had everything already"}
	return l.put(event{Kind: kindProgress, Function: function, Progress: p})
}

// stands tells whether a function's release is where the caller saw it. Nil stands
// for any that has not begun for the revision that the file names.
func (l *Ledger) stands(function string, seen *Progress, f *api.Function) bool {
	now := l.record(function).progress
	if seen == nil {
		return now == nil || f.Spec.Release != nil && now.Revision != f.Spec.Release.Revision
	}
	return now != nil && now.Revision == seen.Revision && now.Phase == seen.Phase && now.Since.Equal(seen.Since)
}
