package wal

import (
	"context"
	"fmt"
	"log/slog"
	"time"
)

// appending is an entry on its way into the log. Its fields but entry and size
// are guarded by Log.mu.
type appending struct {
	entry   Entry
	size    int64
	done    chan struct{} // closed when seq or err is set for good
	seq     uint64
	err     error
	writing bool
	gone    bool // its caller left before it was written
}

const (
	// groupBytes bounds what one fsync covers, and the buffer that is kept for it.
	groupBytes = 8 << 20

	minRetry = 50 * time.Millisecond
	maxRetry = 5 * time.Second
)

// Append puts e into the log and returns its sequence number once it is on disk.
// Callers that wait at the same time share one fsync. While the budget is used up
// or the disk refuses the write, Append waits; when ctx ends first, e is not in
// the log and the context's error comes back, with the reason for the wait.
// Slices of e must not be changed until Append returns.
func (l *Log) Append(ctx context.Context, e Entry) (uint64, error) {
	if err := e.check(l.opts.BudgetBytes); err != nil {
		return 0, fmt.Errorf("append: %w", err)
	}
	a := &appending{entry: e, size: recordSize(e), done: make(chan struct{})}
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return 0, ErrClosed
	}
	l.queue = append(l.queue, a)
	l.mu.Unlock()
	signal(l.wake)

	select {
	case <-a.done:
		return a.seq, a.err
	case <-ctx.Done():
	}
	if reason, left := l.leave(a); left {
		return 0, fmt.Errorf("append: %w (waiting for: %s)", context.Cause(ctx), reason)
	}
	<-a.done // being written: it ends by itself
	return a.seq, a.err
}

// leave takes a out of the queue unless it is being written or done.
func (l *Log) leave(a *appending) (reason waitReason, left bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if a.writing || a.seq != 0 || a.err != nil {
		return "", false
	}
	a.gone = true
	signal(l.wake)
	if l.waiting == "" {
		return "fsync", true
	}
	return l.waiting, true
}

// commitLoop writes what is queued until the log is closed. It is the only writer
// of segments.
func (l *Log) commitLoop() {
	defer close(l.stopped)
	var buf []byte
	retry := minRetry
	for {
		group, open := l.takeGroup()
		if !open {
			return
		}
		if len(group) == 0 {
			<-l.wake
			continue
		}
		var err error
		if buf, err = l.write(buf[:0], group); err == nil {
			retry = minRetry
			continue
		}
		l.refused(group, err)
		l.pause(retry)
		retry = min(2*retry, maxRetry)
	}
}

// takeGroup marks the front of the queue that has room as being written and
// returns it. When the log is closed it fails all that wait.
func (l *Log) takeGroup() (group []*appending, open bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.dropGone()
	if l.closed {
		for _, a := range l.queue {
			a.err = ErrClosed
			close(a.done)
		}
		l.queue = nil
		return nil, false
	}
	var bytes int64
	for _, a := range l.queue {
		if len(group) > 0 && bytes+a.size > groupBytes {
			break
		}
		if !l.room(bytes + a.size) {
			break
		}
		bytes += a.size
		a.writing = true
		group = append(group, a)
	}
	l.noteBudget(len(l.queue) > 0 && len(group) == 0, len(group) > 0)
	return group, true
}

func (l *Log) dropGone() {
	kept := l.queue[:0]
	for _, a := range l.queue {
		if !a.gone {
			kept = append(kept, a)
		}
	}
	clear(l.queue[len(kept):])
	l.queue = kept
}

// room reports whether n more bytes fit into the budget. A newest segment whose
// records are all acknowledged does not count: write replaces it.
func (l *Log) room(n int64) bool {
	used := l.used
	if l.newestAcked() {
		used -= l.newest().size
	}
	head := segmentFixed + int64(len(l.positions))
	return used+n+head <= l.opts.BudgetBytes
}

// noteBudget records whether appends wait for the budget, and says so once.
func (l *Log) noteBudget(full, written bool) {
	switch {
	case full && l.waiting == "":
		l.waiting = waitBudget
		l.opts.Log.Warn("write-ahead log is full; reading waits until blocks are stored",
			slog.Int64("bytes", l.used), slog.Int64("budget", l.opts.BudgetBytes))
	case written && l.waiting == waitBudget:
		l.waiting = ""
		l.opts.Log.Info("write-ahead log has room again")
	}
}

// write puts the group on disk and lets its callers go. On an error nothing of it
// is in the log. It returns buf for the next group.
func (l *Log) write(buf []byte, group []*appending) ([]byte, error) {
	var bytes int64
	for _, a := range group {
		bytes += a.size
	}
	if err := l.rotate(bytes); err != nil {
		return buf, err
	}
	l.mu.Lock()
	s, seq := l.newest(), l.next
	l.mu.Unlock()
	now := uint32(time.Now().Unix())
	for i, a := range group {
		buf = appendRecord(buf, seq+uint64(i), now, a.entry)
	}
	_, err := l.active.WriteAt(buf, s.size)
	if err == nil {
		err = l.active.Sync()
	}
	if cap(buf) > 2*groupBytes {
		buf = nil
	}
	if err != nil {
		// After a failed fsync the kernel may call pages clean that never reached
		// the disk. Cutting the file makes the next try write all of them anew.
		_ = l.active.Truncate(s.size)
		return buf, err
	}
	l.settle(s, seq, bytes, group)
	return buf, nil
}

// settle makes a written group visible.
func (l *Log) settle(s *segment, seq uint64, bytes int64, group []*appending) {
	l.mu.Lock()
	defer l.mu.Unlock()
	alone := l.rows <= 0
	for i, a := range group {
		a.seq, a.writing = seq+uint64(i), false
		l.rows += int64(a.entry.Rows)
		close(a.done)
	}
	last := group[len(group)-1]
	s.last = last.seq
	s.size += bytes
	l.used += bytes
	l.last = last.seq
	l.next = last.seq + 1
	l.positions = append([]byte(nil), last.entry.Positions...)
	clear(l.queue[:len(group)])
	l.queue = l.queue[len(group):]
	if l.waiting == waitDisk {
		l.waiting = ""
		l.opts.Log.Info("write-ahead log can be written again")
	}
	l.peekAppended(group[0].entry, alone)
	signal(l.readable)
}

// refused puts a group that could not be written back to wait, and says so once.
func (l *Log) refused(group []*appending, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, a := range group {
		a.writing = false
	}
	if l.waiting != waitDisk {
		l.waiting = waitDisk
		l.opts.Log.Error("write-ahead log cannot be written; reading waits and the write is tried again", slog.Any("error", err))
	}
}

// pause waits for d, or shorter when the log is closed.
func (l *Log) pause(d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	for {
		select {
		case <-t.C:
			signal(l.wake)
			return
		case <-l.wake:
			l.mu.Lock()
			closed := l.closed
			l.mu.Unlock()
			if closed {
				signal(l.wake)
				return
			}
		}
	}
}

// rotate starts a new segment when the newest has no room for n bytes, or when it
// is acknowledged whole and its space is needed.
func (l *Log) rotate(n int64) error {
	l.mu.Lock()
	s, first, positions := l.newest(), l.next, l.positions
	full := s.size+n > l.opts.SegmentBytes || l.used+n > l.opts.BudgetBytes
	l.mu.Unlock()
	if !full || s.empty() {
		return nil
	}
	made, f, err := l.createSegment(first, positions)
	if err != nil {
		return err
	}
	old := l.active
	l.active = f
	l.mu.Lock()
	l.segments = append(l.segments, made)
	l.used += made.size
	l.mu.Unlock()
	signal(l.readable) // a reader at the end of the old segment lets it go
	if err := old.Close(); err != nil {
		l.opts.Log.Warn("segment did not close", slog.Any("error", err))
	}
	return nil
}
