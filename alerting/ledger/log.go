package ledger

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/kongdao/kongdao/internal/durable"
)

// Config says where a log is and how large it may become.
type Config struct {
	Dir       string // made when missing
	FileBytes int64  // a new file is begun above it
	MaxBytes  int64  // of all files; the oldest goes above it
}

// DefaultConfig keeps about a hundred thousand events in dir.
func DefaultConfig(dir string) Config {
	return Config{Dir: dir, FileBytes: 4 << 20, MaxBytes: 128 << 20}
}

// Position is a place in the log: behind an event, or the beginning.
type Position struct {
	File   uint64
	Offset int64
}

// Log is the folder of events. It is safe for concurrent use, with one reader.
type Log struct {
	cfg Config

	mu     sync.Mutex // guards all below
	file   *os.File   // the newest
	number uint64     // of it
	size   int64      // of it
	files  []uint64   // all, the oldest first
	taken  Position
	lost   int // files that went unread
	news   chan struct{}
}

const suffix = ".events"

// Open reads where the log stands. Half an event at its end, of a machine that
// stopped, is left behind.
func Open(cfg Config) (*Log, error) {
	if cfg.Dir == "" || cfg.FileBytes <= 0 || cfg.MaxBytes < cfg.FileBytes {
		return nil, errors.New("ledger: dir must not be empty, fileBytes positive and maxBytes at least fileBytes")
	}
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("make ledger folder: %w", err)
	}
	l := &Log{cfg: cfg, news: make(chan struct{}, 1)}
	if err := l.find(); err != nil {
		return nil, err
	}
	if err := l.begin(); err != nil {
		return nil, err
	}
	return l, nil
}

// find lists the files and reads how far they were taken.
func (l *Log) find() error {
	names, err := filepath.Glob(filepath.Join(l.cfg.Dir, "*"+suffix))
	if err != nil {
		return fmt.Errorf("list ledger: %w", err)
	}
	for _, name := range names {
		n, err := strconv.ParseUint(strings.TrimSuffix(filepath.Base(name), suffix), 10, 64)
		if err == nil {
			l.files = append(l.files, n)
		}
	}
	slices.Sort(l.files)
	if n := len(l.files); n > 0 {
		l.number = l.files[n-1]
	}
	text, err := os.ReadFile(l.takenFile())
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read ledger position: %w", err)
	}
	if _, err := fmt.Sscan(string(text), &l.taken.File, &l.taken.Offset); err != nil {
		l.taken = Position{} // damaged: everything is handed out again, by the same IDs
	}
	l.number = max(l.number, l.taken.File)
	return nil
}

// begin starts the next file.
func (l *Log) begin() error {
	next := l.number + 1
	f, err := os.OpenFile(l.name(next), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("begin ledger file: %w", err)
	}
	if l.file != nil {
		if err := errors.Join(l.file.Sync(), l.file.Close()); err != nil {
			return errors.Join(fmt.Errorf("end ledger file: %w", err), f.Close())
		}
	}
	l.file, l.number, l.size = f, next, 0
	l.files = append(l.files, next)
	return l.bound()
}

// bound removes files that were taken, and the oldest of too many.
func (l *Log) bound() error {
	most := int(max(l.cfg.MaxBytes/l.cfg.FileBytes, 2))
	var errs []error
	for len(l.files) > 1 {
		oldest := l.files[0]
		if oldest >= l.taken.File {
			if len(l.files) <= most {
				break
			}
			l.lost++
		}
		if err := os.Remove(l.name(oldest)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, fmt.Errorf("remove ledger file: %w", err))
		}
		l.files = l.files[1:]
	}
	return errors.Join(errs...)
}

func (l *Log) name(n uint64) string {
	return filepath.Join(l.cfg.Dir, fmt.Sprintf("%010d%s", n, suffix))
}

func (l *Log) takenFile() string { return filepath.Join(l.cfg.Dir, "taken") }

// Append writes events down. They survive the end of the process.
func (l *Log) Append(events ...Event) error {
	var lines []byte
	for _, e := range events {
		var err error
		if lines, err = appendLine(lines, e); err != nil {
			return err
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.size >= l.cfg.FileBytes {
		if err := l.begin(); err != nil {
			return err
		}
	}
	if _, err := l.file.WriteAt(lines, l.size); err != nil {
		return errors.Join(fmt.Errorf("write ledger: %w", err), l.file.Truncate(l.size))
	}
	l.size += int64(len(lines))
	select {
	case l.news <- struct{}{}:
	default:
	}
	return nil
}

// Sync returns when everything appended is safe from the end of the machine.
func (l *Log) Sync() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.file.Sync(); err != nil {
		return fmt.Errorf("sync ledger: %w", err)
	}
	return nil
}

// News speaks when something was appended that Read may not have seen.
func (l *Log) News() <-chan struct{} { return l.news }

// Lost is how many files of events went because nobody took them in time.
func (l *Log) Lost() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.lost
}

// Read returns up to most events that were not taken, and the position behind them.
// No events: there are none.
func (l *Log) Read(most int) (events []Event, next Position, err error) {
	l.mu.Lock()
	files, at := slices.Clone(l.files), l.taken
	l.mu.Unlock()
	for _, n := range files {
		if n < at.File {
			continue
		}
		if n > at.File {
			at = Position{File: n}
		}
		events, at.Offset, err = l.readFile(n, at.Offset, most, events)
		if err != nil || len(events) >= most {
			return events, at, err
		}
	}
	return events, at, nil
}

func (l *Log) readFile(n uint64, offset int64, most int, events []Event) ([]Event, int64, error) {
	f, err := os.Open(l.name(n))
	if errors.Is(err, fs.ErrNotExist) {
		return events, offset, nil // too old meanwhile
	}
	if err != nil {
		return events, offset, fmt.Errorf("read ledger: %w", err)
	}
	defer f.Close()
	if _, err := f.Seek(offset, io.SeekStart); err != nil {
		return events, offset, fmt.Errorf("read ledger: %w", err)
	}
	in := bufio.NewReaderSize(f, 64<<10)
	for len(events) < most {
		line, err := in.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return events, offset, nil // half a line is not written yet, or never will be
		}
		if err != nil {
			return events, offset, fmt.Errorf("read ledger: %w", err)
		}
		offset += int64(len(line))
		if e, err := decodeLine(line); err == nil {
			events = append(events, e)
		}
	}
	return events, offset, nil
}

// Taken forgets what is before a position that Read gave.
func (l *Log) Taken(p Position) error {
	l.mu.Lock()
	before := l.taken
	l.mu.Unlock()
	if p.compare(before) <= 0 {
		return nil
	}
	text := fmt.Sprintf("%d %d\n", p.File, p.Offset)
	if err := durable.Replace(l.takenFile(), []byte(text), 0o600); err != nil { // unlocked: events come meanwhile
		return fmt.Errorf("write ledger position: %w", err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.taken = p
	return l.bound()
}

// Settled returns when everything that was appended before the call has been taken.
func (l *Log) Settled(ctx context.Context) error {
	l.mu.Lock()
	want := Position{File: l.number, Offset: l.size}
	l.mu.Unlock()
	poll := time.NewTicker(20 * time.Millisecond)
	defer poll.Stop()
	for {
		l.mu.Lock()
		done := l.taken.compare(want) >= 0
		l.mu.Unlock()
		if done {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("ledger is not stored: %w", ctx.Err())
		case <-poll.C:
		}
	}
}

func (p Position) compare(o Position) int {
	return cmp.Or(cmp.Compare(p.File, o.File), cmp.Compare(p.Offset, o.Offset))
}

// Close ends the log; nothing is appended after it.
func (l *Log) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := errors.Join(l.file.Sync(), l.file.Close()); err != nil {
		return fmt.Errorf("close ledger: %w", err)
	}
	return nil
}
