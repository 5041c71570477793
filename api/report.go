package api

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// report collects the problems of one resource.
type report struct {
	source   Source
	lines    Lines
	known    []string // fields that were reported while decoding: what follows from them is not
	problems *Problems
}

// add reports a field, unless it or a part of it could not even be read.
func (r *report) add(field, format string, args ...any) {
	r.contradict(Source{}, field, format, args...)
}

// contradict reports a field that goes against another place.
func (r *report) contradict(other Source, field, format string, args ...any) {
	if slices.ContainsFunc(r.known, func(k string) bool { return within(k, field) || within(field, k) }) {
		return
	}
	*r.problems = append(*r.problems, Problem{
		Source: r.at(field), Field: field, Message: fmt.Sprintf(format, args...), Other: other,
	})
}

// at is where a field was written.
func (r *report) at(field string) Source {
	if line := r.lines.At(field); line > 0 {
		return Source{r.source.File, line}
	}
	return r.source
}

var namePattern = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)

const wantName = "at most 63 of a-z, 0-9 and -, a letter or digit at both ends"

// name checks a name that must be there.
func (r *report) name(field, name string) {
	if !namePattern.MatchString(name) {
		r.add(field, "%s, want %s", isOrMissing(name), wantName)
	}
}

// metadata checks what all resources have.
func (r *report) metadata(m *Metadata) {
	r.name("metadata.name", m.Name)
	if m.Tenant != "" {
		r.name("metadata.tenant", m.Tenant)
	}
}

// unique reports items of a list that come twice.
func (r *report) unique(field string, items []string) {
	first := map[string]int{}
	for i, item := range items {
		at := fmt.Sprintf("%s[%d]", field, i)
		if j, again := first[item]; again {
			r.add(at, "is %s again, as %s[%d]: want it once", quote(item), field, j)
			continue
		}
		first[item] = i
	}
}

// methods are what a request may be sent with, in the order messages list them.
var methods = []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"}

func (r *report) method(field, method string) {
	switch {
	case slices.Contains(methods, method):
	case slices.Contains(methods, strings.ToUpper(method)):
		r.add(field, "is %s, want it in capitals: %s", quote(method), strings.ToUpper(method))
	default:
		r.add(field, "%s, want %s", isOrMissing(method), oneOf(methods))
	}
}

var headerName = regexp.MustCompile("^[A-Za-z0-9!#$%&'*+.^_`|~-]+$")

// headers checks header names and values.
func (r *report) headers(field string, headers map[string]string) {
	lower := map[string]string{}
	for _, name := range sortedKeys(headers) {
		at := join(field, name)
		if !headerName.MatchString(name) {
			r.add(at, "is no header name, want letters, digits and dashes, such as x-gray")
		}
		if strings.ContainsAny(headers[name], "\r\n\x00") {
			r.add(at, "has a line break in its value, want one line")
		}
		if other, again := lower[strings.ToLower(name)]; again {
			r.add(at, "is the same header as %s: want it once", other)
		}
		lower[strings.ToLower(name)] = name
	}
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
