package envoy

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
	"time"
)

// runOnce starts Envoy and waits for its end, which it brings about when ctx
// ends. It says how the process ended, or why it could not be started.
func (g *Gateway) runOnce(ctx context.Context) (end string, err error) {
	output, err := g.openLog()
	if err != nil {
		return "", err
	}
	defer output.Close()
	cmd := g.command(output)
	started := make(chan error, 1)
	ended := make(chan struct{})
	go func() {
		// Pdeathsig fires when the *thread* that started the child ends. The Go
		// runtime ends threads as it likes, but not the one of a locked goroutine.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer close(ended)
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait() // the state tells more
		}
	}()
	if err := <-started; err != nil {
		<-ended
		return "", fmt.Errorf("start %s: %w", g.binary.Path, err)
	}
	g.pid.Store(int64(cmd.Process.Pid))
	defer g.forget()
	if err := g.remember(cmd.Process.Pid); err != nil {
		g.stop(cmd, ended)
		return "", err
	}
	g.log.Info("envoy started", "pid", cmd.Process.Pid, "version", g.binary.Version, "addr", g.Addr(), "admin", g.AdminAddr())
	select {
	case <-ended:
	case <-g.renew:
		g.drain(g.cfg.Drain.Std())
		g.stop(cmd, ended)
	case <-ctx.Done():
		g.drain(g.cfg.Drain.Std())
		g.stop(cmd, ended)
	}
	return cmd.ProcessState.String(), nil
}

// command starts Envoy in a process group of its own, so that Ctrl-C in the
// terminal reaches this process alone, which then stops Envoy in order. SIGTERM
// when this process dies lets Envoy write what its access log holds; calls that it
// answers while it does so may miss the log. An Envoy that does not obey is ended
// by the next owner of the folder.
func (g *Gateway) command(output *os.File) *exec.Cmd {
	cmd := exec.Command(g.binary.Path,
		"-c", g.bootstrapFile(),
		"--use-dynamic-base-id",
		"--concurrency", strconv.Itoa(g.concurrency()),
		"--file-flush-interval-msec", "50", // costs no more than 100, and a kill takes half as many lines
		"--log-level", g.cfg.LogLevel,
	)
	cmd.Stdout, cmd.Stderr = output, output
	cmd.Dir = g.cfg.Dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	return cmd
}

// stop ends Envoy: SIGTERM, and SIGKILL when that is not obeyed in time.
func (g *Gateway) stop(cmd *exec.Cmd, ended <-chan struct{}) {
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		g.log.Warn("envoy cannot be signalled", "error", err)
	}
	timeout := time.NewTimer(g.cfg.StopTimeout.Std())
	defer timeout.Stop()
	select {
	case <-ended:
		return
	case <-timeout.C:
	}
	g.log.Warn("envoy did not stop in time, killing it", "timeout", g.cfg.StopTimeout.Std())
	_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // it may have ended just now
	<-ended
}

func (g *Gateway) pidFile() string { return filepath.Join(g.cfg.Dir, "envoy.pid") }

func (g *Gateway) remember(pid int) error {
	return os.WriteFile(g.pidFile(), []byte(strconv.Itoa(pid)), 0o600)
}

func (g *Gateway) forget() {
	g.pid.Store(0)
	_ = os.Remove(g.pidFile()) // a stale one is checked before it is believed
}
