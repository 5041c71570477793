package outbox

import (
	"slices"
	"time"

	"github.com/kongdao/kongdao/alerting/dingtalk"
)

// batchMost bounds the groups that one write to disk accepts.
const batchMost = 512

// arrival is a group that somebody waits to have accepted.
type arrival struct {
	channel string
	group   dingtalk.Group
	done    bool
	err     error // valid once done
}

// Put accepts a group for a channel. After nil it is on disk. A message of the same
// group that still waits there is replaced. What several goroutines put at once is
// written at once.
func (o *Outbox) Put(channel string, g dingtalk.Group) error {
	a := &arrival{channel: channel, group: g}
	o.inboxMu.Lock()
	o.inbox = append(o.inbox, a)
	o.inboxMu.Unlock()
	o.mu.Lock()
	defer o.mu.Unlock()
	for !a.done { // otherwise whoever held the lock before has taken it in
		o.takeIn()
	}
	return a.err
}

// takeIn accepts what has arrived, up to the second message of one matter: what that
// one replaces must be there first.
func (o *Outbox) takeIn() {
	seen := map[matter]bool{}
	o.inboxMu.Lock()
	n := 0
	for n < min(len(o.inbox), batchMost) {
		m := matter{o.inbox[n].channel, o.inbox[n].group.Key}
		if seen[m] {
			break
		}
		seen[m] = true
		n++
	}
	batch := o.inbox[:n:n]
	o.inbox = slices.Clone(o.inbox[n:])
	o.inboxMu.Unlock()

	now := time.Now()
	recs := make([]record, 0, n)
	for _, a := range batch {
		if !o.known(matter{a.channel, a.group.Key}, a.group, now) {
			recs = append(recs, o.putRecord(now, a.channel, a.group, o.next+uint64(len(recs)), nil))
		}
	}
	var err error
	if len(recs) > 0 {
		err = o.journal.append(recs...)
	}
	for _, a := range batch {
		a.done, a.err = true, err
	}
	if err == nil {
		o.accept(recs)
	}
}

// accept applies records that are on disk.
func (o *Outbox) accept(recs []record) {
	var all []Event
	for _, r := range recs {
		all = append(all, o.events(r)...)
		o.apply(r)
	}
	o.tell(all)
	for _, r := range recs {
		if r.Op != opPut {
			continue
		}
		o.queues[r.channel()].signal()
		if o.start != nil {
			o.start(r.channel())
		}
	}
}

// putRecord accepts g as number seq, after what is applied already.
func (o *Outbox) putRecord(now time.Time, channel string, g dingtalk.Group, seq uint64, via []string) record {
	r := record{Op: opPut, At: now, Robot: channel, Seqs: []uint64{seq}, Via: via, Sum: content(g)}
	if q := o.queues[channel]; q != nil {
		if e := q.newest[g.Key]; e != nil {
			g = dingtalk.Merge(e.group, g)
			r.Replaces = []uint64{e.seq}
			r.Since = e.accepted // the matter has waited since then
			for _, c := range e.via {
				if !slices.Contains(r.Via, c) {
					r.Via = append(slices.Clip(r.Via), c)
				}
			}
		}
	}
	g.Sequence = seq
	r.Group = &g
	return r
}
