package outbox

import (
	"fmt"
	"slices"
	"time"
)

// routinePatience is how many times as long as a page another message waits before
// it is handed over.
const routinePatience = 10

// giveUp hands entries to the channel's fallback, or forgets them where there is
// none. Both is one write to disk: they are in one of the two channels at any time.
func (o *Outbox) giveUp(q *queue, entries []*entry, now time.Time, reason string) {
	var recs []record
	for _, e := range entries {
		if e.replaced {
			continue
		}
		to := o.fallbackOf(q.channel, e.via)
		dead := record{Op: opDead, At: now, Robot: q.channel.Name, Seqs: []uint64{e.seq}, To: to, Reason: reason}
		if to == "" {
			o.log.Error("gave up on a message", "channel", q.channel.Name, "group", e.group.Mark(), "alert", e.group.Name(), "err", reason)
			o.metrics.gaveUp(q.channel.Name)
		} else {
			o.log.Warn("message is handed to the fallback channel", "channel", q.channel.Name, "to", to, "group", e.group.Mark(), "alert", e.group.Name(), "err", reason)
			o.metrics.handedOver(q.channel.Name)
			// Before the other: half of this write would double it, not lose it.
			recs = append(recs, o.putRecord(now, to, e.group, o.next+uint64(len(recs)), append(slices.Clone(e.via), q.channel.Name)))
		}
		recs = append(recs, dead)
	}
	if len(recs) == 0 {
		return
	}
	if err := o.journal.append(recs...); err != nil {
		o.log.Error("outbox log cannot be written", "err", err)
	}
	o.accept(recs)
}

// handOverdue hands over what has waited too long in its channel, or would have
// before any robot of it is free. It returns how long until that is true of more; 0:
// of nothing.
func (o *Outbox) handOverdue(q *queue, now time.Time) (next time.Duration) {
	if len(q.waiting) == 0 {
		return 0
	}
	speaks := o.speaks(q, now)
	var overdue []*entry
	for _, e := range q.waiting {
		if e.flying || e.replaced {
			continue
		}
		due := e.accepted.Add(o.patience(q, e))
		if !due.After(now) || due.Before(speaks) {
			overdue = append(overdue, e)
			continue
		}
		next = sooner(next, due.Sub(now))
	}
	if len(overdue) > 0 {
		reason := fmt.Sprintf("not delivered within %s", o.patience(q, overdue[0]))
		if speaks.After(now) {
			reason = fmt.Sprintf("no robot of the channel takes messages before %s", speaks.UTC().Format(time.RFC3339))
		}
		if f := overdue[0].failure; f != "" {
			reason += ": " + f
		}
		o.giveUp(q, overdue, now, reason)
	}
	return next
}

// patience is how long a message may wait in this channel.
func (o *Outbox) patience(q *queue, e *entry) time.Duration {
	switch {
	case o.fallbackOf(q.channel, e.via) == "":
		return o.cfg.GiveUp
	case e.urgent:
		return o.cfg.Patience
	}
	return routinePatience * o.cfg.Patience
}

// speaks is when the first robot of the channel may be sent something again: those
// that were sent too much are silent for long.
func (o *Outbox) speaks(q *queue, now time.Time) time.Time {
	var at time.Time
	for _, name := range q.channel.targets() {
		l := o.lane(q.channel, name)
		if !l.until.After(now) {
			return now
		}
		if at.IsZero() || l.until.Before(at) {
			at = l.until
		}
	}
	return at
}

// note applies a record and writes it down. When the disk is full the message
// still goes out: late knowledge of what was sent is better than silence.
func (o *Outbox) note(r record) {
	events := o.events(r)
	o.apply(r)
	if err := o.journal.append(r); err != nil {
		o.log.Error("outbox log cannot be written", "err", err)
	}
	o.tell(events)
}

// compact rewrites the journal when it pays.
func (o *Outbox) compact(now time.Time) {
	if o.journal.size < rewriteAbove {
		return
	}
	waiting := 0
	for _, q := range o.queues {
		waiting += len(q.waiting)
	}
	if waiting > 1000 { // what waits is the journal; there is nothing to win
		return
	}
	if err := o.rewrite(now); err != nil {
		o.log.Error("outbox log cannot be rewritten", "err", err)
	}
}

// rewrite forgets history that has been told.
func (o *Outbox) rewrite(now time.Time) error {
	if o.cfg.Recorded != nil {
		if err := o.cfg.Recorded(); err != nil {
			return err
		}
	}
	return o.journal.rewrite(o.snapshot(now))
}
