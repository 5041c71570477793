package drill

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// History keeps records in a folder, a file each, so that they outlive the process in
// the middle of a drill. Its methods may be called by one goroutine at a time, List and
// Get by any.
type History struct {
	Dir  string // is made when something is saved
	Keep int    // records that are kept, the newest; 0: all
}

// ErrUnknown means that there is no drill with an id.
var ErrUnknown = errors.New("there is no such drill")

func (h History) path(id string) string { return filepath.Join(h.Dir, id+".json") }

// Save returns when the record is on disk: the old one or the new one is there after a
// crash.
func (h History) Save(r Record) error {
	if err := os.MkdirAll(h.Dir, 0o700); err != nil {
		return fmt.Errorf("history of drills: %w", err)
	}
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("history of drills: %w", err)
	}
	if err := replace(h.path(r.ID), text); err != nil {
		return fmt.Errorf("history of drills: %w", err)
	}
	return h.prune()
}

// replace writes a file beside, syncs it and gives it the name.
func replace(path string, text []byte) error {
	out, err := os.OpenFile(path+".new", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = out.Write(text)
	if err := errors.Join(err, out.Sync(), out.Close()); err != nil {
		return err
	}
	if err := os.Rename(path+".new", path); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// ids are those of all records, the newest first: they begin with their time.
func (h History) ids() ([]string, error) {
	entries, err := os.ReadDir(h.Dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("history of drills: %w", err)
	}
	var ids []string
	for _, e := range entries {
		if id, ok := strings.CutSuffix(e.Name(), ".json"); ok {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	slices.Reverse(ids)
	return ids, nil
}

func (h History) prune() error {
	ids, err := h.ids()
	if err != nil || h.Keep <= 0 || len(ids) <= h.Keep {
		return err
	}
	var errs []error
	for _, id := range ids[h.Keep:] {
		errs = append(errs, os.Remove(h.path(id)))
	}
	return errors.Join(errs...)
}

// List are all records, the newest first. One that cannot be read is named in the
// error, the others are returned.
func (h History) List() ([]Record, error) {
	ids, err := h.ids()
	errs := []error{err}
	all := []Record{}
	for _, id := range ids {
		r, err := h.Get(id)
		if errs = append(errs, err); err == nil {
			all = append(all, r)
		}
	}
	return all, errors.Join(errs...)
}

// Get is one record, or ErrUnknown.
func (h History) Get(id string) (r Record, err error) {
	if id != filepath.Base(id) {
		return r, fmt.Errorf("%w: %s", ErrUnknown, id)
	}
	text, err := os.ReadFile(h.path(id))
	if errors.Is(err, fs.ErrNotExist) {
		return r, fmt.Errorf("%w: %s", ErrUnknown, id)
	}
	if err != nil {
		return r, fmt.Errorf("history of drills: %w", err)
	}
	if err := json.Unmarshal(text, &r); err != nil {
		return r, fmt.Errorf("history of drills: %s: %w", id, err)
	}
	return r, nil
}
