package filelog

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// logFile is one file of a source, as found in its folder.
type logFile struct {
	path     string
	inode    uint64
	size     int64
	modified time.Time
	sequence uint64 // of one that this package rotated; 0 for others
	live     bool   // the one that the gateway writes
}

// sequenceDigits is the length of the suffix that rotation by this package gives.
// Longer than what others use, so that the two are not mixed up.
const sequenceDigits = 12

// list gives the files of the log at path in the order in which they were
// written: rotated by others by their time, rotated here by their number, then
// the live one. Compressed ones and other files are left out.
//
// A file that is renamed while the folder is read may be missed, and a missed
// file would be taken for a new one later: so two readings have to agree.
func list(path string) ([]logFile, error) {
	const tries = 10
	before, err := listOnce(path)
	for range tries {
		if err != nil {
			return nil, err
		}
		var files []logFile
		files, err = listOnce(path)
		if slices.EqualFunc(before, files, func(a, b logFile) bool { return a.path == b.path && a.inode == b.inode }) {
			return files, err
		}
		before = files
	}
	return nil, fmt.Errorf("list logs: %s is renamed all the time", path)
}

func listOnce(path string) ([]logFile, error) {
	dir, base := filepath.Split(path)
	entries, err := os.ReadDir(cmp.Or(dir, "."))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list logs: %w", err)
	}
	var files []logFile
	for _, e := range entries {
		suffix, ok := strings.CutPrefix(e.Name(), base)
		if !ok || suffix != "" && !rotated(suffix) {
			continue
		}
		info, err := e.Info()
		if err != nil {
			continue // gone since
		}
		if !info.Mode().IsRegular() {
			if suffix == "" {
				return nil, fmt.Errorf("list logs: %s: %w", path, irregular(info))
			}
			continue // no log
		}
		f := logFile{path: dir + e.Name(), size: info.Size(), modified: info.ModTime(), inode: inodeOf(info)}
		f.live = suffix == ""
		if len(suffix) == 1+sequenceDigits {
			f.sequence, _ = strconv.ParseUint(suffix[1:], 10, 64) // 0 for what is no number
		}
		files = append(files, f)
	}
	slices.SortFunc(files, byAge)
	return files, nil
}

// irregular says why a path cannot be a log.
func irregular(info fs.FileInfo) error {
	if info.Mode()&fs.ModeSymlink != 0 {
		return errors.New("is a symbolic link, which is not followed: name the file itself")
	}
	return errors.New("is no regular file")
}

func byAge(a, b logFile) int {
	rank := func(f logFile) int {
		switch {
		case f.live:
			return 2
		case f.sequence > 0:
			return 1
		}
		return 0
	}
	if c := cmp.Compare(rank(a), rank(b)); c != 0 {
		return c
	}
	if c := cmp.Compare(a.sequence, b.sequence); c != 0 {
		return c
	}
	if c := a.modified.Compare(b.modified); c != 0 {
		return c
	}
	// logrotate counts up: of two with the same time the larger number is older.
	if c := cmp.Compare(len(b.path), len(a.path)); c != 0 {
		return c
	}
	return cmp.Compare(b.path, a.path)
}

// rotated tells a suffix that stands for a number or a date, such as .1 or
// -20260131, from those of other files and of compressed ones.
func rotated(suffix string) bool {
	if len(suffix) < 2 || suffix[0] != '.' && suffix[0] != '-' || suffix[1] < '0' || suffix[1] > '9' {
		return false
	}
	return strings.Trim(suffix, "0123456789.-_:T") == ""
}

func inodeOf(info fs.FileInfo) uint64 {
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		return s.Ino
	}
	return 0
}

// rotatedName is the name that comes after those of files.
func rotatedName(path string, files []logFile) string {
	last := uint64(0)
	for _, f := range files {
		last = max(last, f.sequence)
	}
	return fmt.Sprintf("%s.%0*d", path, sequenceDigits, last+1)
}
