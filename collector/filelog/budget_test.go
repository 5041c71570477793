package filelog

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/kongdao/kongdao/internal/testkit"
)

// blocked is a sink that takes nothing until it is opened.
func blocked(s *store) (sink Sink, open func()) {
	gate := make(chan struct{})
	sink = func(ctx context.Context, b Batch) error {
		select {
		case <-gate:
			return s.take(ctx, b)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return sink, sync.OnceFunc(func() { close(gate) })
}

// launch runs a Tailer with this sink until the test's end, and gives what it logs.
func launch(t *testing.T, c Config, at Position, sink Sink) (*prometheus.Registry, *testkit.Buffer) {
	t.Helper()
	reg, logged := prometheus.NewRegistry(), &testkit.Buffer{}
	tailer, err := New(c, map[string]Position{c.Sources[0].Path: at}, slog.New(slog.NewTextHandler(logged, nil)), reg, sink)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- tailer.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		<-ended // the sink may have refused at the end
	})
	return reg, logged
}

// While nobody takes lines the files are rotated on, measured and kept; then each
// line comes once.
func TestRotatesWhileNobodyReads(t *testing.T) {
	g := &gateway{path: filepath.Join(t.TempDir(), "access.log")}
	defer g.close()
	c := config(g.path)
	c.RotateBytes = int64(10 * len(line(0)))
	c.FileBytes = 2 * c.RotateBytes
	c.Sources[0].Reopen = g.reopen
	s := newStore()
	sink, open := blocked(s)
	reg, logged := launch(t, c, Position{}, sink)
	for files := 1; files < 8; files++ {
		for range 10 {
			g.call(t)
		}
		await(t, "the file is rotated", func() bool { return siblings(t, g.path) > files })
	}
	var size int64
	files, err := list(g.path)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		size += f.size
	}
	await(t, "what the files use is measured", func() bool {
		return value(t, reg, "kongdao_collector_file_bytes") == float64(size) &&
			value(t, reg, "kongdao_collector_log_lag_bytes") == float64(size)
	})
	if budget := value(t, reg, "kongdao_collector_file_budget_bytes"); budget != float64(c.FileBytes) {
		t.Errorf("budget %v, want %d", budget, c.FileBytes)
	}
	if !strings.Contains(logged.String(), "more disk than they may") {
		t.Errorf("the log does not say that files are over their budget:\n%s", logged)
	}
	open()
	wantCalls(t, s.await(t, g.written), g.written)
	if n := value(t, reg, "kongdao_collector_file_dropped_lines_total"); n != 0 {
		t.Errorf("%v lines dropped", n)
	}
}

// Beyond the budget the oldest unread files go, if that was asked for: what comes
// out and what is counted are all lines.
func TestDropOldest(t *testing.T) {
	g := &gateway{path: filepath.Join(t.TempDir(), "access.log")}
	defer g.close()
	c := config(g.path)
	c.RotateBytes = int64(10 * len(line(0)))
	c.FileBytes, c.Overflow = 4*c.RotateBytes, DropOldest
	c.Sources[0].Reopen = g.reopen
	s := newStore()
	sink, open := blocked(s)
	reg, logged := launch(t, c, Position{}, sink)
	dropped := func() int { return int(value(t, reg, "kongdao_collector_file_dropped_lines_total")) }
	for dropped() < 50 {
		g.call(t)
		await(t, "a full file is rotated, or there is room in it", func() bool {
			info, err := os.Stat(g.path)
			return err == nil && info.Size() < c.RotateBytes
		})
	}
	await(t, "the files are within their budget", func() bool {
		return value(t, reg, "kongdao_collector_file_bytes") <= float64(c.FileBytes)
	})
	open()
	got := s.await(t, g.written-dropped())
	seen := map[string]bool{}
	for _, path := range got {
		seen[path] = true
	}
	if len(seen) != len(got) || len(got)+dropped() != g.written {
		t.Errorf("%d calls, %d different ones, %d dropped, %d written", len(got), len(seen), dropped(), g.written)
	}
	if last := fmt.Sprintf("/%d", g.written-1); !seen["/0"] || !seen[last] {
		t.Errorf("the file being read or the newest was dropped: %q", got)
	}
	if text := logged.String(); !strings.Contains(text, "dropped unread") || !strings.Contains(text, "access.log.000000000002") {
		t.Errorf("the log does not name what was dropped:\n%s", text)
	}
	if size := value(t, reg, "kongdao_collector_file_dropped_bytes_total"); int(size) != textOf(got, g.written) {
		t.Errorf("%v bytes dropped, want %d", size, textOf(got, g.written))
	}
}

// textOf is the length of the lines that are missing in got.
func textOf(got []string, n int) (size int) {
	have := map[string]bool{}
	for _, path := range got {
		have[path] = true
	}
	for i := range n {
		if !have[fmt.Sprintf("/%d", i)] {
			size += len(line(i))
		}
	}
	return size
}

// Files that others rotate are theirs: never dropped, and not counted once read.
func TestOthersFilesStay(t *testing.T) {
	path := filepath.Join(t.TempDir(), "access.log")
	c := config(path)
	c.RotateBytes, c.FileBytes, c.Overflow = 1, 2, DropOldest
	write(t, path+".1", line(0))
	write(t, path+".000000000001", line(1)) // ours, of another time, and we rotate no more
	write(t, path, line(2))
	s := newStore()
	sink, open := blocked(s)
	reg, _ := launch(t, c, Position{}, sink)
	all := float64(len(line(0)) + len(line(1)) + len(line(2)))
	await(t, "all are counted", func() bool { return value(t, reg, "kongdao_collector_file_bytes") == all })
	open()
	wantCalls(t, s.await(t, 3), 3)
	await(t, "what was read of others is not", func() bool {
		return value(t, reg, "kongdao_collector_file_bytes") == all-float64(len(line(0)))
	})
	if n := siblings(t, path); n != 3 {
		t.Errorf("%d files are left", n)
	}
}
