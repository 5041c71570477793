package outbox

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/kongdao/kongdao/alerting/dingtalk"
)

// Outbox holds accepted groups until they are delivered.
type Outbox struct {
	cfg     Config
	send    Send
	log     *slog.Logger
	metrics *metrics

	mu      sync.Mutex // guards all below
	journal *journal
	queues  map[string]*queue
	next    uint64
	start   func(robot string) // starts a sender; nil while Run does not run
}

// New opens the journal and takes up what waits in it. It sends nothing before
// Run.
func New(cfg Config, send Send, log *slog.Logger, reg prometheus.Registerer) (*Outbox, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("outbox: %w", err)
	}
	o := &Outbox{cfg: cfg, send: send, log: log, queues: map[string]*queue{}, next: 1}
	j, damaged, err := openJournal(cfg.Dir, o.apply)
	if err != nil {
		return nil, err
	}
	o.journal = j
	if damaged > 0 {
		log.Warn("outbox has damaged records, skipped", "records", damaged, "dir", cfg.Dir)
	}
	if err := o.journal.rewrite(o.snapshot(time.Now())); err != nil {
		j.close()
		return nil, err
	}
	if o.metrics, err = newMetrics(o, reg); err != nil {
		j.close()
		return nil, err
	}
	return o, nil
}

// Put accepts a group for a robot. After nil it is on disk. A message of the
// same group that still waits for that robot is replaced.
func (o *Outbox) Put(robot string, g dingtalk.Group) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	rec := record{Op: opPut, At: time.Now(), Robot: robot, Seqs: []uint64{o.next}}
	if q := o.queues[robot]; q != nil {
		for _, e := range q.waiting {
			if e.group.Key == g.Key {
				g = dingtalk.Merge(e.group, g)
				rec.Replaces = append(rec.Replaces, e.seq)
			}
		}
	}
	g.Sequence = o.next
	rec.Group = &g
	if err := o.journal.append(rec); err != nil {
		return err
	}
	o.apply(rec)
	o.queues[robot].signal()
	if o.start != nil {
		o.start(robot)
	}
	return nil
}

// Run sends until ctx ends, and returns nil then. What is being sent gets two
// seconds to finish. It may be called once.
func (o *Outbox) Run(ctx context.Context) error {
	var senders sync.WaitGroup
	running := map[string]bool{}
	o.mu.Lock()
	o.start = func(robot string) {
		if !running[robot] {
			running[robot] = true
			senders.Go(func() { o.drain(ctx, robot) })
		}
	}
	for robot := range o.queues {
		o.start(robot)
	}
	o.mu.Unlock()
	<-ctx.Done()
	o.mu.Lock()
	o.start = nil
	o.mu.Unlock()
	senders.Wait()
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
	o.mu.Lock()
	defer o.mu.Unlock()
	now := time.Now()
	for _, q := range o.queues {
		groups += len(q.waiting)
		for _, e := range q.waiting {
			oldest = max(oldest, now.Sub(e.accepted))
		}
	}
	return groups, oldest
}

// apply is the only place that changes queues for a record, at replay as in
// operation.
func (o *Outbox) apply(r record) {
	if r.Op == opNext {
		o.next = max(o.next, first(r.Seqs))
		return
	}
	q := o.queues[r.Robot]
	if q == nil {
		q = newQueue()
		o.queues[r.Robot] = q
	}
	switch r.Op {
	case opPut:
		o.applyPut(q, r)
	case opTry:
		q.sends = append(q.sends, r.At)
		for _, e := range q.find(r.Seqs) {
			if e.parts == 0 {
				e.rendered = r.At
			}
		}
	case opSent:
		if n := len(q.sends); n > 0 { // the message arrived at any time until now
			q.sends[n-1] = r.At
		}
		for _, e := range q.find(r.Seqs) {
			e.parts = r.Part
		}
		if r.Last {
			q.remove(r.Seqs)
		}
	case opPart:
		for _, e := range q.find(r.Seqs) {
			e.parts, e.rendered = r.Part, r.At
		}
	case opDead:
		q.remove(r.Seqs)
	case opBlock:
		q.until = r.At
	}
}

func (o *Outbox) applyPut(q *queue, r record) {
	accepted := r.At
	for _, e := range q.find(r.Replaces) {
		e.replaced = true
		accepted = minTime(accepted, e.accepted) // the matter has waited since then
	}
	q.waiting = slices.DeleteFunc(q.waiting, func(e *entry) bool { return e.replaced && !e.flying })
	q.waiting = append(q.waiting, &entry{seq: first(r.Seqs), group: *r.Group, accepted: accepted, rendered: r.At})
	o.next = max(o.next, first(r.Seqs)+1)
}

// snapshot is the shortest journal with the same meaning.
func (o *Outbox) snapshot(now time.Time) []record {
	recs := []record{{Op: opNext, Seqs: []uint64{o.next}}}
	for robot, q := range o.queues {
		for i, t := range q.sends {
			q.sends[i] = minTime(t, now) // a clock that was set back must not lock a robot
			if now.Sub(t) < o.cfg.Window {
				recs = append(recs, record{Op: opTry, At: q.sends[i], Robot: robot})
			}
		}
		if q.until.After(now) {
			q.until = minTime(q.until, now.Add(o.cfg.Silence))
			recs = append(recs, record{Op: opBlock, At: q.until, Robot: robot})
		}
		for _, e := range q.waiting {
			if e.replaced {
				continue
			}
			seqs := []uint64{e.seq}
			recs = append(recs, record{Op: opPut, At: e.accepted, Robot: robot, Seqs: seqs, Group: &e.group})
			if e.parts > 0 {
				recs = append(recs, record{Op: opPart, At: e.rendered, Robot: robot, Seqs: seqs, Part: e.parts})
			}
		}
	}
	return recs
}

func first(s []uint64) uint64 {
	if len(s) == 0 {
		return 0
	}
	return s[0]
}

func minTime(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
