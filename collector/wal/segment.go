package wal

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/kongdao/kongdao/internal/durable"
)

const (
	segmentSuffix = ".wal"
	segmentFixed  = 32 // bytes of a segment's header before the positions
	writerBytes   = 8
)

var segmentMagic = [8]byte{'K', 'D', 'w', 'a', 'l', 0, 0, 1}

// segment is one file of records. Little endian header:
//
//	 0 magic "KDwal" 0 0 1    24 length of the positions
//	 8 writer id              28 crc32c of bytes 0–27 and the positions
//	16 first sequence number  32 positions
type segment struct {
	path      string
	writer    string // hex
	first     uint64 // sequence number of the first record, should there be one
	start     int64  // offset of the first record
	size      int64  // bytes that are on disk for good; grows in the newest segment
	last      uint64 // sequence number of the last record; 0 when there is none
	positions []byte // of the sources, when the segment was made
}

// empty reports that the segment holds no record.
func (s *segment) empty() bool { return s.size <= s.start }

func segmentPath(dir string, first uint64) string {
	return filepath.Join(dir, fmt.Sprintf("%020d%s", first, segmentSuffix))
}

// segmentFirst is the sequence number in a segment's file name.
func segmentFirst(name string) (uint64, bool) {
	digits, ok := strings.CutSuffix(name, segmentSuffix)
	if !ok || len(digits) != 20 {
		return 0, false
	}
	n, err := strconv.ParseUint(digits, 10, 64)
	return n, err == nil
}

func appendSegmentHeader(b []byte, writer string, first uint64, positions []byte) ([]byte, error) {
	id, err := hex.DecodeString(writer)
	if err != nil || len(id) != writerBytes {
		return nil, fmt.Errorf("writer id %q: want %d hex digits", writer, 2*writerBytes)
	}
	start := len(b)
	b = append(b, segmentMagic[:]...)
	b = append(b, id...)
	b = binary.LittleEndian.AppendUint64(b, first)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(positions)))
	sum := crc32.Update(crc32.Checksum(b[start:], castagnoli), castagnoli, positions)
	b = binary.LittleEndian.AppendUint32(b, sum)
	return append(b, positions...), nil
}

// readSegmentHeader reads what a segment says about itself; size and last are not set.
func readSegmentHeader(f io.ReaderAt) (segment, error) {
	fixed := make([]byte, segmentFixed)
	if _, err := f.ReadAt(fixed, 0); err != nil {
		return segment{}, asShort(err)
	}
	n := binary.LittleEndian.Uint32(fixed[24:])
	if [8]byte(fixed[:8]) != segmentMagic || n > maxPositions {
		return segment{}, errHeader
	}
	positions := make([]byte, n)
	if _, err := f.ReadAt(positions, segmentFixed); err != nil && n > 0 {
		return segment{}, asShort(err)
	}
	sum := crc32.Update(crc32.Checksum(fixed[:28], castagnoli), castagnoli, positions)
	if sum != binary.LittleEndian.Uint32(fixed[28:]) {
		return segment{}, errHeader
	}
	return segment{
		writer:    hex.EncodeToString(fixed[8:16]),
		first:     binary.LittleEndian.Uint64(fixed[16:]),
		start:     segmentFixed + int64(n),
		positions: positions,
	}, nil
}

func asShort(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errShort
	}
	return err
}

// readHeader reads the header of the record at off; limit is where the segment ends.
func readHeader(f io.ReaderAt, off, limit int64) (header, error) {
	var b [headerSize]byte
	if off+headerSize > limit {
		return header{}, errShort
	}
	if _, err := f.ReadAt(b[:], off); err != nil {
		return header{}, asShort(err)
	}
	h, err := parseHeader(b[:])
	if err != nil {
		return header{}, err
	}
	if off+h.size() > limit {
		return header{}, errShort
	}
	return h, nil
}

// readRecord reads and verifies the record at off. The header is valid also when
// only the body is damaged.
func readRecord(f io.ReaderAt, off, limit int64) (header, Entry, error) {
	h, err := readHeader(f, off, limit)
	if err != nil {
		return h, Entry{}, err
	}
	body := make([]byte, h.size()-headerSize)
	if _, err := f.ReadAt(body, off+headerSize); err != nil {
		return h, Entry{}, asShort(err)
	}
	e, err := h.entry(body)
	return h, e, err
}

// damaged reports that err speaks of the bytes, not of the reading of them.
func damaged(err error) bool {
	return errors.Is(err, errHeader) || errors.Is(err, errBody) || errors.Is(err, errShort)
}

// resync is the offset of the first whole record with a sequence number above
// after that starts at from or behind it; -1 when there is none before limit.
func resync(f io.ReaderAt, from, limit int64, after uint64) (int64, error) {
	const window = 1 << 20
	buf := make([]byte, window+headerSize)
	for ; from+headerSize <= limit; from += window {
		b := buf[:min(int64(len(buf)), limit-from)]
		if _, err := f.ReadAt(b, from); err != nil {
			return -1, err
		}
		for i := 0; i+headerSize <= len(b) && i < window; i++ {
			if b[i] != recordMagic[0] {
				continue
			}
			if h, err := parseHeader(b[i:]); err != nil || h.seq <= after {
				continue
			}
			if _, _, err := readRecord(f, from+int64(i), limit); err == nil {
				return from + int64(i), nil
			}
		}
	}
	return -1, nil
}

// file is what the log needs of an open segment; tests put failing ones in its place.
type file interface {
	io.ReaderAt
	io.WriterAt
	Truncate(size int64) error
	Sync() error
	Close() error
}

// diskFile syncs a file's data and size, not its times.
type diskFile struct{ *os.File }

func (f diskFile) Sync() error {
	if err := unix.Fdatasync(int(f.Fd())); err != nil {
		return &os.PathError{Op: "fdatasync", Path: f.Name(), Err: err}
	}
	return nil
}

func openDisk(path string, flag int) (file, error) {
	f, err := os.OpenFile(path, flag, 0o640)
	if err != nil {
		return nil, err
	}
	return diskFile{f}, nil
}

// createSegment makes a segment whose header is on disk before its name is, so
// that a segment is never seen without a whole header.
func (l *Log) createSegment(first uint64, positions []byte) (*segment, file, error) {
	head, err := appendSegmentHeader(nil, l.writer, first, positions)
	if err != nil {
		return nil, nil, err
	}
	path := segmentPath(l.opts.Dir, first)
	f, err := l.opts.open(path+".tmp", os.O_RDWR|os.O_CREATE|os.O_TRUNC)
	if err != nil {
		return nil, nil, fmt.Errorf("create segment: %w", err)
	}
	_, err = f.WriteAt(head, 0)
	if err == nil {
		err = f.Sync()
	}
	if err == nil {
		err = os.Rename(path+".tmp", path)
	}
	if err == nil {
		err = durable.SyncDir(l.opts.Dir)
	}
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("create segment: %w", err), f.Close())
	}
	n := int64(len(head))
	return &segment{path: path, writer: l.writer, first: first, start: n, size: n, positions: positions}, f, nil
}
