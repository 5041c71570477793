package envoy

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/kongdao/kongdao/internal/testkit"
)

// beParent runs a gateway, prints Envoy's process id when it is ready, and waits
// to be killed.
func beParent(dir string) {
	if err := runParent(dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func runParent(dir string) error {
	httpPort, err := FreePort("127.0.0.1")
	if err != nil {
		return err
	}
	cfg := DefaultConfig()
	cfg.Dir, cfg.NodeID, cfg.Concurrency = dir, testNode, 1
	cfg.HTTPAddr = net.JoinHostPort("127.0.0.1", strconv.Itoa(httpPort))
	cfg.XDSAddr, _, err = serveXDS("127.0.0.1:0", cfg.HTTPAddr, filepath.Join(dir, "calls.log"), 200)
	if err != nil {
		return err
	}
	g, err := New(cfg, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	if err != nil {
		return err
	}
	end := make(chan error, 1)
	go func() { end <- g.Run(context.Background()) }()
	if err := g.Ready(context.Background()); err != nil {
		return err
	}
	fmt.Println(g.PID())
	return <-end
}

// startParent returns a process that runs a gateway from dir, and its Envoy.
func startParent(t *testing.T, dir string) (*exec.Cmd, int) {
	t.Helper()
	parent := exec.Command(os.Args[0])
	parent.Env = append(os.Environ(), parentDir+"="+dir)
	parent.Stderr = t.Output()
	out, err := parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = parent.Process.Kill() // most tests have killed it already
		_ = parent.Wait()
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("the parent said nothing: %v", err)
	}
	pid, err := strconv.Atoi(line[:len(line)-1])
	if err != nil {
		t.Fatal(err)
	}
	return parent, pid
}

func TestEnvoyDiesWithItsKilledParent(t *testing.T) {
	parent, pid := startParent(t, t.TempDir())
	if !alive(pid) {
		t.Fatal("no envoy to begin with")
	}
	if err := parent.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, "the end of envoy", func() bool { return !alive(pid) })
}

func TestHungOrphanIsEndedByTheNextOwner(t *testing.T) {
	dir := t.TempDir()
	parent, pid := startParent(t, dir)
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	if err := parent.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = parent.Wait() // it was killed
	if !alive(pid) {
		t.Fatal("the orphan is gone already, so nothing is tested")
	}
	cfg := DefaultConfig()
	cfg.Dir, cfg.XDSAddr = dir, "127.0.0.1:1"
	cfg.StopTimeout = 1 // nanosecond: it is stopped and obeys nothing but SIGKILL
	g := mustNew(t, cfg)
	defer g.Close()
	if alive(pid) {
		t.Error("the orphan lives on")
	}
}
