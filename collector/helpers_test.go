package collector

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/kongdao/kongdao/api"
	schema "github.com/kongdao/kongdao/deploy/clickhouse"
	"github.com/kongdao/kongdao/deploy/embedded"
	"github.com/kongdao/kongdao/deploy/embedded/embeddedtest"
	"github.com/kongdao/kongdao/internal/calllog"
	"github.com/kongdao/kongdao/internal/clickhouse"
	"github.com/kongdao/kongdao/internal/testkit"
)

func TestMain(m *testing.M) {
	if os.Getenv(ingestEnv) != "" {
		os.Exit(ingest())
	}
	if os.Getenv(childEnv) != "" {
		os.Exit(collectUntilKilled())
	}
	embeddedtest.Main(m)
}

// begin is when call 0 happened: lately, because the tables drop what is old.
var begin = time.Now().Add(-time.Hour).Truncate(time.Hour).UnixMicro()

// line is the access log's line of call n. Everything in it follows from n.
func line(n int) string {
	made := []any{
		"\x1ek1", begin + int64(n)*1000, 1000 + n%500, 1, 700, 900, status(n), "-", "via_upstream", 1, 10, 100 + n%7,
		"t", function(n), "r1", function(n) + "/0", fmt.Sprintf("zb-%c", 'a'+n%3), "127.0.0.1:9101", "127.0.0.1",
	}
	user := []string{
		"-", "GET", fmt.Sprintf("00000000-0000-4000-8000-%012x", n), "-", loadTest(n), "h.example", fmt.Sprintf("/p?n=%d", n), "test",
	}
	var b strings.Builder
	for _, v := range made {
		fmt.Fprintf(&b, "%v\t", v)
	}
	return b.String() + strings.Join(user, "\x1f") + "\n"
}

func function(n int) string { return fmt.Sprintf("fn-%d", n%5) }

func status(n int) int {
	if n%10 == 9 {
		return 503
	}
	return 200
}

func loadTest(n int) string {
	if n%20 == 0 {
		return "run-1"
	}
	return "-"
}

// accessLog is the file that Envoy would write.
type accessLog struct {
	t    testing.TB
	path string
	file *os.File
	n    int // lines so far
}

func newAccessLog(t testing.TB, dir string) *accessLog {
	t.Helper()
	path := filepath.Join(dir, "access.log")
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o640)
	testkit.Must(t, err)
	t.Cleanup(func() { _ = f.Close() })
	return &accessLog{t: t, path: path, file: f}
}

// write appends the next lines, in writes that do not end with lines, as Envoy's
// buffer does.
func (a *accessLog) write(lines int) {
	a.t.Helper()
	var b strings.Builder
	for range lines {
		b.WriteString(line(a.n))
		a.n++
	}
	text := b.String()
	for len(text) > 0 {
		part := min(len(text), 16383)
		_, err := a.file.WriteString(text[:part])
		testkit.Must(a.t, err)
		text = text[part:]
	}
}

func testConfig(dir, accessLog string) Config {
	cfg := DefaultConfig()
	cfg.Dir = filepath.Join(dir, "collector")
	cfg.AccessLog, cfg.Gateway, cfg.Zone = accessLog, "gw-1", "zb-a"
	cfg.FlushInterval = api.Duration(20 * time.Millisecond)
	return cfg
}

// migrated is an engine with the tables.
func migrated(t testing.TB) *embedded.Engine {
	t.Helper()
	e := embeddedtest.Start(t)
	_, err := schema.Migrate(testkit.Context(t), e.Options())
	testkit.Must(t, err)
	return e
}

// running is a collector in this process.
type running struct {
	*Collector
	t    testing.TB
	reg  *prometheus.Registry
	stop func()
}

func start(t testing.TB, cfg Config, server clickhouse.Options) *running {
	t.Helper()
	reg := prometheus.NewRegistry()
	c, err := New(cfg, server, testLog(t), reg)
	testkit.Must(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	stopped := false
	stop := func() {
		t.Helper()
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; err != nil {
			t.Errorf("collector: %v", err)
		}
	}
	t.Cleanup(stop)
	return &running{Collector: c, t: t, reg: reg, stop: stop}
}

// settle waits until n calls were read since the start, and all are stored.
func (r *running) settle(n int) {
	r.t.Helper()
	testkit.Eventually(r.t, fmt.Sprintf("%d calls read", n), func() bool { return r.Stats().Read >= int64(n) })
	testkit.Must(r.t, r.Drain(testkit.Context(r.t)))
}

func testLog(t testing.TB) *slog.Logger {
	if testing.Verbose() {
		return slog.New(slog.NewTextHandler(t.Output(), nil))
	}
	return slog.New(slog.DiscardHandler)
}

// rows is how many calls are stored; false when ClickHouse does not answer.
func rows(t testing.TB, o clickhouse.Options) (n uint64, ok bool) {
	t.Helper()
	c, err := clickhouse.New(o)
	testkit.Must(t, err)
	defer func() { testkit.Must(t, c.Close()) }()
	return n, c.QueryRow(testkit.Context(t), "SELECT count() FROM calls").Scan(&n) == nil
}

// allStored waits until as many calls as lines are stored, stops r, which makes
// sure that no insert is halfway, and checks them.
func (r *running) allStored(o clickhouse.Options, lines int) {
	r.t.Helper()
	testkit.Eventually(r.t, fmt.Sprintf("%d calls stored", lines), func() bool {
		n, ok := rows(r.t, o)
		return ok && n >= uint64(lines)
	})
	testkit.Must(r.t, r.Drain(testkit.Context(r.t)))
	r.stop()
	want(r.t, o, lines)
}

func open(t testing.TB, o clickhouse.Options) *clickhouse.Client {
	t.Helper()
	c, err := clickhouse.Open(testkit.Context(t), o)
	testkit.Must(t, err)
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// want checks that lines 0 to n-1 are stored, each once, here and in every rollup.
func want(t testing.TB, o clickhouse.Options, n int) {
	t.Helper()
	c := open(t, o)
	ctx := testkit.Context(t)
	var rows, ids, bytes, errors, sum uint64
	testkit.Must(t, c.QueryRow(ctx, `SELECT count(), uniqExact(request_id), sum(bytes_out), countIf(status >= 500), sum(toUInt64(extract(path, 'n=(\\d+)'))) FROM calls`).
		Scan(&rows, &ids, &bytes, &errors, &sum))
	var wantBytes, wantErrors, wantSum uint64
	for i := range n {
		wantBytes += uint64(100 + i%7)
		wantSum += uint64(i)
		if status(i) >= 500 {
			wantErrors++
		}
	}
	if rows != uint64(n) || ids != uint64(n) || sum != wantSum {
		t.Fatalf("%d rows of %d different calls, want %d of each", rows, ids, n)
	}
	if bytes != wantBytes || errors != wantErrors {
		t.Fatalf("%d bytes and %d errors, want %d and %d", bytes, errors, wantBytes, wantErrors)
	}
	for _, table := range schema.Rollups() {
		var calls, failed, out uint64
		testkit.Must(t, c.QueryRow(ctx, "SELECT sum(calls), sum(errors), sum(bytes_out) FROM "+table.Name).Scan(&calls, &failed, &out))
		if calls != uint64(n) || failed != wantErrors || out != wantBytes {
			t.Fatalf("%s: %d calls, %d errors, %d bytes, want %d, %d, %d", table.Name, calls, failed, out, n, wantErrors, wantBytes)
		}
	}
}

func TestLineParses(t *testing.T) {
	var r calllog.Record
	testkit.Must(t, calllog.ParseText([]byte(line(40)), &r))
	if string(r.Function) != "fn-0" || string(r.LoadTest) != "run-1" || r.Status != 200 || r.BytesOut != 105 {
		t.Fatalf("%+v", r)
	}
}
