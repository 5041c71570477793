package envoy

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// ErrDirInUse means that another gateway runs from the folder.
var ErrDirInUse = errors.New("folder in use by another gateway")

// Envoy's own log is put aside when it is larger than this at a start. At level
// warning it grows by a few lines for each change that goes wrong.
const maxLogBytes = 16 << 20

// killTimeout is how long a process may take to go after SIGKILL. The kernel frees
// its memory first, which on a busy machine takes as long as it takes; only one
// that waits for a broken disk never goes.
const killTimeout = 30 * time.Second

// takeDir makes the folder and locks it for as long as the file is open, that is
// at most as long as this process lives.
func takeDir(dir string) (*os.File, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if err == nil {
		return f, nil
	}
	if errors.Is(err, unix.EWOULDBLOCK) {
		err = ErrDirInUse
	}
	return nil, errors.Join(fmt.Errorf("%s: %w", dir, err), f.Close())
}

// reapOrphan ends an Envoy whose owner died and that did not obey the SIGTERM it
// got then, because it hung. The lock is held, so its owner cannot be alive; the
// command line must name our bootstrap, so that a reused process id harms nobody.
func (g *Gateway) reapOrphan() error {
	text, err := os.ReadFile(g.pidFile())
	if err != nil {
		return nil //nolint:nilerr // no file, no orphan
	}
	for _, line := range strings.Fields(string(text)) {
		pid, err := strconv.Atoi(line)
		if err != nil || !g.isOurs(pid) {
			continue
		}
		g.log.Warn("ending an envoy that outlived its owner", "pid", pid)
		if err := g.endOrphan(pid); err != nil {
			return fmt.Errorf("end the orphaned envoy %d: %w", pid, err)
		}
	}
	return os.Remove(g.pidFile())
}

func (g *Gateway) endOrphan(pid int) error {
	signal := syscall.SIGTERM
	for deadline := time.Now().Add(g.cfg.StopTimeout.Std()); ; {
		if err := syscall.Kill(pid, signal); err != nil && !errors.Is(err, syscall.ESRCH) {
			return err
		}
		if !g.isOurs(pid) {
			return nil
		}
		if time.Now().After(deadline) {
			if signal == syscall.SIGKILL {
				return errors.New("it does not end")
			}
			signal, deadline = syscall.SIGKILL, time.Now().Add(killTimeout)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// isOurs is false for a process that is gone, also for one that only waits to be
// collected by its parent: its command line is empty.
func (g *Gateway) isOurs(pid int) bool {
	line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	return err == nil && bytes.Contains(line, []byte("\x00"+g.bootstrapFile()+"\x00"))
}

func (g *Gateway) logFile() string { return filepath.Join(g.cfg.Dir, "envoy.log") }

func (g *Gateway) openLog() (*os.File, error) {
	if info, err := os.Stat(g.logFile()); err == nil && info.Size() > maxLogBytes {
		if err := os.Rename(g.logFile(), g.logFile()+".1"); err != nil {
			return nil, err
		}
	}
	return os.OpenFile(g.logFile(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
}

// lastWords is the last line of Envoy's own log, for messages.
func (g *Gateway) lastWords() string {
	f, err := os.Open(g.logFile())
	if err != nil {
		return ""
	}
	defer f.Close()
	const tail = 2048
	if info, err := f.Stat(); err == nil && info.Size() > tail {
		if _, err := f.Seek(-tail, io.SeekEnd); err != nil {
			return ""
		}
	}
	text, _ := io.ReadAll(f) // a part is as good
	text = bytes.TrimSpace(text)
	return string(text[bytes.LastIndexByte(text, '\n')+1:])
}
