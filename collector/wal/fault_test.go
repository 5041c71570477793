package wal

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/kongdao/kongdao/internal/testkit"
)

// countingFile counts fsyncs.
type countingFile struct {
	file
	syncs *atomic.Int64
	zero  atomic.Int64
}

func (c *countingFile) open(path string, flag int) (file, error) {
	if c.syncs == nil {
		c.syncs = &c.zero
	}
	f, err := openDisk(path, flag)
	return &countingFile{file: f, syncs: c.syncs}, err
}

func (c *countingFile) Sync() error {
	c.syncs.Add(1)
	return c.file.Sync()
}

// fullDisk lets left bytes be written, then writes in part and fails.
type fullDisk struct {
	left     atomic.Int64
	failSync atomic.Bool
}

type fullFile struct {
	file
	disk *fullDisk
}

func (d *fullDisk) open(path string, flag int) (file, error) {
	f, err := openDisk(path, flag)
	return fullFile{f, d}, err
}

func (f fullFile) WriteAt(b []byte, off int64) (int, error) {
	n := int64(len(b))
	if left := f.disk.left.Add(-n); left < 0 {
		part := max(0, n+left)
		f.disk.left.Store(0)
		_, _ = f.file.WriteAt(b[:part], off)
		return int(part), syscall.ENOSPC
	}
	return f.file.WriteAt(b, off)
}

func (f fullFile) Sync() error {
	if f.disk.failSync.Load() {
		return syscall.EIO
	}
	return f.file.Sync()
}

func TestFullDiskWaitsAndTearsNothing(t *testing.T) {
	var disk fullDisk
	var out testkit.Buffer
	disk.left.Store(5000)
	dir := t.TempDir()
	l := open(t, Options{Dir: dir, open: disk.open, Log: slog.New(slog.NewTextHandler(&out, nil))})
	n := 0
	for ; ; n++ {
		ctx, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
		_, err := l.Append(ctx, entryOf(n, 700))
		cancel()
		if err != nil {
			if !strings.Contains(err.Error(), "disk") {
				t.Fatalf("%v does not name the disk", err)
			}
			break
		}
	}
	if n != 6 {
		t.Fatalf("%d records fitted, want 6", n)
	}
	done := make(chan error, 1)
	go func() {
		_, err := l.Append(testkit.Context(t), entryOf(n, 700))
		done <- err
	}()
	testkit.Eventually(t, "append waits for the disk", func() bool { return l.Stats().Waiting == "disk" })
	disk.left.Store(1 << 20)
	testkit.Must(t, <-done)
	testkit.Must(t, l.Close())
	if got := strings.Count(out.String(), "cannot be written"); got != 1 {
		t.Errorf("%d log lines say that the disk is full", got)
	}
	checkRecords(t, dir, n+1, 700)
}

func TestFailedFsyncIsWrittenAgain(t *testing.T) {
	var disk fullDisk
	disk.left.Store(1 << 30)
	dir := t.TempDir()
	l := open(t, Options{Dir: dir, open: disk.open})
	appendN(t, l, 0, 3, 100)
	disk.failSync.Store(true)
	done := make(chan error, 1)
	go func() {
		_, err := l.Append(testkit.Context(t), entryOf(3, 100))
		done <- err
	}()
	testkit.Eventually(t, "append waits for the disk", func() bool { return l.Stats().Waiting == "disk" })
	select {
	case err := <-done:
		t.Fatalf("append returned %v without an fsync", err)
	default:
	}
	disk.failSync.Store(false)
	testkit.Must(t, <-done)
	testkit.Must(t, l.Close())
	checkRecords(t, dir, 4, 100)
}

// checkRecords opens the log and expects exactly records 0 to n-1.
func checkRecords(t *testing.T, dir string, n, size int) {
	t.Helper()
	l := open(t, Options{Dir: dir})
	for i := range n {
		r, err := l.Next(testkit.Context(t))
		testkit.Must(t, err)
		sameEntry(t, r.Entry, entryOf(i, size))
	}
	if _, ok, err := l.TryNext(); ok || err != nil {
		t.Fatalf("more than %d records (%v)", n, err)
	}
	if got := l.Stats().Quarantined; got != 0 {
		t.Fatalf("%d ranges set aside", got)
	}
	testkit.Must(t, l.Close())
}

// logBytes makes a log of n records in one segment and returns its bytes and the
// offset of the last record.
func logBytes(t *testing.T, n, size int) (name string, data []byte, last int64) {
	t.Helper()
	dir := t.TempDir()
	l := open(t, Options{Dir: dir})
	appendN(t, l, 0, n, size)
	testkit.Must(t, l.Close())
	names, err := filepath.Glob(filepath.Join(dir, "*.wal"))
	testkit.Must(t, err)
	data, err = os.ReadFile(names[0])
	testkit.Must(t, err)
	return filepath.Base(names[0]), data, int64(len(data)) - recordSize(entryOf(n-1, size))
}

func TestTornAtEveryByteOfTheLastRecord(t *testing.T) {
	const n, size = 4, 60
	name, data, last := logBytes(t, n, size)
	for cut := last; cut < int64(len(data)); cut++ {
		dir := t.TempDir()
		testkit.Must(t, os.WriteFile(filepath.Join(dir, name), data[:cut], 0o600))
		l := open(t, Options{Dir: dir})
		if got := string(l.Positions()); got != fmt.Sprintf(`{"at":%d}`, n-2) {
			t.Fatalf("cut at %d: positions %s", cut, got)
		}
		seq, err := l.Append(testkit.Context(t), entryOf(n-1, size))
		testkit.Must(t, err)
		if cut > last && seq == n {
			t.Fatalf("cut at %d: the torn record's token comes again", cut)
		}
		testkit.Must(t, l.Close())
		checkRecords(t, dir, n, size)
	}
}

func TestFlippedBits(t *testing.T) {
	const n, size = 4, 40
	name, data, _ := logBytes(t, n, size)
	start := int64(segmentFixed)
	rec := recordSize(entryOf(0, size))
	for off := start; off < int64(len(data)); off++ {
		dir := t.TempDir()
		bad := bytes.Clone(data)
		bad[off] ^= 1 << (off % 8)
		testkit.Must(t, os.WriteFile(filepath.Join(dir, name), bad, 0o600))
		l := open(t, Options{Dir: dir})
		hit := int((off - start) / rec)
		for i := range n {
			if i == hit {
				continue
			}
			r, err := l.Next(testkit.Context(t))
			testkit.Must(t, err)
			sameEntry(t, r.Entry, entryOf(i, size))
		}
		if _, ok, err := l.TryNext(); ok || err != nil {
			t.Fatalf("flip at %d: the damaged record was returned (%v)", off, err)
		}
		s := l.Stats()
		if want := hit < n-1; (s.Quarantined == 1) != want {
			t.Fatalf("flip at %d in record %d: %d ranges set aside", off, hit, s.Quarantined)
		}
		testkit.Must(t, l.Close())
	}
}

func TestDamagedSegmentHeaderIsSetAside(t *testing.T) {
	name, data, _ := logBytes(t, 3, 50)
	for off := range segmentFixed {
		dir := t.TempDir()
		bad := bytes.Clone(data)
		bad[off] ^= 4
		testkit.Must(t, os.WriteFile(filepath.Join(dir, name), bad, 0o600))
		l := open(t, Options{Dir: dir})
		if got := l.Stats().Quarantined; got != 1 {
			t.Fatalf("flip at %d: %d set aside", off, got)
		}
		seq, err := l.Append(testkit.Context(t), entryOf(9, 10))
		testkit.Must(t, err)
		if seq <= 3 {
			t.Fatalf("flip at %d: number %d comes again", off, seq)
		}
		testkit.Must(t, l.Close())
	}
}

func TestDamagedCursorSendsAgain(t *testing.T) {
	dir := t.TempDir()
	l := open(t, Options{Dir: dir})
	appendN(t, l, 0, 3, 50)
	r, err := l.Next(testkit.Context(t))
	testkit.Must(t, err)
	testkit.Must(t, l.Ack(r.Seq))
	testkit.Must(t, l.Close())
	b, err := os.ReadFile(cursorPath(dir))
	testkit.Must(t, err)
	b[len(b)/2] ^= 1
	testkit.Must(t, os.WriteFile(cursorPath(dir), b, 0o600))
	l = open(t, Options{Dir: dir})
	again, err := l.Next(testkit.Context(t))
	testkit.Must(t, err)
	if again.Token != r.Token {
		t.Fatalf("token %s, want %s again", again.Token, r.Token)
	}
}

func TestWaitAckedPassesDamage(t *testing.T) {
	dir := t.TempDir()
	l := open(t, Options{Dir: dir})
	appendN(t, l, 0, 2, 50)
	f, err := os.OpenFile(segmentPath(dir, 1), os.O_WRONLY, 0)
	testkit.Must(t, err)
	_, err = f.WriteAt([]byte{0, 0, 0, 0}, l.Stats().Bytes-20) // in the last block
	testkit.Must(t, err)
	testkit.Must(t, f.Close())
	r, err := l.Next(testkit.Context(t))
	testkit.Must(t, err)
	testkit.Must(t, l.Ack(r.Seq))
	done := make(chan error, 1)
	go func() { done <- l.WaitAcked(testkit.Context(t), 2) }()
	if _, ok, err := l.TryNext(); ok || err != nil {
		t.Fatalf("damaged record returned: %v", err)
	}
	testkit.Must(t, <-done)
	if s := l.Stats(); s.Quarantined != 1 || s.Rows != 0 {
		t.Errorf("%+v", s)
	}
}

func TestUnsavedCursorIsSavedByClose(t *testing.T) {
	dir := t.TempDir()
	l := open(t, Options{Dir: dir})
	appendN(t, l, 0, 2, 50)
	r, err := l.Next(testkit.Context(t))
	testkit.Must(t, err)
	testkit.Must(t, os.Mkdir(cursorPath(dir)+".tmp", 0o700)) // in the way of the file
	if err := l.Ack(r.Seq); err == nil {
		t.Fatal("cursor saved through a folder")
	}
	testkit.Must(t, os.Remove(cursorPath(dir)+".tmp"))
	testkit.Must(t, l.Close())
	l = open(t, Options{Dir: dir})
	if got := l.Stats().AckedSeq; got != r.Seq {
		t.Fatalf("cursor at %d, want %d", got, r.Seq)
	}
}

func TestCloseEndsWaitingAppends(t *testing.T) {
	var disk fullDisk
	disk.left.Store(1000)
	l := open(t, Options{Dir: t.TempDir(), open: disk.open})
	done := make(chan error, 1)
	go func() {
		_, err := l.Append(testkit.Context(t), entryOf(1, 2000))
		done <- err
	}()
	testkit.Eventually(t, "append waits for the disk", func() bool { return l.Stats().Waiting == "disk" })
	testkit.Must(t, l.Close())
	if err := <-done; !errors.Is(err, ErrClosed) {
		t.Fatalf("got %v", err)
	}
}
