package embedded

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"time"
)

// executable is this program even when its file was replaced by a newer build.
func executable() (string, error) { return "/proc/self/exe", nil }

// attributes: a process group of its own, so that Ctrl-C in a terminal does not
// reach the child, and a child that the kernel kills when the thread that started
// it ends, which [process.run] keeps for as long as the child lives.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// awaitSomewhere waits until the child has a working directory again, which takes
// it microseconds, but not for ever.
func (p *process) awaitSomewhere() {
	for end := time.Now().Add(time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
		dir, err := os.Readlink(fmt.Sprintf("/proc/%d/cwd", p.pid))
		if err != nil || !strings.HasSuffix(dir, " (deleted)") {
			return
		}
	}
}
