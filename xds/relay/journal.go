package relay

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"

	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/protobuf/proto"
)

// header begins the file; another format has another number.
const header = "kongdao accepted configuration 1\n"

// maxRecord bounds a record; a longer length is damage.
const maxRecord = 1 << 30

// rewriteAbove is the size below which a file is never written anew.
const rewriteAbove = 1 << 20

var table = crc32.MakeTable(crc32.Castagnoli)

// journal is the file of what was accepted: a record for each accepted response,
// with its length and checksum. It is written anew when most of it is overtaken.
// It holds private keys, hence its permissions.
type journal struct {
	path  string
	file  *os.File
	size  int64 // of the file
	fresh int64 // of the file when it was written anew last
}

// errFormat means that the file is none of ours.
var errFormat = errors.New("the file has another format")

// openJournal opens the file, repairs its end, and makes it where there is none.
// notes say what was lost.
func openJournal(path string) (_ *journal, notes []string, err error) {
	j := &journal{path: path}
	kept, good, err := read(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
	case errors.Is(err, errFormat):
		aside := path + ".unknown"
		notes = append(notes, fmt.Sprintf("%v: it is put aside as %s", err, filepath.Base(aside)))
		if err := os.Rename(path, aside); err != nil {
			return nil, notes, err
		}
	case err != nil:
		notes = append(notes, fmt.Sprintf("what comes after byte %d is lost: %v", good, err))
	}
	return j, notes, j.rewrite(kept)
}

// rewrite replaces the file by one with these resources alone.
func (j *journal) rewrite(kept resources) error {
	next, err := os.OpenFile(j.path+".new", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	n, err := writeAll(next, kept)
	if err == nil {
		err = errors.Join(next.Sync(), os.Rename(next.Name(), j.path))
	}
	if err != nil {
		return errors.Join(err, next.Close())
	}
	if j.file != nil {
		err = j.file.Close()
	}
	j.file, j.size, j.fresh = next, n, n
	return err
}

func writeAll(w io.Writer, kept resources) (n int64, err error) {
	out := bufio.NewWriter(w)
	n, err = int64(len(header)), errors.Join(errOf(out.WriteString(header)))
	for typeURL, byName := range kept {
		for _, r := range byName {
			b, errRecord := record(&discovery.DeltaDiscoveryResponse{TypeUrl: typeURL, Resources: []*discovery.Resource{r}})
			err = errors.Join(err, errRecord, errOf(out.Write(b)))
			n += int64(len(b))
		}
	}
	return n, errors.Join(err, out.Flush())
}

func errOf(_ int, err error) error { return err }

func record(r *discovery.DeltaDiscoveryResponse) ([]byte, error) {
	body, err := proto.Marshal(r)
	if err != nil {
		return nil, err
	}
	b := binary.LittleEndian.AppendUint32(nil, uint32(len(body)))
	b = binary.LittleEndian.AppendUint32(b, crc32.Checksum(body, table))
	return append(b, body...), nil
}

// add writes what was accepted down, with one write.
func (j *journal) add(r *discovery.DeltaDiscoveryResponse) error {
	b, err := record(r)
	if err != nil {
		return err
	}
	n, err := j.file.Write(b)
	j.size += int64(n)
	if err != nil || j.size < rewriteAbove || j.size < 3*j.fresh {
		return err
	}
	kept, _, err := read(j.path)
	if err != nil {
		return err
	}
	return j.rewrite(kept)
}

func (j *journal) close() error { return j.file.Close() }

// resources are what was accepted, by type and name.
type resources map[string]map[string]*discovery.Resource

// complete marks a response that holds all there is of its type.
const complete = "complete"

// take applies an accepted response.
func (all resources) take(r *discovery.DeltaDiscoveryResponse) {
	byName := all[r.GetTypeUrl()]
	if byName == nil || r.GetSystemVersionInfo() == complete {
		byName = map[string]*discovery.Resource{}
		all[r.GetTypeUrl()] = byName
	}
	for _, x := range r.GetResources() {
		byName[x.GetName()] = x
	}
	for _, name := range r.GetRemovedResources() {
		delete(byName, name)
	}
}

// read returns what a file holds, up to the first damage, and how long the good
// part is. The error says what is wrong with the rest.
func read(path string) (kept resources, good int64, err error) {
	kept = resources{}
	f, err := os.Open(path)
	if err != nil {
		return kept, 0, err
	}
	defer f.Close()
	in := bufio.NewReaderSize(f, 1<<20)
	begin := make([]byte, len(header))
	if _, err := io.ReadFull(in, begin); err != nil || string(begin) != header {
		return kept, 0, errFormat
	}
	good = int64(len(header))
	for {
		r, n, err := next(in)
		if errors.Is(err, io.EOF) {
			return kept, good, nil
		}
		if err != nil {
			return kept, good, err
		}
		kept.take(r)
		good += n
	}
}

// next reads a record. io.EOF is the end of the file between two.
func next(in io.Reader) (*discovery.DeltaDiscoveryResponse, int64, error) {
	var head [8]byte
	if _, err := io.ReadFull(in, head[:]); err != nil {
		if errors.Is(err, io.ErrUnexpectedEOF) {
			err = errors.New("a record is cut off")
		}
		return nil, 0, err
	}
	size := binary.LittleEndian.Uint32(head[:4])
	if size > maxRecord {
		return nil, 0, errors.New("the length of a record is impossible")
	}
	body, err := io.ReadAll(io.LimitReader(in, int64(size))) // grows with what is there, not with what is claimed
	if err != nil {
		return nil, 0, err
	}
	if len(body) < int(size) {
		return nil, 0, errors.New("a record is cut off")
	}
	if crc32.Checksum(body, table) != binary.LittleEndian.Uint32(head[4:]) {
		return nil, 0, errors.New("the checksum of a record is wrong")
	}
	r := &discovery.DeltaDiscoveryResponse{}
	if err := proto.Unmarshal(body, r); err != nil {
		return nil, 0, fmt.Errorf("a record is not readable: %w", err)
	}
	return r, int64(len(head)) + int64(size), nil
}
