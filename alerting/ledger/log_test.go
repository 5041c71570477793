package ledger

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func event(n int) Event {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC).Add(time.Duration(n) * time.Second)
	return Event{ID: ID("test", n), At: at, Kind: Accepted, Message: ID("message", n), Channel: "c", Matter: "#0001", Sequence: uint64(n), Content: []byte(`{"key":"k"}`)}
}

func open(t *testing.T, cfg Config) *Log {
	t.Helper()
	l, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func add(t *testing.T, l *Log, from, to int) {
	t.Helper()
	for n := from; n < to; n++ {
		if err := l.Append(event(n)); err != nil {
			t.Fatal(err)
		}
	}
}

// numbers takes all that is left, most at a time, and returns its sequences.
func numbers(t *testing.T, l *Log, most int) (all []uint64) {
	t.Helper()
	for {
		events, next, err := l.Read(most)
		if err != nil {
			t.Fatal(err)
		}
		if len(events) == 0 {
			return all
		}
		for _, e := range events {
			all = append(all, e.Sequence)
		}
		if err := l.Taken(next); err != nil {
			t.Fatal(err)
		}
	}
}

func inOrder(from, to int) (all []uint64) {
	for n := from; n < to; n++ {
		all = append(all, uint64(n))
	}
	return all
}

func TestEventsAreHandedOutInOrder(t *testing.T) {
	cfg := Config{Dir: t.TempDir(), FileBytes: 2000, MaxBytes: 1 << 20} // several files
	l := open(t, cfg)
	add(t, l, 0, 50)
	if got := numbers(t, l, 7); fmt.Sprint(got) != fmt.Sprint(inOrder(0, 50)) {
		t.Errorf("handed out %v", got)
	}
	add(t, l, 50, 60)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	l = open(t, cfg) // what was not taken is there, what was taken is not
	add(t, l, 60, 65)
	if got := numbers(t, l, 1000); fmt.Sprint(got) != fmt.Sprint(inOrder(50, 65)) {
		t.Errorf("after a restart %v", got)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := l.Settled(ctx); err != nil {
		t.Error(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(cfg.Dir, "*"+suffix))
	if err != nil || len(files) > 1 {
		t.Errorf("files of events that were taken: %v %v", files, err)
	}
}

func TestTornAndDamagedEventsAreSkipped(t *testing.T) {
	cfg := DefaultConfig(t.TempDir())
	l := open(t, cfg)
	add(t, l, 0, 3)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(cfg.Dir, "*"+suffix))
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	text[30] ^= 1
	if err := os.WriteFile(files[0], text[:len(text)-9], 0o600); err != nil {
		t.Fatal(err)
	}
	l = open(t, cfg)
	defer l.Close()
	add(t, l, 3, 5)
	if got := numbers(t, l, 100); fmt.Sprint(got) != "[1 3 4]" {
		t.Errorf("handed out %v, want 1 and those after the start", got)
	}
}

func TestOldestGoWhenNobodyTakesThem(t *testing.T) {
	cfg := Config{Dir: t.TempDir(), FileBytes: 1000, MaxBytes: 4000}
	l := open(t, cfg)
	defer l.Close()
	add(t, l, 0, 100)
	got := numbers(t, l, 1000)
	if n := len(got); n < 5 || n > 30 || got[n-1] != 99 || l.Lost() == 0 {
		t.Errorf("%d events left, %d files lost: %v", n, l.Lost(), got)
	}
}

func TestIDsTellPartsApart(t *testing.T) {
	if ID("a", "bc") == ID("ab", "c") || ID(1, 2) == ID(12) || len(ID()) != 32 {
		t.Error("ids are not what they are made of")
	}
}

func FuzzDecodeLine(f *testing.F) {
	line, err := appendLine(nil, event(1))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(line)
	f.Add([]byte("00000000 {}\n"))
	f.Fuzz(func(t *testing.T, line []byte) {
		e, err := decodeLine(line)
		if err != nil {
			return
		}
		if _, err := appendLine(nil, e); err != nil {
			t.Error(err)
		}
	})
}
