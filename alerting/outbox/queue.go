package outbox

import (
	"cmp"
	"slices"
	"time"

	"github.com/kongdao/kongdao/alerting/dingtalk"
)

// entry is one group that waits in one channel.
type entry struct {
	seq      uint64
	group    dingtalk.Group
	at       time.Time // when it was accepted
	accepted time.Time // since when its matter has waited
	rendered time.Time // when the parts were made of which some are sent
	parts    int       // sent so far
	robot    string    // that took them
	flying   bool      // being sent right now
	replaced bool      // by a newer message while flying: not tried again
	via      []string  // channels that could not deliver it
	failure  string    // the last one
	urgent   bool      // a page
}

// queue is what waits in one channel. It does no input or output.
type queue struct {
	channel Channel
	waiting []*entry
	newest  map[string]*entry // of each group that waits, by its key
	flying  map[string]bool   // keys of groups that are being sent
	threads threads
	wake    chan struct{}
}

func newQueue(c Channel) *queue {
	return &queue{channel: c, newest: map[string]*entry{}, flying: map[string]bool{}, threads: threads{robots: map[string]string{}}, wake: make(chan struct{}, 1)}
}

// signal tells the sender that something changed; one signal is as good as many.
func (q *queue) signal() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// before orders what is sent: first what was begun, then pages, then by age.
func before(a, b *entry) int {
	return cmp.Or(
		-cmp.Compare(b2i(a.parts > 0), b2i(b.parts > 0)),
		-cmp.Compare(b2i(a.urgent), b2i(b.urgent)),
		cmp.Compare(a.seq, b.seq))
}

// worst orders a digest: what it has no room for waits for the next one.
func worst(a, b *entry) int {
	return cmp.Or(cmp.Compare(a.group.Rank(), b.group.Rank()), cmp.Compare(a.seq, b.seq))
}

func (q *queue) add(e *entry) {
	q.waiting = append(q.waiting, e)
	q.newest[e.group.Key] = e
}

func (q *queue) remove(seqs []uint64) {
	q.drop(func(e *entry) bool { return slices.Contains(seqs, e.seq) })
}

func (q *queue) drop(gone func(*entry) bool) {
	q.waiting = slices.DeleteFunc(q.waiting, func(e *entry) bool {
		if !gone(e) {
			return false
		}
		if q.newest[e.group.Key] == e {
			delete(q.newest, e.group.Key)
		}
		return true
	})
}

func (q *queue) find(seqs []uint64) []*entry {
	if len(seqs) == 0 {
		return nil
	}
	var es []*entry
	for _, e := range q.waiting {
		if slices.Contains(seqs, e.seq) {
			es = append(es, e)
		}
	}
	return es
}

// threads remember which robot was told about a matter last.
type threads struct {
	robots map[string]string // by the key of the group
	order  []string          // keys, the oldest first
}

// mostThreads bounds them; a matter that is older goes to any robot.
const mostThreads = 2000

func (t *threads) set(key, robot string) {
	if _, known := t.robots[key]; !known {
		t.order = append(t.order, key)
	}
	t.robots[key] = robot
	if len(t.order) > mostThreads {
		delete(t.robots, t.order[0])
		t.order = slices.Delete(t.order, 0, 1)
	}
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}
