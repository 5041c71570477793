package claim

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/kongdao/kongdao/alerting/dingtalk"
)

// Book holds the states of all matters. It may be used from several goroutines.
type Book struct {
	cfg  Config
	log  *slog.Logger
	wake chan struct{}

	looked time.Time // by Run, for claims that ended since

	mu      sync.Mutex // guards all below
	planned time.Time  // when Run looks at what is due again; zero: at once
	journal *journal
	states  map[string]*State
	cards   map[string]string    // key of the matter by card
	asked   []Answer             // accepted, not yet worked on, in order
	done    map[string]time.Time // worked on lately, by the answer's ID
	waiting map[string]chan error
	compact int64 // size of the file from which on it is rewritten
}

// Errors of answers that have no effect. Their texts are for people.
var (
	ErrUnknown = errors.New("nothing is known about this any more")
	ErrEnded   = errors.New("it has ended")
	ErrNoSteps = errors.New("there is nobody to escalate to: alerting.escalation.to names no further step")
	ErrNobody  = errors.New("nobody has claimed it")
)

// TakenError says who was first.
type TakenError struct{ By Mark }

func (e *TakenError) Error() string {
	return fmt.Sprintf("%s has claimed it at %s", e.By.By.Name, e.By.At.Format("15:04"))
}

// New opens the book. It acts in Run.
func New(cfg Config, log *slog.Logger) (*Book, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("claim: %w", err)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	b := &Book{
		cfg: cfg, log: log, wake: make(chan struct{}, 1),
		states: map[string]*State{}, cards: map[string]string{}, done: map[string]time.Time{}, waiting: map[string]chan error{},
	}
	j, err := openJournal(cfg.Dir, b.apply)
	if err != nil {
		return nil, err
	}
	b.journal = j
	if err := b.rewrite(cfg.Now()); err != nil {
		return nil, err
	}
	return b, nil
}

// Close releases the file, after Run has returned.
func (b *Book) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.journal.close()
}

// apply is the only place that changes what is known, at replay as in operation.
func (b *Book) apply(r record) {
	if r.Asked != nil {
		b.asked = append(b.asked, *r.Asked)
	}
	if r.Done != "" {
		b.done[r.Done] = r.At
		b.asked = slices.DeleteFunc(b.asked, func(a Answer) bool { return a.ID == r.Done })
	}
	if r.State != nil {
		s := r.State.clone()
		b.states[s.Key] = &s
		for _, c := range s.Cards {
			b.cards[c.ID] = s.Key
		}
	}
	if s := b.states[r.Drop]; s != nil {
		delete(b.states, r.Drop)
		for _, c := range s.Cards {
			delete(b.cards, c.ID)
		}
	}
}

// note writes records down and applies them.
func (b *Book) note(sync bool, recs ...record) error {
	if err := b.journal.append(sync, recs...); err != nil {
		return err
	}
	for _, r := range recs {
		b.apply(r)
	}
	return nil
}

// seenFor is how long an answer is known again. DingTalk pushes callbacks again
// within some minutes.
const seenFor = time.Hour

// rewrite makes the file as short as it can be.
func (b *Book) rewrite(now time.Time) error {
	var recs []record
	for id, at := range b.done {
		if now.Sub(at) > seenFor {
			delete(b.done, id)
			continue
		}
		recs = append(recs, record{Done: id, At: at})
	}
	for _, s := range b.states {
		recs = append(recs, record{State: s})
	}
	for i := range b.asked {
		recs = append(recs, record{Asked: &b.asked[i]})
	}
	if err := b.journal.rewrite(recs); err != nil {
		return err
	}
	const least = 1 << 20
	b.compact = max(least, 4*b.journal.size)
	return nil
}

// Find is the matter of that group key, or of that short ID, such as #A3F2: the one
// that is open, or was told last.
func (b *Book) Find(name string) (State, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if s := b.states[name]; s != nil {
		return s.clone(), true
	}
	id := "#" + strings.ToUpper(strings.TrimPrefix(name, "#"))
	id, _, _ = strings.Cut(id, "-") // a mark, such as #A3F2-17
	var found *State
	for _, s := range b.states {
		if s.ID() == id && (found == nil || later(s, found)) {
			found = s
		}
	}
	if found == nil {
		return State{}, false
	}
	return found.clone(), true
}

func later(a, b *State) bool {
	if a.Open() != b.Open() {
		return a.Open()
	}
	return a.Since.After(b.Since)
}

// ByCard is the matter that a card shows.
func (b *Book) ByCard(id string) (State, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.states[b.cards[id]]
	if s == nil {
		return State{}, false
	}
	return s.clone(), true
}

// List are all matters, open ones first, the newest first.
func (b *Book) List() []State {
	b.mu.Lock()
	defer b.mu.Unlock()
	all := make([]State, 0, len(b.states))
	for _, s := range b.states {
		all = append(all, s.clone())
	}
	slices.SortFunc(all, func(x, y State) int {
		switch {
		case later(&x, &y):
			return -1
		case later(&y, &x):
			return 1
		}
		return cmp.Compare(x.Key, y.Key)
	})
	return all
}

// Told takes note that a channel is about to be told about g.
func (b *Book) Told(channel string, g dingtalk.Group) error {
	b.mu.Lock()
	now := b.cfg.Now()
	s, known := b.next(channel, g, now)
	if !known {
		b.mu.Unlock()
		return nil
	}
	// Not synced: the outbox is about to sync, and what is lost here is a timer.
	err := b.note(false, record{State: &s})
	sooner := s.ended() || s.due(now) || !s.Due.IsZero() && s.Due.Before(b.planned)
	b.mu.Unlock()
	if sooner { // of a storm each message would have Run look at all matters
		b.signal()
	}
	b.changed(s)
	return err
}

// next is the state after a message about g.
func (b *Book) next(channel string, g dingtalk.Group, now time.Time) (s State, known bool) {
	old := b.states[g.Key]
	switch {
	case old == nil && !g.Firing():
		return s, false
	case old == nil || (!old.Open() && g.Firing()):
		s = State{Key: g.Key, Since: now}
		if old != nil {
			s.Cards = slices.Clone(old.Cards)
		}
	default:
		s = old.clone()
	}
	s.Channel, s.Group, s.Alerts = channel, trim(g), len(g.Alerts)
	switch {
	case !g.Firing():
		if s.Open() {
			s.Ended = now
		}
		s.Due = time.Time{}
	case s.Due.IsZero() && s.Level == 0:
		s.Due = b.due(s, now)
	}
	return s, true
}

// due is when the next step is, as seen at that moment; zero: never. As long as
// somebody has the matter or silenced it, no time runs.
func (b *Book) due(s State, now time.Time) time.Time {
	if b.cfg.After <= 0 || s.Level >= len(b.cfg.Steps) || !s.Group.Urgent() || !s.Open() {
		return time.Time{}
	}
	from := now
	for _, m := range []*Mark{s.Claim(now), s.Silence(now)} {
		if m != nil && m.Until.After(from) {
			from = m.Until
		}
	}
	return from.Add(b.cfg.After)
}

func (b *Book) signal() {
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

func (b *Book) changed(s State) {
	if b.cfg.Hooks.Changed != nil {
		b.cfg.Hooks.Changed(s)
	}
}

// cardsKept bounds the cards of one matter that are kept current.
const cardsKept = 8

// AddCard takes note of a card that shows a matter. It is known when it returns,
// so that its buttons work.
func (b *Book) AddCard(key string, c Card) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.states[key] == nil {
		return ErrUnknown
	}
	s := b.states[key].clone()
	if slices.ContainsFunc(s.Cards, func(old Card) bool { return old.ID == c.ID }) {
		return nil
	}
	s.Cards = append(s.Cards, c)
	if n := len(s.Cards) - cardsKept; n > 0 {
		for _, old := range s.Cards[:n] {
			delete(b.cards, old.ID)
		}
		s.Cards = s.Cards[n:]
	}
	return b.note(false, record{State: &s})
}

// Shown takes note of what is written on a card now.
func (b *Book) Shown(key, card, shown string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.states[key] == nil {
		return nil
	}
	s := b.states[key].clone()
	for i := range s.Cards {
		if s.Cards[i].ID == card {
			s.Cards[i].Shown = shown
		}
	}
	return b.note(false, record{State: &s})
}
