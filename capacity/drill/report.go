package drill

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/kongdao/kongdao/capacity/predict"
)

// Compared is a function's prediction beside what was seen; either may be missing.
type Compared struct {
	Function string
	Forecast *Forecast
	Seen     *SeenFunction
}

// Off is how far the predicted p99 is from the one that was seen, as a share of that;
// ok is false where one of them is not known.
func (c Compared) Off() (off float64, ok bool) {
	if c.Forecast == nil || c.Seen == nil || c.Forecast.P99.P99 == 0 || c.Seen.P99 == 0 {
		return 0, false
	}
	return float64(c.Forecast.P99.P99)/float64(c.Seen.P99) - 1, true
}

// Compare puts predictions beside what was seen, the functions that were predicted
// first.
func (r Record) Compare() (all []Compared) {
	for i := range r.Forecast {
		all = append(all, Compared{Function: r.Forecast[i].Function, Forecast: &r.Forecast[i]})
	}
	if r.Seen == nil {
		return all
	}
	for i := range r.Seen.Functions {
		f := &r.Seen.Functions[i]
		at := slices.IndexFunc(all, func(c Compared) bool { return c.Function == f.Function })
		if at < 0 {
			all = append(all, Compared{Function: f.Function})
			at = len(all) - 1
		}
		all[at].Seen = f
	}
	return all
}

// WriteText writes the whole record for people.
func (r Record) WriteText(w io.Writer) error {
	var b bytes.Buffer
	fmt.Fprintf(&b, "drill of %s: %s%s\n", r.Zone, r.State, r.why())
	for _, f := range r.Precheck.Findings {
		if !f.OK {
			fmt.Fprintf(&b, "  NO  %s: %s\n", f.Function, f.Reason)
		}
	}
	r.writeFunctions(&b)
	r.writeZones(&b)
	if len(r.Events) > 0 {
		fmt.Fprintln(&b)
		for _, e := range r.Events {
			fmt.Fprintf(&b, "%8.1f s  %s\n", e.At.Sub(r.Began).Seconds(), e.What)
		}
	}
	for _, line := range r.figures() {
		fmt.Fprintln(&b, line)
	}
	_, err := w.Write(b.Bytes())
	return err
}

func (r Record) why() string {
	text := ""
	if r.Kill {
		text += ", its pods were killed"
	}
	if r.Forced {
		text += ", forced"
	}
	if r.Error != "" {
		text += ": " + r.Error
	}
	return text
}

// figures are the lines below the tables.
func (r Record) figures() (lines []string) {
	if s := r.Seen; s != nil {
		empty := "no call reached the zone any more"
		if s.EmptySeconds >= 0 {
			empty = fmt.Sprintf("the zone's last call began %.1f s after the first step", s.EmptySeconds)
		}
		lines = append(lines, "", empty,
			fmt.Sprintf("%d calls meanwhile, %d failed, of these %d that may be repeated", s.Calls, s.Failed, s.FailedIdempotent))
	}
	for _, a := range r.Alerts {
		switch {
		case a.Expected && a.Fired:
			lines = append(lines, fmt.Sprintf("alert %s fired, as it should", a.Alert))
		case a.Expected:
			lines = append(lines, fmt.Sprintf("ALERT %s did NOT fire", a.Alert))
		default:
			lines = append(lines, fmt.Sprintf("alert %s fired, which nobody expected", a.Alert))
		}
	}
	if len(r.Alerts) == 0 && r.Seen != nil {
		lines = append(lines, "no alert fired, and none should have")
	}
	for _, n := range r.Notes {
		lines = append(lines, "not known: "+n)
	}
	return lines
}

// String is such as ZoneDown{zone=zb-b}.
func (a Alert) String() string {
	for _, label := range []string{"zone", "function", "gateway"} {
		if v := a.Labels[label]; v != "" {
			return fmt.Sprintf("%s{%s=%s}", a.Name, label, v)
		}
	}
	return a.Name
}

func (r Record) writeFunctions(b *bytes.Buffer) {
	all := r.Compare()
	if len(all) == 0 {
		return
	}
	fmt.Fprintln(b)
	t := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "FUNCTION\tOFFERED\tA POD\tP99 BEFORE\tP99 PREDICTED\tP99 SEEN\tOFF\tREFUSED PREDICTED\tSEEN\tFAILED")
	for _, c := range all {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", c.cells()...)
	}
	_ = t.Flush()
}

// cells are the columns of the table of functions.
func (c Compared) cells() []any {
	row := []any{c.Function, "", "", "", "", "", "", "", "", ""}
	if f := c.Forecast; f != nil {
		row[1] = fmt.Sprintf("%.1f/s", f.Offered)
		row[2] = fmt.Sprintf("%.1f → %.1f/s", f.Before, f.After)
		row[4] = estimate(f.P99)
		row[7] = fmt.Sprintf("%.2f %%", 100*f.Refused)
	}
	if s := c.Seen; s != nil {
		row[3], row[5] = short(s.Before), short(s.P99)
		row[8], row[9] = fmt.Sprintf("%.2f %%", 100*s.Refused), fmt.Sprintf("%.3f %%", 100*s.Failed)
		if row[1] == "" {
			row[1] = fmt.Sprintf("%.1f/s", s.QPS)
		}
	}
	if off, ok := c.Off(); ok {
		row[6] = fmt.Sprintf("%+.0f %%", 100*off)
	}
	return row
}

func estimate(e predict.Estimate) string {
	switch e.How {
	case predict.Unknown, "":
		return "unknown: too few calls"
	case predict.Saturated:
		return "without end: the pods cannot do it"
	}
	high := "∞"
	if e.High > 0 {
		high = short(e.High)
	}
	return fmt.Sprintf("%s (%s to %s, %s)", short(e.P99), short(e.Low), high, e.How)
}

func short(d time.Duration) string {
	switch {
	case d == 0:
		return ""
	case d < 10*time.Millisecond:
		return d.Round(10 * time.Microsecond).String()
	}
	return d.Round(100 * time.Microsecond).String()
}

func (r Record) writeZones(b *bytes.Buffer) {
	rows := r.zoneRows()
	if len(rows) == 0 {
		return
	}
	fmt.Fprintln(b)
	t := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "FUNCTION\tZONE\tPODS\tBEFORE\tPREDICTED\tSEEN\tP99 SEEN")
	for _, row := range rows {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", row...)
	}
	_ = t.Flush()
}

func (r Record) zoneRows() (rows [][]any) {
	for _, c := range r.Compare() {
		if c.Forecast == nil {
			continue
		}
		for _, z := range c.Forecast.Zones {
			row := []any{c.Function, z.Zone, fmt.Sprint(z.Pods), fmt.Sprintf("%.1f/s", z.Before), fmt.Sprintf("%.1f/s", z.After), "", ""}
			if c.Seen != nil {
				row[5] = "0.0/s"
				for _, s := range c.Seen.Zones {
					if s.Zone == z.Zone {
						row[5], row[6] = fmt.Sprintf("%.1f/s", s.QPS), short(s.P99)
					}
				}
			}
			rows = append(rows, row)
		}
	}
	return rows
}
