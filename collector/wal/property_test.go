package wal

import (
	"bytes"
	"context"
	"encoding/binary"
	"hash/crc32"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/kongdao/kongdao/internal/testkit"
)

// model is what a log has to behave like: a slice.
type model struct {
	t       *testing.T
	r       *rand.Rand
	o       Options
	log     *Log
	entries []int          // sizes of what was appended; the index is the number
	read    int            // next entry that Next gives
	acked   map[int]bool   // since the cursor
	cursor  int            // entries before it are acknowledged without a gap
	seqs    map[int]uint64 // of what was read since the log was opened
	tokens  map[int]string // of what was ever read
}

func (m *model) append() {
	n, size := len(m.entries), m.r.IntN(3000)
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	for m.log.Stats().Bytes+int64(size)+500 > m.o.BudgetBytes {
		if m.read == len(m.entries) && len(m.pending()) == 0 {
			break // all acknowledged: the log itself has to make room
		}
		m.next()
		m.ack()
	}
	if _, err := m.log.Append(ctx, entryOf(n, size)); err != nil {
		m.t.Fatalf("append of %d bytes: %v; %+v", size, err, m.log.Stats())
	}
	m.entries = append(m.entries, size)
}

func (m *model) next() {
	rec, ok, err := m.log.TryNext()
	testkit.Must(m.t, err)
	if wanted := m.read < len(m.entries); ok != wanted {
		m.t.Fatalf("record: %t, want %t, at %d of %d", ok, wanted, m.read, len(m.entries))
	}
	if !ok {
		return
	}
	sameEntry(m.t, rec.Entry, entryOf(m.read, m.entries[m.read]))
	if was, known := m.tokens[m.read]; known && was != rec.Token {
		m.t.Fatalf("token of %d was %s, is %s", m.read, was, rec.Token)
	}
	m.tokens[m.read], m.seqs[m.read] = rec.Token, rec.Seq
	m.read++
}

func (m *model) pending() (ns []int) {
	for n := m.cursor; n < m.read; n++ {
		if !m.acked[n] {
			ns = append(ns, n)
		}
	}
	return ns
}

func (m *model) ack() {
	pending := m.pending()
	if len(pending) == 0 {
		return
	}
	n := pending[m.r.IntN(min(3, len(pending)))]
	testkit.Must(m.t, m.log.Ack(m.seqs[n]))
	m.acked[n] = true
	for m.acked[m.cursor] {
		m.cursor++
	}
}

func (m *model) reopen() {
	testkit.Must(m.t, m.log.Close())
	if m.r.IntN(3) == 0 {
		m.tear()
	}
	m.log = open(m.t, m.o)
	m.read, m.acked, m.seqs = m.cursor, map[int]bool{}, map[int]uint64{}
}

// tear adds the start of a record to the newest segment, as a crash may.
func (m *model) tear() {
	names, err := filepath.Glob(filepath.Join(m.o.Dir, "*.wal"))
	testkit.Must(m.t, err)
	f, err := os.OpenFile(names[len(names)-1], os.O_APPEND|os.O_WRONLY, 0)
	testkit.Must(m.t, err)
	torn := appendRecord(nil, 1<<40, 1, entryOf(1, 100))
	_, err = f.Write(torn[:m.r.IntN(len(torn))])
	testkit.Must(m.t, err)
	testkit.Must(m.t, f.Close())
}

func (m *model) check() {
	var rows int64
	for n := m.cursor; n < len(m.entries); n++ {
		if !m.acked[n] {
			rows += int64(entryOf(n, 0).Rows)
		}
	}
	s := m.log.Stats()
	if s.Rows != rows || s.Bytes > m.o.BudgetBytes || s.Quarantined != 0 || (rows > 0) == s.Oldest.IsZero() {
		m.t.Fatalf("%+v, want %d rows", s, rows)
	}
	files, err := filepath.Glob(filepath.Join(m.o.Dir, "*.wal"))
	testkit.Must(m.t, err)
	var disk int64
	for _, f := range files {
		info, err := os.Stat(f)
		testkit.Must(m.t, err)
		disk += info.Size()
	}
	if disk != s.Bytes || len(files) != s.Segments {
		m.t.Fatalf("%d bytes in %d files on disk, %+v", disk, len(files), s)
	}
}

func TestLogBehavesLikeASlice(t *testing.T) {
	for seed := range uint64(25) {
		m := &model{
			t: t, r: rand.New(rand.NewPCG(seed, 7)), o: Options{Dir: t.TempDir(), BudgetBytes: 64 << 10},
			acked: map[int]bool{}, seqs: map[int]uint64{}, tokens: map[int]string{},
		}
		m.log = open(t, m.o)
		steps := []func(){m.append, m.append, m.append, m.next, m.next, m.next, m.ack, m.ack, m.ack}
		for range 300 {
			if m.r.IntN(40) == 0 {
				m.reopen()
			}
			steps[m.r.IntN(len(steps))]()
			m.check()
		}
		testkit.Must(t, m.log.Close())
	}
}

func FuzzDecodeRecord(f *testing.F) {
	f.Add(appendRecord(nil, 7, 1, entryOf(3, 50)))
	f.Add(appendRecord(nil, 1<<60, 1, Entry{}))
	f.Add([]byte("KDr1"))
	f.Fuzz(func(t *testing.T, b []byte) {
		fix(b)
		h, e, err := decodeRecord(b)
		if err != nil {
			if !damaged(err) {
				t.Fatalf("error %v is not known as damage", err)
			}
			return
		}
		again := appendRecord(nil, h.seq, h.appended, e)
		// Bytes 52 to 55 are not read.
		if n := int(h.size()); !bytes.Equal(again[8:52], b[8:52]) || !bytes.Equal(again[headerSize:], b[headerSize:n]) {
			t.Fatal("encoded again, the record is another one")
		}
	})
}

// fix makes the checksums right, so that the fuzzer gets past them.
func fix(b []byte) {
	if len(b) < headerSize || b[0]&1 == 0 {
		return
	}
	copy(b, recordMagic[:])
	positions, block := binary.LittleEndian.Uint32(b[40:]), binary.LittleEndian.Uint32(b[44:])
	if n := uint64(positions) + uint64(block); n <= uint64(len(b)-headerSize) {
		binary.LittleEndian.PutUint32(b[48:], crc32.Checksum(b[headerSize:headerSize+n], castagnoli))
	}
	binary.LittleEndian.PutUint32(b[4:], crc32.Checksum(b[8:headerSize], castagnoli))
}

// FuzzOpen opens a folder with anything as its only segment.
func FuzzOpen(f *testing.F) {
	head, err := appendSegmentHeader(nil, "0011223344556677", 1, []byte("{}"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(head)
	f.Add(appendRecord(appendRecord(head, 1, 1, entryOf(1, 20)), 2, 1, entryOf(2, 20)))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		dir := t.TempDir()
		testkit.Must(t, os.WriteFile(segmentPath(dir, 1), b, 0o600))
		l, err := Open(Options{Dir: dir})
		testkit.Must(t, err)
		defer l.Close()
		for ok := true; ok; {
			_, ok, err = l.TryNext()
			testkit.Must(t, err)
		}
		_, err = l.Append(context.Background(), entryOf(1, 10))
		testkit.Must(t, err)
		rec, ok, err := l.TryNext()
		if err != nil || !ok {
			t.Fatalf("what was appended is not read: %v", err)
		}
		sameEntry(t, rec.Entry, entryOf(1, 10))
	})
}
