package outbox

import (
	"strings"
	"time"
)

// apply is the only place that changes queues for a record, at replay as in
// operation.
func (o *Outbox) apply(r record) {
	switch r.Op {
	case opNext:
		o.next = max(o.next, first(r.Seqs))
		if !r.At.IsZero() {
			o.epoch = r.At
		}
		return
	case opPut:
		o.applyPut(r)
		return
	case opTook:
		o.applyTook(r)
		return
	case opSame:
		o.applySame(r)
		return
	case opBlock:
		o.laneNamed(r.Robot).until = r.At
		return
	case opTry:
		l := o.laneNamed(r.Robot)
		l.last, l.open = r.At, len(r.Seqs) > 0
		if !strings.HasPrefix(r.Robot, receiverLane("")) { // receivers have no limit
			l.sends = append(l.sends, r.At)
		}
	case opSent, opFail: // the message arrived at any time until now
		l := o.laneNamed(r.Robot)
		l.arrived(r.At)
		l.open = false
	}
	if q := o.queues[r.channel()]; q != nil {
		q.apply(r)
	}
}

// apply is about messages that wait.
func (q *queue) apply(r record) {
	switch r.Op {
	case opTry:
		for _, e := range q.find(r.Seqs) {
			if e.parts == 0 {
				e.rendered = r.At
			}
		}
	case opSent:
		for _, e := range q.find(r.Seqs) {
			e.parts, e.robot = r.Part, r.Robot
			q.threads.set(e.group.Key, r.Robot)
		}
		if r.Last {
			q.remove(r.Seqs)
		}
	case opPart:
		for _, e := range q.find(r.Seqs) {
			e.parts, e.rendered, e.robot = r.Part, r.At, r.Robot
		}
	case opFail:
		for _, e := range q.find(r.Seqs) {
			e.failure = r.Reason
		}
	case opDead:
		q.remove(r.Seqs)
	case opThread:
		for _, k := range r.Keys {
			q.threads.set(k, r.Robot)
		}
	}
}

func (o *Outbox) applyPut(r record) {
	if r.Group == nil {
		return // nothing that this program writes
	}
	q := o.queue(r.channel())
	e := &entry{seq: first(r.Seqs), group: *r.Group, urgent: r.Group.Urgent(), at: r.At, accepted: r.At, rendered: r.At, via: r.Via}
	if !r.Since.IsZero() {
		e.accepted = r.Since
	}
	for _, old := range q.find(r.Replaces) {
		old.replaced = true
		e.accepted = minTime(e.accepted, old.accepted)
	}
	if len(r.Replaces) > 0 {
		q.dropReplaced()
	}
	q.add(e)
	if r.Sum != 0 && o.lasts != nil { // a journal that was rewritten has it elsewhere
		o.lasts[matter{q.channel.Name, r.Group.Key}] = lastPut{r.Sum, r.At, o.replays}
	}
	o.next = max(o.next, e.seq+1)
}

// queue of a channel.
func (o *Outbox) queue(channel string) *queue {
	q := o.queues[channel]
	if q == nil {
		q = newQueue(o.channelOf(channel))
		o.queues[channel] = q
	}
	return q
}

// snapshot is the shortest journal with the same meaning.
func (o *Outbox) snapshot(now time.Time) []record {
	recs := append([]record{{Op: opNext, Seqs: []uint64{o.next}, At: o.epoch}}, o.tookRecords()...)
	for name, l := range o.lanes {
		if l.open && !l.flying { // the process ended while it was sent, at some time until now
			l.arrived(l.last.Add(o.cfg.Timeout))
			l.open = false
		}
		for i, t := range l.sends {
			l.sends[i] = minTime(t, now) // a clock that was set back must not lock a robot
			if now.Sub(t) < o.cfg.Window {
				at := l.sends[i]
				if l.flying && i == len(l.sends)-1 {
					at = at.Add(o.cfg.Timeout) // should this be read before it has arrived
				}
				recs = append(recs, record{Op: opTry, At: at, Robot: name})
			}
		}
		if l.until.After(now) {
			l.until = minTime(l.until, now.Add(o.cfg.Silence))
			recs = append(recs, record{Op: opBlock, At: l.until, Robot: name})
		}
	}
	for _, q := range o.queues {
		recs = append(recs, q.snapshot()...)
		recs = append(recs, o.same(q.channel.Name, now)...)
	}
	return recs
}

func (q *queue) snapshot() (recs []record) {
	name := q.channel.Name
	for _, e := range q.waiting {
		if e.replaced {
			continue
		}
		seqs := []uint64{e.seq}
		put := record{Op: opPut, At: e.at, Robot: name, Seqs: seqs, Group: &e.group, Via: e.via}
		if !e.accepted.Equal(e.at) {
			put.Since = e.accepted
		}
		recs = append(recs, put)
		if e.parts > 0 {
			recs = append(recs, record{Op: opPart, At: e.rendered, Robot: e.robot, Channel: name, Seqs: seqs, Part: e.parts})
		}
	}
	if len(q.channel.targets()) < 2 {
		return recs
	}
	keys := map[string][]string{}
	for _, k := range q.threads.order {
		keys[q.threads.robots[k]] = append(keys[q.threads.robots[k]], k)
	}
	for robot, ks := range keys {
		recs = append(recs, record{Op: opThread, Robot: robot, Channel: name, Keys: ks})
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
