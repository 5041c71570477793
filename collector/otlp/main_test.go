package otlp

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/kongdao/kongdao/api"
	schema "github.com/kongdao/kongdao/deploy/clickhouse"
	"github.com/kongdao/kongdao/deploy/embedded"
	"github.com/kongdao/kongdao/deploy/embedded/embeddedtest"
	"github.com/kongdao/kongdao/internal/clickhouse"
	"github.com/kongdao/kongdao/internal/testkit"
)

func TestMain(m *testing.M) {
	if os.Getenv(childEnv) != "" {
		os.Exit(receiveUntilKilled())
	}
	embeddedtest.Main(m)
}

func testConfig(dir string) Config {
	c := DefaultConfig()
	c.Dir = dir
	c.FlushInterval = api.Duration(10 * time.Millisecond)
	return c
}

// migrated is an engine with the tables.
func migrated(t testing.TB) *embedded.Engine {
	t.Helper()
	e := embeddedtest.Start(t)
	_, err := schema.Migrate(testkit.Context(t), e.Options())
	testkit.Must(t, err)
	return e
}

// nowhere is a ClickHouse that does not answer.
func nowhere() clickhouse.Options { return clickhouse.Options{Addr: []string{"127.0.0.1:1"}} }

// running is a receiver in this process.
type running struct {
	*Receiver
	reg  *prometheus.Registry
	stop func()
}

func start(t testing.TB, cfg Config, server clickhouse.Options) *running {
	t.Helper()
	reg := prometheus.NewRegistry()
	r, err := New(cfg, server, testLog(t), reg)
	testkit.Must(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	stopped := false
	stop := func() {
		t.Helper()
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; err != nil {
			t.Errorf("receiver: %v", err)
		}
	}
	t.Cleanup(stop)
	return &running{Receiver: r, reg: reg, stop: stop}
}

func testLog(t testing.TB) *slog.Logger {
	if testing.Verbose() {
		return slog.New(slog.NewTextHandler(t.Output(), nil))
	}
	return slog.New(slog.DiscardHandler)
}

// metric is the value of a counter or gauge; labels are name and value in turn.
func (r *running) metric(t testing.TB, name string, labels ...string) float64 {
	t.Helper()
	families, err := r.reg.Gather()
	testkit.Must(t, err)
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
	metrics:
		for _, m := range f.GetMetric() {
			have := map[string]string{}
			for _, l := range m.GetLabel() {
				have[l.GetName()] = l.GetValue()
			}
			for i := 0; i < len(labels); i += 2 {
				if have[labels[i]] != labels[i+1] {
					continue metrics
				}
			}
			return m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	t.Fatalf("no metric %s %v", name, labels)
	return 0
}

func open(t testing.TB, o clickhouse.Options) *clickhouse.Client {
	t.Helper()
	c, err := clickhouse.Open(testkit.Context(t), o)
	testkit.Must(t, err)
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// stored checks that records 0 to n-1 of a function are stored, each once.
func stored(t testing.TB, c *clickhouse.Client, function string, n int) {
	t.Helper()
	var rows, different, sum uint64
	testkit.Must(t, c.QueryRow(testkit.Context(t), `SELECT count(), uniqExact(attrs['n']), sum(toUInt64OrZero(attrs['n'])) FROM function_logs WHERE function = `+quote(function)).
		Scan(&rows, &different, &sum))
	if want := uint64(n) * uint64(n-1) / 2; rows != uint64(n) || different != uint64(n) || sum != want {
		t.Fatalf("%s: %d rows of %d different records, want %d of each", function, rows, different, n)
	}
}

func quote(s string) string { return fmt.Sprintf("'%s'", s) }
