package drill

import (
	"bytes"
	"fmt"
	"io"
	"text/tabwriter"
)

// WriteText writes the pre-check for people.
func (p Precheck) WriteText(w io.Writer) error {
	verdict := "allowed"
	if !p.OK {
		verdict = "refused"
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "draining %s: %s\n", p.Zone, verdict)
	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "FUNCTION\tTRAFFIC\tLEFT\tNOW\tAFTER\t")
	for _, f := range p.Findings {
		mark := ""
		if !f.OK {
			mark = "NO: " + f.Reason
		}
		fmt.Fprintf(t, "%s\t%.1f/s\t%.1f/s\t%s\t%s\t%s\n", f.Function, f.QPS, f.Capacity, percent(f.Before), percent(f.After), mark)
	}
	if err := t.Flush(); err != nil {
		return fmt.Errorf("format pre-check: %w", err)
	}
	_, err := w.Write(b.Bytes())
	return err
}

// WriteText writes the report for people, times counted from its first event.
func (r Report) WriteText(w io.Writer) error {
	var b bytes.Buffer
	state := "carried out"
	if !r.OK {
		state = "taken back: " + r.Error
	}
	fmt.Fprintf(&b, "zone %s: %s, %.1f s\n", r.Zone, state, r.Seconds)
	for _, e := range r.Events {
		fmt.Fprintf(&b, "%8.1f s  %s\n", e.At.Sub(r.Events[0].At).Seconds(), e.What)
	}
	if r.Drained {
		fmt.Fprintf(&b, "drained until %s\n", r.Expires.Format("15:04:05"))
	}
	_, err := w.Write(b.Bytes())
	return err
}

func percent(share float64) string {
	if share < 0 {
		return "?"
	}
	return fmt.Sprintf("%.0f %%", 100*share)
}
