package relay

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"google.golang.org/protobuf/proto"

	"github.com/kongdao/kongdao/internal/durable"
)

// journal is the file of what was accepted: a record for each accepted response,
// with its length and checksum. It is written anew when most of it is overtaken.
// It holds private keys, hence its permissions.
//
// A file that cannot be written, as on a full disk, is behind: it stays as it was
// up to there, and is written anew as soon as that is possible.
type journal struct {
	path  string
	kept  resources // what the file holds, or is to hold
	file  *os.File  // nil while there is none that can be written to
	size  int64     // of the good part of the file
	fresh int64     // of the file when it was written anew last
	lacks bool      // the file lacks something that was accepted
}

// rewriteAbove is the size below which a file is never written anew.
const rewriteAbove = 1 << 20

// openJournal reads the file and repairs it. notes say what is wrong with it, or
// with writing it, none of which keeps a gateway from starting.
func openJournal(path string) (j *journal, notes []string) {
	j = &journal{path: path}
	found, err := read(path)
	j.kept, j.size, j.fresh = found.kept, found.good, found.good
	note := func(text string, err error) {
		if err != nil {
			notes = append(notes, fmt.Sprintf("%s: %v", text, err))
		}
	}
	damaged := found.skipped > 0
	switch {
	case err == nil && !damaged:
		j.file, err = os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0o600)
		note("cannot be written", err)
		j.lacks = err != nil
		return j, notes
	case errors.Is(err, fs.ErrNotExist):
	default:
		if damaged {
			note("is damaged", fmt.Errorf("%d records are left out", found.skipped))
		}
		note(fmt.Sprintf("is of no use after byte %d", found.good), err) // as a kill may leave it
		note("cannot be put aside", putAside(path))
	}
	j.lacks = true
	note("cannot be written", j.rewrite())
	return j, notes
}

// putAside leaves a second name for a file that will be replaced.
func putAside(path string) error {
	aside := path + ".damaged"
	if err := os.Remove(aside); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return os.Link(path, aside)
}

// add takes in what was accepted, and writes it down with one write.
func (j *journal) add(r *discovery.DeltaDiscoveryResponse) error {
	j.kept.take(r)
	if j.lacks {
		return nil // that is known; repair writes all
	}
	b, err := record(r)
	if err != nil {
		return j.fail(err)
	}
	if _, err := j.file.Write(b); err != nil {
		return j.fail(err)
	}
	j.size += int64(len(b))
	if j.size < rewriteAbove || j.size < 3*j.fresh {
		return nil
	}
	if err := j.rewrite(); err != nil {
		j.fresh = j.size // the file is whole, only long: the next try is at three times of this
		return fmt.Errorf("shorten: %w", err)
	}
	return nil
}

// fail takes a part of a record away, which would hide all after it.
func (j *journal) fail(err error) error {
	j.lacks = true
	return errors.Join(err, j.file.Truncate(j.size))
}

// repair writes the file anew when it lacks something.
func (j *journal) repair() error {
	if !j.lacks {
		return nil
	}
	return j.rewrite()
}

// rewrite replaces the file by one with what is kept alone.
func (j *journal) rewrite() error {
	j.kept.prune()
	next, n, err := writeFile(j.path+".new", j.kept)
	if err != nil {
		return errors.Join(err, removeIfThere(j.path+".new")) // it takes room that is missing
	}
	if err := os.Rename(next.Name(), j.path); err != nil {
		return errors.Join(err, next.Close())
	}
	if j.file != nil {
		_ = j.file.Close() // it has no name any more
	}
	j.file, j.size, j.fresh, j.lacks = next, n, n, false
	return durable.SyncDir(filepath.Dir(j.path))
}

func removeIfThere(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// serves tells whether a gateway can start with what is kept.
func (j *journal) serves() bool { return len(j.kept[resource.ListenerType]) > 0 }

func (j *journal) close() error {
	if j.file == nil {
		return nil
	}
	return errors.Join(j.file.Sync(), j.file.Close())
}

// writeFile makes a file of resources, synced, and leaves it open.
func writeFile(path string, kept resources) (_ *os.File, size int64, err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, 0, err
	}
	size, err = writeAll(f, kept)
	if err = errors.Join(err, f.Sync()); err != nil {
		return nil, 0, errors.Join(err, f.Close())
	}
	return f, size, nil
}

func writeAll(w io.Writer, kept resources) (n int64, err error) {
	out := bufio.NewWriterSize(w, 1<<16)
	if _, err := out.WriteString(header); err != nil {
		return 0, err
	}
	n = int64(len(header))
	for typeURL, byName := range kept {
		for _, r := range byName {
			b, err := record(&discovery.DeltaDiscoveryResponse{TypeUrl: typeURL, Resources: []*discovery.Resource{r}})
			if err != nil {
				return n, err
			}
			if _, err := out.Write(b); err != nil {
				return n, err
			}
			n += int64(len(b))
		}
	}
	return n, out.Flush()
}

// record is a response as it stands in the file: the length of what follows the
// eight bytes of length and checksum, the checksum, the response.
func record(r *discovery.DeltaDiscoveryResponse) ([]byte, error) {
	body, err := proto.Marshal(r)
	if err != nil {
		return nil, err
	}
	b := binary.LittleEndian.AppendUint32(nil, uint32(len(body)))
	b = binary.LittleEndian.AppendUint32(b, crc32.Checksum(body, table))
	return append(b, body...), nil
}
