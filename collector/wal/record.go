package wal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"time"
)

// Entry is what a caller appends: one block and what is known about it.
type Entry struct {
	Rows      int       // rows in the block
	MinTime   time.Time // time of the oldest row; microseconds are kept
	MaxTime   time.Time // time of the newest row
	Revision  int       // revision of the native protocol that the block is encoded for
	Positions []byte    // where each source stands after this block; opaque here
	Block     []byte    // the compressed native block; opaque here
}

// Record is an entry that is in the log.
type Record struct {
	Entry
	Seq   uint64 // position in the log; grows, with gaps after damage
	Token string // names the block for ever: writer id and sequence number
	Again bool   // an earlier process may have been given it; it may be stored
	// Appended is when it was put into the log, by this machine's clock, in whole
	// seconds; zero in records of older versions.
	Appended time.Time
}

const (
	headerSize = 56
	// maxPositions and maxBlock bound what a damaged length can make the decoder
	// allocate. A block of 200,000 calls is about 25 MB.
	maxPositions = 1 << 20
	maxBlock     = 256 << 20
)

var (
	recordMagic = [4]byte{'K', 'D', 'r', '1'}
	castagnoli  = crc32.MakeTable(crc32.Castagnoli)

	errHeader = errors.New("damaged record header")
	errBody   = errors.New("damaged record body")
	errShort  = errors.New("record is cut off")
)

// header is the fixed part of a record. Little endian:
//
//	 0 magic "KDr1"           24 min time, µs since 1970
//	 4 crc32c of bytes 8–55   32 max time
//	 8 sequence number        40 length of the positions
//	16 rows                   44 length of the block
//	20 protocol revision      48 crc32c of positions and block
//	                          52 time of the append, s since 1970; 0: unknown
type header struct {
	seq              uint64
	rows, revision   uint32
	minTime, maxTime int64
	positions, block uint32
	bodySum          uint32
	appended         uint32
}

// size is the length of the whole record in bytes.
func (h header) size() int64 { return headerSize + int64(h.positions) + int64(h.block) }

func recordSize(e Entry) int64 {
	return headerSize + int64(len(e.Positions)) + int64(len(e.Block))
}

// appendRecord appends the record's bytes to b. at is the time, s since 1970.
func appendRecord(b []byte, seq uint64, at uint32, e Entry) []byte {
	start := len(b)
	b = append(b, recordMagic[:]...)
	b = binary.LittleEndian.AppendUint32(b, 0)
	b = binary.LittleEndian.AppendUint64(b, seq)
	b = binary.LittleEndian.AppendUint32(b, uint32(e.Rows))
	b = binary.LittleEndian.AppendUint32(b, uint32(e.Revision))
	b = binary.LittleEndian.AppendUint64(b, uint64(e.MinTime.UnixMicro()))
	b = binary.LittleEndian.AppendUint64(b, uint64(e.MaxTime.UnixMicro()))
	b = binary.LittleEndian.AppendUint32(b, uint32(len(e.Positions)))
	b = binary.LittleEndian.AppendUint32(b, uint32(len(e.Block)))
	sum := crc32.Update(crc32.Checksum(e.Positions, castagnoli), castagnoli, e.Block)
	b = binary.LittleEndian.AppendUint32(b, sum)
	b = binary.LittleEndian.AppendUint32(b, at)
	binary.LittleEndian.PutUint32(b[start+4:], crc32.Checksum(b[start+8:start+headerSize], castagnoli))
	b = append(b, e.Positions...)
	return append(b, e.Block...)
}

// parseHeader reads the fixed part of a record from the front of b.
func parseHeader(b []byte) (header, error) {
	if len(b) < headerSize {
		return header{}, errShort
	}
	le := binary.LittleEndian
	if [4]byte(b[:4]) != recordMagic || le.Uint32(b[4:]) != crc32.Checksum(b[8:headerSize], castagnoli) {
		return header{}, errHeader
	}
	h := header{
		seq:       le.Uint64(b[8:]),
		rows:      le.Uint32(b[16:]),
		revision:  le.Uint32(b[20:]),
		minTime:   int64(le.Uint64(b[24:])),
		maxTime:   int64(le.Uint64(b[32:])),
		positions: le.Uint32(b[40:]),
		block:     le.Uint32(b[44:]),
		bodySum:   le.Uint32(b[48:]),
		appended:  le.Uint32(b[52:]),
	}
	if h.positions > maxPositions || h.block > maxBlock {
		return header{}, errHeader
	}
	return h, nil
}

// entry checks the body that belongs to h and returns the entry, which keeps body.
func (h header) entry(body []byte) (Entry, error) {
	if int64(len(body)) < h.size()-headerSize {
		return Entry{}, errShort
	}
	body = body[:h.size()-headerSize]
	if crc32.Checksum(body, castagnoli) != h.bodySum {
		return Entry{}, errBody
	}
	return Entry{
		Rows:      int(h.rows),
		Revision:  int(h.revision),
		MinTime:   time.UnixMicro(h.minTime).UTC(),
		MaxTime:   time.UnixMicro(h.maxTime).UTC(),
		Positions: body[:h.positions:h.positions],
		Block:     body[h.positions:],
	}, nil
}

// time is when the record was appended.
func (h header) time() time.Time {
	if h.appended == 0 {
		return time.Time{}
	}
	return time.Unix(int64(h.appended), 0)
}

// decodeRecord reads the record at the front of b and returns its length.
func decodeRecord(b []byte) (header, Entry, error) {
	h, err := parseHeader(b)
	if err != nil {
		return header{}, Entry{}, err
	}
	e, err := h.entry(b[headerSize:])
	return h, e, err
}

func token(writer string, seq uint64) string { return fmt.Sprintf("%s/%d", writer, seq) }

// check says why an entry cannot be in a log at all.
func (e Entry) check(budget int64) error {
	switch {
	case len(e.Positions) > maxPositions:
		return fmt.Errorf("positions of %d bytes: at most %d fit into a record", len(e.Positions), maxPositions)
	case len(e.Block) > maxBlock:
		return fmt.Errorf("block of %d bytes: at most %d fit into a record", len(e.Block), maxBlock)
	case recordSize(e) > budget/2:
		return fmt.Errorf("record of %d bytes: the log may use %d bytes of disk and holds at least two records", recordSize(e), budget)
	}
	return nil
}
