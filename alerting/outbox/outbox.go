package outbox

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Outbox holds accepted groups until they are delivered.
type Outbox struct {
	cfg     Config
	send    Send
	log     *slog.Logger
	metrics *metrics
	stream  *stream
	mirrors mirrors

	inboxMu sync.Mutex // guards inbox; held for no input or output
	inbox   []*arrival

	mu      sync.Mutex // guards all below, and cfg.Channels
	journal *journal
	queues  map[string]*queue // by channel
	lanes   map[string]*lane  // by robot
	lasts   map[matter]lastPut
	replays bool // New reads the journal
	next    uint64
	took    map[string]took      // by peer
	epoch   time.Time            // since when numbers are given: they mean nothing to another outbox
	start   func(channel string) // starts a sender; nil while Run does not run
	flights sync.WaitGroup       // messages on their way
}

// New opens the journal and takes up what waits in it. It sends nothing before
// Run.
func New(cfg Config, send Send, log *slog.Logger, reg prometheus.Registerer) (*Outbox, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("outbox: %w", err)
	}
	o := &Outbox{cfg: cfg, send: send, log: log, queues: map[string]*queue{}, lanes: map[string]*lane{}, lasts: map[matter]lastPut{}, replays: true, next: 1, epoch: time.Now(), stream: newStream()}
	o.mirrors.all, o.mirrors.recent = map[string]*mirror{}, map[matter]accepted{}
	j, damaged, err := openJournal(cfg.Dir, o.replay)
	if err != nil {
		return nil, err
	}
	o.journal, o.replays = j, false
	if damaged > 0 {
		log.Warn("outbox has damaged records, skipped", "records", damaged, "dir", cfg.Dir)
	}
	if err := o.rewrite(time.Now()); err != nil {
		return nil, errors.Join(err, j.close())
	}
	if o.metrics, err = newMetrics(o, reg); err != nil {
		return nil, errors.Join(err, j.close())
	}
	if cfg.Mirrored {
		j.wrote = o.stream.add
	}
	return o, nil
}

// replay takes up one record of an earlier run.
func (o *Outbox) replay(r record) {
	o.tell(o.events(r))
	o.apply(r)
}

// Run sends until ctx ends, and returns nil then. What is being sent gets two
// seconds to finish. It may be called once.
func (o *Outbox) Run(ctx context.Context) error {
	if o.cfg.Hold != nil {
		o.cfg.Hold(ctx)
	}
	var senders sync.WaitGroup
	running := map[string]bool{}
	o.mu.Lock()
	o.start = func(channel string) {
		if !running[channel] {
			running[channel] = true
			senders.Go(func() { o.drain(ctx, channel) })
		}
	}
	for channel := range o.queues {
		o.start(channel)
	}
	o.mu.Unlock()
	<-ctx.Done()
	o.mu.Lock()
	o.start = nil
	o.mu.Unlock()
	senders.Wait()
	o.flights.Wait()
	return nil
}

// Close releases the journal, after Run has returned. Put fails from then on.
func (o *Outbox) Close() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.journal.close()
}

// Waiting is how many groups wait in all, and how old the oldest is.
func (o *Outbox) Waiting() (groups int, oldest time.Duration) {
	for _, w := range o.ByChannel() {
		groups += w.Messages
		oldest = max(oldest, w.Oldest)
	}
	return groups, oldest
}

// Wait is what waits in one channel.
type Wait struct {
	Messages int           `json:"messages"`
	Oldest   time.Duration `json:"oldest"` // age
}

// ByChannel is what waits in each channel that was used since the start.
func (o *Outbox) ByChannel() map[string]Wait {
	o.mu.Lock()
	defer o.mu.Unlock()
	now := time.Now()
	all := make(map[string]Wait, len(o.queues))
	for name, q := range o.queues {
		w := Wait{Messages: len(q.waiting)}
		for _, e := range q.waiting {
			w.Oldest = max(w.Oldest, now.Sub(e.accepted))
		}
		all[name] = w
	}
	return all
}
