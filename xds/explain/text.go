package explain

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/kongdao/kongdao/xds/model"
)

// Text is the answer as a story for people, several lines.
func (a Answer) Text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s%s\n\n", a.request.Method, a.request.Host, a.request.Path)
	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	a.story(t)
	_ = t.Flush() // a strings.Builder takes everything
	return b.String()
}

func (a Answer) story(t *tabwriter.Writer) {
	line := func(topic, format string, args ...any) {
		fmt.Fprintf(t, "  %s\t%s\n", topic, fmt.Sprintf(format, args...))
	}
	if a.Listener != "" {
		line("listener", "%s", a.Listener)
	}
	if a.Shard != "" {
		line("shard", "%s", a.Shard)
	}
	if a.Route != "" {
		line("route", "%s at %s: %s", a.Route, a.Source, a.Match)
		line("function", "%s", a.Function)
	}
	if a.Unbelieved {
		line("mark", "%s is not believed and taken away: the request lacks the right to it", model.LoadTestHeader)
	}
	if a.Access != "" {
		line("access", "%s", a.Access)
	}
	if a.Assumes != "" {
		line("assumed", "%s", a.Assumes)
	}
	a.handlingStory(line)
	for i, r := range a.Revisions {
		text := fmt.Sprintf("%s gets %s, %d of %d pods ready", r.Name, percent(r.Share), r.Ready, r.Total)
		if r.Status != 0 {
			text += fmt.Sprintf(": answered %d by the gateway", r.Status)
		}
		line(heading(i, "revision"), "%s", text)
	}
	if a.Why != "" {
		line("because", "%s", a.Why)
	}
	for i, l := range a.Limits {
		line(heading(i, "limit"), "%s", l.text())
		l.useStory(line)
	}
	if len(a.Limits) == 0 && a.Revision != "" {
		line("limit", "none")
	}
	if view := a.From.sees(); view != "" && len(a.Zones) > 0 {
		line("view", "%s", view)
	}
	for i, name := range sortedZones(a.Zones) {
		z := a.Zones[name]
		line(heading(i, "zones"), "%s: %d of %d ready, priority %d, weight %d%%, gets %s", name, z.Ready, z.Total, z.Priority, z.Weight, percent(z.Share))
	}
	for i, e := range a.Endpoints {
		line(heading(i, "pods"), "%s in %s: %s, gets %s%s", e.Address, e.Zone, e.State, percent(e.Share), e.lifted())
	}
	if a.Status != 0 {
		line("answer", "%d by the gateway: %s", a.Status, a.Reason)
	}
	for i, v := range a.Verdicts {
		line(heading(i, "filters"), "%s: %s", v.Filter, v.Verdict)
	}
	if len(a.Verdicts) == 0 && len(a.Filters) > 0 {
		line("filters", "%s", strings.Join(a.Filters, " → "))
	}
}

func (e Endpoint) lifted() string {
	if e.Lift == 0 {
		return ""
	}
	return fmt.Sprintf(", %.2f times its share: it is being tried with live calls", e.Lift)
}

func (l Limit) text() string {
	if l.InFlight > 0 {
		return fmt.Sprintf("%s: %d %s", l.Name, l.InFlight, l.Follows)
	}
	return fmt.Sprintf("%s: %s/s, bursts of %d (%s)", l.Name, number(l.RequestsPerSecond), l.Burst, l.Follows)
}

// heading names a topic once.
func heading(i int, topic string) string {
	if i > 0 {
		return ""
	}
	return topic
}

func sortedZones(zones map[string]Zone) []string {
	names := make([]string, 0, len(zones))
	for name := range zones {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// describe puts a rule's conditions into a line.
func describe(r *model.Rule) string {
	kind := [...]string{model.Exact: "path", model.Template: "path like", model.Prefix: "path under"}[r.Path.Kind]
	parts := []string{kind + " " + r.Path.Text}
	if len(r.Methods) > 0 {
		parts = append(parts, "method "+strings.Join(r.Methods, " or "))
	}
	for _, h := range r.Headers {
		parts = append(parts, fmt.Sprintf("header %s: %s", h.Name, h.Matcher))
	}
	for _, q := range r.Query {
		parts = append(parts, fmt.Sprintf("query %s: %s", q.Name, q.Matcher))
	}
	return strings.Join(parts, ", ")
}

// number is short: whole when it is large, two decimals when it is small.
func number(x float64) string {
	if x >= 1000 {
		return strconv.FormatFloat(x, 'f', 0, 64)
	}
	text := strconv.FormatFloat(x, 'f', 2, 64)
	return strings.TrimSuffix(strings.TrimRight(text, "0"), ".")
}

func percent(share float64) string { return number(100*share) + "%" }

func plural(n int, word string) string {
	if n == 1 {
		return word
	}
	return word + "s"
}
