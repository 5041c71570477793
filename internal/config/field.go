package config

import (
	"errors"
	"io/fs"
	"iter"
	"net"
	"os"

	"github.com/kongdao/kongdao/api"
)

// FieldError says that this machine does not allow what a field asks for, such as
// a port that somebody else has. The field is right as it is written; a field that
// is not is an api.Problem.
type FieldError struct {
	Field string // such as listen.api
	Err   error
}

// Error is "field: what is wrong".
func (e *FieldError) Error() string { return e.Field + ": " + e.Err.Error() }

func (e *FieldError) Unwrap() error { return e.Err }

// Locate says where a file writes a field, or the nearest one around it: the first
// line for a field that it leaves at its default.
func Locate(file, field string) api.Source {
	data, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return api.Source{File: file}
	}
	c := Default()
	lines, _ := api.Decode(file, data, &c) // what is wrong with it was told before
	return api.Source{File: file, Line: lines.At(field)}
}

// Fixed are the fields with an address whose port was chosen, and the address.
func (l Listen) Fixed() iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		for _, a := range l.addresses() {
			_, port, err := net.SplitHostPort(a.address)
			if err == nil && port != "0" && !yield(a.field, a.address) {
				return
			}
		}
	}
}
