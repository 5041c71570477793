package ship

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/kongdao/kongdao/collector/wal"
	"github.com/kongdao/kongdao/internal/durable"
)

// DeadLetter is what the .json file beside a refused block says. The block itself,
// as in the log, is in the .block file of the same name.
type DeadLetter struct {
	Table    string    `json:"table"`
	Token    string    `json:"token"`
	Rows     int       `json:"rows"`
	MinTime  time.Time `json:"minTime"`
	MaxTime  time.Time `json:"maxTime"`
	Revision int       `json:"revision"` // of the native protocol
	Reason   string    `json:"reason"`
	Refused  time.Time `json:"refused"` // the last time

	base string // path without extension
}

const (
	letterSuffix = ".json"
	blockSuffix  = ".block"
)

// ReadDeadLetters returns the letters in dir, by name. A folder that is not there
// has none. A letter that cannot be read is an error beside the others.
func ReadDeadLetters(dir string) (letters []DeadLetter, err error) {
	names, err := filepath.Glob(filepath.Join(dir, "*"+letterSuffix))
	if err != nil {
		return nil, fmt.Errorf("dead letters: %w", err)
	}
	var errs []error
	for _, name := range names {
		l, err := readLetter(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue // it was replayed meanwhile
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("dead letter %s: %w", name, err))
			continue
		}
		letters = append(letters, l)
	}
	return letters, errors.Join(errs...)
}

func readLetter(name string) (l DeadLetter, err error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return l, err
	}
	if err := json.Unmarshal(text, &l); err != nil {
		return l, err
	}
	if l.Token == "" {
		return l, errors.New("names no token")
	}
	if l.Table == "" {
		l.Table = "calls" // what the first version wrote
	}
	l.base = strings.TrimSuffix(name, letterSuffix)
	return l, nil
}

// Record is the refused block, to be sent again under its own token.
func (l DeadLetter) Record() (wal.Record, error) {
	block, err := os.ReadFile(l.base + blockSuffix)
	if err != nil {
		return wal.Record{}, fmt.Errorf("dead letter %s: %w", l.Token, err)
	}
	return wal.Record{
		Entry: wal.Entry{Rows: l.Rows, MinTime: l.MinTime, MaxTime: l.MaxTime, Revision: l.Revision, Block: block},
		Token: l.Token, Again: true,
	}, nil
}

var errDeadLettersFull = errors.New("dead-letter folder is full")

// deadLetters is the folder of refused blocks. Letters may be taken out by hand, and
// two shippers may share it, so what it holds is looked up each time.
type deadLetters struct {
	dir   string
	limit int64
	mu    sync.Mutex // held while a letter is put or removed
}

func openDeadLetters(dir string, limit int64) (*deadLetters, error) {
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return nil, fmt.Errorf("dead-letter folder: %w", err)
	}
	if _, err := os.ReadDir(dir); err != nil {
		return nil, fmt.Errorf("dead-letter folder: %w", err)
	}
	return &deadLetters{dir: dir, limit: limit}, nil
}

// size is how many bytes the folder holds.
func (d *deadLetters) size() (n int64) {
	files, err := os.ReadDir(d.dir)
	if err != nil {
		return 0 // put finds out
	}
	for _, f := range files {
		if info, err := f.Info(); err == nil {
			n += info.Size()
		}
	}
	return n
}

func (d *deadLetters) base(token string) string {
	return filepath.Join(d.dir, strings.ReplaceAll(token, "/", "-"))
}

// put keeps the block and the reason on disk. Doing it again replaces the files.
func (d *deadLetters) put(table string, rec wal.Record, reason error) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	letter, err := json.MarshalIndent(DeadLetter{
		Table: table, Token: rec.Token, Rows: rec.Rows, MinTime: rec.MinTime, MaxTime: rec.MaxTime,
		Revision: rec.Revision, Reason: reason.Error(), Refused: time.Now().UTC(),
	}, "", "  ")
	if err != nil {
		return fmt.Errorf("dead letter: %w", err)
	}
	base := d.base(rec.Token)
	size := int64(len(rec.Block)+len(letter)) - sizeOf(base)
	if used := d.size(); size > 0 && used+size > d.limit {
		return fmt.Errorf("%w: %d of %d bytes in %s are used; %w", errDeadLettersFull, used, d.limit, d.dir, reason)
	}
	if err := durable.Replace(base+blockSuffix, rec.Block, 0o640); err != nil {
		return fmt.Errorf("dead letter: %w", err)
	}
	if err := durable.Replace(base+letterSuffix, letter, 0o640); err != nil {
		return fmt.Errorf("dead letter: %w", err)
	}
	return nil
}

// remove deletes a letter whose block is stored.
func (d *deadLetters) remove(token string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	base := d.base(token)
	for _, suffix := range []string{letterSuffix, blockSuffix} {
		if err := os.Remove(base + suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("dead letter: %w", err)
		}
	}
	return nil
}

func sizeOf(base string) (n int64) {
	for _, suffix := range []string{letterSuffix, blockSuffix} {
		if info, err := os.Stat(base + suffix); err == nil {
			n += info.Size()
		}
	}
	return n
}
