package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"
)

// lifecycle runs parts that depend on those started before them, and stops them
// in the opposite order, each only after all that depend on it have ended. So
// Envoy writes its last log line before the collector stops reading, and the
// collector stores its last row before ClickHouse goes.
type lifecycle struct {
	log    *slog.Logger
	parts  []*part
	failed chan error // the first part that ended by itself; buffered for one
	once   sync.Once
}

// part is one running part.
type part struct {
	name   string
	cancel context.CancelFunc
	done   chan struct{}
	err    error // valid once done is closed
}

// stopGrace is how long a part may take to stop before its name is logged as
// the one everybody waits for. Parts bound their own stops.
const stopGrace = 10 * time.Second

func newLifecycle(log *slog.Logger) *lifecycle {
	return &lifecycle{log: log, failed: make(chan error, 1)}
}

// start runs a part. It lives until stop, whatever happens to the context of
// whoever started it. A part that ends by itself makes failed speak.
func (l *lifecycle) start(name string, run func(context.Context) error) {
	ctx, cancel := context.WithCancel(context.Background())
	p := &part{name: name, cancel: cancel, done: make(chan struct{})}
	l.parts = append(l.parts, p)
	go func() {
		err := run(ctx)
		stopped := ctx.Err() != nil
		if err != nil && !errors.Is(err, context.Canceled) {
			p.err = fmt.Errorf("%s: %w", name, err)
		} else if !stopped {
			p.err = fmt.Errorf("%s ended unexpectedly", name)
		}
		close(p.done)
		if !stopped {
			l.once.Do(func() { l.failed <- p.err })
		}
	}()
}

// stop ends all parts and joins their errors.
func (l *lifecycle) stop() error {
	var errs []error
	for _, p := range slices.Backward(l.parts) {
		begin := time.Now()
		p.cancel()
		l.wait(p)
		l.log.Debug("stopped", "part", p.name, "took", time.Since(begin).Round(time.Millisecond))
		errs = append(errs, p.err)
	}
	l.parts = nil
	return errors.Join(errs...)
}

func (l *lifecycle) wait(p *part) {
	t := time.NewTimer(stopGrace)
	defer t.Stop()
	select {
	case <-p.done:
	case <-t.C:
		l.log.Warn("still stopping", "part", p.name)
		<-p.done
	}
}
