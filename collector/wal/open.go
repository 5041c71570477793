package wal

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"
)

// skipAfterDamage is added to the sequence number when the log opens with a
// damaged tail: records that were cut off may have been sent, and their tokens
// must not come back with other rows. No tail holds that many records.
const skipAfterDamage = 1 << 20

// Open opens the log in o.Dir, or makes one. It fails with ErrInUse when another
// log has the folder open.
func Open(o Options) (_ *Log, err error) {
	if err := o.Validate(); err != nil {
		return nil, fmt.Errorf("write-ahead log: %w", err)
	}
	l := &Log{
		opts:     o.withDefaults(),
		wake:     make(chan struct{}, 1),
		readable: make(chan struct{}, 1),
		stopped:  make(chan struct{}),
		moved:    make(chan struct{}),
	}
	if err := os.MkdirAll(o.Dir, 0o750); err != nil {
		return nil, fmt.Errorf("write-ahead log: %w", err)
	}
	if l.lock, err = lock(o.Dir); err != nil {
		return nil, fmt.Errorf("write-ahead log: %w", err)
	}
	if err := l.restore(); err != nil {
		if l.active != nil {
			err = errors.Join(err, l.active.Close())
		}
		return nil, errors.Join(fmt.Errorf("write-ahead log %s: %w", o.Dir, err), l.lock.Close())
	}
	go l.commitLoop()
	return l, nil
}

// restore brings the log back from the folder: cursor, segments, tail, counts.
func (l *Log) restore() error {
	if err := l.restoreCursor(); err != nil {
		return err
	}
	if err := l.listSegments(); err != nil {
		return err
	}
	if bad, err := os.ReadDir(quarantineDir(l.opts.Dir)); err == nil {
		l.quarantined = len(bad)
	}
	l.writer = l.cursor.Writer
	if n := len(l.segments); n > 0 {
		l.writer = l.segments[n-1].writer
	}
	if l.writer == "" {
		id := make([]byte, writerBytes)
		_, _ = rand.Read(id) // never fails
		l.writer = hex.EncodeToString(id)
	}
	l.cursor.Writer = l.writer
	l.last = l.cursor.Seq
	l.next = l.cursor.Seq + 1
	l.positions = l.cursor.Positions
	if err := l.restoreTail(); err != nil {
		return err
	}
	if err := l.restoreHanded(); err != nil {
		return err
	}
	l.dropAcked()
	for _, s := range l.segments {
		if err := l.count(s); err != nil {
			return err
		}
	}
	l.reader.segment = l.segments[0]
	l.reader.off = l.reader.segment.start
	return nil
}

// restoreCursor reads the cursor. A damaged one is set aside: blocks are sent
// again then, with their old tokens.
func (l *Log) restoreCursor() (err error) {
	l.cursor, err = loadCursor(l.opts.Dir)
	if err == nil || !damaged(err) {
		return err
	}
	l.opts.Log.Warn("cursor is damaged; blocks in the log are sent again", slog.String("dir", l.opts.Dir))
	return l.setAsideFile(cursorPath(l.opts.Dir))
}

// restoreHanded finds out which records may have been returned before. A new log
// notes at once that it was none, an old or damaged cursor means any.
func (l *Log) restoreHanded() error {
	l.again = min(l.cursor.Handed, l.last)
	if l.cursor.Noted {
		return nil
	}
	l.again = l.last
	l.cursor.Handed, l.cursor.Noted = l.last, true
	return l.cursor.save(l.opts.Dir)
}

// listSegments fills l.segments in order. Segments whose header is damaged are set
// aside whole; half-made ones are removed.
func (l *Log) listSegments() error {
	names, err := os.ReadDir(l.opts.Dir)
	if err != nil {
		return err
	}
	for _, n := range names {
		path := filepath.Join(l.opts.Dir, n.Name())
		if filepath.Ext(n.Name()) == ".tmp" {
			if err := os.Remove(path); err != nil {
				return err
			}
			continue
		}
		if _, ok := segmentFirst(n.Name()); !ok {
			continue
		}
		if err := l.addSegment(path); err != nil {
			return err
		}
	}
	return nil
}

func (l *Log) addSegment(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	s, err := readSegmentHeader(f)
	if err == nil && segmentPath(l.opts.Dir, s.first) != path {
		err = errHeader
	}
	info, statErr := f.Stat()
	if closeErr := errors.Join(statErr, f.Close()); closeErr != nil {
		return closeErr
	}
	if err != nil && damaged(err) {
		l.opts.Log.Error("segment is damaged and set aside", slog.String("segment", path))
		return l.setAsideFile(path)
	}
	if err != nil {
		return err
	}
	s.path, s.size = path, info.Size()
	l.segments = append(l.segments, &s)
	l.used += s.size
	return nil
}

// restoreTail opens the newest segment for appending, cut off behind its last
// whole record, or makes the first segment.
func (l *Log) restoreTail() error {
	if len(l.segments) == 0 {
		// Sequence numbers of segments that were set aside must not come back.
		if l.quarantined > 0 {
			l.next += skipAfterDamage
		}
		s, f, err := l.createSegment(l.next, l.positions)
		if err != nil {
			return err
		}
		l.segments, l.active, l.used = []*segment{s}, f, s.size
		return nil
	}
	s := l.newest()
	f, err := l.opts.open(s.path, os.O_RDWR)
	if err != nil {
		return err
	}
	l.active = f
	positions := s.positions
	end, err := walk(f, s, true, func(_ int64, h header, e Entry) {
		s.last, positions = h.seq, e.Positions
	})
	if err != nil {
		return err
	}
	if l.cursor.Seq <= max(s.last, s.first-1) || l.positions == nil {
		l.positions = positions
	}
	l.last = max(l.last, s.last)
	l.next = max(l.next, s.last+1, s.first)
	if l.quarantined > 0 { // a newer segment may have been set aside whole
		l.next += skipAfterDamage
	}
	if end == s.size {
		return nil
	}
	l.opts.Log.Warn("torn tail cut off", slog.String("segment", s.path), slog.Int64("bytes", s.size-end))
	l.next += skipAfterDamage
	l.used -= s.size - end
	s.size = end
	if err := f.Truncate(end); err != nil {
		return err
	}
	return f.Sync()
}

// walk calls fn for each whole record of s in order and returns the offset behind
// the last one. Damage in between is passed over. Without verify only headers are
// read, and entries are zero.
func walk(f file, s *segment, verify bool, fn func(off int64, h header, e Entry)) (int64, error) {
	off, last := s.start, max(s.first, 1)-1
	for off < s.size {
		var e Entry
		h, err := readHeader(f, off, s.size)
		if err == nil && verify {
			h, e, err = readRecord(f, off, s.size)
		}
		if err == nil && h.seq > last {
			fn(off, h, e)
			last, off = h.seq, off+h.size()
			continue
		}
		if err != nil && !damaged(err) {
			return off, err
		}
		next, err := resync(f, off+1, s.size, last)
		if err != nil {
			return off, err
		}
		if next < 0 {
			return off, nil
		}
		off = next
	}
	return off, nil
}

// dropAcked deletes segments that hold only acknowledged records. Their end is
// known from where the next one starts.
func (l *Log) dropAcked() {
	for len(l.segments) > 1 && l.segments[1].first <= l.cursor.Seq+1 {
		l.remove(l.segments[0])
	}
}

// remove deletes the oldest segment. A file that cannot be deleted is left to the
// next Open.
func (l *Log) remove(s *segment) {
	if err := os.Remove(s.path); err != nil {
		l.opts.Log.Warn("segment cannot be deleted", slog.Any("error", err))
	}
	l.used -= s.size
	l.segments = l.segments[1:]
}

// count adds the rows of s that are not acknowledged and notes the time of the first.
func (l *Log) count(s *segment) error {
	f, err := openDisk(s.path, os.O_RDONLY)
	if err != nil {
		return err
	}
	_, err = walk(f, s, false, func(_ int64, h header, _ Entry) {
		s.last = h.seq
		if h.seq <= l.cursor.Seq {
			return
		}
		l.rows += int64(h.rows)
		if l.reader.oldest.IsZero() {
			l.reader.oldest = time.UnixMicro(h.minTime).UTC()
		}
	})
	return errors.Join(err, f.Close())
}
