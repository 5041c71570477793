package embedded

import "syscall"

// executable is this program even when its file was replaced by a newer build.
func executable() (string, error) { return "/proc/self/exe", nil }

// attributes: a process group of its own, so that Ctrl-C in a terminal does not
// reach the child, and a child that the kernel kills when the thread that started
// it ends, which [process.run] keeps for as long as the child lives.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
