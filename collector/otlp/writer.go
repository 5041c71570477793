package otlp

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/kongdao/kongdao/collector/wal"
	"github.com/kongdao/kongdao/internal/fnlog"
)

var (
	// errBusy means that there is no room now, and that nothing was stored.
	errBusy = errors.New("no room for log records now")
	// errStopping means that the process ends, and that nothing was stored.
	errStopping = errors.New("the collector is stopping")
)

// group is the requests whose records share a block.
type group struct {
	ids  []requestID
	done chan struct{} // closed when err is set for good
	err  error         // nil: on disk; errBusy: nowhere
}

func newGroup() *group { return &group{done: make(chan struct{})} }

// writer gathers the records of many requests in a block, makes the block durable
// and tells the requests. While one block is written the next one fills.
type writer struct {
	wal      *wal.Log
	maxRows  int
	maxBytes int // before compression
	interval time.Duration
	patience time.Duration
	now      func() time.Time
	log      *slog.Logger

	wake chan struct{} // size 1: the block is full

	// Owned by the goroutine of run.
	leaving *fnlog.Block
	buf     []byte
	carried []requestID // of the block before

	mu      sync.Mutex
	open    *fnlog.Block
	group   *group
	pending map[requestID]*group // requests that are not durable yet
	seen    *seen
	room    chan struct{} // closed, and made anew, when open is empty again
	busy    time.Time     // requests are refused until then
	stopped bool
}

// blockBytes is the size before compression at which a block is closed although it
// has few records: small enough for several blocks to fit into the log's budget.
func blockBytes(budget int64) int { return int(min(16<<20, budget/8)) }

func newWriter(w *wal.Log, c Config, log *slog.Logger) *writer {
	s := &writer{
		wal: w, maxRows: c.MaxRows, maxBytes: blockBytes(c.WALBytes),
		interval: c.FlushInterval.Std(), patience: c.Patience.Std(), now: time.Now, log: log,
		wake: make(chan struct{}, 1), leaving: fnlog.NewBlock(),
		open: fnlog.NewBlock(), group: newGroup(), pending: map[requestID]*group{},
		seen: newSeen(rememberRequests), room: make(chan struct{}),
	}
	s.carried = readIDs(w.Positions())
	for _, id := range s.carried {
		s.seen.add(id)
	}
	return s
}

// put returns nil once the batch's records are on disk, or were before: then
// repeated is true. It calls taken, once, when it does not need the batch any more.
// After errBusy and errStopping nothing of it is stored; after the error of ctx
// nobody knows.
func (w *writer) put(ctx context.Context, b *batch, id requestID, taken func()) (repeated bool, err error) {
	g, repeated, err := w.append(ctx, b, id)
	taken()
	if err != nil || g == nil {
		return repeated, err
	}
	return repeated, g.wait(ctx)
}

// append waits for room and returns the group that the batch's records are in, or
// nil when they are on disk already.
func (w *writer) append(ctx context.Context, b *batch, id requestID) (_ *group, repeated bool, err error) {
	patience := time.NewTimer(w.patience)
	defer patience.Stop()
	for {
		g, room, repeated, err := w.tryAppend(b, id)
		if room == nil {
			return g, repeated, err
		}
		select {
		case <-room:
		case <-patience.C:
			return nil, false, errBusy
		case <-ctx.Done():
			return nil, false, errBusy
		}
	}
}

// wait waits for the group to be written.
func (g *group) wait(ctx context.Context) error {
	select {
	case <-g.done:
		return g.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// tryAppend adds the batch to the open block and returns its group; or the group that
// the same request is in already; or a channel that says when to try again; or
// nothing when the request is on disk already.
func (w *writer) tryAppend(b *batch, id requestID) (g *group, room chan struct{}, repeated bool, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case b.dated && w.seen.has(id):
		return nil, nil, true, nil
	case b.dated && w.pending[id] != nil:
		return w.pending[id], nil, true, nil
	case w.stopped:
		return nil, nil, false, errStopping
	case w.now().Before(w.busy):
		return nil, nil, false, errBusy
	case w.full():
		return nil, w.room, false, nil
	}
	for i := range b.records {
		w.open.Append(&b.records[i])
	}
	if b.dated {
		w.group.ids = append(w.group.ids, id)
		w.pending[id] = w.group
	}
	if w.full() {
		select {
		case w.wake <- struct{}{}:
		default:
		}
	}
	return w.group, nil, false, nil
}

func (w *writer) full() bool {
	return w.open.Rows() >= w.maxRows || w.open.Size() >= w.maxBytes
}

// run writes full and old blocks until ctx ends, and then the last one. Requests
// that come later are refused. The error means that the log cannot be used.
func (w *writer) run(ctx context.Context) error {
	tick := time.NewTicker(w.interval)
	defer tick.Stop()
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-tick.C:
		case <-w.wake:
		}
		if err := w.flush(); err != nil {
			w.stop()
			return err
		}
	}
	w.stop()
	return w.flush()
}

func (w *writer) stop() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stopped = true
	if w.room != nil {
		close(w.room) // those that wait for room hear that there will be none
		w.room = nil
	}
}

// flush writes the open block, and tells its requests.
func (w *writer) flush() error {
	g := w.take()
	if g == nil {
		return nil
	}
	err := w.write(g)
	w.settle(g, err)
	w.leaving.Reset()
	if errors.Is(err, wal.ErrClosed) {
		return err
	}
	if err != nil && !errors.Is(err, errBusy) {
		w.log.Error("log records of functions were refused", "error", err)
	}
	return nil
}

// take moves the open block to leaving, unless it is empty.
func (w *writer) take() *group {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.open.Rows() == 0 {
		return nil
	}
	g := w.group
	w.open, w.leaving = w.leaving, w.open
	w.group = newGroup()
	if w.room != nil {
		close(w.room)
		w.room = make(chan struct{})
	}
	return g
}

// write makes leaving durable. errBusy means that the log had no room, or the disk
// refused, for as long as requests wait; the block is then not in the log.
func (w *writer) write(g *group) (err error) {
	if w.buf, err = w.leaving.Encode(w.buf[:0]); err != nil {
		return err
	}
	earliest, latest := w.leaving.Span()
	ctx, cancel := context.WithTimeout(context.Background(), w.patience)
	defer cancel()
	_, err = w.wal.Append(ctx, wal.Entry{
		Rows: w.leaving.Rows(), MinTime: earliest, MaxTime: latest, Revision: fnlog.Revision,
		Positions: appendIDs(nil, w.carried, g.ids), Block: w.buf,
	})
	if err != nil && ctx.Err() != nil {
		return fmt.Errorf("%w: %w", errBusy, err)
	}
	return err
}

// settle tells the requests of g. After a block that found no room, the next ones
// are refused at the door for a while; then one block is tried again.
func (w *writer) settle(g *group, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, id := range g.ids {
		delete(w.pending, id)
		if err == nil {
			w.seen.add(id)
		}
	}
	if err == nil {
		w.carried = g.ids
	}
	if errors.Is(err, errBusy) {
		w.busy = w.now().Add(retryAfter)
	}
	g.err = err
	close(g.done)
}

// retryAfter is when clients that were refused are told to come again.
const retryAfter = time.Second
