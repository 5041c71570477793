package e2e

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/kongdao/kongdao/deploy/embedded"
	"github.com/kongdao/kongdao/internal/cli"
)

// patience bounds every wait for something that must happen; the machine may be
// busy with other things.
const patience = 45 * time.Second

// This binary is kongdao when its first argument is one of these: asKongdao
// before a command line, zoneProcess where the demo starts its own executable.
const (
	asKongdao   = "as-kongdao"
	zoneProcess = "demo-zone"
)

func TestMain(m *testing.M) {
	if embedded.IsChild() {
		os.Exit(embedded.RunChild())
	}
	if len(os.Args) > 1 && os.Args[1] == asKongdao {
		os.Exit(kongdao(os.Args[2:]))
	}
	if len(os.Args) > 1 && os.Args[1] == zoneProcess {
		os.Exit(kongdao(os.Args[1:]))
	}
	goleak.VerifyTestMain(m)
}

// kongdao is what cmd/kongdao does.
func kongdao(args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	return cli.Main(ctx, "e2e", args, os.Stdin, os.Stdout, os.Stderr)
}

// until polls until yes says nothing, and fails the test with what it said last.
func until(t *testing.T, what string, yes func() error) {
	t.Helper()
	if err := wait(patience, yes); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

func wait(limit time.Duration, yes func() error) error {
	deadline := time.NewTimer(limit)
	defer deadline.Stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := yes()
		if err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-deadline.C:
			return fmt.Errorf("not within %v: %w", limit, err)
		}
	}
}

// pass lets load go on for a while. It is for the length of an experiment, never
// for something to have happened.
func pass(d time.Duration) { <-time.After(d) }

func must[T any](v T, err error) func(t *testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}
