package relay

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"

	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/protobuf/proto"
)

// header begins the file; another format has another number.
const header = "kongdao accepted configuration 1\n"

// maxRecord bounds a record; a longer length is damage.
const maxRecord = 1 << 30

var table = crc32.MakeTable(crc32.Castagnoli)

var (
	// errFormat means that the file is none of ours.
	errFormat = errors.New("the file has another format")
	// errTorn means that the file ends within a record.
	errTorn = errors.New("a record is cut off")
	// errDamaged means that a record is not what was written; the next one may be.
	errDamaged = errors.New("the checksum of a record is wrong")
)

// contents are what a file holds.
type contents struct {
	kept    resources
	good    int64 // bytes up to which the file is of use
	skipped int   // damaged records among good ones
}

// read returns what a file holds. A damaged record between good ones is left out:
// what it changed is as it was before. Of one without a good one behind it nobody
// can tell where it ends; the error says so, and nothing after it counts.
func read(path string) (c contents, err error) {
	c.kept = resources{}
	f, err := os.Open(path)
	if err != nil {
		return c, err
	}
	defer f.Close()
	in := bufio.NewReaderSize(f, 1<<20)
	begin := make([]byte, len(header))
	if _, err := io.ReadFull(in, begin); err != nil || string(begin) != header {
		return c, errFormat
	}
	c.good = int64(len(header))
	at, bad := c.good, error(nil)
	for {
		r, n, err := next(in)
		switch {
		case errors.Is(err, io.EOF):
			return c, bad
		case errors.Is(err, errDamaged) && bad == nil:
			bad, at = err, at+n
			continue
		case bad != nil && err != nil:
			return c, bad
		case err != nil:
			return c, err
		case bad != nil:
			c.skipped, bad = c.skipped+1, nil
		}
		c.kept.take(r)
		at += n
		c.good = at
	}
}

// next reads a record, of n bytes. io.EOF is the end of the file between two.
func next(in io.Reader) (_ *discovery.DeltaDiscoveryResponse, n int64, err error) {
	var head [8]byte
	if _, err := io.ReadFull(in, head[:]); err != nil {
		if errors.Is(err, io.ErrUnexpectedEOF) {
			err = errTorn
		}
		return nil, 0, err
	}
	size := binary.LittleEndian.Uint32(head[:4])
	if size == 0 || size > maxRecord { // 0: a disk's empty block
		return nil, 0, errors.New("the length of a record is impossible")
	}
	body, err := io.ReadAll(io.LimitReader(in, int64(size))) // grows with what is there, not with what is claimed
	if err != nil {
		return nil, 0, err
	}
	if len(body) < int(size) {
		return nil, 0, errTorn
	}
	n = int64(len(head)) + int64(size)
	if crc32.Checksum(body, table) != binary.LittleEndian.Uint32(head[4:]) {
		return nil, n, errDamaged
	}
	r := &discovery.DeltaDiscoveryResponse{}
	if err := proto.Unmarshal(body, r); err != nil {
		return nil, n, fmt.Errorf("a record is not readable: %w", err)
	}
	return r, n, nil
}
