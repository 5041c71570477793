package wal

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// ErrInUse is returned by Open when another log has the folder open.
var ErrInUse = errors.New("folder is in use")

// lock takes the folder for this process. The lock ends with the process, however
// it ends.
func lock(dir string) (*os.File, error) {
	path := filepath.Join(dir, "LOCK")
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o640)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		pid, _ := os.ReadFile(path)
		return nil, errors.Join(
			fmt.Errorf("%s: %w: process %s holds %s", dir, ErrInUse, strings.TrimSpace(string(pid)), path),
			f.Close())
	}
	// The pid is for people; a full disk must not keep the log from opening.
	if f.Truncate(0) == nil {
		_, _ = fmt.Fprintln(f, os.Getpid())
	}
	return f, nil
}
