package collector

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/kongdao/kongdao/deploy/embedded"
	"github.com/kongdao/kongdao/internal/calllog/calllogtest"
	"github.com/kongdao/kongdao/internal/clickhouse"
	"github.com/kongdao/kongdao/internal/testkit"
)

// callers send numbered calls to a gateway, at a steady rate, and know which were
// answered.
type callers struct {
	answered atomic.Int64
	stop     chan struct{}
	done     sync.WaitGroup
}

// steady sends calls to addr until stopped or until the gateway is gone, workers at a
// time, rate a second together.
func steady(addr string, workers int, rate float64) *callers {
	c := &callers{stop: make(chan struct{})}
	for range workers {
		c.done.Go(func() { c.work(addr, time.Duration(float64(time.Second)*float64(workers)/rate)) })
	}
	return c
}

func (c *callers) work(addr string, every time.Duration) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return
	}
	defer conn.Close()
	answers := bufio.NewReader(conn)
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-c.stop:
			return
		case <-tick.C:
		}
		if _, err := fmt.Fprintf(conn, "GET /feed HTTP/1.1\r\nHost: h\r\n\r\n"); err != nil {
			return
		}
		resp, err := http.ReadResponse(answers, nil)
		if err != nil {
			return
		}
		_, err = io.Copy(io.Discard, resp.Body)
		if err != nil || resp.StatusCode != http.StatusOK {
			return
		}
		c.answered.Add(1)
	}
}

// finish ends the calls in order, or waits until they have ended, as their gateway
// is gone.
func (c *callers) finish() int {
	close(c.stop)
	c.done.Wait()
	return int(c.answered.Load())
}

func (c *callers) await(t testing.TB, n int64) {
	t.Helper()
	n += c.answered.Load()
	testkit.Eventually(t, fmt.Sprintf("%d calls are answered", n), func() bool { return c.answered.Load() >= n })
}

// child is a collector in a process of its own, to be killed.
func child(t testing.TB, dir, log string, engine *embedded.Engine, admin string) *exec.Cmd {
	t.Helper()
	o := engine.Options()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"=1")
	for i, v := range []string{dir, log, engine.Addr(), o.Password.Reveal(), o.User, admin} {
		cmd.Env = append(cmd.Env, fmt.Sprintf("%s_%d=%s", childEnv, i+1, v))
	}
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	testkit.Must(t, err)
	testkit.Must(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it may have ended
		_ = cmd.Wait()
	})
	said := bufio.NewScanner(out)
	if !said.Scan() || said.Text() != "ready" {
		t.Fatalf("child: %s", said.Text())
	}
	return cmd
}

func killed(t testing.TB, cmd *exec.Cmd) {
	t.Helper()
	testkit.Must(t, cmd.Process.Kill())
	_ = cmd.Wait()
}

// distinct is how many calls are stored, and how many different ones.
func distinct(t testing.TB, o clickhouse.Options) (rows, ids uint64) {
	t.Helper()
	testkit.Must(t, open(t, o).QueryRow(testkit.Context(t), "SELECT count(), uniqExact(request_id) FROM calls").Scan(&rows, &ids))
	return rows, ids
}

// settled waits until as many calls as n are stored, as long as there are more from
// minute to minute: each block may have been sent before and is looked up first. It
// gives what is stored then.
func settled(t testing.TB, r *running, o clickhouse.Options, n int) (got, ids uint64) {
	t.Helper()
	for before := uint64(0); got < uint64(n); before = got {
		testkit.Eventually(t, fmt.Sprintf("more than %d of %d calls are stored", before, n), func() (more bool) {
			got, more = rows(t, o)
			return more && got > before
		})
	}
	testkit.Must(t, r.Drain(testkit.Context(t)))
	r.stop()
	return distinct(t, o)
}

// A real Envoy under load, its log rotated more than twenty times, the reader killed
// again and again: the rows are the calls, exactly, and no rotated file is left.
func TestRotationUnderLoad(t *testing.T) {
	engine := migrated(t)
	dir := t.TempDir()
	g := calllogtest.Start(t, "")
	calls := steady(g.Addr, 8, 1500)
	rotations := 0
	for range 3 {
		cmd := child(t, dir, g.LogPath, engine, g.Admin)
		seen, last := 0, sequence(t, g.LogPath)
		testkit.Eventually(t, "the log is rotated seven times", func() bool {
			now := sequence(t, g.LogPath)
			if now != last && now > 0 { // numbers begin anew when nothing rotated is left
				seen++
			}
			last = now
			return seen >= 7
		})
		killed(t, cmd)
		rotations += seen
	}
	n := calls.finish()
	t.Logf("%d calls, %d rotations or more", n, rotations)
	cfg := testConfig(dir, g.LogPath)
	cfg.RotateBytes, cfg.FileBytes, cfg.Reopen = childRotate, 0, g.Reopen
	c := start(t, cfg, engine.Options())
	testkit.Eventually(t, "rotated files are removed", func() bool {
		left, err := filepath.Glob(g.LogPath + ".*")
		testkit.Must(t, err)
		return len(left) == 0
	})
	if got, ids := settled(t, c, engine.Options(), n); got != uint64(n) || ids != uint64(n) {
		t.Errorf("%d calls answered, %d rows of %d different calls", n, got, ids)
	}
}

// sequence is the number of the newest rotated file; 0 when there is none now.
func sequence(t testing.TB, log string) (newest int) {
	t.Helper()
	names, err := filepath.Glob(log + ".*")
	testkit.Must(t, err)
	for _, name := range names {
		var n int
		if _, err := fmt.Sscanf(name[len(log):], ".%d", &n); err == nil {
			newest = max(newest, n)
		}
	}
	return newest
}

// Envoy and the collector end and start in every order, with rotated files left over
// from before: each answered call is stored once.
func TestEndsInEveryOrder(t *testing.T) {
	engine := migrated(t)
	dir := t.TempDir()
	log := filepath.Join(dir, "access.log")
	n := 0
	answered := func(g *calllogtest.Gateway) {
		t.Helper()
		calls := steady(g.Addr, 4, 1000)
		calls.await(t, 300)
		n += calls.finish()
	}
	g := calllogtest.StartWith(t, calllogtest.Options{LogPath: log})
	cfg := testConfig(dir, log)
	cfg.RotateBytes, cfg.FileBytes, cfg.Reopen = 20_000, 0, g.Reopen
	c := start(t, cfg, engine.Options())
	answered(g)
	c.stop()
	answered(g) // the collector is down
	g.End(t, syscall.SIGTERM)
	testkit.Must(t, os.Rename(log, log+".000000000900")) // both are down: rotated, and nobody reopened
	g.Run(t)
	answered(g)
	g.End(t, syscall.SIGTERM)
	c = start(t, cfg, engine.Options()) // Envoy is down
	testkit.Eventually(t, "what is left is read", func() bool { return c.Stats().Read > 0 })
	g.Run(t)
	answered(g)
	cmd := child(t, t.TempDir(), filepath.Join(t.TempDir(), "none"), engine, "") // another one does no harm
	killed(t, cmd)
	c.stop()
	answered(g)
	g.End(t, syscall.SIGTERM)
	g.Run(t)
	c = start(t, cfg, engine.Options())
	answered(g)
	if got, ids := settled(t, c, engine.Options(), n); got != uint64(n) || ids != uint64(n) {
		t.Errorf("%d calls answered, %d rows of %d different calls", n, got, ids)
	}
}

// An Envoy that cannot write its log answers all the same: what the documents say of
// a full disk. Only its own counter tells.
func TestEnvoyOnAFullDisk(t *testing.T) {
	log := filepath.Join(t.TempDir(), "access.log")
	testkit.Must(t, os.Symlink("/dev/full", log))
	g := calllogtest.StartWith(t, calllogtest.Options{LogPath: log})
	calls := steady(g.Addr, 4, 1000)
	calls.await(t, 200)
	testkit.Eventually(t, "writes fail", func() bool { return g.Stat(t, "filesystem.write_failed") > 0 })
	calls.await(t, 200)
	calls.finish()
}
