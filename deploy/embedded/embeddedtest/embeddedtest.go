// Package embeddedtest gives tests a real ClickHouse in one line.
//
// A test binary that uses it hands over to the engine in TestMain:
//
//	func TestMain(m *testing.M) { embeddedtest.Main(m) }
package embeddedtest

import (
	"context"
	"log/slog"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/kongdao/kongdao/deploy/embedded"
)

// Main is TestMain: it becomes the engine when this process was started as one,
// else it runs the tests and fails when they leave goroutines behind.
func Main(m *testing.M) {
	if embedded.IsChild() {
		os.Exit(embedded.RunChild())
	}
	goleak.VerifyTestMain(m)
}

// Start runs an engine in a temporary directory until the test ends. Without the
// library the test fails, naming what to run.
func Start(t testing.TB) *embedded.Engine {
	t.Helper()
	e, _ := StartIn(t, t.TempDir())
	return e
}

// StartIn is Start on a directory that stays. stop ends the engine, waits and
// fails the test when that goes wrong; the test's end calls it, too.
func StartIn(t testing.TB, dir string) (e *embedded.Engine, stop func()) {
	t.Helper()
	cfg := embedded.DefaultConfig()
	cfg.Dir = dir
	return StartWith(t, cfg)
}

// StartWith is StartIn with a configuration of the test's own.
func StartWith(t testing.TB, cfg embedded.Config) (e *embedded.Engine, stop func()) {
	t.Helper()
	e, err := embedded.New(cfg, slog.New(slog.DiscardHandler), nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- e.Run(ctx) }()
	stopped := false
	stop = func() {
		t.Helper()
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("embedded clickhouse: %v", err)
		}
	}
	t.Cleanup(stop)
	select {
	case <-e.Ready():
	case err := <-ended:
		ended <- err
		t.Fatalf("embedded clickhouse ended before it was ready: %v", err)
	case <-time.After(time.Minute):
		t.Fatal("embedded clickhouse is not ready after a minute")
	}
	return e, stop
}
