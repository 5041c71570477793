package health

import "time"

// entry is a target with its place in the queue. It is in the queue or in flight
// for as long as it is a target.
type entry struct {
	state
	target Target
	pod    *pod
	at     time.Time // of the next probe
	gone   bool      // no longer a target
}

// pod is an address with all its entries.
type pod struct {
	address string
	entries []*entry
	known   bool // was reported
	ready   bool // as reported
}

func (p *pod) allReady() bool {
	for _, e := range p.entries {
		if !e.state.ready {
			return false
		}
	}
	return true
}

// queue is a heap of entries by the time of their next probe.
type queue []*entry

func (q queue) Len() int           { return len(q) }
func (q queue) Less(i, j int) bool { return q[i].at.Before(q[j].at) }
func (q queue) Swap(i, j int)      { q[i], q[j] = q[j], q[i] }

// Push appends an *entry; for package heap.
func (q *queue) Push(x any) { *q = append(*q, x.(*entry)) }

// Pop removes the last entry; for package heap.
func (q *queue) Pop() any {
	old := *q
	last := old[len(old)-1]
	old[len(old)-1] = nil
	*q = old[:len(old)-1]
	return last
}
