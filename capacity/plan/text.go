package plan

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// WriteText writes the plan as a table for people.
func (p Plan) WriteText(w io.Writer) error {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%d zones, %d may be lost, %.0f %% of the safe rate, %.0f %% growth%s\n\n",
		len(p.Zones), p.LostZones, 100*p.Utilisation, 100*p.Growth, p.imaginedText())
	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "FUNCTION\tPEAK\tSAFE RATE\tNEEDED PER ZONE\tHAVE\tMISSING\tSURVIVES\tNOW\tZONE LOST")
	for _, r := range p.Functions {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", r.Function, rate(r.PeakQPS), rate(r.SafeRate), known(r.PerZone > 0, "%d", r.PerZone),
			p.zones(r.Have, "-"), p.zones(r.Missing, known(r.PerZone > 0, "none")), survives(r), percent(r.Now), percent(r.ZoneLost))
	}
	if err := t.Flush(); err != nil {
		return fmt.Errorf("format plan: %w", err)
	}
	for _, r := range p.Functions {
		for _, in := range r.Inputs {
			if in.Text != "" {
				fmt.Fprintf(&b, "\n%s: %s", r.Function, in.Text)
			}
		}
		for _, note := range r.Notes {
			fmt.Fprintf(&b, "\n%s: %s", r.Function, note)
		}
	}
	p.writeIdle(&b)
	b.WriteString("\n")
	_, err := w.Write(b.Bytes())
	return err
}

// zones is "zb-a 3, zb-b 2", or none where nothing is above 0.
func (p Plan) zones(pods map[string]int, none string) string {
	var parts []string
	for _, z := range p.Zones {
		if pods[z] > 0 {
			parts = append(parts, fmt.Sprintf("%s %d", z, pods[z]))
		}
	}
	if len(parts) == 0 {
		return none
	}
	return strings.Join(parts, ", ")
}

func known(is bool, format string, args ...any) string {
	if !is {
		return "?"
	}
	return fmt.Sprintf(format, args...)
}

func rate(r float64) string { return known(r > 0, "%.1f/s", r) }

func percent(share float64) string { return known(share >= 0, "%.0f %%", 100*share) }

func survives(r Row) string {
	switch {
	case r.PerZone == 0:
		return "?"
	case r.Survives < 0:
		return "nothing: too few pods"
	case r.Survives == 1:
		return "1 zone"
	}
	return fmt.Sprintf("%d zones", r.Survives)
}

// imaginedText names what was thought of beside what is.
func (p Plan) imaginedText() (text string) {
	if len(p.Without) > 0 {
		text += ", without " + strings.Join(p.Without, ", ")
	}
	for _, e := range p.Events {
		text += fmt.Sprintf(", event %s %gx", e.Name, e.Factor)
	}
	return text
}

// hoursAMonth is a twelfth of a year's hours.
const hoursAMonth = 730

func (p Plan) writeIdle(b *bytes.Buffer) {
	for _, r := range p.Functions {
		if len(r.Idle) > 0 {
			fmt.Fprintf(b, "\n%s: more pods than planned: %s", r.Function, p.zones(r.Idle, ""))
		}
	}
	for _, m := range p.Merge {
		fmt.Fprintf(b, "\n%s: %d pods, %.2g requests a second each: merge it with others, or have fewer", m.Function, m.Pods, m.PerPod)
	}
	if c := p.Cost; c != nil {
		fmt.Fprintf(b, "\ncost: %.2f an hour now, %.2f as planned, %.2f idle; a month %.0f, %.0f, %.0f",
			c.Have, c.Planned, c.Idle, hoursAMonth*c.Have, hoursAMonth*c.Planned, hoursAMonth*c.Idle)
	}
}
