package demo

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// write prints the table with every line indented.
func (t Table) write(w io.Writer, indent string) {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, indent+strings.Join(t.Head, "\t"))
	for _, r := range t.Rows {
		fmt.Fprintln(tw, indent+strings.Join(r, "\t"))
	}
	_ = tw.Flush()
}
