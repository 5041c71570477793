package dingtalk

import (
	"maps"
	"strings"
	"time"
)

// listed bounds the alerts that a message tells one by one; a phone shows about
// eight lines at once and nobody scrolls further than this.
const listed = 10

// Renderer turns groups into messages. The zero value writes Chinese, in UTC,
// with links only where annotations hold whole addresses, and mentions nobody.
// Its funcs must answer the same for the same group and moment: after a restart
// the parts of a message must be those of before.
type Renderer struct {
	Lang     string         // Chinese or English; empty: Chinese
	Location *time.Location // of the times shown; nil: UTC
	// Base is put before relative links, such as runbook: docs/runbooks/x.md.
	// Empty: relative links are shown as text.
	Base string
	// Type of the messages; empty: Markdown. A message that mentions somebody is
	// never an ActionCard, for cards cannot.
	Type Type
	// Templates are the users' own; nil: the shipped ones.
	Templates *Templates

	Audience func(g Group, at time.Time) Audience                        // nil: nobody in particular
	Released func(function string, at time.Time) (last Release, ok bool) // nil: not said
	// Dashboard is the address of a dashboard about alerts of these labels, for
	// alerts that name none; nil: there is none.
	Dashboard func(labels map[string]string, from, to time.Time) string
	Chart     func(g Group, at time.Time) string // address of a picture, may be empty; nil: none
	Links     func(g Group) []Link               // what the reader can do at once; nil: nothing
	Now       func() time.Time                   // of digests; nil: time.Now
}

// Render is the message about g at that moment, in as many parts as its size
// needs. Firing and resolved messages of one group carry the same title and ID.
func (r Renderer) Render(g Group, now time.Time) []Message {
	to := r.audience(g, now)
	r.Lang = orElse(to.Lang, r.Lang)
	v := r.view(g, to, now)
	m := r.write(v, callable(to.People))
	if v.Firing {
		m.mention(to.People)
	}
	parts := m.Split(MaxBytes)
	for i := range parts {
		parts[i].About, parts[i].Part = []Group{g}, i+1
	}
	return parts
}

func (r Renderer) audience(g Group, at time.Time) Audience {
	if r.Audience == nil {
		return Audience{}
	}
	return r.Audience(g, at)
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

// item is one alert of several: what differs from the others, and how much.
func (r Renderer) item(a Alert, common map[string]string) string {
	w := r.words()
	mark := "🟢 "
	if a.Firing() {
		mark = dot(rank(a.Labels["severity"]) == 0) + " "
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
	return mark + text
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
