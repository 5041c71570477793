package api

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Source says where a resource was written.
type Source struct {
	File string `json:"file"`
	Line int    `json:"line"` // from 1; 0 when unknown
}

// String is "file:line", or "file" when the line is unknown.
func (s Source) String() string {
	if s.Line == 0 {
		return s.File
	}
	return fmt.Sprintf("%s:%d", s.File, s.Line)
}

// Problem is one thing that is wrong with a resource: where, which field, what is
// wrong and what would be right.
type Problem struct {
	Source
	Field   string `json:"field"` // path in the document, such as spec.traffic[0].weight; may be empty
	Message string `json:"message"`

	// Other is the second place where two resources contradict each other, such
	// as two that hold the same route; zero otherwise.
	Other Source `json:"other,omitzero"`
}

// String is "file:line: field: message".
func (p Problem) String() string {
	if p.Field == "" {
		return fmt.Sprintf("%s: %s", p.Source, p.Message)
	}
	return fmt.Sprintf("%s: %s: %s", p.Source, p.Field, p.Message)
}

// Sort orders problems by file, line and field.
func (ps Problems) Sort() {
	slices.SortStableFunc(ps, func(a, b Problem) int {
		return cmp.Or(strings.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), strings.Compare(a.Field, b.Field))
	})
}

// Err is ps as an error: nil when there is none.
func (ps Problems) Err() error {
	if len(ps) == 0 {
		return nil
	}
	return ps
}

// Problems is an error that lists one problem a line.
type Problems []Problem

func (ps Problems) Error() string {
	lines := make([]string, len(ps))
	for i, p := range ps {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}
