package registry

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/kongdao/kongdao/api"
	"github.com/kongdao/kongdao/api/grpcjson"
)

// named is a file that resources name and whose content is a part of them: a
// descriptor set. It is followed as the resources themselves are.
type named struct {
	path   string
	info   fs.FileInfo // nil: it could not be read
	readAt time.Time
	sum    [sha256.Size]byte
}

func (n named) fresh() bool {
	now, err := os.Stat(n.path)
	return err == nil && n.info != nil && unchanged(n.info, now, n.readAt)
}

// load reads what the resources of a file name.
func (f *file) load() {
	loaded := api.LoadDescriptors(&f.set, func(path string) ([]byte, error) {
		n, data, err := readNamed(path)
		f.named = append(f.named, n)
		return data, err
	})
	f.problems = append(f.problems, loaded...)
	f.problems.Sort()
	all := sha256.New()
	all.Write(f.own[:])
	for _, n := range f.named {
		all.Write(n.sum[:])
	}
	all.Sum(f.sum[:0])
}

// readAgain reads files anew and tells whether they hold what they did.
func readAgain(before []named) (now []named, equal bool) {
	for _, old := range before {
		n, _, _ := readNamed(old.path)
		if n.sum != old.sum {
			return nil, false
		}
		now = append(now, n)
	}
	return now, true
}

// readNamed reads a file up to the size that is of use. Why it cannot be read is a
// part of its sum, so that a change of that shows.
func readNamed(path string) (n named, data []byte, err error) {
	n = named{path: path, readAt: time.Now()}
	info, err := os.Stat(path)
	if err == nil && !info.Mode().IsRegular() {
		err = errors.New("it is no regular file")
	}
	if err == nil {
		data, err = readUpTo(path, grpcjson.MaxFile)
	}
	if err != nil {
		var at *fs.PathError
		if errors.As(err, &at) {
			err = at.Err
		}
		n.sum = sha256.Sum256([]byte(err.Error()))
		return n, nil, err
	}
	n.info, n.sum = info, sha256.Sum256(data)
	return n, data, nil
}

func readUpTo(path string, most int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, most+1))
	if err == nil && int64(len(data)) > most {
		err = fmt.Errorf("it has more than %d bytes", most)
	}
	return data, err
}
