package engine

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
	"slices"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// deltas keep on disk what changed since a snapshot was written, so that a kill
// between two snapshots forgets nothing. It is a row of append-only files,
// name.1.log, name.2.log …; a snapshot makes those before it superfluous.
//
// A record is its length and its CRC-32, four bytes each, and its bytes. Reading a
// file ends at the first record that is torn or damaged: records are written in one
// call, in order, so nothing that follows was promised to anybody.
type deltas struct {
	dir, name string
	synced    bool // a record is on disk, not only with the kernel, when add returns

	mu   sync.Mutex // guards all below
	file *os.File
	last int
}

// maxDelta bounds what a length that was damaged makes us allocate.
const maxDelta = 64 << 20

// openDeltas hands all records to apply, oldest first, and begins a new file.
func openDeltas(dir, name string, synced bool, apply func([]byte) error) (*deltas, error) {
	d := &deltas{dir: dir, name: name, synced: synced}
	numbers, err := d.numbers()
	if err != nil {
		return nil, err
	}
	for _, n := range numbers {
		if err := readDeltas(d.path(n), apply); err != nil {
			return nil, err
		}
		d.last = n
	}
	if _, err := d.rotate(); err != nil {
		return nil, err
	}
	return d, nil
}

// add writes a record. A nil deltas takes none.
func (d *deltas) add(record []byte) error {
	if d == nil {
		return nil
	}
	b := make([]byte, 8, 8+len(record))
	binary.LittleEndian.PutUint32(b, uint32(len(record)))
	binary.LittleEndian.PutUint32(b[4:], crc32.ChecksumIEEE(record))
	b = append(b, record...)
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.file == nil {
		return fs.ErrClosed
	}
	_, err := d.file.Write(b)
	if err == nil && d.synced {
		err = unix.Fdatasync(int(d.file.Fd()))
	}
	if err != nil {
		return fmt.Errorf("write %s changes: %w", d.name, err)
	}
	return nil
}

// rotate begins a new file and returns a function that removes those before it, to
// be called when a snapshot that was begun afterwards is on disk.
func (d *deltas) rotate() (forget func() error, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f, err := os.OpenFile(d.path(d.last+1), os.O_CREATE|os.O_EXCL|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("begin %s changes: %w", d.name, err)
	}
	if d.file != nil {
		_ = d.file.Close()
	}
	d.file, d.last = f, d.last+1
	current := d.last
	return func() error { return d.remove(current) }, nil
}

// remove takes away the files before number n.
func (d *deltas) remove(n int) error {
	numbers, err := d.numbers()
	for _, i := range numbers {
		if i < n {
			err = errors.Join(err, os.Remove(d.path(i)))
		}
	}
	return err
}

func (d *deltas) close() {
	if d == nil {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.file != nil {
		_ = d.file.Close()
		d.file = nil
	}
}

func (d *deltas) path(n int) string { return filepath.Join(d.dir, fmt.Sprintf("%s.%d.log", d.name, n)) }

func (d *deltas) numbers() ([]int, error) {
	paths, err := filepath.Glob(filepath.Join(d.dir, d.name+".*.log"))
	var numbers []int
	for _, p := range paths {
		text := strings.TrimSuffix(strings.TrimPrefix(filepath.Base(p), d.name+"."), ".log")
		if n, err := strconv.Atoi(text); err == nil {
			numbers = append(numbers, n)
		}
	}
	slices.Sort(numbers)
	return numbers, err
}

func readDeltas(path string, apply func([]byte) error) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("read changes: %w", err)
	}
	defer f.Close()
	in := bufio.NewReaderSize(f, 64<<10)
	var head [8]byte
	for {
		if _, err := io.ReadFull(in, head[:]); err != nil {
			return nil //nolint:nilerr // the end, or a torn one
		}
		size := binary.LittleEndian.Uint32(head[:])
		if size > maxDelta {
			return nil
		}
		record := make([]byte, size)
		if _, err := io.ReadFull(in, record); err != nil || crc32.ChecksumIEEE(record) != binary.LittleEndian.Uint32(head[4:]) {
			return nil //nolint:nilerr // a torn end
		}
		if err := apply(record); err != nil {
			return fmt.Errorf("read %s: %w", filepath.Base(path), err)
		}
	}
}
