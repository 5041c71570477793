package wal

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// Options of a log. Dir is required; zero values of the others mean the defaults.
type Options struct {
	Dir          string // folder of the log; made when missing
	BudgetBytes  int64  // disk that segments may use; 0: 1 GiB; at least 64 KiB
	SegmentBytes int64  // size at which a segment is closed; 0: 64 MiB, and at most an eighth of the budget
	Log          *slog.Logger

	// open makes and opens segments for writing; tests put failing files here.
	open func(path string, flag int) (file, error)
}

const (
	defaultBudget  = 1 << 30
	minBudget      = 64 << 10
	defaultSegment = 64 << 20
)

// Validate lists everything that is wrong with o.
func (o Options) Validate() error {
	var errs []error
	if o.Dir == "" {
		errs = append(errs, errors.New("dir: missing"))
	}
	if o.BudgetBytes != 0 && o.BudgetBytes < minBudget {
		errs = append(errs, fmt.Errorf("budgetBytes: %d: at least %d", o.BudgetBytes, minBudget))
	}
	if o.SegmentBytes < 0 {
		errs = append(errs, fmt.Errorf("segmentBytes: %d is negative", o.SegmentBytes))
	}
	return errors.Join(errs...)
}

func (o Options) withDefaults() Options {
	if o.BudgetBytes == 0 {
		o.BudgetBytes = defaultBudget
	}
	if o.SegmentBytes == 0 {
		o.SegmentBytes = defaultSegment
	}
	o.SegmentBytes = min(o.SegmentBytes, o.BudgetBytes/8)
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.open == nil {
		o.open = openDisk
	}
	return o
}

// ErrClosed is returned by a log that has been closed.
var ErrClosed = errors.New("log is closed")

// Log is an open write-ahead log. Its methods may be called by many goroutines at
// once, but for Next and TryNext, which belong to one consumer.
type Log struct {
	opts   Options
	lock   *os.File
	writer string // this log's id; part of every token

	wake     chan struct{} // size 1: the committer has something to look at
	readable chan struct{} // size 1: Next has something to look at
	stopped  chan struct{} // closed when the committer has ended

	saving sync.Mutex // held while the cursor file is written; taken before mu
	active file       // the newest segment; used by the committer alone

	mu          sync.Mutex
	closed      bool
	queue       []*appending
	segments    []*segment // oldest first, never empty
	used        int64      // bytes of all segments
	next        uint64     // sequence number of the next record
	last        uint64     // sequence number of the newest record; 0 when there never was one
	positions   []byte     // of the newest record
	cursor      cursor
	again       uint64    // records up to here may have been returned before Open
	unsaved     bool      // the cursor's file is behind it
	behind      bool      // the cursor's file is behind it on purpose, for a moment
	saved       time.Time // when the file was last written
	rows        int64     // rows in records that are not acknowledged
	handed      []*handed
	moved       chan struct{} // closed, and made anew, when the cursor moves
	reader      reader
	waiting     waitReason
	quarantined int
}

// waitReason says why appends are not being written; empty when they are.
type waitReason string

const (
	waitBudget waitReason = "budget"
	waitDisk   waitReason = "disk"
)

// Stats is the state of a log at one moment.
type Stats struct {
	Bytes       int64     // disk used by segments
	Budget      int64     // disk that they may use
	Segments    int       // files
	Rows        int64     // rows that are not acknowledged
	Oldest      time.Time // time of the oldest of them; zero when there is none
	LastSeq     uint64    // newest record; 0 when there never was one
	AckedSeq    uint64    // records up to here are acknowledged
	Waiting     string    // why Append waits: "", "budget" or "disk"
	Quarantined int       // damaged ranges set aside, since the folder was made
}

// Stats returns the state of the log.
func (l *Log) Stats() Stats {
	l.mu.Lock()
	defer l.mu.Unlock()
	return Stats{
		Bytes:       l.used,
		Budget:      l.opts.BudgetBytes,
		Segments:    len(l.segments),
		Rows:        l.rows,
		Oldest:      l.oldest(),
		LastSeq:     l.last,
		AckedSeq:    l.cursor.Seq,
		Waiting:     string(l.waiting),
		Quarantined: l.quarantined,
	}
}

// Positions returns the source positions of the newest record, or those kept from
// before when all records have been deleted; nil in a new log. Read them before
// the first Append to know where to go on reading.
func (l *Log) Positions() []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.positions
}

// Writer is the id of this log: 16 hex digits, made with the folder.
func (l *Log) Writer() string { return l.writer }

// Close ends appends that wait with ErrClosed, lets the one being written finish,
// and gives the folder free. Records that are not acknowledged stay.
func (l *Log) Close() error {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return nil
	}
	l.closed = true
	l.mu.Unlock()
	signal(l.wake)
	signal(l.readable)
	<-l.stopped
	l.announce()

	l.saving.Lock()
	defer l.saving.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	var err error
	if l.unsaved || l.behind {
		err = l.cursor.save(l.opts.Dir)
	}
	return errors.Join(err, l.active.Close(), l.reader.close(), l.lock.Close())
}

// signal wakes the one who listens on c, now or when it next looks.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

func (l *Log) newest() *segment { return l.segments[len(l.segments)-1] }

func quarantineDir(dir string) string { return filepath.Join(dir, "quarantine") }
