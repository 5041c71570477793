package wal

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"github.com/kongdao/kongdao/internal/durable"
)

// cursor says how far blocks have been acknowledged. The file has two lines: the
// crc32c of the second in hex, and this as JSON.
type cursor struct {
	Writer    string `json:"writer"`
	Seq       uint64 `json:"seq"`       // all records up to here are acknowledged
	Positions []byte `json:"positions"` // the source positions of that record
	Handed    uint64 `json:"handed"`    // no record behind this one was ever returned
	Noted     bool   `json:"noted"`     // Handed is kept; false in the file of an older version
}

func cursorPath(dir string) string { return filepath.Join(dir, "cursor") }

// loadCursor returns the zero cursor when there is none yet, and an error that
// damaged recognises when the file's contents are not what was written.
func loadCursor(dir string) (cursor, error) {
	b, err := os.ReadFile(cursorPath(dir))
	if errors.Is(err, fs.ErrNotExist) {
		return cursor{}, nil
	}
	if err != nil {
		return cursor{}, err
	}
	sum, line, ok := bytes.Cut(bytes.TrimSuffix(b, []byte("\n")), []byte("\n"))
	want, err := strconv.ParseUint(string(sum), 16, 32)
	if !ok || err != nil || uint32(want) != crc32.Checksum(line, castagnoli) {
		return cursor{}, fmt.Errorf("cursor: %w", errBody)
	}
	var c cursor
	if err := json.Unmarshal(line, &c); err != nil {
		return cursor{}, fmt.Errorf("cursor: %w", errBody)
	}
	return c, nil
}

// save replaces the file in one step. The folder is not synced: a crash may bring
// the older cursor back, and then blocks are sent again with the same tokens.
func (c cursor) save(dir string) error {
	line, err := json.Marshal(c)
	if err != nil {
		return err
	}
	text := fmt.Appendf(nil, "%08x\n%s\n", crc32.Checksum(line, castagnoli), line)
	tmp := cursorPath(dir) + ".tmp"
	if err = durable.Write(tmp, text, 0o640); err == nil {
		err = os.Rename(tmp, cursorPath(dir)) // the folder is not synced
	}
	if err != nil {
		return fmt.Errorf("save cursor: %w", err)
	}
	return nil
}
