package calllogtest

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/kongdao/kongdao/internal/calllog"
)

// Options say how a gateway logs. The zero value is a file, written every 10 ms, in
// the format of package calllog.
type Options struct {
	LogPath     string        // the file; empty: one of its own
	NoFile      bool          // none
	Format      string        // of its lines; empty: calllog's
	Flush       time.Duration // how often it is written; 0: every 10 ms
	ALS         string        // host:port of the access log service; empty: none
	ALSDefaults bool          // buffered as Envoy does by itself, not for 50 ms at most
	Headers     []string      // request headers that the logs keep
	Pod         string        // host:port that answers /feed; empty: see Start
}

// StartWith is Start with other ways to log.
func StartWith(t testing.TB, o Options) *Gateway {
	t.Helper()
	keep, err := calllog.NewHeaders(o.Headers)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	g := &Gateway{LogPath: o.LogPath, Pod: o.Pod, options: o, dir: dir}
	if g.LogPath == "" {
		g.LogPath = filepath.Join(dir, "access.log")
	}
	if g.Pod == "" {
		g.Pod = pod(t)
	}
	config, err := json.Marshal(bootstrap(g, o.ALS, keep))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "envoy.json"), config, 0o600); err != nil {
		t.Fatal(err)
	}
	g.Run(t)
	return g
}

// Run starts the gateway again after End, on another port, with the same log.
func (g *Gateway) Run(t testing.TB) {
	t.Helper()
	binary, err := find()
	if err != nil {
		t.Fatal(err)
	}
	flush := g.options.Flush
	if flush == 0 {
		flush = 10 * time.Millisecond
	}
	adminFile := filepath.Join(g.dir, "admin")
	_ = os.Remove(adminFile) // of the run before
	var stderr strings.Builder
	cmd := exec.Command(binary, "-c", filepath.Join(g.dir, "envoy.json"), "--concurrency", "1", "--log-level", "error", "--use-dynamic-base-id",
		"--file-flush-interval-msec", strconv.FormatInt(flush.Milliseconds(), 10), "--admin-address-path", adminFile)
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	g.cmd = cmd
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it may have ended
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("envoy: %s", stderr.String())
		}
	})
	Await(t, "envoy is ready", func() bool { return g.ready(adminFile) })
}

// End sends the signal and waits until the gateway has ended.
func (g *Gateway) End(t testing.TB, signal syscall.Signal) {
	t.Helper()
	if err := g.cmd.Process.Signal(signal); err != nil {
		t.Fatal(err)
	}
	_ = g.cmd.Wait() // the signal is its reason
}

// CPU is what the gateway has used of the processor, user and system, in steps of
// 10 ms.
func (g *Gateway) CPU(t testing.TB) time.Duration {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", g.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), ") ") // behind the name, fields count from 3
	fields := strings.Fields(rest)
	const tick = 10 * time.Millisecond // USER_HZ is 100 on every Linux that Go runs on
	var ticks int
	for _, field := range fields[14-3 : 16-3] {
		n, err := strconv.Atoi(field)
		if err != nil {
			t.Fatal(err)
		}
		ticks += n
	}
	return time.Duration(ticks) * tick
}

// Stat is the value of one of Envoy's counters or gauges; 0 when there is none.
func (g *Gateway) Stat(t testing.TB, name string) int {
	t.Helper()
	text, err := g.admin(context.Background(), http.MethodGet, "/stats?filter=^"+name+"$")
	if err != nil {
		t.Fatal(err)
	}
	_, value, _ := strings.Cut(strings.TrimSpace(text), ": ")
	n, _ := strconv.Atoi(value)
	return n
}
