package outbox

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/kongdao/kongdao/alerting/dingtalk"
)

// grace is what a message that is being sent gets at the end.
const grace = 2 * time.Second

// rewriteAbove is the size, in bytes, from which on the journal is rewritten when
// nothing much waits in it. It is read as a whole at start, in some milliseconds.
const rewriteAbove = 1 << 20

// job is one message to one robot about one or, for a digest, several entries.
type job struct {
	entries []*entry
	seqs    []uint64
	message dingtalk.Message
	part    int // counted from 1
	last    bool
}

// drain is the sender of one robot.
func (o *Outbox) drain(ctx context.Context, robot string) {
	o.mu.Lock()
	q := o.queues[robot]
	o.mu.Unlock()
	for ctx.Err() == nil {
		j, wait := o.begin(robot, q)
		if j == nil {
			sleep(ctx, q.wake, wait)
			continue
		}
		o.finish(robot, q, j, o.try(ctx, robot, j.message))
	}
}

// sleep ends with the context, a wake-up, or after wait; 0 is forever.
func sleep(ctx context.Context, wake <-chan struct{}, wait time.Duration) {
	var timeout <-chan time.Time
	if wait > 0 {
		t := time.NewTimer(wait)
		defer t.Stop()
		timeout = t.C
	}
	select {
	case <-ctx.Done():
	case <-wake:
	case <-timeout:
	}
}

// begin picks a message and writes down that it is about to be sent.
func (o *Outbox) begin(robot string, q *queue) (*job, time.Duration) {
	o.mu.Lock()
	defer o.mu.Unlock()
	now := time.Now()
	l := limits{window: o.cfg.Window, urgent: o.cfg.Limit, routine: o.cfg.Limit - o.cfg.Reserve}
	entries, wait := q.next(now, l)
	if len(entries) == 0 {
		return nil, wait
	}
	j := &job{entries: entries}
	for _, e := range entries {
		e.flying = true
		j.seqs = append(j.seqs, e.seq)
	}
	o.note(record{Op: opTry, At: now, Robot: robot, Seqs: j.seqs})
	o.render(j)
	return j, 0
}

func (o *Outbox) render(j *job) {
	if len(j.entries) > 1 {
		groups := make([]dingtalk.Group, len(j.entries))
		for i, e := range j.entries {
			groups[i] = e.group
		}
		j.message, j.part, j.last = o.cfg.Renderer.Digest(groups), 1, true
		return
	}
	// Rendered for the same moment, the parts are the same after a restart.
	e := j.entries[0]
	parts := o.cfg.Renderer.Render(e.group, e.rendered)
	i := min(e.parts, len(parts)-1)
	j.message, j.part, j.last = parts[i], i+1, i == len(parts)-1
}

func (o *Outbox) try(ctx context.Context, robot string, m dingtalk.Message) error {
	sending, cancel := context.WithTimeout(context.WithoutCancel(ctx), o.cfg.Timeout)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { sleep(sending, nil, grace); cancel() })
	defer stop()
	return o.send(sending, robot, m)
}

// finish writes down what came of a message.
func (o *Outbox) finish(robot string, q *queue, j *job, err error) {
	o.mu.Lock()
	now := time.Now()
	for _, e := range j.entries {
		e.flying = false
	}
	kind := dingtalk.KindOf(err)
	switch {
	case err == nil:
		q.fails = 0
		o.metrics.sent(robot, "ok")
		o.note(record{Op: opSent, At: now, Robot: robot, Seqs: j.seqs, Part: j.part, Last: j.last})
	case kind == dingtalk.Permanent:
		o.metrics.sent(robot, kind.String())
		o.note(record{Op: opDead, At: now, Robot: robot, Seqs: j.seqs, Reason: err.Error()})
	case kind == dingtalk.Throttled:
		o.metrics.sent(robot, kind.String())
		o.log.Error("robot is silenced, it was sent too much", "robot", robot, "for", o.cfg.Silence, "err", err)
		o.note(record{Op: opBlock, At: now.Add(o.cfg.Silence), Robot: robot})
	default:
		o.metrics.sent(robot, kind.String())
		wait := o.backoff(q.fails)
		if q.fails++; q.fails == 1 {
			o.log.Warn("robot takes no messages, trying again", "robot", robot, "err", err)
		}
		q.until = now.Add(wait)
	}
	o.dropReplaced(q)
	o.compact(now)
	o.mu.Unlock()
	if err != nil && kind == dingtalk.Permanent {
		o.giveUp(robot, j, err)
	}
}

// dropReplaced forgets entries that failed after a newer message of their group
// came. The journal knows already: the newer one's record names them.
func (o *Outbox) dropReplaced(q *queue) {
	var seqs []uint64
	for _, e := range q.waiting {
		if e.replaced && !e.flying {
			seqs = append(seqs, e.seq)
		}
	}
	q.remove(seqs)
}

// backoff doubles from FirstRetry to LastRetry, less up to a quarter so that
// several robots do not knock together.
func (o *Outbox) backoff(fails int) time.Duration {
	d := o.cfg.LastRetry
	if fails < 30 {
		d = min(d, o.cfg.FirstRetry<<fails)
	}
	return d - rand.N(d/4+1)
}

func (o *Outbox) giveUp(robot string, j *job, reason error) {
	groups := make([]dingtalk.Group, len(j.entries))
	for i, e := range j.entries {
		groups[i] = e.group
		o.log.Error("gave up on a message", "robot", robot, "group", e.group.Mark(), "alert", e.group.Name(), "err", reason)
	}
	if o.cfg.Fallback != nil {
		o.cfg.Fallback(robot, groups, reason)
	}
}

// note applies a record and writes it down. When the disk is full the message
// still goes out: late knowledge of what was sent is better than silence.
func (o *Outbox) note(r record) {
	o.apply(r)
	if err := o.journal.append(r); err != nil {
		o.log.Error("outbox log cannot be written", "err", err)
	}
}

func (o *Outbox) compact(now time.Time) {
	if o.journal.size < rewriteAbove {
		return
	}
	recs := o.snapshot(now)
	if len(recs) > 1000 { // what waits is the journal; there is nothing to win
		return
	}
	if err := o.journal.rewrite(recs); err != nil {
		o.log.Error("outbox log cannot be rewritten", "err", fmt.Errorf("compact: %w", err))
	}
}
