package wal

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/kongdao/kongdao/internal/testkit"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv("WAL_TEST_WRITER"); dir != "" {
		writeUntilKilled(dir)
		return
	}
	goleak.VerifyTestMain(m)
}

func open(t testing.TB, o Options) *Log {
	t.Helper()
	l, err := Open(o)
	testkit.Must(t, err)
	t.Cleanup(func() { _ = l.Close() })
	return l
}

// entryOf makes an entry whose content follows from n alone.
func entryOf(n, size int) Entry {
	b := make([]byte, size)
	r := rand.New(rand.NewPCG(uint64(n), 1))
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	at := time.UnixMicro(1_700_000_000_000_000 + int64(n)*1000).UTC()
	return Entry{
		Rows: n%7 + 1, MinTime: at, MaxTime: at.Add(time.Second), Revision: 54451,
		Positions: fmt.Appendf(nil, `{"at":%d}`, n), Block: b,
	}
}

func sameEntry(t testing.TB, got, want Entry) {
	t.Helper()
	if got.Rows != want.Rows || got.Revision != want.Revision || !got.MinTime.Equal(want.MinTime) ||
		!got.MaxTime.Equal(want.MaxTime) || !bytes.Equal(got.Positions, want.Positions) || !bytes.Equal(got.Block, want.Block) {
		t.Fatalf("entry changed: got rows %d positions %s, want rows %d positions %s", got.Rows, got.Positions, want.Rows, want.Positions)
	}
}

func appendN(t testing.TB, l *Log, from, to, size int) {
	t.Helper()
	for n := from; n < to; n++ {
		_, err := l.Append(testkit.Context(t), entryOf(n, size))
		testkit.Must(t, err)
	}
}

func TestReopenKeepsEverything(t *testing.T) {
	dir := t.TempDir()
	o := Options{Dir: dir, BudgetBytes: 1 << 20, SegmentBytes: 4 << 10}
	l := open(t, o)
	appendN(t, l, 0, 40, 500)
	for n := range 15 {
		r, err := l.Next(testkit.Context(t))
		testkit.Must(t, err)
		sameEntry(t, r.Entry, entryOf(n, 500))
		testkit.Must(t, l.Ack(r.Seq))
	}
	before := l.Stats()
	writer := l.Writer()
	testkit.Must(t, l.Close())

	l = open(t, o)
	after := l.Stats()
	if after.Rows != before.Rows || after.AckedSeq != before.AckedSeq || after.LastSeq != before.LastSeq || after.Bytes != before.Bytes {
		t.Fatalf("stats changed: %+v, before %+v", after, before)
	}
	if !after.Oldest.Equal(entryOf(15, 1).MinTime) {
		t.Errorf("oldest %s, want that of record 15", after.Oldest)
	}
	if got := string(l.Positions()); got != `{"at":39}` {
		t.Errorf("positions %s", got)
	}
	for n := 15; n < 40; n++ {
		r, err := l.Next(testkit.Context(t))
		testkit.Must(t, err)
		sameEntry(t, r.Entry, entryOf(n, 500))
		if want := fmt.Sprintf("%s/%d", writer, n+1); r.Token != want {
			t.Fatalf("token %s, want %s", r.Token, want)
		}
	}
}

func TestCursorMovesOnlyWithoutGap(t *testing.T) {
	l := open(t, Options{Dir: t.TempDir()})
	appendN(t, l, 0, 3, 10)
	for range 3 {
		_, err := l.Next(testkit.Context(t))
		testkit.Must(t, err)
	}
	testkit.Must(t, l.Ack(3))
	testkit.Must(t, l.Ack(2))
	if got := l.Stats().AckedSeq; got != 0 {
		t.Fatalf("cursor at %d while record 1 is not acknowledged", got)
	}
	testkit.Must(t, l.Ack(1))
	if s := l.Stats(); s.AckedSeq != 3 || s.Rows != 0 || !s.Oldest.IsZero() {
		t.Fatalf("all acknowledged, but %+v", s)
	}
}

func TestPositionsOutliveSegments(t *testing.T) {
	dir := t.TempDir()
	o := Options{Dir: dir, BudgetBytes: 64 << 10}
	l := open(t, o)
	for n := range 50 {
		appendN(t, l, n, n+1, 3000)
		r, err := l.Next(testkit.Context(t))
		testkit.Must(t, err)
		testkit.Must(t, l.Ack(r.Seq))
	}
	testkit.Must(t, l.Close())
	files, err := filepath.Glob(filepath.Join(dir, "*.wal"))
	testkit.Must(t, err)
	if len(files) > 2 {
		t.Errorf("%d segments are left of 50 acknowledged records", len(files))
	}
	l = open(t, o)
	if got := string(l.Positions()); got != `{"at":49}` {
		t.Fatalf("positions %s", got)
	}
	testkit.Must(t, l.Close())
	for _, f := range files { // the cursor alone knows them too
		testkit.Must(t, os.Remove(f))
	}
	l = open(t, o)
	if got := string(l.Positions()); got != `{"at":49}` {
		t.Fatalf("positions without segments: %s", got)
	}
	seq, err := l.Append(testkit.Context(t), entryOf(50, 10))
	testkit.Must(t, err)
	if seq != 51 {
		t.Fatalf("sequence number %d comes again, want 51", seq)
	}
}

func TestSecondWriterIsRefused(t *testing.T) {
	dir := t.TempDir()
	open(t, Options{Dir: dir})
	_, err := Open(Options{Dir: dir})
	if !errors.Is(err, ErrInUse) || !strings.Contains(err.Error(), fmt.Sprint(os.Getpid())) {
		t.Fatalf("got %v, want ErrInUse with the pid", err)
	}
}

func TestFullBudgetWaits(t *testing.T) {
	var out testkit.Buffer
	l := open(t, Options{Dir: t.TempDir(), BudgetBytes: 64 << 10, Log: slog.New(slog.NewTextHandler(&out, nil))})
	const size = 3000
	n := 0
	for {
		ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
		_, err := l.Append(ctx, entryOf(n, size))
		cancel()
		if err != nil {
			if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "budget") {
				t.Fatalf("got %v, want a deadline that names the budget", err)
			}
			break
		}
		n++
	}
	if n < 15 || l.Stats().Bytes > 64<<10 || l.Stats().Waiting != "budget" {
		t.Fatalf("%d records, %+v", n, l.Stats())
	}
	done := make(chan error, 1)
	go func() {
		_, err := l.Append(testkit.Context(t), entryOf(n, size))
		done <- err
	}()
	for i := range n {
		r, err := l.Next(testkit.Context(t))
		testkit.Must(t, err)
		sameEntry(t, r.Entry, entryOf(i, size))
		testkit.Must(t, l.Ack(r.Seq))
	}
	go func() { _, _ = l.Next(testkit.Context(t)) }()
	testkit.Must(t, <-done)
	testkit.Must(t, l.Close())
	if got := strings.Count(out.String(), "is full"); got != 1 {
		t.Errorf("%d log lines say that it is full:\n%s", got, out.String())
	}
}

// A log whose newest segment alone fills the budget must go on once it is acknowledged.
func TestFullBudgetInOneSegment(t *testing.T) {
	l := open(t, Options{Dir: t.TempDir(), BudgetBytes: 64 << 10})
	for n := range 20 {
		appendN(t, l, n, n+1, 30<<10)
		r, err := l.Next(testkit.Context(t))
		testkit.Must(t, err)
		sameEntry(t, r.Entry, entryOf(n, 30<<10))
		testkit.Must(t, l.Ack(r.Seq))
	}
	_, err := l.Append(testkit.Context(t), entryOf(0, 60<<10))
	if err == nil || !strings.Contains(err.Error(), "at least two records") {
		t.Fatalf("got %v for a record that can never fit", err)
	}
}

func TestConcurrentAppendsShareFsyncs(t *testing.T) {
	var syncs countingFile
	dir := t.TempDir()
	l := open(t, Options{Dir: dir, open: syncs.open})
	var wg sync.WaitGroup
	const writers, each = 16, 50
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				if _, err := l.Append(testkit.Context(t), entryOf(w*each+i, 200)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	seen := map[string]bool{}
	for range writers * each {
		r, err := l.Next(testkit.Context(t))
		testkit.Must(t, err)
		seen[string(r.Positions)] = true
	}
	if len(seen) != writers*each {
		t.Fatalf("%d of %d records", len(seen), writers*each)
	}
	if n := syncs.syncs.Load(); n > writers*each/2 {
		t.Errorf("%d fsyncs for %d appends of %d writers", n, writers*each, writers)
	}
}

func TestOptionsValidate(t *testing.T) {
	err := Options{BudgetBytes: 1, SegmentBytes: -1}.Validate()
	for _, field := range []string{"dir", "budgetBytes", "segmentBytes"} {
		if err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("%v does not name %s", err, field)
		}
	}
}

func TestUnwritableFolder(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	testkit.Must(t, os.WriteFile(path, nil, 0o600))
	_, err := Open(Options{Dir: path})
	if !errors.Is(err, syscall.ENOTDIR) || !strings.Contains(err.Error(), path) {
		t.Fatalf("got %v", err)
	}
}

func TestAppendAfterClose(t *testing.T) {
	l := open(t, Options{Dir: t.TempDir()})
	testkit.Must(t, l.Close())
	if _, err := l.Append(testkit.Context(t), entryOf(1, 1)); !errors.Is(err, ErrClosed) {
		t.Errorf("append: %v", err)
	}
	if _, err := l.Next(testkit.Context(t)); !errors.Is(err, ErrClosed) {
		t.Errorf("next: %v", err)
	}
}
