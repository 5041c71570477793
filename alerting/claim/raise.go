package claim

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"
)

const (
	longest = time.Minute      // between two looks at what is due
	retry   = 10 * time.Second // after a step that failed
)

// raise takes the next step upwards: the channel is told, and the next step is due
// after its time.
func (b *Book) raise(s *State, by, id string, now time.Time) (*Event, error) {
	if s.Level >= len(b.cfg.Steps) || b.cfg.Hooks.Tell == nil {
		return nil, ErrNoSteps
	}
	step := b.cfg.Steps[s.Level]
	channel := step
	if step == Next {
		channel = s.Channel
	}
	g := s.Group
	g.Escalated = s.Level + 1
	if err := b.cfg.Hooks.Tell(channel, g); err != nil {
		return nil, fmt.Errorf("escalate to %s: %w", step, err)
	}
	s.Level++
	s.Raised = &Mark{By: Person{Name: by}, At: now, ID: step}
	s.Due = b.due(*s, now)
	if channel != s.Channel && !slices.Contains(s.Owed, channel) {
		s.Owed = append(slices.Clone(s.Owed), channel)
	}
	return &Event{ID: id, At: now, Kind: Escalated, By: step, Reason: fmt.Sprintf("step %d, %s", s.Level, by)}, nil
}

// byItself stands for whoever asked for a step when nobody did.
const byItself = "nobody claimed it"

// raiseAll takes what steps are due, tells of ends, and returns how long nothing
// more is.
func (b *Book) raiseAll(ctx context.Context) time.Duration {
	now := b.cfg.Now()
	before := b.looked
	b.looked = now
	for _, s := range b.those(func(s *State) bool { return s.ended() || s.due(now) }) {
		switch {
		case ctx.Err() != nil:
			return longest
		case s.ended():
			b.tellEnd(s)
		default:
			b.raiseDue(s, now)
		}
	}
	for _, s := range b.those(func(s *State) bool { _, over := s.ends(before, now); return over }) {
		b.changed(s)
	}
	return b.plan(now)
}

// plan says when there is something to do again, and that nobody has to wake Run
// before for what is due later.
func (b *Book) plan(now time.Time) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	wait := longest
	for _, s := range b.states {
		next, _ := s.ends(now, now)
		wait = min(wait, next)
		if !s.Due.IsZero() {
			wait = min(wait, max(s.Due.Sub(now), 0))
		}
		if s.ended() {
			wait = min(wait, retry)
		}
	}
	b.planned = now.Add(wait)
	return wait
}

// those are the matters of which is says yes, the oldest first.
func (b *Book) those(is func(*State) bool) []State {
	b.mu.Lock()
	defer b.mu.Unlock()
	var found []State
	for _, s := range b.states {
		if is(s) {
			found = append(found, s.clone())
		}
	}
	slices.SortFunc(found, func(x, y State) int { return cmp.Or(x.Since.Compare(y.Since), cmp.Compare(x.Key, y.Key)) })
	return found
}

// ended tells that it is over and that some who were told of it do not know.
func (s *State) ended() bool { return !s.Open() && len(s.Owed) > 0 }

// due tells that the next step is.
func (s *State) due(now time.Time) bool {
	return s.Open() && !s.Due.IsZero() && !now.Before(s.Due)
}

func (b *Book) raiseDue(s State, now time.Time) {
	if b.cfg.Hooks.Fires != nil && !b.cfg.Hooks.Fires(s.Group) {
		s.Due = now.Add(b.cfg.After) // silenced by somebody: looked at again
		b.keep(s, nil)
		return
	}
	// The same step of the same matter is the same event, should it be taken twice.
	id := fmt.Sprintf("%s %d %d", s.Key, s.Since.UnixNano(), s.Level+1)
	ev, err := b.raise(&s, byItself, id, now)
	if err != nil {
		b.log.Error("escalation failed, trying again", "group", s.ID(), "err", err)
		s.Due = now.Add(retry)
	}
	b.keep(s, ev)
}

// tellEnd tells those who were told by steps; Alertmanager knows nothing of them.
func (b *Book) tellEnd(s State) {
	var owed []string
	for _, channel := range s.Owed {
		if err := b.cfg.Hooks.Tell(channel, s.Group); err != nil {
			b.log.Error("end cannot be told, trying again", "group", s.ID(), "channel", channel, "err", err)
			owed = append(owed, channel)
		}
	}
	s.Owed = owed
	b.keep(s, nil)
}

// keep writes down a state that no answer led to.
func (b *Book) keep(s State, ev *Event) {
	b.mu.Lock()
	due := s.Due
	s = b.keepNewer(s)
	if s.Open() {
		s.Due = due
	}
	err := b.note(ev != nil, record{State: &s})
	b.mu.Unlock()
	if err != nil {
		b.log.Error("claims cannot be written", "err", err)
	}
	if ev != nil {
		b.record(*ev, s)
		b.changed(s)
	}
}

// tidy forgets what ended long ago, and shortens the file.
func (b *Book) tidy() {
	now := b.cfg.Now()
	b.mu.Lock()
	defer b.mu.Unlock()
	var recs []record
	for key, s := range b.states {
		if !s.Open() && now.Sub(s.Ended) > b.cfg.Keep && len(s.Owed) == 0 {
			recs = append(recs, record{Drop: key})
		}
	}
	err := b.note(false, recs...)
	if err == nil && b.journal.size > b.compact {
		err = b.rewrite(now)
	}
	if err != nil {
		b.log.Error("claims cannot be written", "err", err)
	}
}

// ends is how long the next claim or silence of s lasts, and whether one ended
// since before.
func (s *State) ends(before, now time.Time) (next time.Duration, over bool) {
	next = longest
	if !s.Open() {
		return next, false
	}
	for _, m := range []*Mark{s.Claimed, s.Silenced} {
		switch {
		case m == nil || m.Until.IsZero():
		case m.Until.After(now):
			next = min(next, m.Until.Sub(now))
		case m.Until.After(before):
			over = true
		}
	}
	return next, over
}
