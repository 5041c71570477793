package model

import (
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/kongdao/kongdao/api"
)

// CORS says which pages of other origins may call.
type CORS struct {
	Origins     []Condition // Exact or Regex; wildcards are expressions here
	AnyOrigin   bool
	Methods     []string // never empty
	Headers     []string
	Expose      []string
	Credentials bool
	MaxAge      time.Duration
}

// simpleMethods are allowed where neither CORS nor the route names methods.
var simpleMethods = []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"}

func newCORS(spec *api.CORS, methods []string) *CORS {
	if spec == nil {
		return nil
	}
	c := &CORS{
		Methods: spec.Methods, Headers: spec.Headers, Expose: spec.Expose,
		Credentials: spec.Credentials, MaxAge: spec.MaxAge.Std(),
	}
	if len(c.Methods) == 0 {
		c.Methods = slices.Sorted(slices.Values(methods))
	}
	if len(c.Methods) == 0 {
		c.Methods = simpleMethods
	}
	for _, o := range spec.Origins {
		if o == api.Is("*") {
			c.AnyOrigin = true
			continue
		}
		if o.Kind == api.MatchExact && strings.Contains(o.Text, "*") {
			o = api.Matcher{Kind: api.MatchRegex, Text: wildcardOrigin(o.Text)}
		}
		condition := Condition{Name: "origin", Matcher: o}
		if o.Kind == api.MatchRegex {
			condition.regex, _ = wholeValue(o.Text)
		}
		c.Origins = append(c.Origins, condition)
	}
	return c
}

// wildcardOrigin is https://*.example.com as an expression: any name below.
func wildcardOrigin(origin string) string {
	before, after, _ := strings.Cut(origin, "*")
	return regexp.QuoteMeta(before) + `[A-Za-z0-9._-]+` + regexp.QuoteMeta(after)
}

// Allows tells whether pages of an origin may call.
func (c *CORS) Allows(origin string) bool {
	return origin != "" && (c.AnyOrigin || slices.ContainsFunc(c.Origins, func(o Condition) bool { return o.takes(origin) }))
}

// Preflight tells whether a request is a browser's question whether it may send
// one that the rule is for. The question has neither the headers nor the key of
// the request itself, so conditions on headers are left out.
func (r *Rule) Preflight(method, path string, query, values Values) bool {
	if r.Invalid != "" || r.Unmatchable {
		return false
	}
	c := r.CORS
	if c == nil || method != http.MethodOptions || !r.Path.Matches(path) || !allHold(r.Query, query) {
		return false
	}
	some := func(value string) bool { return value != "" }
	asked := values("access-control-request-method")
	if !slices.ContainsFunc(values("origin"), some) {
		return false
	}
	if len(r.Methods) == 0 {
		return slices.ContainsFunc(asked, some)
	}
	return slices.ContainsFunc(asked, func(m string) bool { return slices.Contains(r.Methods, m) })
}

// wrongOrigins says which origin cannot be asked for, or "".
func wrongOrigins(c *api.CORS) string {
	if c == nil {
		return ""
	}
	for _, o := range c.Origins {
		if _, err := wholeValue(o.Text); o.Kind == api.MatchRegex && err != nil {
			return "the origins: " + err.Error()
		}
	}
	return ""
}
