package filelog

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/kongdao/kongdao/api"
)

var errKilled = errors.New("killed")

// TestEveryLineOnce writes lines in random pieces, rotates at random moments and
// kills the tailer before a batch is stored at random ones: each line comes out
// once and in order.
func TestEveryLineOnce(t *testing.T) {
	for seed := range uint64(40) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			everyLineOnce(t, rand.New(rand.NewPCG(seed, 1)))
		})
	}
}

func everyLineOnce(t *testing.T, r *rand.Rand) {
	const lines = 400
	path := filepath.Join(t.TempDir(), "access.log")
	w := &writer{path: path, rand: rand.New(rand.NewPCG(r.Uint64(), 3))}
	s := newStore()
	kills := rand.New(rand.NewPCG(r.Uint64(), 2))
	s.refuse = func() error {
		if kills.IntN(4) == 0 {
			return errKilled
		}
		return nil
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	written := make(chan error, 1)
	go func() { written <- w.write(lines) }()
	c := config(path)
	c.readBytes = 1 << (8 + r.IntN(5))
	c.Grace = api.Duration(time.Duration(r.IntN(3)) * time.Millisecond)
	for s.count() < lines && ctx.Err() == nil {
		life, die := context.WithCancel(ctx)
		at := min(lines, s.count()+1+r.IntN(100))
		go s.dieAt(at, die, life.Done())
		tailer, err := New(c, map[string]Position{path: s.at()}, slog.New(slog.DiscardHandler), nil, s.take)
		if err != nil {
			t.Fatal(err)
		}
		if err := tailer.Run(life); err != nil && !errors.Is(err, errKilled) {
			t.Fatal(err)
		}
		die()
	}
	if err := <-written; err != nil {
		t.Fatal(err)
	}
	wantCalls(t, s.await(t, lines), lines)
}

func (s *store) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.paths)
}

// dieAt ends the tailer when there are n calls, or more, until gone is closed.
func (s *store) dieAt(n int, die func(), gone <-chan struct{}) {
	for {
		s.mu.Lock()
		have, changed := len(s.paths), s.changed
		s.mu.Unlock()
		if have >= n {
			die()
			return
		}
		select {
		case <-changed:
		case <-gone:
			return
		}
	}
}

// writer writes numbered lines in pieces of any size and rotates like logrotate
// or like this package, keeping the file open over the rename for some lines.
type writer struct {
	path string
	rand *rand.Rand
	file *os.File
	next int // number of the next rotated file
}

func (w *writer) write(lines int) error {
	for i := range lines {
		if err := w.open(); err != nil {
			return err
		}
		text := line(i)
		for len(text) > 0 {
			n := min(len(text), 1+w.rand.IntN(2*len(text)))
			if _, err := w.file.WriteString(text[:n]); err != nil {
				return err
			}
			text = text[n:]
		}
		if w.rand.IntN(25) == 0 {
			if err := w.rotate(); err != nil {
				return err
			}
		}
	}
	return w.file.Close()
}

func (w *writer) open() (err error) {
	if w.file != nil {
		if _, err := os.Stat(w.path); err == nil || w.rand.IntN(3) > 0 {
			return nil // still there, or renamed and not reopened yet
		}
		w.file.Close()
	}
	w.file, err = os.OpenFile(w.path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	return err
}

func (w *writer) rotate() error {
	if _, err := os.Stat(w.path); err != nil {
		return nil // renamed already
	}
	w.next++
	return os.Rename(w.path, fmt.Sprintf("%s.%0*d", w.path, sequenceDigits, w.next))
}

// TestRestartAtEveryLine stops behind each line of three files, one of them
// rotated away while nobody was looking.
func TestRestartAtEveryLine(t *testing.T) {
	const each = 6
	for stop := 1; stop < 3*each; stop++ {
		path := filepath.Join(t.TempDir(), "access.log")
		text := func(from int) (s string) {
			for i := range each {
				s += line(from + i)
			}
			return s
		}
		write(t, path+".000000000001", text(0))
		write(t, path+".000000000002", text(each))
		write(t, path, text(2*each))
		s := newStore()
		c := config(path)
		c.readBytes = len(line(0))
		taken := 0
		s.refuse = func() error {
			if taken++; taken > stop {
				return errKilled
			}
			return nil
		}
		tailer, err := New(c, nil, slog.New(slog.DiscardHandler), nil, s.take)
		if err != nil {
			t.Fatal(err)
		}
		if err := tailer.Run(t.Context()); !errors.Is(err, errKilled) {
			t.Fatal(err)
		}
		rename(t, path, path+".000000000003")
		write(t, path, line(3*each))
		s.refuse = nil
		_, _, end := start(t, c, s)
		wantCalls(t, s.await(t, 3*each+1), 3*each+1)
		end()
	}
}
