package e2e

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/kongdao/kongdao/internal/app"
	"github.com/kongdao/kongdao/internal/config"
	"github.com/kongdao/kongdao/internal/demo/fleet"
)

// inProcess is the configuration of a system in the test's own process.
func inProcess(t *testing.T, resources string) config.Config {
	cfg := config.Default()
	cfg.DataDir, cfg.ResourcesDir = t.TempDir(), resources
	cfg.Listen.Gateway, cfg.Listen.API = "127.0.0.1:0", "127.0.0.1:0"
	cfg.Envoy.Concurrency = 1
	return cfg
}

// TestTwoSystemsInOneProcess runs two systems beside each other, each with calls
// of its own, and stops them: no goroutine stays, and neither saw the other.
func TestTwoSystemsInOneProcess(t *testing.T) {
	platform := newPlatform(t, fleet.Rates{}, functions("feed")...)
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent()) // of the zones' processes
	const systems, calls = 2, 50
	for i := range systems {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		s := must(app.Start(ctx, inProcess(t, platform.dir), slog.New(slog.DiscardHandler)))(t)
		defer func() {
			if err := s.Stop(); err != nil {
				t.Error(err)
			}
		}()
		served(t, s.Addresses().Gateway, platform.paths())
		l := call(t, s.Addresses().Gateway, platform.paths(), 100*float64(i+1))
		pass(500 * time.Millisecond)
		c := l.stop()
		noFailure(t, c)
		until(t, "every call is stored", func() error {
			if err := s.Drain(ctx); err != nil {
				return err
			}
			var n uint64
			if err := s.ClickHouse().QueryRow(ctx, "SELECT count() FROM calls WHERE status = 200").Scan(&n); err != nil {
				return err
			}
			if int(n) != c.total()+1 {
				return errors.New("not yet, or more than were sent")
			}
			return nil
		})
	}
}

// TestStartGivesUpClean ends the start of a system at many moments: Start answers
// in time, what it had started is gone, and the next one can have the directory.
func TestStartGivesUpClean(t *testing.T) {
	platform := newPlatform(t, fleet.Rates{}, functions("feed")...)
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	cfg := inProcess(t, platform.dir)
	for _, limit := range []time.Duration{0, 60, 120, 180, 240, 300, 400} {
		ctx, cancel := context.WithTimeout(t.Context(), limit*time.Millisecond)
		s, err := app.Start(ctx, cfg, slog.New(slog.DiscardHandler))
		cancel()
		if err == nil {
			err = s.Stop()
		}
		t.Logf("after %d ms: %v", limit, err)
		if left := processesOf(cfg.DataDir); len(left) > 0 {
			t.Errorf("processes left: %v", left)
		}
		if _, err := app.ReadAddresses(cfg.DataDir); !errors.Is(err, app.ErrNotRunning) {
			t.Errorf("addresses: %v", err)
		}
	}
	s := must(app.Start(t.Context(), cfg, slog.New(slog.DiscardHandler)))(t)
	served(t, s.Addresses().Gateway, platform.paths())
	if err := s.Stop(); err != nil {
		t.Error(err)
	}
}
