package app

import (
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/kongdao/kongdao/xds"
)

// TestRefusedStressTestsOutliveTheProcess: what load stop --all has begun goes on in
// the next process, until it ends; zones that are drained meanwhile take nothing of it.
func TestRefusedStressTestsOutliveTheProcess(t *testing.T) {
	path := filepath.Join(t.TempDir(), "shifts")
	next := func() *moved {
		server, err := xds.New(xds.DefaultConfig(), slog.New(slog.DiscardHandler), prometheus.NewRegistry(), nil)
		if err != nil {
			t.Fatal(err)
		}
		m := newMoved(server, slog.New(slog.DiscardHandler), path)
		t.Cleanup(func() {
			m.stop()
			if err := server.Close(); err != nil {
				t.Error(err)
			}
		})
		return m
	}
	until := time.Now().Add(time.Hour).UTC().Truncate(time.Second)
	first := next()
	if got := first.refusal(); got != "" {
		t.Errorf("refused from the beginning: %s", got)
	}
	if err := first.refuseMarked(until); err != nil {
		t.Fatal(err)
	}
	if err := first.set("zb-a", -1, 0, 0); err != nil {
		t.Fatal(err)
	}
	second := next()
	if got := second.markedUntil(); !got.Equal(until) || second.refusal() == "" {
		t.Errorf("the next process refuses until %v, want %v", got, until)
	}
	if err := second.refuseMarked(time.Time{}); err != nil {
		t.Fatal(err)
	}
	if third := next(); !third.markedUntil().IsZero() || third.weight("zb-a") != 0 {
		t.Errorf("the one after that: until %v, zone %d%%", third.markedUntil(), third.weight("zb-a"))
	}
	if err := second.file.save(shifts{Marked: time.Now().Add(-time.Second)}); err != nil {
		t.Fatal(err)
	}
	if late := next(); late.refusal() != "" {
		t.Errorf("refused beyond its end: %s", late.refusal())
	}
}

func TestTheSecretOfMarksIsKept(t *testing.T) {
	path := filepath.Join(t.TempDir(), "gateway", "mark")
	first, err := keptSecret(path)
	if err != nil || len(first) < 20 {
		t.Fatalf("%q, %v", first, err)
	}
	if again, err := keptSecret(path); err != nil || again != first {
		t.Errorf("%q and then %q, %v", first, again, err)
	}
	if other, err := keptSecret(path + "2"); err != nil || other == first {
		t.Errorf("another one is %q, too: %v", other, err)
	}
}
