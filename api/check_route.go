package api

import (
	"fmt"
	"regexp"
	"strings"
)

func (rt Route) check(r *report, at string) {
	for i, host := range rt.Hosts {
		if message := wrongHost(host); message != "" {
			r.add(fmt.Sprintf("%s.hosts[%d]", at, i), "%s", message)
		}
	}
	r.unique(at+".hosts", rt.Hosts)
	if message := wrongPath(rt.Path); message != "" {
		r.add(at+".path", "%s", message)
	}
	for i, m := range rt.Methods {
		r.method(fmt.Sprintf("%s.methods[%d]", at, i), m)
	}
	r.unique(at+".methods", rt.Methods)
	r.headerMatchers(at+".headers", rt.Headers)
	r.queryMatchers(at+".query", rt.Query)
	rt.checkHandling(r, at)
}

var hostPattern = regexp.MustCompile(`^(\*\.)?([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)

const wantHost = "want a host such as api.example.com, *.example.com or *"

// wrongHost says what is wrong with a host pattern, or nothing.
func wrongHost(host string) string {
	switch {
	case host == "*" || (len(host) <= 253 && hostPattern.MatchString(host)):
		return ""
	case hostPattern.MatchString(strings.ToLower(host)):
		return fmt.Sprintf("is %s, want it in small letters: %s", quote(host), strings.ToLower(host))
	case strings.Contains(host, ":"):
		return fmt.Sprintf("is %s, %s: without scheme and port", quote(host), wantHost)
	case strings.Contains(host, "*"):
		return fmt.Sprintf("is %s, %s: a star stands for whole names, at the front", quote(host), wantHost)
	}
	return fmt.Sprintf("%s, %s", isOrMissing(host), wantHost)
}

var (
	pathSegment  = regexp.MustCompile(`^([A-Za-z0-9._~!$&'()+,;=:@-]|%[0-9A-Fa-f]{2})+$`)
	pathVariable = regexp.MustCompile(`^\{[A-Za-z_][A-Za-z0-9_]*\}$`)
)

const wantPath = "want a path such as /exact, /prefix/* or /items/{id}"

// wrongPath says what is wrong with a path pattern, or nothing.
func wrongPath(path string) string {
	if !strings.HasPrefix(path, "/") {
		return fmt.Sprintf("%s, %s", isOrMissing(path), wantPath)
	}
	variables := map[string]bool{}
	segments := strings.Split(path[1:], "/")
	for i, s := range segments {
		last := i == len(segments)-1
		why := ""
		switch {
		case s == "*" && last, s == "" && last, pathSegment.MatchString(s) && s != "." && s != "..":
		case s == "":
			why = "an empty part between slashes matches nothing"
		case s == "." || s == "..":
			why = "gateways take . and .. out of paths before they match"
		case strings.Contains(s, "*"):
			why = "a star stands for the rest of the path, alone and at the end"
		case pathVariable.MatchString(s) && variables[s]:
			why = s + " comes twice"
		case pathVariable.MatchString(s):
			variables[s] = true
		case strings.ContainsAny(s, "{}"):
			why = "a variable is a whole part, such as {id}"
		default:
			why = "it has characters that a path cannot have; a query is no part of it"
		}
		if why != "" {
			return fmt.Sprintf("is %s, %s: %s", quote(path), wantPath, why)
		}
	}
	return ""
}

// keys are what makes a route the same as another: one for each host and method.
// Names of path variables do not matter.
func (rt Route) keys() []string {
	segments := strings.Split(rt.Path, "/")
	for i, s := range segments {
		if pathVariable.MatchString(s) {
			segments[i] = "{}"
		}
	}
	lower := make(map[string]Matcher, len(rt.Headers))
	for name, m := range rt.Headers {
		lower[strings.ToLower(name)] = m
	}
	tail := strings.Join(segments, "/") + keyOf("", lower) + keyOf("?", rt.Query)
	if rt.Websocket {
		tail += " websocket"
	}
	var keys []string
	for _, host := range orAny(rt.Hosts, "*") {
		for _, method := range orAny(rt.Methods, "ANY") {
			keys = append(keys, method+" "+host+tail)
		}
	}
	return keys
}

// keyOf is conditions as a part of a key, sorted.
func keyOf(mark string, conditions map[string]Matcher) (key string) {
	for _, name := range sortedKeys(conditions) {
		m := conditions[name]
		if m.Kind == MatchExact {
			key += fmt.Sprintf(" %s%s=%q", mark, name, m.Text)
		} else {
			key += fmt.Sprintf(" %s%s %s", mark, name, m)
		}
	}
	return key
}

func orAny(items []string, everything string) []string {
	if len(items) == 0 {
		return []string{everything}
	}
	return items
}
