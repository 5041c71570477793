package embedded

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
)

// maxLogBytes is when engine.log is put aside as engine.log.1, looked at before
// each start. The engine logs fatal errors only: a crash leaves about 20 KB.
const maxLogBytes = 4 << 20

// process is one life of the engine, seen from the parent.
type process struct {
	pid   int
	stdin io.Closer // closing it asks the child to leave
	done  chan struct{}
	err   error // how it ended, nil for exit code 0; to be read after done

	log    string // file that has its standard error
	logEnd int64  // size of that file before this life
}

// startProcess starts the engine with args of clickhouse local. Standard error
// goes straight to a file: it is not ours, and it outlives us.
func startProcess(dir, lib string, args []string) (*process, error) {
	exe, err := executable()
	if err != nil {
		return nil, err
	}
	p := &process{done: make(chan struct{}), log: filepath.Join(dir, logFile)}
	log, err := openLog(p.log)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	if info, err := log.Stat(); err == nil {
		p.logEnd = info.Size()
	}
	work, err := makeGate(dir)
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(exe, append([]string{childArgument, runArgument, lib}, args...)...)
	cmd.Args[0] = "kongdao"
	cmd.Dir, cmd.Env = work, childEnvironment()
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = attributes()
	if p.stdin, err = cmd.StdinPipe(); err != nil {
		return nil, err
	}
	started := make(chan error)
	go p.run(cmd, started)
	return p, <-started
}

// run keeps one thread for the child's life, because the kernel takes the end of
// the thread that started a child for the end of the parent.
func (p *process) run(cmd *exec.Cmd, started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	err := cmd.Start()
	if err == nil {
		p.pid = cmd.Process.Pid
	}
	started <- err
	if err != nil {
		return
	}
	p.err = cmd.Wait()
	close(p.done)
}

// kill ends the child and what it may have started, and waits.
func (p *process) kill() {
	// The group of a child that was not waited for cannot be another's.
	_ = syscall.Kill(-p.pid, syscall.SIGKILL) // fails only when it is gone
	<-p.done
}

// lastWords is the first line that this life wrote, which says why it ended.
func (p *process) lastWords() string {
	f, err := os.Open(p.log)
	if err != nil {
		return ""
	}
	defer f.Close()
	text := make([]byte, 64<<10)
	n, err := f.ReadAt(text, p.logEnd)
	if err != nil && !errors.Is(err, io.EOF) {
		return ""
	}
	line, _, _ := bytes.Cut(bytes.TrimSpace(text[:n]), []byte("\n"))
	return string(line[:min(len(line), 400)])
}

func openLog(name string) (*os.File, error) {
	if info, err := os.Stat(name); err == nil && info.Size() > maxLogBytes {
		if err := os.Rename(name, name+".1"); err != nil {
			return nil, err
		}
	}
	return os.OpenFile(name, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
}
