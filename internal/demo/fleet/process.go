package fleet

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os/exec"
	"syscall"
)

// Process is the process of one zone seen from its parent.
type Process struct {
	Spec ZoneSpec // with the real addresses

	cmd   *exec.Cmd
	stdin io.Closer
	done  chan struct{} // closed when the process has ended
}

// Start runs command, whose main must call [ServeZone] with its standard input
// and output, and waits until it has told its addresses.
func Start(ctx context.Context, command []string, spec ZoneSpec) (*Process, error) {
	p := &Process{done: make(chan struct{})}
	p.cmd = exec.Command(command[0], command[1:]...)
	// Its own group: Ctrl-C in a terminal is for the parent, which decides.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	stdin, err := p.cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p.stdin = stdin
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start zone %s: %w", spec.Zone, err)
	}
	stop := context.AfterFunc(ctx, func() { _ = p.cmd.Process.Kill() })
	defer stop()
	err = json.NewEncoder(stdin).Encode(spec)
	if err == nil {
		err = json.NewDecoder(stdout).Decode(&p.Spec)
	}
	go func() { _ = p.cmd.Wait(); close(p.done) }()
	if err != nil {
		p.Kill()
		return nil, fmt.Errorf("start zone %s: %w", spec.Zone, err)
	}
	return p, nil
}

// PID is the process id.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Kill ends the process with SIGKILL and waits for its end.
func (p *Process) Kill() {
	_ = p.cmd.Process.Kill()
	<-p.done
}

// Stop closes the process' standard input, which makes it leave by itself, and
// waits for its end; when ctx ends first it is killed.
func (p *Process) Stop(ctx context.Context) {
	_ = p.stdin.Close()
	select {
	case <-p.done:
	case <-ctx.Done():
		p.Kill()
	}
}
