package registry

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/kongdao/kongdao/api"
)

// maxFileBytes bounds a resource file: some 20,000 functions.
const maxFileBytes = 16 << 20

// file is one resource file as it was last read.
type file struct {
	info     fs.FileInfo // of what a link leads to
	readAt   time.Time
	own      [sha256.Size]byte // of the file alone
	sum      [sha256.Size]byte // with the files that it names
	named    []named
	set      api.Set
	problems api.Problems
}

// fresh says whether the file on disk is certainly still what was read. A change
// shortly after reading may keep the time stamp, so young files are never sure.
func (f *file) fresh(now fs.FileInfo) bool {
	return f.info != nil && unchanged(f.info, now, f.readAt) && !slices.ContainsFunc(f.named, func(n named) bool { return !n.fresh() })
}

func unchanged(then, now fs.FileInfo, readAt time.Time) bool {
	return os.SameFile(then, now) && then.Size() == now.Size() && then.ModTime().Equal(now.ModTime()) && readAt.Sub(now.ModTime()) > 2*time.Second
}

// tree is the outcome of one walk.
type tree struct {
	files map[string]*file
	dirs  []string // real paths of the folders whose entries matter
}

// readTree walks the folder. Files that are certainly unchanged are taken over
// from before. An error means that the tree is not known, and nothing is to be
// concluded from it.
func readTree(root string, before map[string]*file) (tree, error) {
	const tries = 5
	var t tree
	var err error
	for range tries {
		t = tree{files: map[string]*file{}}
		if err = t.walk(root, before, nil); !errors.Is(err, errMoving) {
			break
		}
	}
	if err != nil {
		return tree{}, fmt.Errorf("read resources: %w", err)
	}
	if info, err := os.Lstat(root); err == nil && info.Mode()&fs.ModeSymlink != 0 {
		t.watchReal(filepath.Dir(root)) // where the link itself is replaced
	}
	slices.Sort(t.dirs)
	t.dirs = slices.Compact(t.dirs)
	return t, nil
}

// errMoving says that entries went away while they were read: one file that was
// deleted, or a whole folder that was moved, which must not pass for empty.
var errMoving = errors.New("files are being moved")

func (t *tree) watchReal(dir string) {
	if real, err := filepath.EvalSymlinks(dir); err == nil {
		t.dirs = append(t.dirs, real)
	}
}

// walk reads a folder; above are the real paths of the folders that led here,
// which a link must not lead back to.
func (t *tree) walk(dir string, before map[string]*file, above []string) error {
	real, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return err
	}
	if slices.Contains(above, real) {
		return nil
	}
	t.dirs = append(t.dirs, real)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") { // editors' drafts, and the folders behind Kubernetes' links
			continue
		}
		name := filepath.Join(dir, e.Name())
		info, err := os.Stat(name)
		switch {
		case err != nil && gone(name):
			return errMoving
		case err == nil && info.IsDir():
			if err := t.walk(name, before, append(above, real)); err != nil {
				if gone(name) {
					return errMoving
				}
				return err
			}
		case !isResource(name):
		case err != nil:
			t.files[name] = unreadable(name, err)
		default:
			t.files[name] = readFile(name, info, before[name])
			for _, n := range t.files[name].named {
				t.watchTarget(n.path)
				t.watchReal(filepath.Dir(n.path))
			}
			if e.Type()&fs.ModeSymlink != 0 {
				t.watchTarget(name)
			}
		}
	}
	return nil
}

// watchTarget watches the folder that a linked file really lies in.
func (t *tree) watchTarget(name string) {
	if real, err := filepath.EvalSymlinks(name); err == nil {
		t.dirs = append(t.dirs, filepath.Dir(real))
	}
}

// gone says whether a name has left its folder; a link that leads nowhere has not.
func gone(name string) bool {
	_, err := os.Lstat(name)
	return errors.Is(err, fs.ErrNotExist)
}

func isResource(name string) bool {
	ext := filepath.Ext(name)
	return ext == ".yaml" || ext == ".yml"
}

func readFile(name string, info fs.FileInfo, before *file) *file {
	if before != nil && before.fresh(info) {
		return before
	}
	if !info.Mode().IsRegular() {
		return unreadable(name, errors.New("is no regular file"))
	}
	if info.Size() > maxFileBytes {
		return unreadable(name, fmt.Errorf("has %d bytes, want at most %d: split it", info.Size(), maxFileBytes))
	}
	readAt := time.Now()
	data, err := os.ReadFile(name)
	if err != nil {
		return unreadable(name, err) // also when it went away just now: then an event follows
	}
	own := sha256.Sum256(data)
	if before != nil && before.info != nil && before.own == own {
		if again, equal := readAgain(before.named); equal {
			same := *before
			same.info, same.readAt, same.named = info, readAt, again
			return &same
		}
	}
	f := &file{info: info, readAt: readAt, own: own}
	f.set, f.problems = parse(name, data)
	f.load()
	return f
}

// parse reads resources. A file without a byte is most likely one that is just
// being written, or a full disk: it must not take its resources away.
func parse(name string, data []byte) (api.Set, api.Problems) {
	if len(strings.TrimSpace(string(data))) == 0 {
		return api.Set{}, api.Problems{{Source: api.Source{File: name, Line: 1}, Message: "is empty, want resources; delete the file to take its resources away"}}
	}
	return api.Parse(name, data)
}

// unreadable is a file whose content is not known.
func unreadable(name string, err error) *file {
	var path *fs.PathError
	if errors.As(err, &path) {
		err = path.Err
	}
	return &file{
		sum:      sha256.Sum256([]byte(err.Error())),
		problems: api.Problems{{Source: api.Source{File: name, Line: 1}, Message: fmt.Sprintf("cannot be read: %s", err)}},
	}
}

// Load reads and checks a whole folder once. The Set holds every resource that is
// right by itself; Problems is everything that is wrong, sorted by place.
func Load(dir string) (api.Set, api.Problems) {
	t, err := readTree(dir, nil)
	if err != nil {
		return api.Set{}, api.Problems{{Source: api.Source{File: dir}, Message: err.Error()}}
	}
	var problems api.Problems
	var sets []api.Set
	for _, f := range t.files {
		problems = append(problems, f.problems...)
		sets = append(sets, f.set)
	}
	set := api.Merge(sets...)
	problems = append(problems, api.Validate(set)...)
	problems.Sort()
	return set, problems
}
