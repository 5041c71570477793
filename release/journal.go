package release

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"

	"github.com/kongdao/kongdao/internal/durable"
)

// journal is a file of events, one a line: the CRC-32C of the JSON in hexadecimal,
// a space, the JSON. What append returned without error for is on disk. Only the
// Ledger uses it, under its lock.
type journal struct {
	path string
	file *os.File
	size int64 // of what is whole
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// openJournal reads all events and opens the file for more. What a crash left
// unfinished at the end is cut off; a damaged line before that is left out, kept in
// the file and logged, because the others must not be lost with it.
func openJournal(path string, log *slog.Logger) (*journal, []event, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, nil, fmt.Errorf("releases: %w", err)
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, nil, fmt.Errorf("releases: %w", err)
	}
	j := &journal{path: path, file: f}
	events, err := j.read(log)
	if err == nil {
		err = errors.Join(f.Truncate(j.size), durable.SyncDir(filepath.Dir(path)))
	}
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("releases: read %s: %w", path, err), f.Close())
	}
	return j, events, nil
}

func (j *journal) read(log *slog.Logger) (events []event, err error) {
	text, err := io.ReadAll(j.file)
	if err != nil {
		return nil, err
	}
	for number := 1; len(text) > 0; number++ {
		line, rest, whole := bytes.Cut(text, []byte{'\n'})
		e, ok := parseEvent(line)
		switch {
		case ok && whole:
			events = append(events, e)
		case len(rest) == 0: // the last line: it was never confirmed
			log.Warn("releases: unfinished end of the journal cut off", "file", j.path, "line", number, "bytes", len(line))
			return events, nil
		default:
			log.Error("releases: damaged line of the journal left out", "file", j.path, "line", number)
		}
		j.size += int64(len(line)) + 1
		text = rest
	}
	return events, nil
}

func parseEvent(line []byte) (e event, ok bool) {
	sum, body, found := bytes.Cut(line, []byte{' '})
	want, err := strconv.ParseUint(string(sum), 16, 32)
	if !found || err != nil || crc32.Checksum(body, castagnoli) != uint32(want) {
		return e, false
	}
	return e, json.Unmarshal(body, &e) == nil
}

// append makes events durable, all or none of them.
func (j *journal) append(events ...event) error {
	var lines bytes.Buffer
	for _, e := range events {
		body, err := json.Marshal(e)
		if err != nil {
			return fmt.Errorf("releases: %w", err)
		}
		fmt.Fprintf(&lines, "%08x %s\n", crc32.Checksum(body, castagnoli), body)
	}
	if _, err := j.file.WriteAt(lines.Bytes(), j.size); err != nil {
		// What was written of it is overwritten by the next, or cut off at the start.
		return errors.Join(fmt.Errorf("releases: %w", err), j.file.Truncate(j.size))
	}
	if err := j.file.Sync(); err != nil {
		return errors.Join(fmt.Errorf("releases: %w", err), j.file.Truncate(j.size))
	}
	j.size += int64(lines.Len())
	return nil
}

// replace makes the file hold these events alone, or leaves it as it is.
func (j *journal) replace(events []event) error {
	next, _, err := openJournal(j.path+".new", slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	next.size = 0
	err = errors.Join(next.file.Truncate(0), next.append(events...))
	if err == nil {
		err = os.Rename(next.path, j.path)
	}
	if err != nil {
		return errors.Join(err, next.file.Close())
	}
	old := j.file
	j.file, j.size = next.file, next.size
	return errors.Join(durable.SyncDir(filepath.Dir(j.path)), old.Close())
}
