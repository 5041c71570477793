package gate

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// WriteText writes verdicts for people.
func WriteText(w io.Writer, verdicts []Verdict) error {
	var b bytes.Buffer
	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, v := range verdicts {
		word := "may go live"
		if !v.OK {
			word = "may not go live"
		}
		fmt.Fprintf(t, "%s\t%s\t\n", strings.TrimSpace(v.Function+" "+v.Revision), word)
		for _, c := range v.Checks {
			mark := "ok"
			if !c.OK {
				mark = "NO"
			}
			fmt.Fprintf(t, "  %s %s\t%s\t\n", mark, c.Name, c.Reason)
			if c.Mend != "" {
				fmt.Fprintf(t, "\t-> %s\t\n", c.Mend)
			}
		}
	}
	if err := t.Flush(); err != nil {
		return fmt.Errorf("format verdicts: %w", err)
	}
	_, err := w.Write(b.Bytes())
	return err
}

// Text is what is missing, each on a line of its own; empty when nothing is.
func (v Verdict) Text() string {
	var all []string
	for _, c := range v.Missing() {
		all = append(all, c.Name+": "+c.Reason+" ("+c.Mend+")")
	}
	return strings.Join(all, "\n")
}
