package outbox

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

	"github.com/kongdao/kongdao/alerting/dingtalk"
	"github.com/kongdao/kongdao/internal/durable"
)

// Operations of the journal.
const (
	opPut    = "put"    // Group waits as Seqs[0]; Replaces no longer do
	opTry    = "try"    // a message about Seqs is about to be sent to Robot
	opSent   = "sent"   // the robot took part Part of it; Last: that was all
	opPart   = "part"   // Part parts of Seqs, as rendered at At, were sent to Robot before
	opFail   = "fail"   // Robot did not take it; Maybe: it did perhaps
	opDead   = "dead"   // Seqs are given up on, or handed to the channel To
	opBlock  = "block"  // Robot takes nothing until At
	opThread = "thread" // Robot was the last that was told of the groups Keys
	opTook   = "took"   // Seqs of the outbox Origin, which is gone, are told from here
	opSame   = "same"   // the newest messages of the groups Keys said Seqs, at Times
	opNext   = "next"   // Seqs[0] is the next number to give; numbers are given since At
)

// record is one line of the journal.
type record struct {
	Op       string          `json:"op"`
	At       time.Time       `json:"at,omitzero"`
	Robot    string          `json:"robot,omitempty"`   // of a put: the channel
	Channel  string          `json:"channel,omitempty"` // empty: named as the robot
	Since    time.Time       `json:"since,omitzero"`    // the matter waits; zero: At
	Seqs     []uint64        `json:"seqs,omitempty"`
	Replaces []uint64        `json:"replaces,omitempty"`
	Group    *dingtalk.Group `json:"group,omitempty"`
	Part     int             `json:"part,omitempty"`
	Last     bool            `json:"last,omitempty"`
	Reason   string          `json:"reason,omitempty"`
	Maybe    bool            `json:"maybe,omitempty"`
	To       string          `json:"to,omitempty"`
	Via      []string        `json:"via,omitempty"` // channels that could not deliver it
	Keys     []string        `json:"keys,omitempty"`
	Origin   string          `json:"origin,omitempty"` // of a took: the peer's outbox
	Sum      uint64          `json:"sum,omitempty"`    // of the group as it was put
	Times    []int64         `json:"times,omitempty"`
}

// channel that the record is about.
func (r record) channel() string {
	if r.Channel != "" {
		return r.Channel
	}
	return r.Robot
}

// journal is the append-only file. It is not safe for concurrent use.
type journal struct {
	path string
	lock *os.File
	file *os.File
	size int64 // of what was written whole

	wrote func(recs []record, lines []byte) // is told of each append; nil: nobody is
}

// openJournal replays dir's journal into apply and reports how many damaged
// lines it skipped. The caller rewrites it then, without what is torn. Only one
// process at a time may hold a directory.
func openJournal(dir string, apply func(record)) (j *journal, damaged int, err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, 0, fmt.Errorf("make outbox folder: %w", err)
	}
	lock, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, 0, fmt.Errorf("open outbox lock: %w", err)
	}
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		lock.Close()
		return nil, 0, fmt.Errorf("outbox %s is in use by another process: %w", dir, err)
	}
	j = &journal{path: filepath.Join(dir, "outbox.log"), lock: lock}
	damaged, err = j.replay(apply)
	if err != nil {
		j.close()
		return nil, damaged, err
	}
	return j, damaged, nil
}

func (j *journal) replay(apply func(record)) (damaged int, err error) {
	j.file, err = os.OpenFile(j.path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return 0, fmt.Errorf("open outbox log: %w", err)
	}
	in := bufio.NewReaderSize(j.file, 64<<10)
	for {
		line, err := in.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			break // a torn line goes when the journal is rewritten
		}
		if err != nil {
			return damaged, fmt.Errorf("read outbox log: %w", err)
		}
		j.size += int64(len(line))
		rec, err := decodeLine(line)
		if err != nil {
			damaged++
			continue
		}
		apply(rec)
	}
	return damaged, nil
}

// append writes records and returns when they are on disk. On failure the file
// is as before.
func (j *journal) append(recs ...record) error {
	var b bytes.Buffer
	for _, r := range recs {
		line, err := encodeLine(r)
		if err != nil {
			return err
		}
		b.Write(line)
	}
	_, err := j.file.WriteAt(b.Bytes(), j.size)
	if err == nil {
		err = unix.Fdatasync(int(j.file.Fd()))
	}
	if err != nil {
		// Half a record must not stay in front of the next one.
		return errors.Join(fmt.Errorf("write outbox log: %w", err), j.file.Truncate(j.size))
	}
	j.size += int64(b.Len())
	if j.wrote != nil {
		j.wrote(recs, b.Bytes())
	}
	return nil
}

// rewrite replaces the file's content. A crash leaves the old or the new one.
func (j *journal) rewrite(recs []record) error {
	tmp, err := os.OpenFile(j.path+".new", os.O_CREATE|os.O_TRUNC|os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("rewrite outbox log: %w", err)
	}
	next := &journal{path: j.path, file: tmp}
	if err := next.append(recs...); err != nil {
		tmp.Close()
		return err
	}
	if err := errors.Join(os.Rename(tmp.Name(), j.path), durable.SyncDir(filepath.Dir(j.path))); err != nil {
		tmp.Close()
		return fmt.Errorf("replace outbox log: %w", err)
	}
	j.file.Close()
	j.file, j.size = tmp, next.size
	return nil
}

func (j *journal) close() error {
	var err error
	if j.file != nil {
		err = j.file.Close()
	}
	return errors.Join(err, j.lock.Close())
}

// encodeLine is checksum, space, JSON, line end.
func encodeLine(r record) ([]byte, error) {
	body, err := json.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("encode outbox record: %w", err)
	}
	return fmt.Appendf(nil, "%08x %s\n", crc32.ChecksumIEEE(body), body), nil
}

func decodeLine(line []byte) (record, error) {
	sum, body, ok := bytes.Cut(bytes.TrimSuffix(line, []byte("\n")), []byte(" "))
	if !ok {
		return record{}, errors.New("outbox record without checksum")
	}
	want, err := strconv.ParseUint(string(sum), 16, 32)
	if err != nil || crc32.ChecksumIEEE(body) != uint32(want) {
		return record{}, errors.New("outbox record with a wrong checksum")
	}
	var r record
	if err := json.Unmarshal(body, &r); err != nil {
		return record{}, fmt.Errorf("decode outbox record: %w", err)
	}
	return r, nil
}
