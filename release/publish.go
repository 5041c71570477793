package release

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/kongdao/kongdao/api"
)

// Check reports every revision whose content is not that which was published under
// its name: a release never overwrites another. Content is all that the resource
// says of a revision but its endpoints, which are where its pods are.
func (l *Ledger) Check(set api.Set) (problems api.Problems) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, f := range set.Functions {
		r := l.functions[f.Name]
		if r == nil {
			continue
		}
		for i, rev := range f.Spec.Revisions {
			was, published := r.published[rev.Name]
			now := content(rev)
			if !published || bytes.Equal(was.Content, now) {
				continue
			}
			problems = append(problems, api.Problem{
				Source: place(f, rev), Field: fmt.Sprintf("spec.revisions[%d]", i),
				Message: fmt.Sprintf("is not what was published as %q on %s (%s): %s; a release never overwrites another: want the new one under a name of its own, such as %s, beside %s as it was",
					rev.Name, was.Time.Format(time.DateTime), was.Where, difference(was.Content, now), r.free(rev.Name), rev.Name),
			})
		}
	}
	return problems
}

// place is where a revision is written.
func place(f *api.Function, rev api.Revision) api.Source {
	if rev.Source.File != "" {
		return rev.Source
	}
	return f.Source
}

// content is what must not change of a revision. Equal contents are equal bytes.
func content(rev api.Revision) json.RawMessage {
	rev.Endpoints, rev.Source = nil, api.Source{}
	text, err := json.Marshal(rev)
	var fields map[string]json.RawMessage
	if err == nil {
		err = json.Unmarshal(text, &fields)
	}
	if err != nil { // a revision is plain data: it always marshals
		return nil
	}
	delete(fields, "endpoints")
	delete(fields, "source")
	for key, value := range fields { // so that a field which comes with a later version changes nothing
		switch string(value) {
		case `""`, "0", "false", "null", "{}", "[]":
			delete(fields, key)
		}
	}
	text, _ = json.Marshal(fields)
	return text
}

// difference names the fields that differ, with both values.
func difference(was, now json.RawMessage) string {
	var a, b map[string]json.RawMessage
	if json.Unmarshal(was, &a) != nil || json.Unmarshal(now, &b) != nil {
		return "it is another content"
	}
	var parts []string
	for _, key := range keysOf(a, b) {
		if bytes.Equal(a[key], b[key]) {
			continue
		}
		parts = append(parts, fmt.Sprintf("%s was %s and is %s", key, orNothing(a[key]), orNothing(b[key])))
	}
	return strings.Join(parts, ", ")
}

func keysOf(maps ...map[string]json.RawMessage) (keys []string) {
	for _, m := range maps {
		for k := range m {
			keys = append(keys, k)
		}
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}

func orNothing(v json.RawMessage) string {
	if len(v) == 0 {
		return "not given"
	}
	return string(v)
}

// free is a name like this one that was never published.
func (r *record) free(name string) string {
	stem := strings.TrimRight(name, "0123456789")
	n, _ := strconv.Atoi(name[len(stem):])
	for {
		n++
		next := stem + strconv.Itoa(n)
		if _, taken := r.published[next]; !taken {
			return next
		}
	}
}

// Publish takes note of a set that comes into force: of revisions that are new, of
// weights that changed, and of automatic releases that begin or end with it. When
// it fails nothing was noted, and the next one tries again.
func (l *Ledger) Publish(set api.Set) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now().UTC()
	l.set = make(map[string]*api.Function, len(set.Functions))
	l.noteReleases(set)
	var events []event
	for _, f := range set.Functions {
		l.set[f.Name] = f
		r := l.record(f.Name)
		for _, rev := range f.Spec.Revisions {
			if _, known := r.published[rev.Name]; !known {
				p := &publication{Content: content(rev), Where: place(f, rev).String(), Time: now}
				events = append(events, event{Kind: kindPublished, Function: f.Name, Revision: rev.Name, Publication: p, Text: fmt.Sprintf("%s published (%s)", rev.Name, p.Where)})
			}
		}
		if r.override != nil && r.progress.over() && r.override.Weights.equal(written(f)) {
			events = append(events, event{Kind: kindOverride, Function: f.Name, Text: "the file says the same as the override, which ends"})
		}
		if w, _ := l.weights(f); !w.equal(r.current) {
			events = append(events, event{Kind: kindWeights, Function: f.Name, Weights: w, Text: "weights: " + w.String()})
		}
		events = append(events, l.begin(f, r)...)
	}
	if len(events) == 0 {
		return nil
	}
	return l.put(events...)
}

// weights are those in force for a function, and why an override is void.
func (l *Ledger) weights(f *api.Function) (w Weights, void string) {
	r := l.functions[f.Name]
	if r == nil || r.override == nil {
		return written(f), ""
	}
	if gone := r.override.Weights.missing(f); gone != "" {
		return written(f), fmt.Sprintf("it names %s, which the file has no more", gone)
	}
	return r.override.Weights, ""
}

// Effective is a set with the weights that are in force. The set stays as it is.
func (l *Ledger) Effective(set api.Set) api.Set {
	l.mu.Lock()
	defer l.mu.Unlock()
	copied := false
	for i, f := range set.Functions {
		if r := l.functions[f.Name]; r == nil || r.override == nil {
			continue
		}
		w, void := l.weights(f)
		if void != "" {
			continue
		}
		if !copied {
			set.Functions, copied = slices.Clone(set.Functions), true
		}
		set.Functions[i] = applied(f, w)
	}
	return set
}
