package app

import (
	"context"
	"errors"
	"path/filepath"
	"slices"

	"github.com/kongdao/kongdao/collector"
	"github.com/kongdao/kongdao/collector/otlp"
	"github.com/kongdao/kongdao/collector/ship"
)

// sender sends the dead letters of one table again.
type sender struct {
	letters func() ([]ship.DeadLetter, error)
	replay  func(ctx context.Context, tokens []string) ([]ship.Replayed, error)
}

// senders are those of the running system.
func (s *System) senders() []sender {
	return []sender{{s.collector.DeadLetters, s.collector.Replay}, {s.otlp.DeadLetters, s.otlp.Replay}}
}

// offlineSenders are those of a data directory on which nothing runs.
func (s *System) offlineSenders() []sender {
	calls, logs := collector.DefaultConfig(), otlp.DefaultConfig()
	calls.Dir, logs.Dir = s.dir.sub("collector"), s.dir.sub("collector")
	letters := func(name string) func() ([]ship.DeadLetter, error) {
		return func() ([]ship.DeadLetter, error) { return ship.ReadDeadLetters(filepath.Join(calls.Dir, name)) }
	}
	return []sender{
		{letters("dead"), func(ctx context.Context, tokens []string) ([]ship.Replayed, error) {
			return collector.ReplayIn(ctx, calls, s.chOptions, tokens)
		}},
		{letters(otlp.DeadDir), func(ctx context.Context, tokens []string) ([]ship.Replayed, error) {
			return otlp.ReplayIn(ctx, logs, s.chOptions, tokens)
		}},
	}
}

// replay gives each sender its own letters: those with the tokens, or all of them.
// A token that no letter has is the first sender's, which says so.
func replay(ctx context.Context, senders []sender, tokens []string) (done []ship.Replayed, err error) {
	own := make([][]string, len(senders))
	for _, token := range tokens {
		i, err := senderOf(senders, token)
		if err != nil {
			return nil, err
		}
		own[i] = append(own[i], token)
	}
	var errs []error
	for i, s := range senders {
		if len(tokens) > 0 && len(own[i]) == 0 {
			continue
		}
		letters, err := s.replay(ctx, own[i])
		done, errs = append(done, letters...), append(errs, err)
	}
	return done, errors.Join(errs...)
}

// senderOf is the sender with the letter; the first when none has it.
func senderOf(senders []sender, token string) (int, error) {
	for i, s := range senders {
		letters, err := s.letters()
		if slices.ContainsFunc(letters, func(l ship.DeadLetter) bool { return l.Token == token }) {
			return i, nil
		}
		if err != nil {
			return 0, err
		}
	}
	return 0, nil
}

// readDeadLetters are the letters of all tables in a collector's folder.
func readDeadLetters(dir string) (letters []ship.DeadLetter, err error) {
	for _, name := range []string{"dead", otlp.DeadDir} {
		some, unread := ship.ReadDeadLetters(filepath.Join(dir, name))
		letters, err = append(letters, some...), errors.Join(err, unread)
	}
	return letters, err
}
