package claim

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/kongdao/kongdao/internal/durable"
)

// record is one line of the book; one of its fields is set, or Done with State.
type record struct {
	Asked *Answer   `json:"asked,omitempty"` // accepted, to be worked on
	Done  string    `json:"done,omitempty"`  // the answer of that ID was worked on
	At    time.Time `json:"at,omitzero"`     // of Done
	State *State    `json:"state,omitempty"` // is now so
	Drop  string    `json:"drop,omitempty"`  // the matter of that key is forgotten
}

// journal is the file. It is not safe for concurrent use.
type journal struct {
	path string
	file *os.File
	size int64
}

// openJournal replays the file into apply. A line that is torn or damaged is
// skipped.
func openJournal(dir string, apply func(record)) (*journal, error) {
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return nil, fmt.Errorf("make folder of claims: %w", err)
	}
	j := &journal{path: filepath.Join(dir, "claims.log")}
	f, err := os.Open(j.path)
	if errors.Is(err, os.ErrNotExist) {
		return j, nil
	}
	if err != nil {
		return nil, fmt.Errorf("open claims: %w", err)
	}
	defer f.Close()
	in := bufio.NewReaderSize(f, 64<<10)
	for {
		line, err := in.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return j, nil
		}
		if err != nil {
			return nil, fmt.Errorf("read claims: %w", err)
		}
		if rec, err := decodeLine(line); err == nil {
			apply(rec)
		}
	}
}

// append writes records; with sync they are on disk when it returns.
func (j *journal) append(sync bool, recs ...record) error {
	text, err := encodeLines(recs)
	if err != nil {
		return err
	}
	_, err = j.file.WriteAt(text, j.size)
	if err == nil && sync {
		err = unix.Fdatasync(int(j.file.Fd()))
	}
	if err != nil {
		return errors.Join(fmt.Errorf("write claims: %w", err), j.file.Truncate(j.size))
	}
	j.size += int64(len(text))
	return nil
}

// rewrite replaces the content. A crash leaves the old or the new one.
func (j *journal) rewrite(recs []record) error {
	text, err := encodeLines(recs)
	if err != nil {
		return err
	}
	if err := durable.Replace(j.path, text, 0o600); err != nil {
		return fmt.Errorf("rewrite claims: %w", err)
	}
	f, err := os.OpenFile(j.path, os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("open claims: %w", err)
	}
	if j.file != nil {
		j.file.Close()
	}
	j.file, j.size = f, int64(len(text))
	return nil
}

func (j *journal) close() error {
	if j.file == nil {
		return nil
	}
	return j.file.Close()
}

// encodeLines writes checksum, space, JSON, line end for each record.
func encodeLines(recs []record) ([]byte, error) {
	var all []byte
	for _, r := range recs {
		body, err := json.Marshal(r)
		if err != nil {
			return nil, fmt.Errorf("encode claim: %w", err)
		}
		all = fmt.Appendf(all, "%08x %s\n", crc32.ChecksumIEEE(body), body)
	}
	return all, nil
}

func decodeLine(line []byte) (r record, err error) {
	sum, body, _ := bytes.Cut(bytes.TrimSuffix(line, []byte("\n")), []byte(" "))
	want, err := strconv.ParseUint(string(sum), 16, 32)
	if err != nil || crc32.ChecksumIEEE(body) != uint32(want) {
		return r, errors.New("claim with a wrong checksum")
	}
	return r, json.Unmarshal(body, &r)
}
