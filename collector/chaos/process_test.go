package chaos

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"testing"

	"github.com/kongdao/kongdao/internal/testkit"
)

// process is a collector that runs on its own and can be killed.
type process struct {
	cmd *exec.Cmd
	als string

	mu  sync.Mutex // one question at a time
	in  io.WriteCloser
	out *bufio.Scanner
}

// startProcess starts a collector whose log goes to the end of logFile.
func startProcess(l life, logFile string) (*process, error) {
	text, err := json.Marshal(l)
	if err != nil {
		return nil, err
	}
	log, err := os.OpenFile(logFile, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	p := &process{cmd: exec.Command(os.Args[0])}
	p.cmd.Env = append(os.Environ(), childEnv+"="+string(text))
	p.cmd.Stderr = log
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	p.out = bufio.NewScanner(out)
	p.out.Buffer(nil, 1<<20)
	first, err := p.read()
	if err != nil {
		p.kill()
		return nil, fmt.Errorf("collector did not start: %w", err)
	}
	p.als = first.ALS
	return p, nil
}

func (p *process) read() (a answer, err error) {
	if !p.out.Scan() {
		return a, errors.Join(errors.New("collector says nothing more"), p.out.Err())
	}
	if err := json.Unmarshal(p.out.Bytes(), &a); err != nil {
		return a, err
	}
	if a.Err != "" {
		return a, errors.New(a.Err)
	}
	return a, nil
}

// ask puts one question: stats or drain.
func (p *process) ask(question string) (answer, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, err := fmt.Fprintln(p.in, question); err != nil {
		return answer{}, err
	}
	return p.read()
}

func (p *process) stats(t testing.TB) answer {
	t.Helper()
	a, err := p.ask("stats")
	testkit.Must(t, err)
	return a
}

func (p *process) kill() {
	_ = p.cmd.Process.Signal(syscall.SIGKILL) // gone already is as good
	_ = p.cmd.Wait()
}
