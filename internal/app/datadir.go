package app

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// ErrDataInUse means that another system runs on the data directory.
var ErrDataInUse = errors.New("data directory is in use")

// dataDir is the data directory, held by this process alone.
type dataDir struct {
	path string // absolute
	lock *os.File
}

// openDataDir creates the directory where needed and takes its lock. The lock
// goes with the process, however it ends.
func openDataDir(path string) (*dataDir, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	run := filepath.Join(abs, "run")
	if err := os.MkdirAll(run, 0o700); err != nil {
		return nil, fmt.Errorf("data directory: %w: make it writable, or choose another with --data", err)
	}
	name := filepath.Join(run, "kongdao.lock")
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("data directory: %w: make it writable, or choose another with --data", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		owner, _ := os.ReadFile(name)
		_ = f.Close()
		return nil, fmt.Errorf("%w: %s belongs to process %s: stop it, or choose another with --data", ErrDataInUse, abs, strings.TrimSpace(string(owner)))
	}
	d := &dataDir{path: abs, lock: f}
	if err := d.claim(); err != nil {
		_ = f.Close()
		return nil, err
	}
	return d, nil
}

// claim notes the owner and removes what an owner that was killed left behind.
func (d *dataDir) claim() error {
	if err := d.lock.Truncate(0); err != nil {
		return err
	}
	if _, err := fmt.Fprintf(d.lock, "%d\n", os.Getpid()); err != nil {
		return fmt.Errorf("data directory: %w", err)
	}
	if err := os.Remove(AddressesFile(d.path)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// sub is the path of a folder of one part.
func (d *dataDir) sub(name string) string { return filepath.Join(d.path, name) }

// close gives the directory back.
func (d *dataDir) close() {
	_ = os.Remove(AddressesFile(d.path))
	_ = d.lock.Close()
}
