package wal

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"
)

// reader is where Next stands. Guarded by Log.mu, but for f, which Next alone uses
// while the log is open.
type reader struct {
	segment *segment
	off     int64
	f       file      // of segment; nil until needed
	oldest  time.Time // time of the record at off, or of one before it; zero when there is none
}

func (r *reader) close() error {
	if r.f == nil {
		return nil
	}
	err := r.f.Close()
	r.f = nil
	return err
}

// handed is a record that Next returned and that is not yet behind the cursor.
type handed struct {
	seq       uint64
	rows      int64
	oldest    time.Time
	positions []byte
	segment   *segment
	acked     bool
}

// Next returns the oldest record that it has not returned since the log was opened,
// and waits for one when there is none. Records come in order.
// Damaged records are set aside and passed over. The error is the context's,
// ErrClosed, or that of the disk; after the last it may be called again.
func (l *Log) Next(ctx context.Context) (Record, error) {
	for {
		if err := ctx.Err(); err != nil {
			return Record{}, err
		}
		rec, ok, err := l.TryNext()
		if ok || err != nil {
			return rec, err
		}
		select {
		case <-l.readable:
		case <-ctx.Done():
			return Record{}, ctx.Err()
		}
	}
}

// TryNext is Next without waiting: it returns false when there is nothing to read yet.
func (l *Log) TryNext() (Record, bool, error) {
	for {
		s, off, limit, last, err := l.readerState()
		if err != nil {
			return Record{}, false, err
		}
		if off >= limit {
			if last {
				return Record{}, false, nil
			}
			if err := l.nextSegment(s); err != nil {
				return Record{}, false, err
			}
			continue
		}
		rec, ok, err := l.readAt(s, off, limit)
		if ok {
			l.noteHanded(rec.Seq)
		}
		if ok || err != nil {
			return rec, ok, err
		}
	}
}

// handedAhead is for how many records at a time the cursor's file says that they
// may have been returned, so that it is not written for each.
const handedAhead = 64

// noteHanded makes sure that after a crash the record is known to have been
// returned. When that cannot be written now, the next Ack does it.
func (l *Log) noteHanded(seq uint64) {
	l.saving.Lock()
	defer l.saving.Unlock()
	l.mu.Lock()
	if seq <= l.cursor.Handed {
		l.mu.Unlock()
		return
	}
	l.cursor.Handed = seq + handedAhead - 1
	c := l.cursor
	l.mu.Unlock()
	err := c.save(l.opts.Dir)
	l.mu.Lock()
	l.unsaved = err != nil
	l.mu.Unlock()
	if err != nil {
		l.opts.Log.Warn("cursor was not written; after a crash nobody knows that this block was sent",
			slog.Uint64("seq", seq), slog.Any("error", err))
	}
}

func (l *Log) readerState() (s *segment, off, limit int64, last bool, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil, 0, 0, false, ErrClosed
	}
	s = l.reader.segment
	return s, l.reader.off, s.size, s == l.newest(), nil
}

// readAt returns the record at off, or moves on and returns false when it is
// acknowledged already or damaged.
func (l *Log) readAt(s *segment, off, limit int64) (Record, bool, error) {
	if l.reader.f == nil {
		f, err := openDisk(s.path, os.O_RDONLY)
		if err != nil {
			return Record{}, false, fmt.Errorf("read segment: %w", err)
		}
		l.reader.f = f
	}
	h, e, err := readRecord(l.reader.f, off, limit)
	if err != nil && !damaged(err) {
		return Record{}, false, fmt.Errorf("read segment: %w", err)
	}
	if err != nil {
		return Record{}, false, l.passDamage(s, off, limit, err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.reader.off = off + h.size()
	l.reader.oldest = e.MinTime // near enough for what follows
	if l.reader.off >= s.size && s == l.newest() {
		l.reader.oldest = time.Time{}
	}
	if h.seq <= l.cursor.Seq {
		return Record{}, false, nil
	}
	l.handed = append(l.handed, &handed{
		// A copy, for the slice would keep the whole record in memory.
		seq: h.seq, rows: int64(h.rows), oldest: e.MinTime, positions: bytes.Clone(e.Positions), segment: s,
	})
	return Record{Entry: e, Seq: h.seq, Token: token(s.writer, h.seq), Again: h.seq <= l.again, Appended: h.time()}, true, nil
}

// passDamage sets the damaged bytes at off aside and moves the reader behind them.
func (l *Log) passDamage(s *segment, off, limit int64, cause error) error {
	l.mu.Lock()
	after := l.cursor.Seq
	if n := len(l.handed); n > 0 {
		after = max(after, l.handed[n-1].seq)
	}
	l.mu.Unlock()
	h, _ := readHeader(l.reader.f, off, limit)
	next, err := resync(l.reader.f, off+1, limit, after)
	if err != nil {
		return fmt.Errorf("read segment: %w", err)
	}
	if next < 0 {
		next = limit
	}
	if err := l.setAside(s, l.reader.f, off, next); err != nil {
		return err
	}
	l.opts.Log.Error("damaged record set aside", slog.String("segment", s.path), slog.Int64("offset", off),
		slog.Int64("bytes", next-off), slog.Int("rows", int(h.rows)), slog.Any("error", cause))
	defer l.announce() // whoever waits for this record need not wait any more
	l.mu.Lock()
	defer l.mu.Unlock()
	l.quarantined++
	l.rows -= int64(h.rows)
	l.reader.off = next
	return nil
}

// setAside copies the bytes from off to end of s into the quarantine.
func (l *Log) setAside(s *segment, f file, off, end int64) error {
	dir := quarantineDir(l.opts.Dir)
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return fmt.Errorf("quarantine: %w", err)
	}
	b := make([]byte, end-off)
	if _, err := f.ReadAt(b, off); err != nil {
		return fmt.Errorf("quarantine: %w", err)
	}
	name := fmt.Sprintf("%s-%d.bad", filepath.Base(s.path), off)
	if err := os.WriteFile(filepath.Join(dir, name), b, 0o640); err != nil {
		return fmt.Errorf("quarantine: %w", err)
	}
	return nil
}

// setAsideFile moves a whole file into the quarantine.
func (l *Log) setAsideFile(path string) error {
	dir := quarantineDir(l.opts.Dir)
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return fmt.Errorf("quarantine: %w", err)
	}
	name := fmt.Sprintf("%s-%d.bad", filepath.Base(path), time.Now().UnixNano())
	return os.Rename(path, filepath.Join(dir, name))
}

// nextSegment moves the reader to the segment behind s.
func (l *Log) nextSegment(s *segment) error {
	if err := l.reader.close(); err != nil {
		return err
	}
	l.mu.Lock()
	for i, have := range l.segments {
		if have == s {
			l.reader.segment = l.segments[i+1]
		}
	}
	l.reader.off = l.reader.segment.start
	l.mu.Unlock()
	l.reclaim()
	return nil
}

// Ack says that the record with this number is stored. Records may be acknowledged
// in any order; the cursor moves over those without a gap. While others wait its file
// is written ten times a second. An error means that the
// cursor was not written, which the next Ack and Close try again: until then the
// record would be returned again after a crash.
func (l *Log) Ack(seq uint64) error {
	l.saving.Lock()
	defer l.saving.Unlock()
	l.mu.Lock()
	moved := l.markAcked(seq)
	c, closed := l.cursor, l.closed
	l.mu.Unlock()
	if closed {
		return ErrClosed
	}
	if !moved {
		return nil
	}
	err := l.saveAcked(c)
	l.announce()
	l.reclaim()
	signal(l.wake)
	return err
}

// saveEvery is how often the cursor's file is written while there is more to
// acknowledge. Blocks that it does not know of yet are returned again after a
// crash, marked as such.
const saveEvery = 100 * time.Millisecond

// saveAcked writes the cursor, unless that was done just now and more will come.
func (l *Log) saveAcked(c cursor) error {
	l.mu.Lock()
	later := !l.unsaved && !l.nothingLeft() && time.Since(l.saved) < saveEvery
	l.behind = later
	l.mu.Unlock()
	if later {
		return nil
	}
	err := c.save(l.opts.Dir)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.unsaved, l.saved = err != nil, time.Now()
	return err
}

// markAcked marks the record and reports whether the cursor moved.
func (l *Log) markAcked(seq uint64) bool {
	for _, h := range l.handed {
		if h.seq == seq && !h.acked {
			h.acked = true
			l.rows -= h.rows
		}
	}
	moved := false
	for len(l.handed) > 0 && l.handed[0].acked {
		l.cursor.Seq, l.cursor.Positions = l.handed[0].seq, l.handed[0].positions
		l.handed = l.handed[1:]
		moved = true
	}
	return moved
}

// announce wakes all who wait for the cursor.
func (l *Log) announce() {
	l.mu.Lock()
	defer l.mu.Unlock()
	close(l.moved)
	l.moved = make(chan struct{})
}

// WaitAcked waits until all records up to seq are acknowledged, or set aside. The error is the
// context's or ErrClosed.
func (l *Log) WaitAcked(ctx context.Context, seq uint64) error {
	for {
		l.mu.Lock()
		acked, closed, moved := l.cursor.Seq >= seq || l.nothingLeft(), l.closed, l.moved
		l.mu.Unlock()
		switch {
		case acked:
			return nil
		case closed:
			return ErrClosed
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// reclaim deletes segments in front of the one that holds the oldest record that
// is not acknowledged.
func (l *Log) reclaim() {
	l.mu.Lock()
	defer l.mu.Unlock()
	needed := l.reader.segment
	if len(l.handed) > 0 {
		needed = l.handed[0].segment
	}
	for l.segments[0] != needed {
		l.remove(l.segments[0])
	}
}

// nothingLeft reports that all records are acknowledged or were passed over.
func (l *Log) nothingLeft() bool {
	return len(l.handed) == 0 && l.reader.segment == l.newest() && l.reader.off >= l.reader.segment.size
}

// newestAcked reports that all records are acknowledged and the newest segment
// holds some.
func (l *Log) newestAcked() bool {
	return l.nothingLeft() && !l.newest().empty()
}

// oldest is the time of the oldest row that is not acknowledged.
func (l *Log) oldest() time.Time {
	if l.rows <= 0 {
		return time.Time{}
	}
	for _, h := range l.handed {
		if !h.acked {
			return h.oldest
		}
	}
	return l.reader.oldest
}

// peekAppended notes the time of a record that was appended while the reader
// waited at the end.
func (l *Log) peekAppended(e Entry, alone bool) {
	if alone || l.reader.oldest.IsZero() {
		l.reader.oldest = e.MinTime
	}
}
