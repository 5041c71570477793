package embedded

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// ErrInUse is what New's error is when another engine has the data directory.
var ErrInUse = errors.New("data directory is in use")

// lockDir creates dir when missing and takes its lock, which the kernel releases
// when this process ends in any way. The file stays: removing it would let two
// processes hold locks on two files of the same name.
func lockDir(dir string) (*os.File, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("create data directory %s: %w", dir, err)
	}
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("data directory is not writable: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(lockError(dir, f, err), f.Close())
	}
	err = errors.Join(f.Truncate(0), write(f, fmt.Sprintf("%d\n", os.Getpid())))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("data directory is not writable: %w", err), f.Close())
	}
	return f, nil
}

func lockError(dir string, f *os.File, err error) error {
	if !errors.Is(err, syscall.EWOULDBLOCK) {
		return fmt.Errorf("lock data directory %s: %w", dir, err)
	}
	pid, _ := io.ReadAll(io.LimitReader(f, 32)) // only for the message
	return fmt.Errorf("%w: %s by process %s", ErrInUse, dir, strings.TrimSpace(string(pid)))
}

func write(f *os.File, s string) error {
	_, err := f.WriteAt([]byte(s), 0)
	return err
}
