// Package kept keeps records in a folder, a file of JSON each, so that they outlive
// the process that is in the middle of what they are of.
package kept

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/kongdao/kongdao/internal/durable"
)

// Folder holds records by name. Its methods may be called by any goroutine, but those
// that save the same record by one at a time.
type Folder[R any] struct {
	Dir  string // is made when something is saved
	Keep int    // records that are kept, those with the last names; 0: all
}

func (f Folder[R]) path(name string) string { return filepath.Join(f.Dir, name+".json") }

// Save returns when the record is on disk: the old one or the new one is there after a
// crash.
func (f Folder[R]) Save(name string, r R) error {
	err := os.MkdirAll(f.Dir, 0o700)
	var text []byte
	if err == nil {
		text, err = json.MarshalIndent(r, "", "  ")
	}
	if err == nil {
		err = durable.Replace(f.path(name), text, 0o600)
	}
	if err == nil {
		err = f.prune()
	}
	if err != nil {
		return fmt.Errorf("keep record %s: %w", name, err)
	}
	return nil
}

// names are those of all records, the last one first.
func (f Folder[R]) names() ([]string, error) {
	entries, err := os.ReadDir(f.Dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range slices.Backward(entries) {
		if name, ok := strings.CutSuffix(e.Name(), ".json"); ok {
			names = append(names, name)
		}
	}
	return names, nil
}

func (f Folder[R]) prune() error {
	if f.Keep <= 0 {
		return nil
	}
	names, err := f.names()
	errs := []error{err}
	for _, name := range names[min(f.Keep, len(names)):] {
		errs = append(errs, os.Remove(f.path(name)))
	}
	return errors.Join(errs...)
}

// List are all records, the one with the last name first. One that cannot be read is
// named in the error, the others are returned.
func (f Folder[R]) List() ([]R, error) {
	names, err := f.names()
	errs := []error{err}
	all := []R{}
	for _, name := range names {
		r, err := f.Get(name)
		if errs = append(errs, err); err == nil {
			all = append(all, r)
		}
	}
	return all, errors.Join(errs...)
}

// Get is one record; without it the error is a fs.ErrNotExist.
func (f Folder[R]) Get(name string) (r R, err error) {
	if name != filepath.Base(name) {
		return r, fmt.Errorf("record %q: %w", name, fs.ErrNotExist)
	}
	text, err := os.ReadFile(f.path(name))
	if err != nil {
		return r, err
	}
	if err := json.Unmarshal(text, &r); err != nil {
		return r, fmt.Errorf("%s: %w", f.path(name), err)
	}
	return r, nil
}
