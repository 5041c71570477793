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
	fmt.Fprintf(&b, "%d zones, %d may be lost, %.0f %% of the safe rate, %.0f %% growth\n\n",
		len(p.Zones), p.LostZones, 100*p.Utilisation, 100*p.Growth)
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
		for _, note := range r.Notes {
			fmt.Fprintf(&b, "\n%s: %s", r.Function, note)
		}
	}
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
