package release

import (
	"log/slog"
	"testing"
	"time"
)

// What was released last is known for every moment, also after a restart that
// shortens the journal.
func TestRisen(t *testing.T) {
	dir := t.TempDir()
	l, err := Open(dir, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	began := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	steps := []Weights{{{"r1", 100}}, {{"r1", 95}, {"r2", 5}}, {{"r1", 50}, {"r2", 50}}, {{"r1", 100}}}
	for i, w := range steps {
		l.now = func() time.Time { return began.Add(time.Duration(i) * time.Hour) }
		if err := l.put(event{Kind: kindWeights, Function: "feed", Weights: w}); err != nil {
			t.Fatal(err)
		}
	}
	check := func(l *Ledger) {
		t.Helper()
		if _, ok := l.Risen("feed", began.Add(-1)); ok {
			t.Error("something was released before the first release")
		}
		if _, ok := l.Risen("other", began); ok {
			t.Error("of an unknown function")
		}
		for i, want := range []Rise{{"r1", 100, began}, {"r2", 5, began.Add(time.Hour)}, {"r2", 50, began.Add(2 * time.Hour)}, {"r1", 100, began.Add(3 * time.Hour)}} {
			if got, ok := l.Risen("feed", began.Add(time.Duration(i)*time.Hour+time.Minute)); !ok || got != want {
				t.Errorf("after step %d: %+v, want %+v", i, got, want)
			}
		}
	}
	check(l)
	if err := l.journal.replace(l.snapshot()); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := Open(dir, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	check(again)
}
