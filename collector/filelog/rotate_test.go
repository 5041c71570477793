package filelog

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"
)

// gateway writes a log and reopens it when asked, as Envoy does.
type gateway struct {
	mu      sync.Mutex
	path    string
	file    *os.File
	written int
	refuses bool
	reopens int
}

func (g *gateway) reopen(context.Context) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.reopens++
	if g.refuses {
		return errors.New("admin does not answer")
	}
	return g.open()
}

func (g *gateway) open() (err error) {
	if g.file != nil {
		g.file.Close()
	}
	g.file, err = os.OpenFile(g.path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	return err
}

func (g *gateway) call(t *testing.T) {
	t.Helper()
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.file == nil {
		if err := g.open(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := g.file.WriteString(line(g.written)); err != nil {
		t.Fatal(err)
	}
	g.written++
}

func (g *gateway) refuse(yes bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.refuses = yes
}

func (g *gateway) close() { g.file.Close() }

func siblings(t *testing.T, path string) int {
	t.Helper()
	files, err := list(path)
	if err != nil {
		t.Fatal(err)
	}
	return len(files)
}

// TestRotate rotates while calls come in, and removes what is stored, not more.
func TestRotate(t *testing.T) {
	g := &gateway{path: filepath.Join(t.TempDir(), "access.log")}
	c := config(g.path)
	c.RotateBytes = int64(10 * len(line(0)))
	c.Sources[0].Reopen = g.reopen
	s := newStore()
	tailer, _, stop := start(t, c, s)
	for g.written < 100 {
		g.call(t)
		s.await(t, g.written)
		if g.written%20 == 0 {
			await(t, "the live file below its size", func() bool {
				info, err := os.Stat(g.path)
				return err == nil && info.Size() < c.RotateBytes
			})
		}
	}
	defer g.close()
	wantCalls(t, s.await(t, 100), 100)
	before := siblings(t, g.path)
	if before < 3 {
		t.Fatalf("%d files after ten times the size of one", before)
	}
	g.call(t)
	wantCalls(t, s.await(t, 101), 101)
	if n := siblings(t, g.path); n < before {
		t.Errorf("%d of %d files are left, and nothing was stored", n, before)
	}
	tailer.Stored(g.path, s.at())
	await(t, "one file left", func() bool { return siblings(t, g.path) == 1 })
	stop()
	start(t, c, s)
	g.call(t)
	wantCalls(t, s.await(t, 102), 102)
}

// TestRestartRemovesWhatIsStored has files from before the resume position.
func TestRestartRemovesWhatIsStored(t *testing.T) {
	path := filepath.Join(t.TempDir(), "access.log")
	write(t, path+".000000000001", line(0))
	write(t, path+".1", line(1)) // not ours to remove
	write(t, path, line(2))
	c := config(path)
	s := newStore()
	_, _, stop := start(t, c, s)
	if got := s.await(t, 3); got[2] != "/2" {
		t.Fatalf("got %q", got)
	}
	stop()
	c.Sources[0].Reopen = func(context.Context) error { return nil }
	start(t, c, s)
	await(t, "the stored file is removed", func() bool { return siblings(t, path) == 2 })
	if _, err := os.Stat(path + ".1"); err != nil {
		t.Error(err)
	}
}

// TestReopenFails renames, then finds the gateway deaf, dies and starts again.
func TestReopenFails(t *testing.T) {
	g := &gateway{path: filepath.Join(t.TempDir(), "access.log"), refuses: true}
	c := config(g.path)
	c.RotateBytes = 1
	c.Sources[0].Reopen = g.reopen
	s := newStore()
	g.call(t)
	defer g.close()
	_, reg, stop := start(t, c, s)
	await(t, "a failed reopen is counted", func() bool { return value(t, reg, "kongdao_collector_log_errors_total") > 0 })
	g.call(t) // still into the renamed file
	wantCalls(t, s.await(t, 2), 2)
	stop()
	g.refuse(false)
	start(t, c, s)
	await(t, "the gateway reopened", func() bool { _, err := os.Stat(g.path); return err == nil })
	g.call(t)
	wantCalls(t, s.await(t, 3), 3)
}
