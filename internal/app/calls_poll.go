package app

import (
	"context"
	"time"
)

// A live view without a collector beside it asks ClickHouse again and again. Calls
// are stored when they have ended and their block was delivered, and have the time at
// which they began: questions therefore overlap.
const (
	pollEvery   = 500 * time.Millisecond
	pollOverlap = 30 * time.Second // of an ordinary question
	wideOverlap = 10 * time.Minute // of every pollsToWide-th: long calls, and blocks that waited
	pollsToWide = 20
	pollLimit   = 20_000 // calls that one question brings
)

// poll sends calls as ClickHouse stores them.
func (t *tailing) poll(ctx context.Context) error {
	began := time.Now()
	if t.past > 0 {
		if err := t.showPast(ctx); err != nil {
			return err
		}
	} else {
		t.filter.Since = began
	}
	if err := t.to.state(fromPolling, ""); err != nil {
		return err
	}
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for n := 1; ; n++ {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
		overlap := pollOverlap
		if n%pollsToWide == 0 {
			overlap = wideOverlap
		}
		if err := t.pollOnce(ctx, overlap, n); err != nil {
			return err
		}
	}
}

func (t *tailing) pollOnce(ctx context.Context, overlap time.Duration, n int) error {
	f, horizon := t.filter, time.Now().Add(-overlap)
	if f.Since.Before(horizon) {
		f.Since = horizon
	}
	calls, err := t.read(ctx, f, pollLimit)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil: // it may be back at the next question
		return t.to.state(fromPolling, err.Error())
	case len(calls) == pollLimit:
		err = t.to.state(fromPolling, "more calls than can be followed: some are left out; ask for fewer")
	case n%pollsToWide == 0:
		err = t.to.state(fromPolling, "") // notices a reader that has left
	}
	if err != nil {
		return err
	}
	for key, at := range t.sent {
		if at.Before(time.Now().Add(-wideOverlap - pollOverlap)) {
			delete(t.sent, key)
		}
	}
	return t.show(calls)
}
