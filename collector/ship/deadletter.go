package ship

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/kongdao/kongdao/collector/wal"
)

// DeadLetter is what the .json file beside a refused block says. The block itself,
// as in the log, is in the .block file of the same name.
type DeadLetter struct {
	Token    string    `json:"token"`
	Rows     int       `json:"rows"`
	MinTime  time.Time `json:"minTime"`
	MaxTime  time.Time `json:"maxTime"`
	Revision int       `json:"revision"` // of the native protocol
	Reason   string    `json:"reason"`
}

var errDeadLettersFull = errors.New("dead-letter folder is full")

// deadLetters is the folder of refused blocks.
type deadLetters struct {
	dir   string
	limit int64

	mu   sync.Mutex
	used int64
}

func openDeadLetters(dir string, limit int64) (*deadLetters, error) {
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return nil, fmt.Errorf("dead-letter folder: %w", err)
	}
	files, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("dead-letter folder: %w", err)
	}
	d := &deadLetters{dir: dir, limit: limit}
	for _, f := range files {
		if info, err := f.Info(); err == nil {
			d.used += info.Size()
		}
	}
	return d, nil
}

// put keeps the block and the reason on disk. Doing it again replaces the files.
func (d *deadLetters) put(rec wal.Record, reason error) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	letter, err := json.MarshalIndent(DeadLetter{
		Token: rec.Token, Rows: rec.Rows, MinTime: rec.MinTime, MaxTime: rec.MaxTime,
		Revision: rec.Revision, Reason: reason.Error(),
	}, "", "  ")
	if err != nil {
		return fmt.Errorf("dead letter: %w", err)
	}
	size := int64(len(rec.Block) + len(letter))
	if d.used+size > d.limit {
		return fmt.Errorf("%w: %d of %d bytes in %s are used; %w", errDeadLettersFull, d.used, d.limit, d.dir, reason)
	}
	base := filepath.Join(d.dir, strings.ReplaceAll(rec.Token, "/", "-"))
	if err := writeSynced(base+".block", rec.Block); err != nil {
		return fmt.Errorf("dead letter: %w", err)
	}
	if err := writeSynced(base+".json", letter); err != nil {
		return fmt.Errorf("dead letter: %w", err)
	}
	d.used += size
	return nil
}

func writeSynced(path string, data []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o640)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}
