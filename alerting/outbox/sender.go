package outbox

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/kongdao/kongdao/alerting/dingtalk"
)

// grace is what a message that is being sent gets at the end.
const grace = 2 * time.Second

// rewriteAbove is the size, in bytes, from which on the journal is rewritten when
// nothing much waits in it. It is read as a whole at start, in some milliseconds.
const rewriteAbove = 1 << 20

// job is one message on its way.
type job struct {
	queue   *queue
	lane    *lane
	name    string // of the lane
	target  string // robot or receiver
	entries []*entry
	seqs    []uint64
	deliver func(context.Context) error
	part    int // counted from 1
	last    bool
}

// drain is the sender of one channel: each of its robots has one message on its way
// at most.
func (o *Outbox) drain(ctx context.Context, channel string) {
	o.mu.Lock()
	q := o.queues[channel]
	o.mu.Unlock()
	for ctx.Err() == nil {
		j, wait := o.begin(q)
		if j == nil {
			sleep(ctx, q.wake, wait)
			continue
		}
		o.flights.Go(func() { o.finish(j, o.try(ctx, j)) })
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
func (o *Outbox) begin(q *queue) (*job, time.Duration) {
	o.mu.Lock()
	defer o.mu.Unlock()
	now := time.Now()
	overdue := o.handOverdue(q, now)
	ch, wait := o.pick(q, now)
	if len(ch.entries) == 0 {
		return nil, sooner(wait, overdue)
	}
	j := &job{queue: q, lane: ch.lane, name: ch.target, target: ch.target, part: 1, last: true}
	if q.channel.Receiver != "" {
		j.name = receiverLane(ch.target)
	}
	var message dingtalk.Message
	if len(ch.entries) > 1 {
		message = o.digest(&ch)
	}
	j.entries = ch.entries
	for _, e := range j.entries {
		e.flying, q.flying[e.group.Key] = true, true
		j.seqs = append(j.seqs, e.seq)
	}
	j.lane.flying = true
	o.note(j.record(opTry, now))
	o.prepare(j, message)
	return j, 0
}

func sooner(a, b time.Duration) time.Duration {
	if a == 0 || (b > 0 && b < a) {
		return b
	}
	return a
}

func (j *job) record(op string, at time.Time) record {
	r := record{Op: op, At: at, Robot: j.name, Seqs: j.seqs}
	if name := j.queue.channel.Name; name != j.name {
		r.Channel = name
	}
	return r
}

// prepare says how the message is delivered.
func (o *Outbox) prepare(j *job, digest dingtalk.Message) {
	e := j.entries[0]
	if j.queue.channel.Receiver != "" {
		g, notify := e.group, o.cfg.Notify
		j.deliver = func(ctx context.Context) error {
			if notify == nil {
				return &dingtalk.SendError{Robot: j.target, Kind: dingtalk.Permanent, Message: "there are no receivers"}
			}
			return notify(ctx, j.target, g)
		}
		return
	}
	message := digest
	if len(j.entries) == 1 && digest.Text == "" {
		// Rendered for the same moment, the parts are the same after a restart.
		parts := o.cfg.Renderer.Render(e.group, e.rendered)
		i := min(e.parts, len(parts)-1)
		message, j.part, j.last = parts[i], i+1, i == len(parts)-1
	}
	j.deliver = func(ctx context.Context) error { return o.send(ctx, j.target, message) }
}

func (o *Outbox) try(ctx context.Context, j *job) error {
	sending, cancel := context.WithTimeout(context.WithoutCancel(ctx), o.cfg.Timeout)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { sleep(sending, nil, grace); cancel() })
	defer stop()
	return j.deliver(sending)
}

// finish writes down what came of a message.
func (o *Outbox) finish(j *job, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	now := time.Now()
	j.lane.flying = false
	for _, e := range j.entries {
		e.flying = false
		delete(j.queue.flying, e.group.Key)
	}
	o.metrics.sent(j.target, result(err))
	if err == nil {
		j.lane.fails = 0
		r := j.record(opSent, now)
		r.Part, r.Last = j.part, j.last
		o.note(r)
	} else {
		o.failed(j, now, err)
	}
	j.queue.dropReplaced()
	o.compact(now)
	for _, q := range o.queues { // they may share the robot
		q.signal()
	}
}

func result(err error) string {
	if err == nil {
		return "ok"
	}
	return dingtalk.KindOf(err).String()
}

// failed writes down why, and what follows.
func (o *Outbox) failed(j *job, now time.Time, err error) {
	r := j.record(opFail, now)
	r.Reason, r.Maybe = err.Error(), dingtalk.MaybeAccepted(err)
	o.note(r)
	switch dingtalk.KindOf(err) {
	case dingtalk.Permanent:
		o.giveUp(j.queue, j.entries, now, err.Error())
	case dingtalk.Throttled:
		o.log.Error("robot is silenced, it was sent too much", "robot", j.target, "for", o.cfg.Silence, "err", err)
		o.note(record{Op: opBlock, At: now.Add(o.cfg.Silence), Robot: j.name})
	default:
		if j.lane.fails++; j.lane.fails == 1 {
			o.log.Warn("robot takes no messages, trying again", "robot", j.target, "err", err)
		}
		j.lane.until = now.Add(o.backoff(j.lane.fails - 1))
	}
}

// dropReplaced forgets entries after a newer message of their group came. The
// journal knows already: the newer one's record names them.
func (q *queue) dropReplaced() {
	q.drop(func(e *entry) bool { return e.replaced && !e.flying })
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
