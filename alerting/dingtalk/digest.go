package dingtalk

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Digest is one message for many groups, each with its state, name, place and
// mark, the worst first and in more detail. It mentions those whom the messages
// would have mentioned.
func (r Renderer) Digest(groups []Group) Message {
	groups = slices.Clone(groups)
	slices.SortStableFunc(groups, func(a, b Group) int { return a.Rank() - b.Rank() })
	to := r.audienceOf(groups)
	r.Lang = orElse(to.Lang, r.Lang)
	w := r.words()
	var b builder
	title := fmt.Sprintf("📋 %s (%d)", w.digest, len(groups))
	b.line("### %s", title)
	b.line("> "+w.digestNote, len(groups))
	if names := mentions(to.People); names != "" {
		b.line("%s", names)
	}
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
	m := Message{Title: title, Text: strings.ToValidUTF8(b.String(), "\uFFFD")}
	if r.Type == Text {
		m.Type = Text
	}
	m.mention(to.People)
	frame := m
	frame.Text = ""
	if room := MaxBytes - encodedLen(frame); escapedLen(m.Text) > room {
		// Better short than late: the rest would cost places that are scarce.
		const ellipsis = " …"
		m.Text = m.Text[:prefix(m.Text, room-len(ellipsis))] + ellipsis
	}
	m.About, m.Part = groups, 1
	return m
}

// mentioned bounds the people of a digest; more would not leave room for what
// broke.
const mentioned = 100

// audienceOf joins the audiences of what fires, in that order; the language is
// the first one's.
func (r Renderer) audienceOf(groups []Group) Audience {
	now := time.Now
	if r.Now != nil {
		now = r.Now
	}
	var all Audience
	at := now()
	for i, g := range groups {
		to := r.audience(g, at)
		if i == 0 {
			all.Lang = to.Lang
		}
		for _, p := range to.People {
			if g.Firing() && len(all.People) < mentioned && !slices.Contains(all.People, p) {
				all.People = append(all.People, p)
			}
		}
	}
	return all
}

func (r Renderer) digestLine(g Group) string {
	w := r.words()
	mark := "🟢"
	if g.Firing() {
		mark = dot(g.Urgent())
	}
	text := strings.TrimSpace(scope(g))
	if a := g.sorted(); len(a) > 0 {
		text = orElse(plain(r.summary(a)), text)
	}
	if n := []rune(text); len(n) > 120 {
		text = string(n[:120]) + "…"
	}
	if n := len(g.Alerts); n > 1 {
		text += fmt.Sprintf(" ×%d", n)
	}
	return fmt.Sprintf("%s **%s** %s %s", mark, plain(orElse(g.Name(), w.noTitle)), text, g.Mark())
}

// Test is the message that shows that a robot works.
func (r Renderer) Test(robot string, now time.Time) Message {
	w := r.words()
	title := "🔔 " + w.test
	return Message{Title: title, Text: "### " + title + "\n\n" + fmt.Sprintf(w.testText, plain(robot)) + "\n\n" + r.clock(now, now)}
}
