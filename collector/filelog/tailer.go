package filelog

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"github.com/kongdao/kongdao/internal/calllog"
)

// Batch is some lines of one source, in the order of the file.
type Batch struct {
	Source   string   // path of the source
	Position Position // behind the batch: to be stored with it, in one write

	// Records gives each call of the batch; it is for one pass, during the sink's
	// call. A record and what it points to are valid until the next. nil, with the
	// zero Position: nothing is left of a source that a glob found; its position
	// need not be kept.
	Records iter.Seq[*calllog.Record]
}

// Sink takes a batch over: when it returns nil, the batch is kept. It blocks
// while there is no room. Its error ends the Tailer. It is called by several
// goroutines, one for each source, and one batch of a source at a time.
type Sink func(context.Context, Batch) error

// Tailer follows the log files of its sources.
type Tailer struct {
	config  Config
	log     *slog.Logger
	metrics *metrics
	sink    Sink

	mu        sync.Mutex
	followers []*follower
	resume    map[string]Position // of logs that are not followed yet
}

// New returns a Tailer that goes on at the positions in resume, by the path of
// the source; sources without one start with the oldest file there is. reg may
// be nil.
func New(c Config, resume map[string]Position, log *slog.Logger, reg prometheus.Registerer, sink Sink) (*Tailer, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	m, err := newMetrics(reg)
	if err != nil {
		return nil, fmt.Errorf("register metrics: %w", err)
	}
	t := &Tailer{config: c.withDefaults(), log: log, metrics: m, sink: sink, resume: map[string]Position{}}
	for path, p := range resume {
		t.resume[path] = p
	}
	for _, s := range c.Sources {
		t.add(s, false)
	}
	if reg != nil {
		if err := reg.Register(state{t}); err != nil {
			return nil, fmt.Errorf("register metrics: %w", err)
		}
	}
	return t, nil
}

// add makes the follower of a source, unless its log has one.
func (t *Tailer) add(s Source, found bool) (*follower, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if slices.ContainsFunc(t.followers, func(f *follower) bool { return f.source.Path == s.Path }) {
		return nil, false
	}
	f := newFollower(t.config, s, t.resume[s.Path], t.log, t.metrics, t.sink)
	f.found = found
	delete(t.resume, s.Path)
	t.followers = append(t.followers, f)
	return f, true
}

func (t *Tailer) remove(f *follower) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.followers = slices.DeleteFunc(t.followers, func(other *follower) bool { return other == f })
}

// retire forgets a log that is gone. If it comes back, it is a new one.
func (t *Tailer) retire(ctx context.Context, f *follower) error {
	if err := t.sink(ctx, Batch{Source: f.source.Path}); err != nil {
		return sinkError{err}
	}
	t.log.Info("access log is gone", "path", f.source.Path)
	t.remove(f)
	return nil
}

// all gives the followers there are.
func (t *Tailer) all() []*follower {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.followers)
}

// Run follows all sources until ctx ends, which gives nil, or the sink fails.
func (t *Tailer) Run(ctx context.Context) error {
	w := newWatcher(t.log)
	defer w.close()
	g, running := errgroup.WithContext(ctx)
	follow := func(f *follower) {
		f.changes = w.listen(f.source.Path)
		g.Go(func() error {
			defer f.changes.close()
			err := f.run(running)
			if errors.Is(err, errRetired) {
				return t.retire(running, f)
			}
			return err
		})
	}
	for _, f := range t.all() {
		follow(f)
	}
	if len(t.config.Globs) > 0 {
		g.Go(func() error { return t.discover(running, follow) })
	}
	if err := g.Wait(); err != nil && ctx.Err() == nil {
		return err
	}
	return nil
}

// Stored tells that everything of source up to p is stored for good: rotated
// files before it are removed if they are ours to rotate. It may be called by
// any goroutine, does not block, and may leave positions out.
func (t *Tailer) Stored(source string, p Position) {
	for _, f := range t.all() {
		if f.source.Path == source {
			f.stored(p)
		}
	}
}

// errRetired ends a follower, not the Tailer.
var errRetired = errors.New("nothing is left of the log")

// Through is up to when everything that a gateway had written to its log has been
// handed over; zero when that never was, or its log is not followed here, which
// known tells. It may be called by any goroutine.
func (t *Tailer) Through(gateway string) (at time.Time, known bool) {
	for _, f := range t.all() {
		if f.source.Gateway == gateway {
			return f.readThrough(), true
		}
	}
	return time.Time{}, false
}
