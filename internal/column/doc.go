// Package column has what tables of the collector are made of: columns that are
// filled row by row without an allocation for each, kept over many blocks, written
// as ClickHouse's native format and read back from bytes that nobody vouches for.
//
// A table is defined once, by its Specs; package calllog and package fnlog are its
// users. Nothing here is safe for concurrent use.
package column

import (
	"errors"
	"strings"
)

// ErrMalformed is what every error about bytes that do not parse wraps.
var ErrMalformed = errors.New("malformed")

// Spec is one column of a table.
type Spec struct {
	Name string // as in SQL
	Type string // ClickHouse type
	Rest string // what follows the type in the table's definition: default, codec
	Doc  string // meaning and unit
}

// DDL is the column list of a table's definition, one column a line.
func DDL(specs []Spec) string {
	var b strings.Builder
	for i, c := range specs {
		if i > 0 {
			b.WriteString(",\n")
		}
		b.WriteString(strings.TrimRight("    "+c.Name+" "+c.Type+" "+c.Rest, " "))
	}
	return b.String()
}
