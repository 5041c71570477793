package plan

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/kongdao/kongdao/xds/explain"
	"github.com/kongdao/kongdao/xds/model"
)

// Kinds of differences, the weightiest first.
const (
	KindStatus   = "status"   // the gateway answers itself, or does not any more
	KindFunction = "function" // another function gets the call
	KindRoute    = "route"    // another route of the same function takes it
	KindRevision = "revision" // other revisions of the function, or other shares
	KindRedirect = "redirect" // it is sent elsewhere
	KindRewrite  = "rewrite"  // pods see another path or host
	KindHandling = "handling" // headers, timeouts, retries, copies, CORS
	KindLimit    = "limit"    // it is held to other limits, or has another priority
)

// Difference is one way in which two configurations treat a call differently.
type Difference struct {
	Kind string `json:"kind"`
	Old  string `json:"old"`
	New  string `json:"new"`
}

// byCall tells that old and new are those of one call, and differ within a group.
func (d Difference) byCall() bool { return d.Kind == KindRewrite || d.Kind == KindRedirect }

// outcome is what becomes of a call in one World.
type outcome struct {
	explain.Answer
	shares []explain.Revision
}

// outcomeOf is an answer without what nobody can notice who has not asked the
// gateway: a key whose value is not known is no reason to name its slot.
func outcomeOf(w *model.World, a explain.Answer, known func(model.Origin) bool) outcome {
	o := outcome{Answer: a, shares: a.Revisions}
	f := w.Function(a.Function)
	if f == nil || len(a.Revisions) != 1 || f.Sticky == (model.Origin{}) || known(f.Sticky) || !strings.Contains(a.Why, " has slot ") {
		return o.settle()
	}
	total := 0
	for _, s := range f.Split {
		total += s.Weight
	}
	o.shares = nil
	for _, s := range f.Split {
		v := explain.Revision{Name: s.Revision.Name, Share: float64(s.Weight) / float64(total)}
		v.Status, v.Reason = explain.Unserved(s.Revision)
		o.shares = append(o.shares, v)
	}
	return o.settle()
}

// settle makes the status that of all revisions: where only some have no pod, their
// part of the calls is in the shares.
func (o outcome) settle() outcome {
	if o.Revision == "" || len(o.shares) == 0 {
		return o
	}
	o.Status = o.shares[0].Status
	for _, s := range o.shares {
		if s.Share > 0 && s.Status == 0 {
			o.Status = 0
		}
	}
	return o
}

// decided tells that the gateway answers by its configuration, whatever pods do.
func (o outcome) decided() bool { return o.Status != 0 && o.Revision == "" }

// refused tells that the caller gets an error of the gateway.
func (o outcome) refused() bool { return o.Status >= 400 }

// differences are those between two outcomes; none where callers and pods see the
// same.
func differences(o, n outcome) (all []Difference) {
	add := func(kind, before, after string) {
		if before != after {
			all = append(all, Difference{kind, before, after})
		}
	}
	add(KindStatus, o.verdict(), n.verdict())
	if len(all) > 0 && (o.refused() || n.refused()) {
		return all
	}
	add(KindFunction, o.Function, n.Function)
	if o.Function == n.Function {
		add(KindRoute, o.Match, n.Match)
		add(KindRevision, sharesText(o.shares), sharesText(n.shares))
	}
	before, after := handlingOf(o.Answer), handlingOf(n.Answer)
	add(KindRedirect, before.Location, after.Location)
	if o.Revision != "" && n.Revision != "" {
		add(KindRewrite, seen(o.Answer), seen(n.Answer))
	}
	add(KindHandling, handlingText(before), handlingText(after))
	if o.Function == n.Function || len(o.Limits) != len(n.Limits) {
		add(KindLimit, limitsText(o.Answer), limitsText(n.Answer))
	}
	return all
}

// verdict is the gateway's answer in a word.
func (o outcome) verdict() string {
	if o.Status == 0 {
		return "served"
	}
	return strconv.Itoa(o.Status)
}

func handlingOf(a explain.Answer) explain.Handling {
	if a.Handling == nil {
		return explain.Handling{}
	}
	return *a.Handling
}

// seen is what pods see; empty: what came.
func seen(a explain.Answer) string {
	h := handlingOf(a)
	if h.Path == "" && h.Host == "" && h.Method == "" {
		return "as it came"
	}
	return strings.Join(strings.Fields(h.Method+" "+h.Host+" "+h.Path), " ")
}

func handlingText(h explain.Handling) string {
	var parts []string
	for _, p := range []struct{ name, text string }{
		{"transcoded", h.Transcoded},
		{"timeout", h.Timeout},
		{"retries", h.Retries},
		{"copies", strings.Join(h.Mirrors, ", ")},
		{"request headers", strings.Join(h.RequestHeaders, ", ")},
		{"response headers", strings.Join(h.ResponseHeaders, ", ")},
		{"cors", h.CORS},
	} {
		if p.text != "" {
			parts = append(parts, p.name+": "+p.text)
		}
	}
	return strings.Join(parts, "; ")
}

func sharesText(shares []explain.Revision) string {
	var parts []string
	for _, s := range shares {
		text := s.Name
		if len(shares) > 1 {
			text += fmt.Sprintf(" %s%%", number(100*s.Share))
		}
		if s.Status != 0 {
			text += fmt.Sprintf(" (%d)", s.Status)
		}
		parts = append(parts, text)
	}
	slices.Sort(parts)
	return strings.Join(parts, ", ")
}

func limitsText(a explain.Answer) string {
	var parts []string
	for _, l := range a.Limits {
		if l.InFlight > 0 {
			parts = append(parts, fmt.Sprintf("%s %d in flight", l.Name, l.InFlight))
			continue
		}
		parts = append(parts, fmt.Sprintf("%s %s/s, bursts of %d", l.Name, number(l.RequestsPerSecond), l.Burst))
	}
	if a.Priority != "" {
		parts = append(parts, "priority "+a.Priority)
	}
	if len(parts) == 0 {
		return "none"
	}
	return strings.Join(parts, "; ")
}

// moved is the part of such calls that get another revision, 0 to 1: half the sum
// of what shares differ by.
func moved(o, n outcome) float64 {
	shares := map[string]float64{}
	for _, s := range o.shares {
		shares[s.Name] -= s.Share
	}
	for _, s := range n.shares {
		shares[s.Name] += s.Share
	}
	sum := 0.0
	for _, d := range shares {
		sum += math.Abs(d)
	}
	return sum / 2
}

// number is short: two decimals at most.
func number(x float64) string {
	text := strconv.FormatFloat(x, 'f', 2, 64)
	return strings.TrimSuffix(strings.TrimRight(text, "0"), ".")
}
