package filelog

import (
	"context"
	"fmt"
	"iter"
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"github.com/kongdao/kongdao/internal/calllog"
)

// Batch is some lines of one source, in the order of the file.
type Batch struct {
	Source   string   // path of the source
	Position Position // behind the batch: to be stored with it, in one write

	// Records gives each call of the batch; it is for one pass, during the sink's
	// call. A record and what it points to are valid until the next.
	Records iter.Seq[*calllog.Record]
}

// Sink takes a batch over: when it returns nil, the batch is kept. It blocks
// while there is no room. Its error ends the Tailer. It is called by several
// goroutines, one for each source, and one batch of a source at a time.
type Sink func(context.Context, Batch) error

// Tailer follows the log files of its sources.
type Tailer struct {
	followers []*follower
}

// New returns a Tailer that goes on at the positions in resume, by the path of
// the source; sources without one start with the oldest file there is. reg may
// be nil.
func New(c Config, resume map[string]Position, log *slog.Logger, reg prometheus.Registerer, sink Sink) (*Tailer, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	m, err := newMetrics(reg, c.Sources)
	if err != nil {
		return nil, fmt.Errorf("register metrics: %w", err)
	}
	t := &Tailer{}
	for _, s := range c.Sources {
		t.followers = append(t.followers, newFollower(c.withDefaults(), s, resume[s.Path], log, m, sink))
	}
	return t, nil
}

// Run follows all sources until ctx ends, which gives nil, or the sink fails.
func (t *Tailer) Run(ctx context.Context) error {
	g, running := errgroup.WithContext(ctx)
	for _, f := range t.followers {
		g.Go(func() error { return f.run(running) })
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
	for _, f := range t.followers {
		if f.source.Path == source {
			f.stored(p)
		}
	}
}
