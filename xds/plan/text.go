package plan

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Text is the report for people, several lines.
func (r Report) Text() string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	if r.Calls == 0 {
		line("no call to replay")
		return b.String()
	}
	stand := ""
	if r.Weight != uint64(r.Calls) {
		stand = fmt.Sprintf(", which stand for %s", grouped(r.Weight))
	}
	line("%s calls of %s to %s%s", grouped(r.Calls), r.From.UTC().Format("2006-01-02 15:04:05"), r.Until.UTC().Format("15:04:05 MST"), stand)
	for _, h := range r.headlines() {
		line("  %s", h)
	}
	if r.Unknown > 0 {
		line("  %s: nobody can tell", r.of(float64(r.Unknown)))
	}
	line("  %s stay as they are", r.of(float64(r.Unchanged)))
	for _, g := range r.Groups {
		b.WriteString("\n" + r.groupText(g))
	}
	for _, d := range r.Unknowns {
		line("\n%s: nobody can tell\n  not known   %s\n  such as     %s", calls(d.Calls), d.Needed, d.Example.text())
	}
	if len(r.notes()) > 0 {
		line("\n%s", strings.Join(r.notes(), "\n"))
	}
	return b.String()
}

// headlines sum up by kind, the weightiest first.
func (r Report) headlines() (lines []string) {
	type total struct {
		text  string
		rank  int
		calls float64
	}
	var all []total
	for _, g := range r.Groups {
		for _, d := range g.Differences {
			rank, text, n := headline(g, d)
			i := slices.IndexFunc(all, func(t total) bool { return t.text == text })
			if i < 0 {
				i, all = len(all), append(all, total{text: text, rank: rank})
			}
			all[i].calls += n
		}
	}
	slices.SortStableFunc(all, func(a, b total) int { return cmp.Or(a.rank-b.rank, cmp.Compare(b.calls, a.calls)) })
	for _, t := range all {
		lines = append(lines, r.of(t.calls)+" "+t.text)
	}
	return lines
}

// headline says what a difference means for how many calls.
func headline(g Group, d Difference) (rank int, text string, calls float64) {
	calls = float64(g.Calls)
	switch d.Kind {
	case KindStatus:
		return 0, becomes(d), calls
	case KindFunction:
		return 1, "go to another function: " + d.New + " instead of " + d.Old, calls
	case KindRoute:
		return 2, "are taken by another route of " + g.New.Function, calls
	case KindRevision:
		return 3, fmt.Sprintf("go to another revision of %s: %s instead of %s", g.New.Function, orNone(d.New), orNone(d.Old)), g.Moved
	case KindRedirect:
		return 4, "are redirected elsewhere", calls
	case KindRewrite:
		return 5, "reach pods of " + g.New.Function + " with another path or host", calls
	case KindHandling:
		return 6, "are handled otherwise: headers, timeouts, retries, copies or CORS", calls
	default:
		return 7, fmt.Sprintf("are held to other limits: %s instead of %s", d.New, d.Old), calls
	}
}

func becomes(d Difference) string {
	if d.New == "served" {
		return "are served, and were " + d.Old
	}
	if d.Old == "served" {
		return "become " + d.New
	}
	return "become " + d.New + ", and were " + d.Old
}

// of is a number of the calls.
func (r Report) of(n float64) string {
	text := grouped(int(math.Round(n)))
	if n != math.Round(n) {
		text = "about " + text
	}
	return text + " of " + grouped(r.Calls)
}

func (r Report) groupText(g Group) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s (%s%% of all)\n", calls(g.Calls), number(100*float64(g.Weight)/float64(r.Weight)))
	fmt.Fprintf(&b, "  taken by    %s\n", g.Old.text())
	if g.New != g.Old {
		fmt.Fprintf(&b, "  instead     %s\n", g.New.text())
	}
	for _, d := range g.Differences {
		fmt.Fprintf(&b, "  %-11s %s → %s\n", d.Kind, orNone(d.Old), orNone(d.New))
	}
	fmt.Fprintf(&b, "  such as     %s\n", g.Example.text())
	return b.String()
}

func (t Taken) text() string {
	if t.Route == "" {
		return "no route"
	}
	return t.Route + " at " + t.Source
}

func (e Example) text() string {
	text := fmt.Sprintf("%s %s%s, which was %d", e.Method, printable(e.Host), printable(e.Path), e.Status)
	if e.RequestID != "" {
		text += " (" + e.RequestID + ")"
	}
	return text
}

// notes are what a reader has to know besides.
func (r Report) notes() (lines []string) {
	if r.Otherwise > 0 {
		lines = append(lines, calls(r.Otherwise)+": the old configuration would do something else than the record says; it has changed since, or its pods have")
	}
	if r.Limited > 0 {
		lines = append(lines, calls(r.Limited)+": refused by a limit then; limits go by rates, so they are replayed as if they were served")
	}
	if r.Skipped > 0 {
		lines = append(lines, grouped(r.Skipped)+" more left out: their records are of no HTTP request")
	}
	return lines
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}

func calls(n int) string {
	if n == 1 {
		return "1 call"
	}
	return grouped(n) + " calls"
}

// grouped is a number with commas.
func grouped[N int | uint64](n N) string {
	text := strconv.FormatUint(uint64(n), 10)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

// printable keeps what callers sent from writing to a terminal.
func printable(s string) string {
	quoted := strconv.QuoteToGraphic(s)
	return strings.ReplaceAll(quoted[1:len(quoted)-1], `\"`, `"`)
}
