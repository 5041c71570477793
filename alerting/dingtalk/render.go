package dingtalk

import (
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"
)

// listed bounds the alerts that a message tells one by one; a phone shows about
// eight lines at once and nobody scrolls further than this.
const listed = 10

// Renderer turns groups into messages. The zero value writes Chinese, in UTC,
// with links only where annotations hold whole addresses.
type Renderer struct {
	Lang     string         // Chinese or English; empty: Chinese
	Location *time.Location // of the times shown; nil: UTC
	// Base is put before relative links, such as runbook: docs/runbooks/x.md.
	// Empty: relative links are shown as text.
	Base string
}

// Render is the message about g at that moment, in as many parts as its size
// needs. Firing and resolved messages of one group carry the same title and ID.
func (r Renderer) Render(g Group, now time.Time) []Message {
	w := r.words()
	alerts := g.sorted()
	name := plain(orElse(g.Name(), w.noTitle))
	state, dot := w.resolved, "🟢"
	if g.Firing() {
		state, dot = w.firing, "🔴"
		if !g.Urgent() {
			state, dot = w.firing, "🟠"
		}
	}
	title := fmt.Sprintf("%s %s %s %s", dot, state, name, g.ID())
	var b builder
	b.line("### %s", title)
	if len(alerts) > 0 {
		r.body(&b, g, alerts, now)
	}
	b.line("%s", r.foot(g, alerts))
	m := Message{Title: title + scope(g), Text: b.String()}
	return m.Split(MaxBytes)
}

func (r Renderer) body(b *builder, g Group, alerts []Alert, now time.Time) {
	w := r.words()
	first := alerts[0]
	if s := r.summary(alerts); s != "" && g.Firing() {
		b.line("**%s**", plain(s))
	} else if s != "" {
		b.line("**%s: %s**", w.resolved, plain(s))
	}
	common := shared(alerts)
	var list []string
	add := func(name, value string) { list = append(list, fmt.Sprintf("- %s: %s", name, value)) }
	for _, l := range labelOrder {
		if v := common[l]; v != "" {
			add(w.labels[l], plain(v))
		}
	}
	if d := r.text(first, "description"); d != "" && len(alerts) == 1 {
		name := w.value
		if !g.Firing() {
			name = w.was
		}
		add(name, plain(d))
	}
	if g.Firing() { // nobody has to hurry any more
		add(w.severity, plain(w.severityText(g.Severity())))
	}
	start, end := span(alerts)
	if g.Firing() {
		add(w.started, r.clock(start, now)+" ("+fmt.Sprintf(w.lasting, w.duration(now.Sub(start)))+")")
	} else {
		add(w.started, r.clock(start, now))
		add(w.ended, r.clock(end, now)+" ("+fmt.Sprintf(w.lasted, w.duration(end.Sub(start)))+")")
	}
	b.line("%s", strings.Join(list, "\n"))
	if len(alerts) > 1 {
		r.list(b, alerts, common)
	}
}

// summary is what all alerts say of themselves; where they differ, the list of
// them says it.
func (r Renderer) summary(alerts []Alert) string {
	s := r.text(alerts[0], "summary")
	for _, a := range alerts[1:] {
		if r.text(a, "summary") != s {
			return ""
		}
	}
	return s
}

func (r Renderer) list(b *builder, alerts []Alert, common map[string]string) {
	w := r.words()
	firing := 0
	for _, a := range alerts {
		if a.Firing() {
			firing++
		}
	}
	b.line("#### "+w.alerts, firing, len(alerts)-firing)
	var lines []string
	for _, a := range alerts[:min(len(alerts), listed)] {
		lines = append(lines, "- "+r.item(a, common))
	}
	if n := len(alerts) - listed; n > 0 {
		lines = append(lines, "- … "+fmt.Sprintf(w.more, n))
	}
	b.line("%s", strings.Join(lines, "\n"))
}

// item is one alert of several: what differs from the others, and how much.
func (r Renderer) item(a Alert, common map[string]string) string {
	w := r.words()
	dot := "🟢 "
	if a.Firing() {
		dot = "🔴 "
		if rank(a.Labels["severity"]) != 0 {
			dot = "🟠 "
		}
	}
	var own []string
	for _, l := range labelOrder {
		if v := a.Labels[l]; v != "" && common[l] == "" {
			own = append(own, plain(v))
		}
	}
	text := strings.Join(own, " · ")
	if d := r.text(a, "description"); d != "" {
		text = strings.TrimPrefix(text+": "+plain(d), ": ")
	}
	if text == "" {
		text = plain(orElse(a.Labels["alertname"], w.noTitle))
	}
	return dot + text
}

// foot holds the links and the mark that identifies the message.
func (r Renderer) foot(g Group, alerts []Alert) string {
	w := r.words()
	var parts []string
	links := []struct{ text, annotation string }{{w.dashboard, "dashboard"}, {w.logs, "logs"}, {w.runbook, "runbook"}}
	for _, l := range links {
		for _, a := range alerts {
			target := orElse(a.Annotations[l.annotation], a.Annotations[l.annotation+"_url"])
			if target != "" {
				parts = append(parts, r.link(l.text, target))
				break
			}
		}
	}
	// A line that begins with # is a heading in DingTalk, space or not.
	parts = append(parts, w.ref+" "+g.Mark())
	return strings.Join(parts, " · ")
}

func (r Renderer) link(text, target string) string {
	u, err := url.Parse(target)
	if err == nil && !u.IsAbs() && r.Base != "" {
		u, err = url.Parse(strings.TrimSuffix(r.Base, "/") + "/" + strings.TrimPrefix(target, "/"))
	}
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") {
		return text + ": " + plain(target)
	}
	// A bracket in an address would end the link.
	return "[" + text + "](" + strings.NewReplacer("(", "%28", ")", "%29", " ", "%20").Replace(u.String()) + ")"
}

// text is an annotation in the reader's language, or in the other one.
func (r Renderer) text(a Alert, name string) string {
	if r.Lang == English {
		return orElse(a.Annotations[name], a.Annotations[name+"_zh"])
	}
	return orElse(a.Annotations[name+"_zh"], a.Annotations[name])
}

// clock leaves the date out on the same day.
func (r Renderer) clock(t, now time.Time) string {
	loc := r.Location
	if loc == nil {
		loc = time.UTC
	}
	t, now = t.In(loc), now.In(loc)
	if t.Format(time.DateOnly) == now.Format(time.DateOnly) {
		return t.Format("15:04:05")
	}
	return t.Format("01-02 15:04:05")
}

func (r Renderer) words() words {
	if r.Lang == English {
		return english
	}
	return chinese
}

// scope is what the title says beyond the alert's name: the phone's lock screen
// shows little else.
func scope(g Group) string {
	common := shared(g.Alerts)
	maps.Copy(common, g.Labels)
	var s strings.Builder
	for _, l := range []string{"function", "zone"} {
		if v := common[l]; v != "" {
			s.WriteString(" " + plain(v))
		}
	}
	return s.String()
}

// shared are the labels that all alerts have with the same value.
func shared(alerts []Alert) map[string]string {
	if len(alerts) == 0 {
		return map[string]string{}
	}
	common := maps.Clone(alerts[0].Labels)
	if common == nil {
		common = map[string]string{}
	}
	for _, a := range alerts[1:] {
		maps.DeleteFunc(common, func(k, v string) bool { return a.Labels[k] != v })
	}
	return common
}

// span is the first start and the last end. Of a group that fires, only what
// fires counts.
func span(alerts []Alert) (start, end time.Time) {
	firing := alerts[0].Firing()
	for _, a := range alerts {
		if a.Firing() != firing {
			continue
		}
		if start.IsZero() || a.StartsAt.Before(start) {
			start = a.StartsAt
		}
		if a.EndsAt.After(end) {
			end = a.EndsAt
		}
	}
	return start, end
}

// Digest is one message for many groups, each with its state, name, place and
// mark, the worst first and in more detail.
func (r Renderer) Digest(groups []Group) Message {
	w := r.words()
	groups = slices.Clone(groups)
	slices.SortStableFunc(groups, func(a, b Group) int { return a.Rank() - b.Rank() })
	var b builder
	title := fmt.Sprintf("📋 %s (%d)", w.digest, len(groups))
	b.line("### %s", title)
	b.line("> "+w.digestNote, len(groups))
	const detailed = 20
	var lines []string
	for _, g := range groups[:min(len(groups), detailed)] {
		lines = append(lines, "- "+r.digestLine(g))
	}
	b.line("%s", strings.Join(lines, "\n"))
	if rest := groups[min(len(groups), detailed):]; len(rest) > 0 {
		names := make([]string, len(rest))
		for i, g := range rest {
			names[i] = plain(g.Name()) + scope(g) + " " + g.Mark()
		}
		b.line(w.andMore+": %s", len(rest), strings.Join(names, ", "))
	}
	m := Message{Title: title, Text: b.String()}
	if parts := m.Split(MaxBytes); len(parts) > 1 {
		// Better short than late: the rest would cost places that are scarce.
		const ellipsis = " …"
		m.Text = strings.ToValidUTF8(m.Text, "\uFFFD")
		m.Text = m.Text[:prefix(m.Text, MaxBytes-512)] + ellipsis
	}
	return m
}

func (r Renderer) digestLine(g Group) string {
	w := r.words()
	dot := "🟢"
	if g.Firing() {
		dot = "🟠"
		if g.Urgent() {
			dot = "🔴"
		}
	}
	text := strings.TrimSpace(scope(g))
	if a := g.sorted(); len(a) > 0 {
		text = orElse(plain(r.summary(a)), text)
	}
	if n := []rune(text); len(n) > 120 {
		text = string(n[:120]) + "…"
	}
	return fmt.Sprintf("%s **%s** %s (%d) %s", dot, plain(orElse(g.Name(), w.noTitle)), text, len(g.Alerts), g.Mark())
}

// Test is the message that shows that a robot works.
func (r Renderer) Test(robot string, now time.Time) Message {
	w := r.words()
	title := "🔔 " + w.test
	return Message{Title: title, Text: "### " + title + "\n\n" + fmt.Sprintf(w.testText, plain(robot)) + "\n\n" + r.clock(now, now)}
}
