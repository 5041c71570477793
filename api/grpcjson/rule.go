package grpcjson

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"google.golang.org/genproto/googleapis/api/annotations"
)

// Segments of a template that stand for any one segment, and for any number.
const (
	one  = "*"
	many = "**"
)

// rule is one way to call a method.
type rule struct {
	method    string // of HTTP
	text      string // the template, as it is written
	segments  []string
	verb      string // after the last colon; empty: none
	variables []variable
	body      string // path of a field, "*" or empty
}

// variable binds segments of the path to a field.
type variable struct {
	path  []string // names of fields
	start int
	end   int // behind its last segment; counted from the end where below 0
}

func newRule(h *annotations.HttpRule) (rule, error) {
	r := rule{body: h.GetBody()}
	switch p := h.GetPattern().(type) {
	case *annotations.HttpRule_Get:
		r.method, r.text = "GET", p.Get
	case *annotations.HttpRule_Put:
		r.method, r.text = "PUT", p.Put
	case *annotations.HttpRule_Post:
		r.method, r.text = "POST", p.Post
	case *annotations.HttpRule_Delete:
		r.method, r.text = "DELETE", p.Delete
	case *annotations.HttpRule_Patch:
		r.method, r.text = "PATCH", p.Patch
	case *annotations.HttpRule_Custom:
		r.method, r.text = p.Custom.GetKind(), p.Custom.GetPath()
	default:
		return r, errors.New("its google.api.http has no path")
	}
	if err := r.parse(); err != nil {
		return r, fmt.Errorf("its path %q %w", r.text, err)
	}
	return r, nil
}

var (
	variableText = regexp.MustCompile(`^\{([A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)*)(?:=([^{}]+))?\}`)
	literalText  = regexp.MustCompile(`^[^/:{}*]+`)
)

// parse reads a template: /literal/*/{field.path=a/*}/**:verb.
func (r *rule) parse() error {
	rest, found := strings.CutPrefix(r.text, "/")
	if !found {
		return errors.New("does not begin with a slash")
	}
	for rest != "" {
		next, err := r.parseSegment(rest)
		if err != nil {
			return err
		}
		if verb, ok := strings.CutPrefix(next, ":"); ok {
			if literalText.FindString(verb) != verb || verb == "" {
				return errors.New("has a verb that is no word")
			}
			r.verb, next = verb, ""
		} else if next, ok = strings.CutPrefix(next, "/"); !ok && next != "" {
			return errors.New("has a part that is neither a word, a star nor one variable")
		}
		rest = next
	}
	return r.finish()
}

// parseSegment takes one segment, or the variable that stands there, off a text.
func (r *rule) parseSegment(text string) (rest string, err error) {
	if m := variableText.FindStringSubmatch(text); m != nil {
		v := variable{path: strings.Split(m[1], "."), start: len(r.segments)}
		inner := one
		if m[2] != "" {
			inner = m[2]
		}
		for _, s := range strings.Split(inner, "/") {
			if s != one && s != many && literalText.FindString(s) != s || s == "" {
				return "", errors.New("has a variable with a part that is neither a word nor a star")
			}
			r.segments = append(r.segments, s)
		}
		v.end = len(r.segments)
		r.variables = append(r.variables, v)
		return text[len(m[0]):], nil
	}
	for _, s := range []string{many, one, literalText.FindString(text)} {
		if rest, ok := strings.CutPrefix(text, s); ok && s != "" {
			r.segments = append(r.segments, s)
			return rest, nil
		}
	}
	return "", errors.New("has a part that is neither a word, a star nor a variable")
}

// finish counts the ends of variables with ** from the end of the path.
func (r *rule) finish() error {
	at := slices.Index(r.segments, many)
	if at < 0 {
		return nil
	}
	if slices.ContainsFunc(r.segments[at+1:], func(s string) bool { return s == one || s == many }) {
		return errors.New("has a star behind **, which must be its last")
	}
	for i := range r.variables {
		if v := &r.variables[i]; v.start <= at && at < v.end {
			v.end -= len(r.segments) + 1
		}
	}
	return nil
}

// String is the rule as people know it.
func (r rule) String() string { return r.method + " " + r.text }
