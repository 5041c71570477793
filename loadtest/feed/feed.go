// Package feed reads the data files of load tests: CSV with a heading, or a JSON
// object on each line.
//
// Opening a file reads it once, so that every row is known to have every column
// before the first request. It keeps where each row begins, 8 bytes a row, and reads
// rows when they are needed: files may be larger than memory.
package feed

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Order is how rows are handed out.
type Order string

// Orders of rows.
const (
	Sequential Order = "sequential" // in the order of the file, again from the start after its end
	Random     Order = "random"     // each time any of them
	Unique     Order = "unique"     // in the order of the file, each row once
)

// small files are kept in memory.
const small = 8 << 20

// Feed is an open data file. Many may read at once.
type Feed struct {
	Name    string
	Order   Order // empty: Sequential
	Columns []string
	read    func(text []byte, into []string) error
	begins  []int64 // of rows, and the end of the last
	from    io.ReaderAt
	close   func() error
}

// Rows is how many there are.
func (f *Feed) Rows() int { return len(f.begins) - 1 }

// Close ends reading.
func (f *Feed) Close() error { return f.close() }

// Pick is the row for iteration n, counted from 0, random being a number from 0 to
// Rows−1; false: a unique file has no more.
func (f *Feed) Pick(n uint64, random int64) (row int, ok bool) {
	switch f.Order {
	case Random:
		return int(random), true
	case Unique:
		return int(min(n, uint64(f.Rows()))), n < uint64(f.Rows())
	}
	return int(n % uint64(f.Rows())), true
}

// Read puts a row's fields into the slice, which has the length of Columns. buffer
// is used where it is large enough, and returned for the next call.
func (f *Feed) Read(row int, into []string, buffer []byte) ([]byte, error) {
	begin, end := f.begins[row], f.begins[row+1]
	if n := int(end - begin); cap(buffer) < n {
		buffer = make([]byte, n)
	} else {
		buffer = buffer[:n]
	}
	if _, err := f.from.ReadAt(buffer, begin); err != nil {
		return buffer, fmt.Errorf("%s: row %d: %w", f.Name, row+1, err)
	}
	if err := f.read(buffer, into); err != nil {
		return buffer, fmt.Errorf("%s: row %d: %w", f.Name, row+1, err)
	}
	return buffer, nil
}

// Open reads a file whose rows must have these columns. Errors begin with the file,
// and the line where there is one.
func Open(name string, order Order, columns []string) (*Feed, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	f := &Feed{Name: filepath.Base(name), Order: order, Columns: columns, from: file, close: file.Close}
	if err := f.index(file); err != nil {
		_ = file.Close()
		return nil, err
	}
	return f, nil
}

func (f *Feed) index(file *os.File) error {
	info, err := file.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%s: is no file with rows", f.Name)
	}
	var in io.Reader = file
	if info.Size() <= small {
		all, err := io.ReadAll(file)
		if err != nil {
			return fmt.Errorf("%s: %w", f.Name, err)
		}
		f.from, in = bytes.NewReader(all), bytes.NewReader(all)
		f.close = func() error { return nil }
		defer file.Close()
	}
	if strings.EqualFold(filepath.Ext(file.Name()), ".csv") {
		err = f.indexCSV(in)
	} else {
		err = f.indexLines(in)
	}
	if err == nil && f.Rows() < 1 {
		err = fmt.Errorf("%s: has no rows", f.Name)
	}
	return err
}

func (f *Feed) missing(line int, column string, have []string) error {
	hint := ""
	if len(have) > 0 {
		have = slices.Clone(have)
		slices.Sort(have)
		hint = ", there are " + strings.Join(have[:min(len(have), 20)], ", ")
	}
	return fmt.Errorf("%s:%d: has no %s%s", f.Name, line, column, hint)
}
