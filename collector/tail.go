package collector

import (
	"context"
	"sync"

	"github.com/kongdao/kongdao/internal/calllog"
)

// Call is one call for those who watch live.
type Call = calllog.Call

// Filter chooses calls for a live view. It is asked for every call of every block
// on the way to ClickHouse: it has to be quick, must not keep the record, and is
// called by one goroutine at a time. A nil Filter chooses all.
type Filter func(*calllog.Record) bool

// tailBuffer is how many calls may wait for one watcher: more than two full blocks,
// because a block comes at once, and 25 MB at about 500 bytes a call.
const tailBuffer = 50_000

// Tail is a live view of calls. Calls that its reader is too slow for are dropped
// and counted; the path to ClickHouse never waits for it.
type Tail struct {
	filter Filter
	wake   chan struct{} // size 1: something waits

	mu      sync.Mutex
	waiting []Call
	dropped int64
}

// Next waits for calls and gives all that became durable since the last Next, in
// the order of their blocks, and how many more were dropped because the reader was
// too slow. It returns at least one of them, or the error of ctx. It is for one
// goroutine.
func (t *Tail) Next(ctx context.Context) (calls []Call, dropped int64, err error) {
	for {
		if calls, dropped = t.take(); len(calls) > 0 || dropped > 0 {
			return calls, dropped, nil
		}
		select {
		case <-t.wake:
		case <-ctx.Done():
			return nil, 0, ctx.Err()
		}
	}
}

func (t *Tail) take() (calls []Call, dropped int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	calls, dropped = t.waiting, t.dropped
	t.waiting, t.dropped = nil, 0
	return calls, dropped
}

func (t *Tail) offer(r *calllog.Record) {
	if t.filter != nil && !t.filter(r) {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.waiting) >= tailBuffer {
		t.dropped++
		return
	}
	t.waiting = append(t.waiting, calllog.CallOf(r))
	select {
	case t.wake <- struct{}{}:
	default:
	}
}

// tails are the live views there are.
type tails struct {
	mu   sync.Mutex
	open map[*Tail]struct{}
}

// Subscribe gives the calls that f chooses and whose blocks become durable from now
// on, until ctx ends.
func (c *Collector) Subscribe(ctx context.Context, f Filter) *Tail {
	t := &Tail{filter: f, wake: make(chan struct{}, 1)}
	c.tails.mu.Lock()
	c.tails.open[t] = struct{}{}
	c.tails.mu.Unlock()
	context.AfterFunc(ctx, func() {
		c.tails.mu.Lock()
		defer c.tails.mu.Unlock()
		delete(c.tails.open, t)
	})
	return t
}

// WaitStored waits until ClickHouse has settled all blocks that are durable now.
// After a Subscribe it means: every call that the Tail will not give is stored, or
// was refused for good.
func (c *Collector) WaitStored(ctx context.Context) error {
	return c.wal.WaitAcked(ctx, c.wal.Stats().LastSeq)
}

// publish shows a block to all who watch.
func (t *tails) publish(b *calllog.Block) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.open) == 0 {
		return
	}
	b.Each(func(r *calllog.Record) {
		for tail := range t.open {
			tail.offer(r)
		}
	})
}
