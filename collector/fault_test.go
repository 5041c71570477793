package collector

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"github.com/kongdao/kongdao/api"
	"github.com/kongdao/kongdao/collector/ship"
	"github.com/kongdao/kongdao/deploy/embedded"
	"github.com/kongdao/kongdao/internal/calllog"
	"github.com/kongdao/kongdao/internal/clickhouse"
	"github.com/kongdao/kongdao/internal/testkit"
)

// away is a way to the engine that can be closed.
type away struct {
	closed atomic.Bool
	dial   func(context.Context, string) (net.Conn, error)
}

func (a *away) options(o clickhouse.Options) clickhouse.Options {
	a.dial = o.Dial
	o.Dial = func(ctx context.Context, addr string) (net.Conn, error) {
		if a.closed.Load() {
			return nil, syscall.ECONNREFUSED
		}
		return a.dial(ctx, addr)
	}
	return o
}

func TestClickHouseComesLater(t *testing.T) {
	engine := migrated(t)
	dir := t.TempDir()
	lines := newAccessLog(t, dir)
	var server away
	server.closed.Store(true)
	c := start(t, testConfig(dir, lines.path), server.options(engine.Options()))
	lines.write(2000)
	testkit.Eventually(t, "calls wait in the log", func() bool { return c.Stats().Unstored == 2000 && c.Stats().Failing })
	if s := c.Stats(); s.Stored != 0 || s.Lag < time.Minute || s.Oldest.UnixMicro() != begin {
		t.Errorf("%+v", s)
	}
	server.closed.Store(false)
	c.allStored(engine.Options(), lines.n)
	if s := c.Stats(); s.Failing || s.Lag != 0 {
		t.Errorf("%+v", s)
	}
}

// Without ClickHouse the collector stops at once, and the calls wait for the next.
func TestStopWithoutClickHouse(t *testing.T) {
	engine := migrated(t)
	dir := t.TempDir()
	lines := newAccessLog(t, dir)
	var server away
	server.closed.Store(true)
	cfg := testConfig(dir, lines.path)
	cfg.DrainTimeout = api.Duration(time.Hour)
	lines.write(300)
	c := start(t, cfg, server.options(engine.Options()))
	testkit.Eventually(t, "calls are read", func() bool { return c.Stats().Read == 300 })
	c.stop() // would take an hour
	c = start(t, cfg, engine.Options())
	if s := c.Stats(); s.Unstored+s.Stored != 300 {
		t.Errorf("%+v", s)
	}
	c.allStored(engine.Options(), 300)
}

func TestFullBudgetStopsReading(t *testing.T) {
	engine := migrated(t)
	dir := t.TempDir()
	lines := newAccessLog(t, dir)
	var server away
	server.closed.Store(true)
	cfg := testConfig(dir, lines.path)
	cfg.WALBytes, cfg.MaxRows = 1<<20, 500
	var logged testkit.Buffer
	col, err := New(cfg, server.options(engine.Options()), slog.New(slog.NewTextHandler(&logged, nil)), nil)
	testkit.Must(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- col.Run(ctx) }()
	c := &running{Collector: col, t: t, stop: func() {
		cancel()
		testkit.Must(t, <-done)
	}}
	const batch = 10_000
	for c.Stats().Waiting == "" && lines.n < 20*batch {
		lines.write(batch)
		testkit.Eventually(t, "lines are read, or reading stops", func() bool {
			return c.Stats().Read == int64(lines.n) || c.Stats().Waiting == "budget"
		})
	}
	s := c.Stats()
	if s.Waiting != "budget" || s.WALBytes > s.WALBudget || s.Read >= int64(lines.n) {
		t.Fatalf("%d lines written, %+v", lines.n, s)
	}
	server.closed.Store(false)
	c.allStored(engine.Options(), lines.n)
	if n := strings.Count(logged.String(), "write-ahead log is full"); n < 1 {
		t.Errorf("no log line says that the log is full")
	}
}

func TestKilledClickHouse(t *testing.T) {
	engine := migrated(t)
	dir := t.TempDir()
	lines := newAccessLog(t, dir)
	cfg := testConfig(dir, lines.path)
	cfg.MaxRows = 300
	cfg.FlushInterval = api.Duration(2 * time.Millisecond)
	c := start(t, cfg, engine.Options())
	for range 5 {
		lines.write(2000)
		enough := c.Stats().Stored + int64(rand.IntN(2000))
		testkit.Eventually(t, "some rows stored", func() bool { return c.Stats().Stored >= min(enough, int64(lines.n)) })
		kill(t, engine)
		lines.write(500)
	}
	c.allStored(engine.Options(), lines.n)
}

// kill ends the engine with SIGKILL; its supervisor starts it again.
func kill(t *testing.T, engine *embedded.Engine) {
	t.Helper()
	restarts := engine.Restarts()
	testkit.Eventually(t, "the engine runs", func() bool { return engine.PID() != 0 })
	testkit.Must(t, syscall.Kill(engine.PID(), syscall.SIGKILL))
	testkit.Eventually(t, "the engine is started again", func() bool { return engine.Restarts() > restarts })
}

func TestStoppedAnywhere(t *testing.T) {
	engine := migrated(t)
	dir := t.TempDir()
	lines := newAccessLog(t, dir)
	cfg := testConfig(dir, lines.path)
	cfg.MaxRows = 100
	cfg.FlushInterval = api.Duration(time.Millisecond)
	cfg.DrainTimeout = 0
	for range 12 {
		lines.write(700)
		c := start(t, cfg, engine.Options())
		enough := rand.Int64N(700)
		testkit.Eventually(t, "some lines read", func() bool { return c.Stats().Read >= enough })
		c.stop()
	}
	start(t, cfg, engine.Options()).allStored(engine.Options(), lines.n)
}

// The answer to an insert comes too late: the block is stored, nobody knows, it is
// sent again, and counts once.
func TestAnswerLostAfterCommit(t *testing.T) {
	engine := migrated(t)
	dir := t.TempDir()
	lines := newAccessLog(t, dir)
	zerolog.SetGlobalLevel(zerolog.Disabled)
	proxy := toxiproxy.NewProxy(toxiproxy.NewServer(toxiproxy.NewMetricsContainer(prometheus.NewRegistry()), zerolog.Nop()),
		"clickhouse", "127.0.0.1:0", engine.Addr())
	testkit.Must(t, proxy.Start())
	t.Cleanup(proxy.Stop)
	o := engine.Options()
	o.Dial = func(ctx context.Context, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", proxy.Listen)
	}
	cfg := testConfig(dir, lines.path)
	cfg.Parallel = 1
	cfg.InsertTimeout = api.Duration(3 * time.Second)
	c := start(t, cfg, o)
	lines.write(100)
	c.settle(100) // leaves a connection that is past its greeting

	// Two answers belong to an insert: the first at 2 s lets the block go, the
	// second would come at 4 s.
	_, err := proxy.Toxics.AddToxicJson(strings.NewReader(
		`{"name":"late","type":"latency","stream":"downstream","attributes":{"latency":2000}}`))
	testkit.Must(t, err)
	lines.write(400)
	testkit.Eventually(t, "an insert fails", func() bool { return c.Stats().Failing })
	if n, ok := rows(t, engine.Options()); !ok || n <= 100 || c.Stats().Stored != 100 {
		t.Fatalf("%d rows, %d known to be stored: want a block that was stored without an answer", n, c.Stats().Stored)
	}
	testkit.Must(t, proxy.Toxics.RemoveToxic(testkit.Context(t), "late"))
	c.allStored(engine.Options(), lines.n)
}

func TestRefusedBlockIsSetAside(t *testing.T) {
	engine := migrated(t)
	dir := t.TempDir()
	lines := newAccessLog(t, dir)
	client := open(t, engine.Options())
	c := start(t, testConfig(dir, lines.path), engine.Options())
	lines.write(50)
	c.settle(50)
	testkit.Must(t, client.Exec(testkit.Context(t), "ALTER TABLE calls ADD CONSTRAINT fast CHECK duration_us < 1200"))
	lines.write(500) // all blocks of 300 or more have a slow call
	testkit.Eventually(t, "all read", func() bool { return c.Stats().Read == 550 })
	testkit.Must(t, c.Drain(testkit.Context(t)))
	testkit.Must(t, client.Exec(testkit.Context(t), "ALTER TABLE calls DROP CONSTRAINT fast"))
	dead := c.Stats().DeadRows
	if dead == 0 {
		t.Fatal("nothing was refused")
	}
	lines.write(100)
	c.settle(650)
	if got, ok := rows(t, engine.Options()); !ok || int64(got)+dead != 650 {
		t.Fatalf("%d rows and %d refused, want 650 together", got, dead)
	}
	letters, err := filepath.Glob(filepath.Join(dir, "collector", "dead", "*.json"))
	testkit.Must(t, err)
	var refused int
	for _, path := range letters {
		text, err := os.ReadFile(path)
		testkit.Must(t, err)
		var l ship.DeadLetter
		testkit.Must(t, json.Unmarshal(text, &l))
		if !strings.Contains(l.Reason, "fast") {
			t.Errorf("reason %q does not name the constraint", l.Reason)
		}
		block, err := os.ReadFile(strings.TrimSuffix(path, ".json") + ".block")
		testkit.Must(t, err)
		b, err := calllog.DecodeBlock(block)
		testkit.Must(t, err)
		if b.Rows() != l.Rows {
			t.Errorf("%d rows in the block, %d in the letter", b.Rows(), l.Rows)
		}
		refused += b.Rows()
	}
	if int64(refused) != dead {
		t.Errorf("%d calls in dead letters, %d counted", refused, dead)
	}
}

func TestRefusedLoginIsRetried(t *testing.T) {
	// Not the embedded engine: a wrong password ends it. A server that hangs up
	// stands for all that refuse a login.
	l, err := net.Listen("tcp", "127.0.0.1:0")
	testkit.Must(t, err)
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			conn, err := l.Accept()
			if errors.Is(err, net.ErrClosed) {
				return
			}
			testkit.Must(t, err)
			_, _ = io.ReadAtLeast(conn, make([]byte, 1), 1)
			_ = conn.Close()
		}
	})
	dir := t.TempDir()
	lines := newAccessLog(t, dir)
	lines.write(10)
	c := start(t, testConfig(dir, lines.path), clickhouse.Options{Addr: []string{l.Addr().String()}})
	testkit.Eventually(t, "delivery fails", func() bool { return c.Stats().Failing })
	c.stop()
	testkit.Must(t, l.Close())
	wg.Wait()
	if s := c.Stats(); s.Unstored != 10 || s.DeadRows != 0 {
		t.Errorf("%+v", s)
	}
}
