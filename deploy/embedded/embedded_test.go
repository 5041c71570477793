package embedded_test

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/kongdao/kongdao/deploy/embedded"
	"github.com/kongdao/kongdao/deploy/embedded/embeddedtest"
	"github.com/kongdao/kongdao/internal/clickhouse"
)

func TestMain(m *testing.M) { embeddedtest.Main(m) }

func TestRowsSurviveAStop(t *testing.T) {
	dir := t.TempDir()
	e, stop := embeddedtest.StartIn(t, dir)
	pid := e.PID()
	c := open(t, e.Options())
	execute(t, c, "CREATE TABLE kept (i UInt64) ENGINE = MergeTree ORDER BY i")
	execute(t, c, "INSERT INTO kept SELECT number FROM numbers(1000)")
	stop()
	if running(pid) {
		t.Errorf("process %d is still there after Run has returned", pid)
	}

	again, _ := embeddedtest.StartIn(t, dir)
	if n := number(t, open(t, again.Options()), "SELECT count() FROM kept"); n != 1000 {
		t.Errorf("found %d rows after a stop and a start, want 1000", n)
	}
}

func TestTwoEnginesInOneProcess(t *testing.T) {
	a, b := embeddedtest.Start(t), embeddedtest.Start(t)
	if a.Addr() == b.Addr() || a.HTTPAddr() == b.HTTPAddr() || a.PID() == b.PID() {
		t.Errorf("the engines share something: %s %s %d and %s %s %d", a.Addr(), a.HTTPAddr(), a.PID(), b.Addr(), b.HTTPAddr(), b.PID())
	}
	execute(t, open(t, a.Options()), "CREATE TABLE only_a (i UInt64) ENGINE = MergeTree ORDER BY i")
	if n := number(t, open(t, b.Options()), "SELECT count() FROM system.tables WHERE name = 'only_a'"); n != 0 {
		t.Error("a table of one engine is in the other")
	}
}

func TestMemoryIsBounded(t *testing.T) {
	c := open(t, embeddedtest.Start(t).Options())
	for setting, want := range map[string]uint64{
		"max_server_memory_usage": uint64(embedded.DefaultConfig().MaxMemoryBytes),
		"mark_cache_size":         64 << 20,
		"index_mark_cache_size":   16 << 20,
		"background_pool_size":    2,
	} {
		if n := number(t, c, "SELECT toUInt64(value) FROM system.server_settings WHERE name = '"+setting+"'"); n != want {
			t.Errorf("%s is %d, want %d", setting, n, want)
		}
	}
}

func TestRights(t *testing.T) {
	e := embeddedtest.Start(t)
	app := open(t, e.Options())
	execute(t, app, "CREATE TABLE t (i UInt64) ENGINE = MergeTree ORDER BY i")
	execute(t, app, "INSERT INTO t VALUES (1)")

	script := e.Options()
	script.User, script.Password = "default", ""
	const notAllowed, exception = 497, 1001
	for _, c := range []struct {
		name      string
		options   clickhouse.Options
		statement string
		code      int32
	}{
		{"the engine's own user reads no table", script, "SELECT * FROM t", notAllowed},
		{"the engine's own user reads no file", script, "SELECT * FROM file('users.xml', 'LineAsString', 'x String')", exception},
		{"the engine's own user writes nothing", script, "INSERT INTO t VALUES (2)", notAllowed},
		{"an analyst reads", e.AnalystOptions(), "SELECT * FROM t", 0},
		{"an analyst writes nothing", e.AnalystOptions(), "INSERT INTO t VALUES (2)", notAllowed},
		{"an analyst reads no file", e.AnalystOptions(), "SELECT * FROM file('/etc/passwd', 'LineAsString', 'x String')", exception},
		{"the function file is no way around", e.AnalystOptions(), "SELECT file('/etc/passwd')", exception},
		{"nor is it with a default", e.AnalystOptions(), "SELECT file('/etc/passwd', 'x')", exception},
		{"nor with a relative path", e.AnalystOptions(), "SELECT file('users.xml')", exception},
		{"nobody reads files, because views run as others", e.Options(), "SELECT file('/etc/passwd')", exception},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := open(t, c.options).Exec(context.Background(), c.statement)
			if got := clickhouse.Code(err); got != c.code || (err != nil) != (c.code != 0) {
				t.Errorf("got %v, want code %d", err, c.code)
			}
		})
	}
	if e.Restarts() != 0 {
		t.Errorf("the engine was started again %d times", e.Restarts())
	}
}

func TestSecretsAreNotOnDisk(t *testing.T) {
	dir := t.TempDir()
	e, _ := embeddedtest.StartIn(t, dir)
	for _, name := range []string{"users.xml", "config.xml"} {
		file := filepath.Join(dir, name)
		info, err := os.Stat(file)
		if err != nil {
			t.Fatal(err)
		}
		if mode := info.Mode().Perm(); mode != 0o600 {
			t.Errorf("%s has mode %o, want 600", name, mode)
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range []clickhouse.Options{e.Options(), e.AnalystOptions()} {
			if o.Password == "" || strings.Contains(string(text), o.Password.Reveal()) {
				t.Errorf("%s holds the password of %s", name, o.User)
			}
		}
	}
}

func open(t *testing.T, o clickhouse.Options) *clickhouse.Client {
	t.Helper()
	c, err := clickhouse.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

func execute(t *testing.T, c *clickhouse.Client, statement string) {
	t.Helper()
	if err := c.Exec(context.Background(), statement); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

func number(t *testing.T, c *clickhouse.Client, query string) uint64 {
	t.Helper()
	var n uint64
	if err := c.QueryRow(context.Background(), query).Scan(&n); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return n
}

// running says whether a process exists and is not a zombie that waits for init.
func running(pid int) bool {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return false
	}
	_, afterName, _ := strings.Cut(string(stat), ") ")
	return !strings.HasPrefix(afterName, "Z")
}

func kill(t *testing.T, pid int) {
	t.Helper()
	if pid == 0 {
		t.Fatal("no process to kill")
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }
