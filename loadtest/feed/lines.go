package feed

import (
	"bufio"
	"bytes"
	"fmt"
	"io"

	"github.com/tidwall/gjson"
)

// longest bounds a line.
const longest = 16 << 20

// indexLines takes empty lines for part of the row before them.
func (f *Feed) indexLines(in io.Reader) error {
	s := bufio.NewScanner(in)
	s.Buffer(make([]byte, 64<<10), longest)
	var offset int64
	s.Split(func(data []byte, atEOF bool) (int, []byte, error) {
		n, token, err := bufio.ScanLines(data, atEOF)
		offset += int64(n)
		return n, token, err
	})
	into := make([]string, len(f.Columns))
	before := int64(0)
	for line := 1; s.Scan(); line++ {
		text := bytes.TrimSpace(s.Bytes())
		if len(text) == 0 {
			if len(f.begins) > 0 {
				f.begins[len(f.begins)-1] = offset
			}
			before = offset
			continue
		}
		if err := f.checkLine(line, text, into); err != nil {
			return err
		}
		if len(f.begins) == 0 {
			f.begins = append(f.begins, before)
		}
		f.begins = append(f.begins, offset)
	}
	if err := s.Err(); err != nil {
		return fmt.Errorf("%s: %w", f.Name, err)
	}
	if len(f.begins) == 0 {
		return fmt.Errorf("%s: is empty, want a JSON object on each line", f.Name)
	}
	f.read = f.fields
	return nil
}

func (f *Feed) checkLine(line int, text []byte, into []string) error {
	if !gjson.ValidBytes(text) || text[0] != '{' {
		return fmt.Errorf("%s:%d: is no JSON object, want one on each line", f.Name, line)
	}
	for i, column := range f.Columns {
		into[i] = ""
		if !gjson.GetBytes(text, gjson.Escape(column)).Exists() {
			var have []string
			for name := range gjson.ParseBytes(text).Map() {
				have = append(have, name)
			}
			return f.missing(line, "key "+column, have)
		}
	}
	return nil
}

// fields are texts without their quotes, null as nothing, and all else as it is written.
func (f *Feed) fields(text []byte, into []string) error {
	for i, column := range f.Columns {
		r := gjson.GetBytes(text, gjson.Escape(column))
		if !r.Exists() {
			return fmt.Errorf("has no key %s", column)
		}
		if into[i] = r.String(); r.Type == gjson.Number {
			into[i] = r.Raw
		}
	}
	return nil
}
