package release

import (
	"fmt"
	"slices"
	"time"

	"github.com/kongdao/kongdao/api"
)

// byCommand and byRelease say who made an override.
const (
	byCommand = "command"
	byRelease = "release"
)

// begin notes how a set changes automatic releases: one that the file has no more,
// or that is for another revision now, ends where it stands.
func (l *Ledger) begin(f *api.Function, r *record) []event {
	if r.progress.over() || f.Spec.Release != nil && f.Spec.Release.Revision == r.progress.Revision {
		return nil
	}
	const why = "the file does not release it any more"
	p := r.progress.in(Aborted, l.now().UTC(), why)
	return []event{{Kind: kindProgress, Function: f.Name, Progress: p, Text: fmt.Sprintf("release of %s ended at %d%%: %s", p.Revision, p.Percent, why)}}
}

// find returns a function in force with its record.
func (l *Ledger) find(function string) (*api.Function, *record, error) {
	f := l.set[function]
	if f == nil {
		return nil, nil, fmt.Errorf("function %s: %w", function, ErrUnknown)
	}
	return f, l.record(function), nil
}

// override is the events that put weights in force.
func (l *Ledger) override(function string, w Weights, by, text string) []event {
	return []event{
		{Kind: kindOverride, Function: function, Weights: w, By: by, Text: text},
		{Kind: kindWeights, Function: function, Weights: w},
	}
}

// commit makes events durable and weights take effect.
func (l *Ledger) commit(events ...event) error {
	if err := l.put(events...); err != nil {
		return err
	}
	l.signal()
	return nil
}

// SetWeight gives a revision a percentage of the ordinary traffic and the others
// the rest, in proportion to what they have.
func (l *Ledger) SetWeight(function, revision string, percent int) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	f, r, err := l.find(function)
	if err != nil {
		return err
	}
	if r.progress != nil && r.progress.Phase == Running {
		return fmt.Errorf("function %s: the release of %s is running, pause or abort it first: %w", function, r.progress.Revision, ErrConflict)
	}
	if all(revision).missing(f) != "" {
		return fmt.Errorf("function %s: revision %s: %w", function, revision, ErrUnknown)
	}
	if percent < 0 || percent > 100 {
		return fmt.Errorf("weight %d: want 0 to 100: %w", percent, ErrConflict)
	}
	now, _ := l.weights(f)
	next := now.with(revision, percent)
	if next.Of(revision) != percent {
		return fmt.Errorf("function %s: no other revision has traffic that could take the rest from %s: %w", function, revision, ErrConflict)
	}
	events := l.override(function, next, byCommand, "by command: "+next.String())
	return l.commit(append(events, event{Kind: kindBad, Function: function})...)
}

// Rollback takes traffic back to what was before: a release or split that is under
// way to the revision that it takes over from, else to the last revision that had
// everything before this one and was not rolled back from itself. With to it is
// that revision. It returns the weights from now on.
func (l *Ledger) Rollback(function, to string) (Weights, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f, r, err := l.find(function)
	if err != nil {
		return nil, err
	}
	now, _ := l.weights(f)
	next, err := l.target(f, r, now, to)
	if err != nil {
		return nil, err
	}
	events := l.override(function, next, byCommand, "rolled back by command, from "+now.String()+" to "+next.String())
	for _, w := range now {
		if next.Of(w.Revision) == 0 {
			events = append(events, event{Kind: kindBad, Function: function, Revision: w.Revision})
		}
	}
	if !r.progress.over() {
		p := r.progress.in(RolledBack, l.now().UTC(), "by command")
		events = append(events, event{Kind: kindProgress, Function: function, Progress: p})
	}
	return next, l.commit(events...)
}

// target is where Rollback goes.
func (l *Ledger) target(f *api.Function, r *record, now Weights, to string) (Weights, error) {
	if to != "" {
		if all(to).missing(f) != "" {
			return nil, fmt.Errorf("function %s: revision %s: %w", f.Name, to, ErrUnknown)
		}
		return all(to), nil
	}
	if !r.progress.over() {
		return r.progress.Before.with(r.progress.Revision, 0), nil
	}
	good := func(w Weights) bool {
		return len(w) == 1 && !w.equal(now) && w.missing(f) == "" && !r.bad[w[0].Revision]
	}
	for _, w := range slices.Backward(r.before) {
		if good(w) {
			return w, nil
		}
	}
	if w := all(now.main()); good(w) {
		return w, nil
	}
	at := slices.IndexFunc(f.Spec.Revisions, func(rev api.Revision) bool { return rev.Name == now.main() })
	for _, rev := range slices.Backward(f.Spec.Revisions[:max(at, 0)]) {
		if w := all(rev.Name); good(w) {
			return w, nil
		}
	}
	return nil, fmt.Errorf("function %s: there is no earlier revision to roll back to, name one: %w", f.Name, ErrConflict)
}

// Reset ends an override: the file's weights count again. A release that is under
// way is aborted.
func (l *Ledger) Reset(function string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	f, r, err := l.find(function)
	if err != nil {
		return err
	}
	w := written(f)
	events := []event{
		{Kind: kindOverride, Function: function, Text: "reset by command, the file's weights: " + w.String()},
		{Kind: kindWeights, Function: function, Weights: w},
		{Kind: kindBad, Function: function},
	}
	if !r.progress.over() {
		events = append(events, event{Kind: kindProgress, Function: function, Progress: r.progress.in(Aborted, l.now().UTC(), "reset by command")})
	}
	return l.commit(events...)
}

// Pause keeps a running release at its step. It is still rolled back when it is
// worse.
func (l *Ledger) Pause(function string) error { return l.turn(function, Paused) }

// Abort takes a release that is under way back to where it began.
func (l *Ledger) Abort(function string) error { return l.turn(function, Aborted) }

// Resume lets a paused release go on, and begins one anew that was rolled back or
// aborted.
func (l *Ledger) Resume(function string) error { return l.turn(function, Running) }

func (l *Ledger) turn(function string, to Phase) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	f, r, err := l.find(function)
	if err != nil {
		return err
	}
	p := r.progress
	if p == nil || to != Running && p.over() || to == Running && p.Phase == Done {
		return fmt.Errorf("function %s: no release is under way: %w", function, ErrConflict)
	}
	now := l.now().UTC()
	switch {
	case to == Aborted:
		return l.commit(l.back(function, p.in(Aborted, now, "by command"))...)
	case to == Running && p.over():
		if f.Spec.Release == nil || f.Spec.Release.Revision != p.Revision {
			return fmt.Errorf("function %s: its file does not release %s any more: %w", function, p.Revision, ErrConflict)
		}
		return l.commit(event{Kind: kindProgress, Function: function, Text: fmt.Sprintf("release of %s begins anew, by command", p.Revision)}, event{Kind: kindBad, Function: function})
	}
	return l.commit(event{Kind: kindProgress, Function: function, Progress: p.in(to, now, "by command"), Text: fmt.Sprintf("release of %s %s at %d%%, by command", p.Revision, to, p.Percent)})
}

// back is the events that end a release where it began.
func (l *Ledger) back(function string, p *Progress) []event {
	w := p.Before.with(p.Revision, 0)
	events := l.override(function, w, byRelease, fmt.Sprintf("release of %s %s at %d%%: %s; weights: %s", p.Revision, p.Phase, p.Percent, p.Reason, w))
	return append(events,
		event{Kind: kindProgress, Function: function, Progress: p},
		event{Kind: kindBad, Function: function, Revision: p.Revision})
}

// step puts a running release on a percentage; 100 ends it.
func (l *Ledger) step(function string, p *Progress, percent int, now time.Time, why string) []event {
	next := *p
	next.Percent, next.Since, next.Reason = percent, now, why
	w := p.Before.with(p.Revision, percent)
	text := fmt.Sprintf("release of %s: %d%%, %s", p.Revision, percent, why)
	if percent == 100 {
		next.Phase = Done
	}
	return append(l.override(function, w, byRelease, text), event{Kind: kindProgress, Function: function, Progress: &next})
}
