package ledger

import (
	"context"
	"log/slog"
	"time"
)

// How events are taken to the table: a second after they happened, or as many as one
// insert is worth.
const (
	gather    = time.Second
	shipMost  = 2000
	retryMost = 30 * time.Second
	lastTry   = 2 * time.Second
)

// Ship takes events from the log to the table until ctx ends, and those that are left
// then once more. What the table does not take stays in the log and is tried again.
func Ship(ctx context.Context, l *Log, t Table, log *slog.Logger) error {
	wait, failing := time.Duration(0), false
	for {
		n, err := shipOnce(ctx, l, t)
		switch {
		case ctx.Err() != nil:
			end, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastTry)
			defer cancel()
			_, _ = shipOnce(end, l, t) // what stays is stored after the next start
			return nil
		case err != nil:
			if wait = min(max(2*wait, gather), retryMost); !failing && wait > 4*gather {
				failing = true
				log.Warn("ledger of messages is not stored, trying again", "err", err)
			}
			sleep(ctx, wait)
			continue
		case n == shipMost:
			continue
		}
		if failing {
			failing = false
			log.Info("ledger of messages is stored again")
		}
		wait = 0
		select {
		case <-ctx.Done():
		case <-l.News():
			sleep(ctx, gather)
		}
	}
}

// shipOnce stores what the log holds, up to one insert.
func shipOnce(ctx context.Context, l *Log, t Table) (n int, err error) {
	events, next, err := l.Read(shipMost)
	if err != nil {
		return 0, err
	}
	if len(events) > 0 {
		if err := t.Store(ctx, events); err != nil {
			return 0, err
		}
	}
	return len(events), l.Taken(next)
}

func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}
