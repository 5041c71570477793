package outbox

import (
	"cmp"
	"slices"
	"time"

	"github.com/kongdao/kongdao/alerting/dingtalk"
)

// entry is one group that waits for one robot.
type entry struct {
	seq      uint64
	group    dingtalk.Group
	accepted time.Time
	rendered time.Time // when the parts were made of which some are sent
	parts    int       // sent so far
	flying   bool      // being sent right now
	replaced bool      // by a newer message while flying: not tried again
}

// queue is what is known about one robot. It does no input or output.
type queue struct {
	waiting []*entry
	sends   []time.Time // of the last window, refused ones too
	until   time.Time   // nothing is sent before: silenced, or backing off
	fails   int         // in a row
	wake    chan struct{}
}

func newQueue() *queue { return &queue{wake: make(chan struct{}, 1)} }

// signal tells the sender that something changed; one signal is as good as many.
func (q *queue) signal() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// limits are the rules that a queue obeys.
type limits struct {
	window  time.Duration
	urgent  int // messages in a window
	routine int // of those, open to other messages than pages
}

// next picks what to send now. Without entries, wait says how long until it
// should be asked again; 0 means that only a new message changes anything.
// Several entries make one digest.
func (q *queue) next(now time.Time, l limits) (pick []*entry, wait time.Duration) {
	q.sends = slices.DeleteFunc(q.sends, func(t time.Time) bool { return now.Sub(t) >= l.window })
	if len(q.waiting) == 0 {
		return nil, 0
	}
	if wait := q.until.Sub(now); wait > 0 {
		return nil, wait
	}
	q.order()
	first := q.waiting[0]
	free := l.routine - len(q.sends)
	if first.group.Urgent() {
		free = l.urgent - len(q.sends)
	}
	switch {
	case free <= 0:
		// One place is free once all but one of the limit have left the window.
		return nil, q.sends[-free].Add(l.window).Sub(now)
	case free == 1 && first.parts == 0 && len(q.waiting) > 1:
		return q.unstarted(), 0
	}
	return []*entry{first}, 0
}

// order puts first what was begun, then pages, then by age.
func (q *queue) order() {
	slices.SortStableFunc(q.waiting, func(a, b *entry) int {
		return cmp.Or(
			-cmp.Compare(b2i(a.parts > 0), b2i(b.parts > 0)),
			-cmp.Compare(b2i(a.group.Urgent()), b2i(b.group.Urgent())),
			cmp.Compare(a.seq, b.seq))
	})
}

func (q *queue) unstarted() []*entry {
	var es []*entry
	for _, e := range q.waiting {
		if e.parts == 0 {
			es = append(es, e)
		}
	}
	return es
}

func (q *queue) remove(seqs []uint64) {
	q.waiting = slices.DeleteFunc(q.waiting, func(e *entry) bool { return slices.Contains(seqs, e.seq) })
}

func (q *queue) find(seqs []uint64) []*entry {
	var es []*entry
	for _, e := range q.waiting {
		if slices.Contains(seqs, e.seq) {
			es = append(es, e)
		}
	}
	return es
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}
