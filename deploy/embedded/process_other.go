//go:build unix && !linux

package embedded

import (
	"os"
	"syscall"
	"time"
)

func executable() (string, error) { return os.Executable() }

// attributes: a process group of its own. The closed standard input ends a child
// whose parent died.
func attributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

func (p *process) awaitSomewhere() { time.Sleep(10 * time.Millisecond) }
