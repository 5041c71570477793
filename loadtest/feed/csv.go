package feed

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

func (f *Feed) indexCSV(in io.Reader) error {
	r := csv.NewReader(in)
	r.ReuseRecord = true
	heading, err := r.Read()
	if errors.Is(err, io.EOF) {
		return fmt.Errorf("%s: is empty, want a heading and rows", f.Name)
	}
	if err != nil {
		return f.csvError(err)
	}
	heading = slices.Clone(heading)
	heading[0] = strings.TrimPrefix(heading[0], "\ufeff") // as spreadsheets write it
	var at []int                                          // of Columns in a row
	for _, column := range f.Columns {
		i := slices.Index(heading, column)
		if i < 0 {
			return f.missing(1, "column "+column, heading)
		}
		at = append(at, i)
	}
	f.begins = append(f.begins, r.InputOffset())
	for {
		if _, err = r.Read(); err != nil {
			break
		}
		f.begins = append(f.begins, r.InputOffset())
	}
	if !errors.Is(err, io.EOF) {
		return f.csvError(err)
	}
	f.read = func(text []byte, into []string) error {
		record, err := csv.NewReader(bytes.NewReader(text)).Read()
		if err != nil {
			return err
		}
		for i, column := range at {
			if column >= len(record) { // the file has changed since
				return fmt.Errorf("has %d fields", len(record))
			}
			into[i] = record[column]
		}
		return nil
	}
	return nil
}

// csvError puts the line to the file.
func (f *Feed) csvError(err error) error {
	var p *csv.ParseError
	if errors.As(err, &p) {
		return fmt.Errorf("%s:%d: %w", f.Name, p.Line, p.Err)
	}
	return fmt.Errorf("%s: %w", f.Name, err)
}
