package collector

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"sync"
	"time"

	"github.com/kongdao/kongdao/collector/filelog"
	"github.com/kongdao/kongdao/collector/tally"
	"github.com/kongdao/kongdao/collector/wal"
	"github.com/kongdao/kongdao/internal/calllog"
)

// blockBytes is the size before compression at which a block is closed although it
// has few calls: small enough for several blocks to fit into the log's budget, even
// if nothing could be compressed.
func blockBytes(budget int64) int { return int(min(16<<20, budget/8)) }

// positions says where each log file stands, by the path of its source. As JSON it
// is what the write-ahead log keeps with each block.
type positions map[string]filelog.Position

// pipeline gathers calls in a batch and moves full or old blocks into the
// write-ahead log. Sources put at the same time as the last block is written;
// when the next block is full as well, they wait.
type pipeline struct {
	wal      *wal.Log
	maxRows  int
	maxBytes int // before compression
	interval time.Duration
	durable  func(*calllog.Block, positions) // sees each block once, when it is on disk
	count    func(*tally.Tally)              // sees the count of each batch once, when its block is on disk

	wake chan struct{} // size 1: the block is full

	flushing sync.Mutex // held while a block is encoded and written; taken before mu
	spare    *batch
	leaving  *batch    // being written, or could not be; nil when there is none
	left     positions // after the calls in leaving
	buf      []byte

	mu    sync.Mutex
	open  *batch        // takes calls
	at    positions     // after the calls in open
	room  chan struct{} // closed, and made anew, when open is empty again
	taken int64         // calls that were put
}

func newPipeline(w *wal.Log, maxRows int, interval time.Duration, durable func(*calllog.Block, positions), count func(*tally.Tally)) (*pipeline, error) {
	p := &pipeline{
		wal: w, maxRows: maxRows, maxBytes: blockBytes(w.Stats().Budget), interval: interval, durable: durable, count: count,
		wake: make(chan struct{}, 1), spare: newBatch(), open: newBatch(),
		at: positions{}, room: make(chan struct{}),
	}
	if b := w.Positions(); len(b) > 0 {
		if err := json.Unmarshal(b, &p.at); err != nil {
			return nil, fmt.Errorf("source positions in the write-ahead log: %w", err)
		}
	}
	return p, nil
}

// resume is where each source goes on.
func (p *pipeline) resume() positions {
	p.mu.Lock()
	defer p.mu.Unlock()
	return maps.Clone(p.at)
}

// read is how many calls were put.
func (p *pipeline) read() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.taken
}

// held is how many calls are in memory and not durable.
func (p *pipeline) held() int {
	p.flushing.Lock()
	defer p.flushing.Unlock()
	p.mu.Lock()
	defer p.mu.Unlock()
	n := p.open.all.Calls()
	if p.leaving != nil {
		n += p.leaving.all.Calls()
	}
	return n
}

// forget drops the position of a source of which nothing is left, with the next
// block that is written.
func (p *pipeline) forget(path string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.at, path)
}

// put lets fill take calls into the open batch, and notes that the source named by
// path stands at position after them; a source without positions has no path. It
// waits while the block is full. When put returns nil the calls are in memory, not
// yet durable.
func (p *pipeline) put(ctx context.Context, path string, position filelog.Position, fill func(*batch)) error {
	for {
		room, done := p.tryPut(path, position, fill)
		if done {
			return nil
		}
		select {
		case <-room:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (p *pipeline) tryPut(path string, position filelog.Position, fill func(*batch)) (room chan struct{}, done bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.full() {
		return p.room, false
	}
	before := p.open.all.Calls()
	fill(p.open)
	p.taken += int64(p.open.all.Calls() - before)
	if path != "" {
		p.at[path] = position
	}
	if p.full() {
		select {
		case p.wake <- struct{}{}:
		default:
		}
	}
	return nil, true
}

func (p *pipeline) full() bool {
	return p.open.Rows() >= p.maxRows || p.open.Size() >= p.maxBytes || p.open.all.Calls() >= maxTaken
}

// run flushes full and old blocks until ctx ends. What is open then stays open.
func (p *pipeline) run(ctx context.Context) error {
	tick := time.NewTicker(p.interval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		case <-p.wake:
		}
		_, err := p.flush(ctx)
		if err != nil && ctx.Err() == nil {
			return err
		}
	}
}

// flushAll makes all calls that were put before it durable.
func (p *pipeline) flushAll(ctx context.Context) error {
	for {
		more, err := p.flush(ctx)
		if err != nil || !more {
			return err
		}
	}
}

// flush makes the calls of the open block durable, with the positions after them,
// and reports whether there were any. A block that could not be written is written
// first the next time.
func (p *pipeline) flush(ctx context.Context) (more bool, err error) {
	p.flushing.Lock()
	defer p.flushing.Unlock()
	if p.leaving == nil && !p.take() {
		return false, nil
	}
	// When sampling left all of them out there is nothing to write. The positions
	// go with the next block: until then a crash has the lines read again, by a
	// process that counts anew.
	if p.leaving.Rows() > 0 {
		if err := p.write(ctx, p.leaving.Block, p.left); err != nil {
			return false, err
		}
		p.durable(p.leaving.Block, p.left)
	}
	p.count(p.leaving.all)
	p.leaving.Reset()
	p.spare, p.leaving, p.left = p.leaving, nil, nil
	return true, nil
}

// take moves the open batch to leaving, unless it is empty.
func (p *pipeline) take() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.open.all.Calls() == 0 {
		return false
	}
	p.leaving, p.left = p.open, maps.Clone(p.at)
	p.open, p.spare = p.spare, nil
	close(p.room)
	p.room = make(chan struct{})
	return true
}

func (p *pipeline) write(ctx context.Context, block *calllog.Block, at positions) (err error) {
	where, err := json.Marshal(at)
	if err != nil {
		return fmt.Errorf("encode source positions: %w", err)
	}
	if p.buf, err = block.Encode(p.buf[:0]); err != nil {
		return err
	}
	from, to := block.Span()
	_, err = p.wal.Append(ctx, wal.Entry{
		Rows: block.Rows(), MinTime: time.UnixMicro(from), MaxTime: time.UnixMicro(to),
		Revision: calllog.Revision, Positions: where, Block: p.buf,
	})
	return err
}
