// Package durable writes whole files so that after a crash there is the old one or
// the new one, never half of one.
//
// Libraries for this give the file beside a random name, and leave one behind for
// each crash; here there is at most one, which the next write takes over. So no two
// writers may replace the same file at once.
package durable

import (
	"bufio"
	"cmp"
	"errors"
	"io"
	"os"
	"path/filepath"
	"syscall"
)

// beside is the end of the name under which a file is written before it is whole.
const beside = ".new"

// Replace makes data the content of the file at path. After nil the content is on
// disk and so is its name. After an error the file is as it was; only where its folder
// cannot be synced it may already be the new one.
func Replace(path string, data []byte, perm os.FileMode) error {
	return ReplaceBy(path, perm, whole(data))
}

// ReplaceBy is [Replace] for content that write gives piece by piece; its error is
// passed on. What it is given holds pieces together.
func ReplaceBy(path string, perm os.FileMode, write func(io.Writer) error) error {
	if err := writeBy(path+beside, perm, write); err != nil {
		return err
	}
	if err := os.Rename(path+beside, path); err != nil {
		return errors.Join(err, os.Remove(path+beside))
	}
	return SyncDir(filepath.Dir(path))
}

// Write makes a file, or overwrites it in place, and returns when its content is on
// disk; after an error there is none, so that it does not take room that is missing.
func Write(path string, data []byte, perm os.FileMode) error {
	return writeBy(path, perm, whole(data))
}

func whole(data []byte) func(io.Writer) error {
	return func(w io.Writer) error {
		_, err := w.Write(data)
		return err
	}
}

func writeBy(path string, perm os.FileMode, write func(io.Writer) error) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, perm)
	if err != nil {
		return err
	}
	out := bufio.NewWriterSize(f, 64<<10)
	if err = cmp.Or(write(out), out.Flush()); err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, os.Remove(path))
	}
	return nil
}

// SyncDir returns when the names of a folder's files are on disk, and at once on file
// systems that cannot tell.
func SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	err = d.Sync()
	if errors.Is(err, syscall.EINVAL) {
		err = nil
	}
	return errors.Join(err, d.Close())
}
