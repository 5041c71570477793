package registry

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/kongdao/kongdao/internal/durable"
)

// kept is a folder with the content of the files that are in force, so that a file
// that is bad when the registry starts has its last good content. Each content is a
// file named for its SHA-256; an index, with a checksum, says which file had which.
// What does not fit its checksum counts as not there.
type kept struct {
	dir  string // empty: nothing is kept
	root string // the resources, absolute: others are none of its business

	there map[string][sha256.Size]byte // what the index says, by name of the file
	said  string                       // why it could not be written, as logged last
}

// index is what is on disk.
type index struct {
	Root  string            `json:"root"`
	Files map[string]string `json:"files"` // name to SHA-256, hex
}

func (k *kept) indexFile() string { return filepath.Join(k.dir, "index") }

func (k *kept) contentFile(sum [sha256.Size]byte) string {
	return filepath.Join(k.dir, hex.EncodeToString(sum[:])+".yaml")
}

// openKept reads the index. An error says why what is there is of no use; the kept
// itself can be used.
func openKept(dir, root string) (*kept, error) {
	k := &kept{dir: dir, there: map[string][sha256.Size]byte{}}
	if dir == "" {
		return k, nil
	}
	var err error
	if k.root, err = filepath.Abs(root); err != nil {
		return k, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return k, err
	}
	text, err := os.ReadFile(k.indexFile())
	if errors.Is(err, fs.ErrNotExist) {
		return k, nil
	}
	if err != nil {
		return k, err
	}
	line, body, _ := bytes.Cut(text, []byte("\n"))
	sum := sha256.Sum256(body)
	if string(line) != hex.EncodeToString(sum[:]) {
		return k, fmt.Errorf("%s is damaged", k.indexFile())
	}
	var on index
	if err := json.Unmarshal(body, &on); err != nil {
		return k, fmt.Errorf("%s: %w", k.indexFile(), err)
	}
	if on.Root != k.root {
		return k, nil
	}
	for name, text := range on.Files {
		if b, err := hex.DecodeString(text); err == nil && len(b) == sha256.Size {
			k.there[name] = [sha256.Size]byte(b)
		}
	}
	return k, nil
}

// before is what was in force when the index was written, of the files that there are.
func (k *kept) before(found map[string]*file) map[string]*file {
	good := map[string]*file{}
	for name, now := range found {
		sum, ok := k.there[name]
		switch {
		case !ok:
		case sum == now.own && len(now.problems) == 0:
			good[name] = now
		default:
			if f := k.load(name, sum); f != nil {
				good[name] = f
			}
		}
	}
	return good
}

// load reads a content; nil when it is not what it was, or not good any more.
func (k *kept) load(name string, sum [sha256.Size]byte) *file {
	data, err := os.ReadFile(k.contentFile(sum))
	if err != nil || sha256.Sum256(data) != sum {
		return nil
	}
	f := &file{own: sum}
	f.set, f.problems = parse(name, data)
	if f.load(); len(f.problems) > 0 {
		return nil
	}
	return f
}

// save writes down what is in force. A file that has changed since it was read is
// left as it was: it will be read again.
func (k *kept) save(inForce map[string]*file) error {
	if k.dir == "" {
		return nil
	}
	next := map[string][sha256.Size]byte{}
	changed := false
	for name, f := range inForce {
		before, had := k.there[name]
		if had && before == f.own {
			next[name] = f.own
			continue
		}
		data, err := os.ReadFile(name)
		if err != nil || sha256.Sum256(data) != f.own {
			if had {
				next[name] = before
			}
			continue
		}
		// Not synced: its name tells whether it is whole.
		beside := k.contentFile(f.own) + ".new"
		if err := errors.Join(os.WriteFile(beside, data, 0o600), os.Rename(beside, k.contentFile(f.own))); err != nil {
			return err
		}
		next[name], changed = f.own, true
	}
	if !changed && len(next) == len(k.there) {
		return nil
	}
	if err := k.write(next); err != nil {
		return err
	}
	gone := k.there
	k.there = next
	return k.sweep(gone)
}

func (k *kept) write(files map[string][sha256.Size]byte) error {
	on := index{Root: k.root, Files: map[string]string{}}
	for name, sum := range files {
		on.Files[name] = hex.EncodeToString(sum[:])
	}
	body, err := json.Marshal(on)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(body)
	return durable.Replace(k.indexFile(), append([]byte(hex.EncodeToString(sum[:])+"\n"), body...), 0o600)
}

// sweep removes contents that no file has any more.
func (k *kept) sweep(before map[string][sha256.Size]byte) error {
	used := map[[sha256.Size]byte]bool{}
	for _, sum := range k.there {
		used[sum] = true
	}
	for _, sum := range before {
		if used[sum] {
			continue
		}
		if err := os.Remove(k.contentFile(sum)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}
