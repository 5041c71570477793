package report

import (
	"bytes"
	"fmt"
	"io"
	"text/tabwriter"
)

// WriteText writes the comparison for people.
func (c Comparison) WriteText(w io.Writer) error {
	var b bytes.Buffer
	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "figure\t%s\t%s\tchange\t95 %% sure\treal\tvisible from\n", named(c.A, "A"), named(c.B, "B"))
	for _, d := range c.Differences {
		real := "no"
		if d.Real {
			real = "yes"
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s to %s\t%s\t%s\n", d.Figure, d.value(d.A), d.value(d.B),
			d.change(d.Change), d.change(d.Low), d.change(d.High), real, d.change(d.Visible))
	}
	if err := t.Flush(); err != nil {
		return fmt.Errorf("format comparison: %w", err)
	}
	switch {
	case c.Verdict == Nothing:
		fmt.Fprintf(&b, "%s; a change of the size under \"visible from\" would have shown in 8 of 10 comparisons\n", c.Verdict)
	case c.Beyond:
		fmt.Fprintf(&b, "%s is %s, beyond the tolerance of %g %%\n", named(c.B, "B"), c.Verdict, 100*c.Tolerance)
	default:
		fmt.Fprintf(&b, "%s is %s\n", named(c.B, "B"), c.Verdict)
	}
	for _, warning := range c.Warnings {
		fmt.Fprintf(&b, "note: %s\n", warning)
	}
	_, err := w.Write(b.Bytes())
	return err
}

func named(run, other string) string {
	if run == "" {
		return other
	}
	return run
}

const figureFailures = "failures"

func (d Difference) value(x float64) string {
	if d.Figure == figureFailures {
		return fmt.Sprintf("%.3f %%", 100*x)
	}
	return ms(x)
}

func (d Difference) change(x float64) string {
	if d.Figure == figureFailures {
		return fmt.Sprintf("%+.3f %%", 100*x)
	}
	return fmt.Sprintf("%+.1f %%", 100*x)
}
