package claim

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Accept takes responsibility for an answer: after nil it is on disk and will be
// worked on once. One that was accepted before is accepted and forgotten.
func (b *Book) Accept(a Answer) error {
	if a.ID == "" || !a.Action.Known() {
		return fmt.Errorf("answer %q: no such action", a.Action)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if _, done := b.done[a.ID]; done || slices.ContainsFunc(b.asked, func(old Answer) bool { return old.ID == a.ID }) {
		return nil
	}
	if err := b.note(true, record{Asked: &a}); err != nil {
		return err
	}
	b.signal()
	return nil
}

// Do accepts an answer and returns when it was worked on, with the state after it;
// while Run runs. An answer without effect is an error; see [ErrUnknown] and the
// others.
func (b *Book) Do(ctx context.Context, a Answer) (State, error) {
	worked := make(chan error, 1)
	b.mu.Lock()
	b.waiting[a.ID] = worked
	_, done := b.done[a.ID]
	b.mu.Unlock()
	defer func() {
		b.mu.Lock()
		delete(b.waiting, a.ID)
		b.mu.Unlock()
	}()
	if err := b.Accept(a); err != nil {
		return State{}, err
	}
	if !done {
		select {
		case err := <-worked:
			if err != nil {
				return State{}, err
			}
		case <-ctx.Done():
			return State{}, ctx.Err()
		}
	}
	s, _ := b.Find(a.Key)
	return s, nil
}

// Run works on answers and takes steps until ctx ends, and returns nil then.
func (b *Book) Run(ctx context.Context) error {
	for _, s := range b.List() {
		b.changed(s) // cards may not show yet what the last run wrote down
	}
	for ctx.Err() == nil {
		b.workAll(ctx)
		wait := b.raiseAll(ctx)
		b.tidy()
		t := time.NewTimer(wait)
		select {
		case <-ctx.Done():
		case <-b.wake:
		case <-t.C:
		}
		t.Stop()
	}
	return nil
}

func (b *Book) workAll(ctx context.Context) {
	for ctx.Err() == nil {
		b.mu.Lock()
		if len(b.asked) == 0 {
			b.mu.Unlock()
			return
		}
		a := b.asked[0]
		b.mu.Unlock()
		if !b.work(ctx, a) {
			return // again after a while
		}
	}
}

// work works on one answer. False means that it must be tried again, for the book
// cannot be written.
func (b *Book) work(ctx context.Context, a Answer) bool {
	s, ev, err := b.answer(ctx, a)
	if ctx.Err() != nil {
		return false
	}
	recs := []record{{Done: a.ID, At: b.cfg.Now()}}
	if err == nil && ev != nil {
		recs = append(recs, record{State: &s})
	}
	b.mu.Lock()
	if err == nil && ev != nil {
		s = b.keepNewer(s)
	}
	failed := b.note(true, recs...)
	worked := b.waiting[a.ID]
	b.mu.Unlock()
	if failed != nil {
		b.log.Error("claims cannot be written", "err", failed)
		return false
	}
	switch {
	case err != nil:
		b.refused(a, err)
	case ev != nil:
		b.record(*ev, s)
		b.changed(s)
	}
	if worked != nil {
		worked <- err
	}
	return true
}

// keepNewer takes over what came to be known while s was worked on: only answers
// change claims, silences and steps, and only messages and cards the rest.
func (b *Book) keepNewer(s State) State {
	now := b.states[s.Key]
	if now == nil {
		return s
	}
	if !now.Since.Equal(s.Since) {
		return now.clone() // it ended meanwhile, and began anew: nobody answered to that
	}
	s.Channel, s.Group, s.Alerts, s.Since, s.Ended, s.Cards = now.Channel, now.Group, now.Alerts, now.Since, now.Ended, slices.Clone(now.Cards)
	if !s.Open() {
		s.Due = time.Time{}
	}
	return s
}

func (b *Book) refused(a Answer, err error) {
	if b.cfg.Hooks.Refused != nil {
		b.cfg.Hooks.Refused(a, err)
	}
}

func (b *Book) record(ev Event, s State) {
	if b.cfg.Hooks.Record != nil {
		ev.State = s
		b.cfg.Hooks.Record(ev)
	}
}

// answer is what becomes of a state by an answer. Without an event nothing does,
// for it is so already.
func (b *Book) answer(ctx context.Context, a Answer) (s State, ev *Event, err error) {
	s, ok := b.Find(a.Key)
	switch {
	case !ok:
		return s, nil, ErrUnknown
	case !s.Open():
		return s, nil, ErrEnded
	}
	now := b.cfg.Now()
	switch a.Action {
	case Claim:
		ev, err = b.claim(&s, a, now)
	case Release:
		ev, err = b.release(&s, a, now)
	case Silence:
		ev, err = b.silence(ctx, &s, a, now)
	case Escalate:
		ev, err = b.raise(&s, a.By.Name, a.ID, now)
	default:
		err = fmt.Errorf("answer %q: no such action", a.Action)
	}
	return s, ev, err
}

func (b *Book) claim(s *State, a Answer, now time.Time) (*Event, error) {
	d := a.For
	if d <= 0 {
		d = b.cfg.ClaimFor
	}
	if old := s.Claim(now); old != nil {
		if old.By != a.By {
			return nil, &TakenError{*old}
		}
		if a.For <= 0 {
			return nil, nil
		}
	}
	s.Claimed = &Mark{By: a.By, At: a.At, Until: now.Add(d), Via: a.Via}
	s.Due = b.due(*s, now)
	return &Event{ID: a.ID, At: now, Kind: Claimed, By: a.By.Name, Reason: reason(a.Via, s.Claimed.Until)}, nil
}

func (b *Book) release(s *State, a Answer, now time.Time) (*Event, error) {
	if s.Claim(now) == nil {
		return nil, ErrNobody
	}
	s.Claimed = nil
	s.Due = b.due(*s, now)
	return &Event{ID: a.ID, At: now, Kind: Released, By: a.By.Name, Reason: a.Via}, nil
}

func (b *Book) silence(ctx context.Context, s *State, a Answer, now time.Time) (*Event, error) {
	d := a.For
	if d <= 0 {
		d = b.cfg.SilenceFor
	}
	// Counted from the answer, so that a second try after a crash asks for the same.
	until := a.At.Add(d)
	if !until.After(now) {
		return nil, errors.New("the time it was to be silenced for is over")
	}
	// Two who press within a minute want the same silence.
	if old := s.Silence(now); old != nil && old.Until.Add(time.Minute).After(until) {
		return nil, nil
	}
	if b.cfg.Hooks.Silence == nil {
		return nil, errors.New("there is nothing that silences")
	}
	comment := fmt.Sprintf("%s, answered to %s by %s", s.Group.Name(), s.ID(), a.Via)
	id, err := b.cfg.Hooks.Silence(ctx, s.Group, a.By.Name, comment, until)
	if err != nil {
		return nil, err
	}
	s.Silenced = &Mark{By: a.By, At: a.At, Until: until, ID: id, Via: a.Via}
	s.Due = b.due(*s, now)
	return &Event{ID: a.ID, At: now, Kind: Silenced, By: a.By.Name, Reason: reason(a.Via, until)}, nil
}

func reason(via string, until time.Time) string {
	return fmt.Sprintf("%s, until %s", via, until.UTC().Format(time.RFC3339))
}

// NewID is an ID for an answer that comes once, and not from DingTalk.
func NewID() string { return rand.Text() }
