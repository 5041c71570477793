package envoy

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// process is a running Envoy.
type process struct {
	cmd   *exec.Cmd
	ended chan struct{} // closed once it has
	admin admin
}

// runOnce starts Envoy and waits for its end, or for that of one that took its
// place; it brings the end about when ctx ends. It says how the process ended, or
// why it could not be started.
func (g *Gateway) runOnce(ctx context.Context) (end string, err error) {
	p, err := g.launch(g.admin())
	if err != nil {
		return "", err
	}
	g.current(p)
	defer func() { g.forget(p) }()
	for {
		select {
		case <-p.ended:
			return p.cmd.ProcessState.String(), nil
		case done := <-g.replace:
			if !g.lived.Load() {
				g.stop(p) // it serves nobody
				done <- nil
				continue
			}
			next, err := g.succeed(ctx, p)
			if err == nil {
				p = next
			}
			done <- err
		case <-ctx.Done():
			g.drain(g.cfg.Drain.Std())
			g.stop(p)
			return p.cmd.ProcessState.String(), nil
		}
	}
}

// launch starts an Envoy with this admin port.
func (g *Gateway) launch(at admin) (*process, error) {
	if err := g.writeBootstrap(at.addr); err != nil {
		return nil, err
	}
	output, err := g.openLog()
	if err != nil {
		return nil, err
	}
	defer output.Close() // the process has its own
	p := &process{cmd: g.command(output), ended: make(chan struct{}), admin: at}
	started := make(chan error, 1)
	go func() {
		// Pdeathsig fires when the *thread* that started the child ends. The Go
		// runtime ends threads as it likes, but not the one of a locked goroutine.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer close(p.ended)
		err := p.cmd.Start()
		started <- err
		if err == nil {
			_ = p.cmd.Wait() // the state tells more
		}
	}()
	if err := <-started; err != nil {
		<-p.ended
		return nil, fmt.Errorf("start %s: %w", g.binary.Path, err)
	}
	g.running = append(g.running, p)
	if err := g.remember(); err != nil {
		g.stop(p)
		g.forget(p)
		return nil, err
	}
	g.log.Info("envoy started", "pid", p.cmd.Process.Pid, "version", g.binary.Version, "addr", g.Addr(), "admin", at.addr)
	return p, nil
}

// current makes a process the one that takes calls.
func (g *Gateway) current(p *process) {
	before := g.at.Swap(&p.admin)
	g.pid.Store(int64(p.cmd.Process.Pid))
	if before != nil && before.addr == p.admin.addr {
		return
	}
	select {
	case g.moved <- struct{}{}:
	default:
	}
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
		"--drain-strategy", "immediate", // a drain asks every client to close, not a growing share of them
	)
	cmd.Stdout, cmd.Stderr = output, output
	cmd.Dir = g.cfg.Dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	return cmd
}

// stop ends Envoy: SIGTERM, and SIGKILL when that is not obeyed in time.
func (g *Gateway) stop(p *process) {
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		g.log.Warn("envoy cannot be signalled", "error", err)
	}
	timeout := time.NewTimer(g.cfg.StopTimeout.Std())
	defer timeout.Stop()
	select {
	case <-p.ended:
		return
	case <-timeout.C:
	}
	g.log.Warn("envoy did not stop in time, killing it", "timeout", g.cfg.StopTimeout.Std())
	_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL) // it may have ended just now
	<-p.ended
}

func (g *Gateway) pidFile() string { return filepath.Join(g.cfg.Dir, "envoy.pid") }

// remember writes down which processes run, the one that takes calls first.
func (g *Gateway) remember() error {
	var text strings.Builder
	for _, p := range g.running {
		fmt.Fprintln(&text, p.cmd.Process.Pid)
	}
	return os.WriteFile(g.pidFile(), []byte(text.String()), 0o600)
}

// forget is for a process that has ended.
func (g *Gateway) forget(p *process) {
	g.running = slices.DeleteFunc(g.running, func(other *process) bool { return other == p })
	if len(g.running) > 0 {
		if err := g.remember(); err != nil {
			g.log.Warn("envoy's process id is not written down", "error", err)
		}
		return
	}
	g.pid.Store(0)
	_ = os.Remove(g.pidFile()) // a stale one is checked before it is believed
}
