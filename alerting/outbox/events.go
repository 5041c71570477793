package outbox

import (
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"github.com/kongdao/kongdao/alerting/dingtalk"
	"github.com/kongdao/kongdao/alerting/ledger"
)

// Event is what became of a message.
type Event = ledger.Event

// events are what a record tells, of what is known before it is applied. They come
// from the journal alone, so that a restart tells again what a crash kept untold.
func (o *Outbox) events(r record) []Event {
	if o.cfg.Record == nil {
		return nil
	}
	q := o.queues[r.channel()]
	if r.Op == opPut {
		return o.acceptedEvents(q, r)
	}
	if q == nil {
		return nil
	}
	kind, known := r.kind()
	if !known {
		return nil
	}
	var all []Event
	for _, e := range q.find(r.Seqs) {
		if e.replaced && kind != ledger.Sent && kind != ledger.Tried {
			continue // it was superseded while it was on its way: nothing more is done about it
		}
		ev := o.event(q.channel.Name, e, kind, r.At)
		ev.Robot, ev.Reason, ev.By, ev.Part, ev.Last = strings.TrimPrefix(r.Robot, receiverLane("")), r.Reason, r.To, r.Part, r.Last
		if kind == ledger.Sent && len(r.Seqs) > 1 {
			ev.Kind = ledger.Digested
		}
		ev.ID = ledger.ID(o.epoch.UnixNano(), ev.Kind, e.seq, ev.Robot, ev.Part, r.At.UnixNano())
		all = append(all, ev)
	}
	return all
}

// kind of the events of a record about messages that wait.
func (r record) kind() (k ledger.Kind, known bool) {
	switch {
	case r.Op == opTry:
		return ledger.Tried, true
	case r.Op == opSent:
		return ledger.Sent, true
	case r.Op == opFail && r.Maybe:
		return ledger.Unanswered, true
	case r.Op == opFail:
		return ledger.Refused, true
	case r.Op == opDead && r.To != "":
		return ledger.Fallback, true
	case r.Op == opDead:
		return ledger.Dead, true
	}
	return "", false
}

func (o *Outbox) acceptedEvents(q *queue, r record) []Event {
	if r.Group == nil {
		return nil
	}
	var all []Event
	fresh := &entry{seq: first(r.Seqs), group: *r.Group}
	if q != nil {
		for _, e := range q.find(r.Replaces) {
			ev := o.event(r.channel(), e, ledger.Superseded, r.At)
			ev.By = fresh.group.Mark()
			ev.ID = ledger.ID(o.epoch.UnixNano(), ev.Kind, e.seq)
			all = append(all, ev)
		}
	}
	ev := o.event(r.channel(), fresh, ledger.Accepted, r.At)
	ev.ID = ledger.ID(o.epoch.UnixNano(), ev.Kind, fresh.seq)
	ev.Content, _ = json.Marshal(r.Group) // it was in JSON, or will be
	return append(all, ev)
}

func (o *Outbox) event(channel string, e *entry, k ledger.Kind, at time.Time) Event {
	ev := Describe(e.group)
	ev.At, ev.Kind, ev.Channel, ev.Sequence = at, k, channel, e.seq
	ev.Message, ev.Outbox = ledger.ID(o.epoch.UnixNano(), e.seq), o.name()
	return ev
}

// name of the outbox: as long as its folder is there, the same.
func (o *Outbox) name() string { return strconv.FormatInt(o.epoch.UnixNano(), 36) }

// Pending are the messages that wait, as events name them, and the outbox's own name.
func (o *Outbox) Pending() (messages []string, outbox string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, q := range o.queues {
		for _, e := range q.waiting {
			messages = append(messages, ledger.ID(o.epoch.UnixNano(), e.seq))
		}
	}
	return messages, o.name()
}

// Describe fills in what an event says of the group itself.
func Describe(g dingtalk.Group) Event {
	ev := Event{
		Matter: g.ID(), Sequence: g.Sequence, Group: g.Key, Alert: g.Name(), Severity: g.Severity(),
		Firing: g.Firing(), Alerts: len(g.Alerts),
	}
	ev.Function, ev.Zone, ev.Team = shared(g, "function"), shared(g, "zone"), shared(g, "team")
	return ev
}

// shared is the value that a label has in all alerts.
func shared(g dingtalk.Group, label string) string {
	if len(g.Alerts) == 0 {
		return g.Labels[label]
	}
	v := g.Alerts[0].Labels[label]
	for _, a := range g.Alerts[1:] {
		if a.Labels[label] != v {
			return ""
		}
	}
	return v
}

func (o *Outbox) tell(events []Event) {
	if o.cfg.Record != nil && len(events) > 0 {
		o.cfg.Record(events...)
	}
}
