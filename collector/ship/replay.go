package ship

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/kongdao/kongdao/collector/wal"
)

// Replayed is what became of one dead letter.
type Replayed struct {
	Token  string `json:"token"`
	Rows   int    `json:"rows"`
	Stored int    `json:"stored"` // rows of it that are in the table now
	Reason string `json:"reason"` // why the others are not; empty when all are stored
}

// ErrNoLetter is the error of Replay for a token that no dead letter has.
var ErrNoLetter = errors.New("no such dead letter")

// Replay sends dead letters again, those with the tokens, or all when there are
// none. Each keeps its own token, and one that may have been stored before is
// looked up first, so it counts once, however often and however late it is
// replayed. What is stored is deleted, what is refused again stays with the new
// reason. An error means that a letter could not be tried, such as when ClickHouse
// is away: that letter and those behind it stay as they were. It may be called
// while Run runs, and may be interrupted anywhere.
func (s *Shipper) Replay(ctx context.Context, tokens []string) ([]Replayed, error) {
	s.replaying.Lock()
	defer s.replaying.Unlock()
	letters, unread := s.DeadLetters()
	chosen, err := choose(letters, tokens)
	if err != nil {
		return nil, errors.Join(err, unread)
	}
	done := []Replayed{}
	for _, l := range chosen {
		r, err := s.replay(ctx, l)
		if err != nil {
			return done, errors.Join(fmt.Errorf("replay %s: %w", l.Token, err), unread)
		}
		done = append(done, r)
	}
	return done, unread
}

func choose(letters []DeadLetter, tokens []string) ([]DeadLetter, error) {
	if len(tokens) == 0 {
		return letters, nil
	}
	var chosen []DeadLetter
	var errs []error
	for _, token := range tokens {
		at := slices.IndexFunc(letters, func(l DeadLetter) bool { return l.Token == token })
		if at < 0 {
			errs = append(errs, fmt.Errorf("%w: %q", ErrNoLetter, token))
			continue
		}
		chosen = append(chosen, letters[at])
	}
	return chosen, errors.Join(errs...)
}

func (s *Shipper) replay(ctx context.Context, l DeadLetter) (r Replayed, err error) {
	rec, err := l.Record()
	if err != nil {
		return r, err
	}
	d := &delivery{left: []wal.Record{rec}, begun: time.Now(), replay: true}
	if err := s.settle(ctx, d); err != nil {
		return r, err
	}
	r = Replayed{Token: l.Token, Rows: l.Rows, Stored: l.Rows - d.deadRows}
	if d.lastReason != nil {
		r.Reason = d.lastReason.Error()
	}
	if slices.Contains(d.dead, l.Token) {
		return r, nil
	}
	return r, s.dead.remove(l.Token)
}

// DeadLetters are those of the shipper's table in the folder.
func (s *Shipper) DeadLetters() ([]DeadLetter, error) {
	letters, err := ReadDeadLetters(s.cfg.DeadLetterDir)
	return slices.DeleteFunc(letters, func(l DeadLetter) bool { return l.Table != s.table.Name }), err
}
