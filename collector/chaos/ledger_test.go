package chaos

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/kongdao/kongdao/collector/wal"
	"github.com/kongdao/kongdao/internal/calllog"
	"github.com/kongdao/kongdao/internal/testkit"
)

// key is a call: of the file or of the stream, and its number.
type key struct {
	stream bool
	n      int
}

func (k key) String() string {
	if k.stream {
		return fmt.Sprintf("%s %s", streamGateway, idOf(k.n))
	}
	return fmt.Sprintf("%s %s", fileGateway, idOf(k.n))
}

// block is one record of the write-ahead log as it was seen on disk.
type block struct {
	token string
	seq   uint64
	seen  string // when: the round
	calls []key
}

// onDisk is a block that is in the log now.
type onDisk struct {
	*block
	data []byte
}

// ledger knows which calls reached the disk. It reads the write-ahead log's files
// whenever no collector writes them, from copies. Segments that were deleted
// in between hold acknowledged blocks only: those are known by the lines in them.
type ledger struct {
	t      testing.TB
	dir    string // of the log
	blocks map[string]*block
	// durable has the calls whose block must be stored: they are on disk and no
	// fault of the test took them away. lost has those that one did.
	durable map[key]bool
	lost    map[key]bool
}

func newLedger(t testing.TB, dir string) *ledger {
	return &ledger{t: t, dir: dir, blocks: map[string]*block{}, durable: map[key]bool{}, lost: map[key]bool{}}
}

// look notes all blocks that are on disk and returns those that are there now, in
// order.
func (l *ledger) look(when string) (there []onDisk) {
	l.t.Helper()
	dir := l.copy()
	defer os.RemoveAll(dir)
	w, err := wal.Open(wal.Options{Dir: dir})
	testkit.Must(l.t, err)
	defer w.Close()
	for {
		rec, ok, err := w.TryNext()
		testkit.Must(l.t, err)
		if !ok {
			return there
		}
		b := l.blocks[rec.Token]
		if b == nil {
			b = &block{token: rec.Token, seq: rec.Seq, seen: when, calls: callsOf(l.t, rec.Block)}
			l.blocks[rec.Token] = b
		}
		for _, k := range b.calls {
			l.durable[k] = true
		}
		there = append(there, onDisk{b, rec.Block})
	}
}

// copy copies the log without its cursor, so that all records are returned.
func (l *ledger) copy() string {
	l.t.Helper()
	to, err := os.MkdirTemp(l.t.TempDir(), "ledger")
	testkit.Must(l.t, err)
	for _, from := range segments(l.t, l.dir) {
		testkit.Must(l.t, copyFile(filepath.Join(to, filepath.Base(from)), from))
	}
	return to
}

func segments(t testing.TB, dir string) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*.wal"))
	testkit.Must(t, err)
	slices.Sort(names)
	return names
}

func copyFile(to, from string) error {
	in, err := os.Open(from)
	if errors.Is(err, os.ErrNotExist) {
		return nil // deleted just now, when a collector runs
	}
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}

// forget takes b out of what must be stored. Its streamed calls are gone for good;
// its lines are, too, unless they are read again.
func (l *ledger) forget(b *block, readAgain bool) {
	delete(l.blocks, b.token)
	for _, k := range b.calls {
		delete(l.durable, k)
		if k.stream || !readAgain {
			l.lost[k] = true
		}
	}
}

// tokens are the blocks that hold k, for a message.
func (l *ledger) tokens(k key) string {
	var found []string
	for _, token := range slices.Sorted(maps.Keys(l.blocks)) {
		if b := l.blocks[token]; slices.Contains(b.calls, k) {
			found = append(found, fmt.Sprintf("block %s, on disk at %s", b.token, b.seen))
		}
	}
	if found == nil {
		return "in no block that was seen on disk"
	}
	return strings.Join(found, "; ")
}

func callsOf(t testing.TB, data []byte) (keys []key) {
	t.Helper()
	b, err := calllog.DecodeBlock(data)
	testkit.Must(t, err)
	b.Each(func(r *calllog.Record) {
		n, err := strconv.Atoi(fmt.Sprintf("%x", r.RequestID[10:]))
		testkit.Must(t, err)
		keys = append(keys, key{stream: r.Gateway == streamGateway, n: n})
	})
	return keys
}
