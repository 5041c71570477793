package dingtalk

import (
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
)

// View is what a message says, in the reader's language. Templates are given it.
// All its texts are safe inside a line of markdown, whatever labels hold.
type View struct {
	Dot, State, Name string // 🔴, firing, the alert's name
	ID, Mark         string // of the group, the same from firing to resolved; and of this message
	Scope            string // function and zone, if all alerts share them; empty, or begins with a space
	Firing, Urgent   bool
	Severity         string // page, ticket or what rules say
	Summary          string // what broke; empty: the alerts differ
	Facts            []Fact // what else all alerts share, in the order in which a reader looks for it
	Counts           string // such as Alerts (2 firing, 1 resolved); empty: one alert
	Items            []string
	More             string   // such as 3 more; empty: Items are all
	Chart            string   // address of a picture; empty: none
	Mentions         string   // such as @13800000000 @zhang3; empty: nobody
	Team             string   // whose matter it is; empty: nobody's
	Actions          []Link   // what the reader can do at once
	Links            []Link   // where the reader can look
	Notes            []string // links that are no addresses, as text
	Ref              string   // the word for Mark
	Lang             string   // zh or en
	Labels           map[string]string
	Annotations      map[string]string // of the worst alert
}

// Fact is a line such as Zone: zb-b.
type Fact struct{ Name, Value string }

// Title is the heading of the message.
func (v View) Title() string { return fmt.Sprintf("%s %s %s %s", v.Dot, v.State, v.Name, v.ID) }

// view is all that is to say about g at that moment.
func (r Renderer) view(g Group, to Audience, now time.Time) View {
	w := r.words()
	alerts := g.sorted()
	v := View{
		Name: plain(orElse(g.Name(), w.noTitle)), ID: g.ID(), Mark: g.Mark(), Scope: scope(g),
		Firing: g.Firing(), Urgent: g.Urgent(), Severity: plain(g.Severity()),
		Team: plain(to.Team), Ref: w.ref, Lang: orElse(r.Lang, Chinese),
	}
	v.Dot, v.State = "🟢", w.resolved
	if v.Firing {
		v.Dot, v.State = dot(v.Urgent), w.firing
	}
	r.look(&v, alerts, now)
	if r.Links != nil {
		v.Actions = safeLinks(r.Links(g))
	}
	if len(alerts) == 0 {
		return v
	}
	common := shared(alerts)
	v.Labels, v.Annotations = plainMap(common), plainMap(alerts[0].Annotations)
	v.Summary = plain(r.summary(alerts))
	r.facts(&v, g, alerts, common, now)
	if len(alerts) > 1 {
		r.items(&v, alerts, common)
	}
	if r.Chart != nil {
		v.Chart = safe(r.Chart(g, now))
	}
	if v.Firing { // nobody's phone has to ring for good news
		v.Mentions = mentions(to.People)
	}
	return v
}

func dot(urgent bool) string {
	if urgent {
		return "🔴"
	}
	return "🟠"
}

func (r Renderer) facts(v *View, g Group, alerts []Alert, common map[string]string, now time.Time) {
	w := r.words()
	add := func(name, value string) {
		if value != "" {
			v.Facts = append(v.Facts, Fact{name, value})
		}
	}
	for _, l := range labelOrder {
		add(w.labels[l], plain(common[l]))
	}
	if len(alerts) == 1 {
		name := w.value
		if !v.Firing {
			name = w.was
		}
		add(name, plain(r.text(alerts[0], "description")))
	}
	if v.Firing { // nobody has to hurry any more
		add(w.severity, plain(w.severityText(g.Severity())))
	}
	if v.Firing && g.Escalated > 0 {
		add(w.escalated, fmt.Sprintf(w.step, g.Escalated))
	}
	start, end := span(alerts)
	if v.Firing {
		add(w.started, r.clock(start, now)+" ("+fmt.Sprintf(w.lasting, w.duration(now.Sub(start)))+")")
	} else {
		add(w.started, r.clock(start, now))
		add(w.ended, r.clock(end, now)+" ("+fmt.Sprintf(w.lasted, w.duration(end.Sub(start)))+")")
	}
	if v.Firing && !slices.ContainsFunc(alerts, hasLogs) {
		add(w.logs, command(common, now.Sub(start)))
	}
	if r.Released != nil && v.Firing {
		add(w.released, r.release(common["function"], start, now))
	}
}

// Release is a revision that got traffic.
type Release struct {
	Revision string
	At       time.Time
	By       string // empty: not known
}

// release says what was released last, and whether that was before or after the
// alert began: the first question of whoever is called.
func (r Renderer) release(function string, began, now time.Time) string {
	if function == "" {
		return ""
	}
	last, ok := r.Released(function, now)
	if !ok {
		return ""
	}
	w := r.words()
	text := fmt.Sprintf(w.releasedBefore, plain(last.Revision), r.clock(last.At, now), w.duration(began.Sub(last.At)))
	if last.At.After(began) {
		text = fmt.Sprintf(w.releasedSince, plain(last.Revision), r.clock(last.At, now))
	}
	if last.By != "" {
		text += ", " + plain(last.By)
	}
	return text
}

func (r Renderer) items(v *View, alerts []Alert, common map[string]string) {
	w := r.words()
	firing := 0
	for _, a := range alerts {
		if a.Firing() {
			firing++
		}
	}
	v.Counts = fmt.Sprintf(w.alerts, firing, len(alerts)-firing)
	for _, a := range alerts[:min(len(alerts), listed)] {
		v.Items = append(v.Items, r.item(a, common))
	}
	if n := len(alerts) - listed; n > 0 {
		v.More = fmt.Sprintf(w.more, n)
	}
}

// look fills in where the reader can look.
func (r Renderer) look(v *View, alerts []Alert, now time.Time) {
	w := r.words()
	links := []struct{ text, annotation string }{{w.dashboard, "dashboard"}, {w.logs, "logs"}, {w.runbook, "runbook"}}
	if r.Dashboard != nil && len(alerts) > 0 && !slices.ContainsFunc(alerts, hasDashboard) {
		const around = 30 * time.Minute
		start, end := span(alerts)
		if end.IsZero() {
			end = now
		}
		if u := safe(r.Dashboard(shared(alerts), start.Add(-around), end.Add(around))); u != "" {
			v.Links = append(v.Links, Link{w.dashboard, u})
		}
	}
	for _, l := range links {
		for _, a := range alerts {
			target := orElse(a.Annotations[l.annotation], a.Annotations[l.annotation+"_url"])
			if target == "" {
				continue
			}
			if u := safe(r.absolute(target)); u != "" {
				v.Links = append(v.Links, Link{l.text, u})
			} else {
				v.Notes = append(v.Notes, l.text+": "+plain(target))
			}
			break
		}
	}
}

func hasDashboard(a Alert) bool {
	return a.Annotations["dashboard"] != "" || a.Annotations["dashboard_url"] != ""
}

func hasLogs(a Alert) bool { return a.Annotations["logs"] != "" || a.Annotations["logs_url"] != "" }

// shellSafe are the names that resources may have. A line that people paste into a
// shell holds no others.
var shellSafe = regexp.MustCompile(`^[a-z0-9][a-z0-9-]*$`)

// command is how to look at the calls of the function on the command line.
func command(labels map[string]string, lasting time.Duration) string {
	function, zone := labels["function"], labels["zone"]
	if !shellSafe.MatchString(function) {
		return ""
	}
	text := "kongdao calls errors " + function
	if shellSafe.MatchString(zone) {
		text += " --zone " + zone
	}
	if hours := int(lasting/time.Hour) + 1; lasting > 50*time.Minute { // an hour is what it looks at by itself
		text += fmt.Sprintf(" --since %dh", hours+1)
	}
	return text
}

// absolute puts Base before relative addresses.
func (r Renderer) absolute(target string) string {
	if u, err := url.Parse(target); err == nil && !u.IsAbs() && r.Base != "" {
		return strings.TrimSuffix(r.Base, "/") + "/" + strings.TrimPrefix(target, "/")
	}
	return target
}

// safe is an address that can stand in a link, or nothing if it cannot.
func safe(target string) string {
	u, err := url.Parse(target)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") {
		return ""
	}
	// A bracket in an address would end the link.
	return strings.NewReplacer("(", "%28", ")", "%29", " ", "%20").Replace(u.String())
}

func safeLinks(links []Link) []Link {
	var out []Link
	for _, l := range links {
		if u := safe(l.URL); u != "" {
			out = append(out, Link{plain(l.Text), u})
		}
	}
	return out
}

func plainMap(m map[string]string) map[string]string {
	out := make(map[string]string, len(m))
	for k, v := range m {
		out[k] = plain(v)
	}
	return out
}
