package cli

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
)

func writeShown(w io.Writer, what string, all shownAlerts) {
	for i, s := range all.Alerts {
		if i > 0 {
			fmt.Fprintln(w)
		}
		s.write(w)
	}
	if len(all.Alerts) == 0 {
		for _, r := range all.Rules {
			fmt.Fprintf(w, "%s  %s  does not fire\n", what, r.Labels["severity"])
			t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
			r.write(t)
			_ = t.Flush()
		}
	}
	if len(all.Past) > 0 {
		fmt.Fprintln(w, "\nover:")
	}
	for _, p := range all.Past {
		t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
		row(t, orAll(pairs(p.Labels, "severity")), p.text())
		_ = t.Flush()
	}
}

func orAll(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func (s *shown) write(w io.Writer) {
	verb, note := "fires", ""
	switch s.State {
	case "active":
	case "pending":
		verb = "is pending"
	default:
		note = ", " + s.State
	}
	fmt.Fprintf(w, "%s  %s  %s for %s, since %s%s\n", s.Labels["alertname"], s.Labels["severity"], verb,
		time.Since(s.Since).Round(time.Second), clock(s.Since), note)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, name := range slices.Sorted(maps.Keys(s.Labels)) {
		if name != "alertname" && name != "severity" {
			row(t, name, s.Labels[name])
		}
	}
	texts := map[string]string{}
	if s.Alert != nil {
		texts = s.Alert.Annotations
	} else if s.ruleAlert != nil {
		texts = s.ruleAlert.Texts
	}
	for _, name := range []string{"summary", "description"} {
		row(t, name, texts[name])
	}
	row(t, "value", plainNumber(s.Value))
	for _, x := range s.Silences {
		row(t, "silenced", fmt.Sprintf("by %s until %s, %s: %s", *x.ID, clock(time.Time(*x.EndsAt)), *x.CreatedBy, *x.Comment))
	}
	for _, x := range s.Inhibits {
		row(t, "inhibited", "by "+x["alertname"]+" "+pairs(x, "alertname"))
	}
	row(t, "muted", strings.Join(s.MutedBy, ", "))
	for _, r := range s.Routes {
		row(t, "told", fmt.Sprintf("%s to %s, by the route %s", r.Mark, receiverText(r.Receiver, r.Channel), r.Route))
	}
	if s.Rule != nil {
		s.Rule.write(t)
	}
	row(t, "runbook", texts["runbook"])
	row(t, "past", past{Spells: s.Past}.text())
	if s.Alert != nil {
		row(t, "fingerprint", *s.Alert.Fingerprint)
		if s.Rule == nil {
			row(t, "from", string(s.Alert.GeneratorURL))
		}
	}
	_ = t.Flush()
}

func (r alertRule) write(t io.Writer) {
	row(t, "rule", strings.TrimSpace(r.Query))
	if r.For > 0 {
		row(t, "for", time.Duration(r.For*float64(time.Second)).String())
	}
	row(t, "wrong", r.LastError)
}

// row writes a value of one line or several, if there is one.
func row(t io.Writer, name, value string) {
	if value == "" {
		return
	}
	for line := range strings.Lines(value) {
		fmt.Fprintf(t, "  %s\t%s\n", name, strings.TrimRight(line, "\n"))
		name = ""
	}
}

// plainNumber is a value as people write it: 0.25, not 2.5e-01.
func plainNumber(s string) string {
	if v, err := strconv.ParseFloat(s, 64); err == nil {
		return strconv.FormatFloat(v, 'g', 6, 64)
	}
	return s
}
