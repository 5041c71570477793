package template

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Scope is the names that templates may use. It is filled in while templates are
// parsed: what a step extracts can be used from the next step on.
type Scope struct {
	feeds   []string
	columns [][]string // of each feed: those that are used
	used    []bool     // of each feed: by this scope
	vars    map[string]int
}

// NewScope knows data files by these names.
func NewScope(feeds ...string) *Scope {
	return &Scope{feeds: feeds, columns: make([][]string, len(feeds)), used: make([]bool, len(feeds)), vars: map[string]int{}}
}

// Define makes a value known and returns its index in [Values.Vars].
func (s *Scope) Define(name string) (int, error) {
	if slices.Contains(s.feeds, name) {
		return 0, fmt.Errorf("has the name of a data file")
	}
	if i, ok := s.vars[name]; ok {
		return i, nil
	}
	s.vars[name] = len(s.vars)
	return len(s.vars) - 1, nil
}

// Fork is a scope with the same data files that knows no values.
func (s *Scope) Fork() *Scope {
	return &Scope{feeds: s.feeds, columns: s.columns, used: make([]bool, len(s.feeds)), vars: map[string]int{}}
}

// Vars is how many values there are.
func (s *Scope) Vars() int { return len(s.vars) }

// Columns are those that templates use of a data file, in the order of the values
// in [Values.Rows].
func (s *Scope) Columns(feed int) []string { return s.columns[feed] }

// Uses says whether templates of this scope, not of its forks, use the data file.
func (s *Scope) Uses(feed int) bool { return s.used[feed] }

// Feeds are the names of the data files.
func (s *Scope) Feeds() []string { return s.feeds }

// field is {{.name}} or {{.feed.column}}.
func (s *Scope) field(path []string) (part, error) {
	if len(path) == 2 && slices.Contains(s.feeds, path[0]) {
		return s.column(path[0], path[1])
	}
	i, ok := s.vars[path[0]]
	if !ok || len(path) > 1 {
		return nil, fmt.Errorf(".%s is unknown, %s", strings.Join(path, "."), s.known(path))
	}
	return func(dst []byte, v *Values) []byte { return append(dst, v.Vars[i]...) }, nil
}

func (s *Scope) known(path []string) string {
	if len(path) == 1 && slices.Contains(s.feeds, path[0]) {
		return "want a column of the data file, such as ." + path[0] + ".id"
	}
	var known []string
	for _, f := range s.feeds {
		known = append(known, "."+f+".COLUMN")
	}
	for _, name := range slices.Sorted(maps.Keys(s.vars)) {
		known = append(known, "."+name)
	}
	if len(known) == 0 {
		return "there are no data files and no earlier step extracts anything"
	}
	return "want one of " + strings.Join(known, ", ")
}

func (s *Scope) column(feed, column string) (part, error) {
	f := slices.Index(s.feeds, feed)
	if f < 0 {
		return nil, fmt.Errorf("data file %q is unknown, want one of %q", feed, s.feeds)
	}
	s.used[f] = true
	c := slices.Index(s.columns[f], column)
	if c < 0 {
		c = len(s.columns[f])
		s.columns[f] = append(s.columns[f], column)
	}
	return func(dst []byte, v *Values) []byte { return append(dst, v.Rows[f][c]...) }, nil
}
