package model

import (
	"cmp"
	"slices"
	"strings"

	"github.com/kongdao/kongdao/api"
)

// Host is a name with its rules.
type Host struct {
	// Name is exact ("api.example.com"), a suffix ("*.example.com") or "*"; lower
	// case, without a port.
	Name string
	// Rules in the order in which they are tried. A wildcard host's rules end with
	// those of every wider wildcard, so one host has the whole answer; an exact
	// host's do not, see Candidates.
	Rules []*Rule

	own []*Rule // without those of wider wildcards
}

// hostRule is a rule and one of the hosts that it is for.
type hostRule struct {
	host string
	rule *Rule
}

// Wildcard tells whether the host stands for many names.
func (h *Host) Wildcard() bool { return strings.HasPrefix(h.Name, "*") }

// PathKind tells how a path is compared.
type PathKind int

// The kinds of paths, in the order in which they are tried.
const (
	Exact    PathKind = iota // the whole path is equal
	Template                 // segments in braces stand for any one segment
	Prefix                   // the path begins with it
)

// Path is a condition on a request's path, without query.
type Path struct {
	Kind PathKind
	// Text is the path (Exact), the pattern as written (Template), or the prefix
	// with its final slash (Prefix).
	Text string
}

// ParsePath reads /exact, /prefix/* or /items/{id}.
func ParsePath(text string) Path {
	switch {
	case strings.Contains(text, "{"):
		return Path{Template, text}
	case strings.HasSuffix(text, "/*"):
		return Path{Prefix, strings.TrimSuffix(text, "*")}
	default:
		return Path{Exact, text}
	}
}

// Matches tells whether a path, which must have no query, fulfils the condition.
func (p Path) Matches(path string) bool {
	switch p.Kind {
	case Exact:
		return path == p.Text
	case Prefix:
		return strings.HasPrefix(path, p.Text)
	default:
		return matchSegments(strings.Split(p.Text, "/"), strings.Split(path, "/"))
	}
}

func matchSegments(pattern, path []string) bool {
	for i, want := range pattern {
		if want == "*" && i == len(pattern)-1 {
			return len(path) > i
		}
		if i >= len(path) {
			return false
		}
		if IsParameter(want) {
			if path[i] == "" {
				return false
			}
		} else if path[i] != want {
			return false
		}
	}
	return len(path) == len(pattern)
}

// IsParameter tells whether a segment of a Template stands for any segment.
func IsParameter(segment string) bool {
	return strings.HasPrefix(segment, "{") && strings.HasSuffix(segment, "}")
}

// Rule is one way into a function.
type Rule struct {
	Function *Function
	Name     string // function/number, as in the column route of the call log
	Path     Path
	Methods  []string    // sorted; empty: any
	Headers  []Condition // sorted by name; all must hold
	Query    []Condition // likewise
	Source   api.Source

	Handling
	Fault
	class Class // of requests whose consumer has none
}

// Values gives the values of a request's header, one for each line of that name.
// Envoy compares each on its own; one that is equal is enough.
type Values func(name string) []string

// Matches tells whether the rule takes a request; path has no query, whose
// parameters query gives.
func (r *Rule) Matches(method, path string, query, values Values) bool {
	if r.Unmatchable {
		return false
	}
	if !r.Path.Matches(path) || len(r.Methods) > 0 && !slices.Contains(r.Methods, method) {
		return false
	}
	return allHold(r.Headers, values) && allHold(r.Query, query)
}

func matchHeaders(want []Header, values Values) bool {
	for _, h := range want {
		if !slices.Contains(values(h.Name), h.Value) {
			return false
		}
	}
	return true
}

// compareRules puts the most specific rule first: exact paths before templates
// before prefixes, long before short, more conditions before fewer, then by name
// so that the order never depends on anything else.
func compareRules(a, b *Rule) int {
	return cmp.Or(
		cmp.Compare(a.Path.Kind, b.Path.Kind),
		cmp.Compare(len(b.Path.Text), len(a.Path.Text)),
		cmp.Compare(a.Path.Text, b.Path.Text),
		cmp.Compare(len(b.Headers)+len(b.Query), len(a.Headers)+len(a.Query)),
		cmp.Compare(anyMethod(a), anyMethod(b)),
		cmp.Compare(a.Name, b.Name),
	)
}

func anyMethod(r *Rule) int {
	if len(r.Methods) == 0 {
		return 1
	}
	return 0
}

// Candidates lists the rules that a request to a host is tried against, in order:
// those of the exact host, then those of the narrowest wildcard that covers it.
// The host may have a port, which is ignored.
func (w *World) Candidates(host string) []*Rule {
	host = CleanHost(host)
	var rules []*Rule
	if h := w.hosts.get(host); h != nil && !h.Wildcard() {
		rules = append(rules, h.Rules...)
	}
	for rest := host; ; {
		i := strings.IndexByte(rest, '.')
		if i < 0 {
			break
		}
		if h := w.hosts.get("*" + rest[i:]); h != nil {
			return append(rules, h.Rules...)
		}
		rest = rest[i+1:]
	}
	if h := w.hosts.get("*"); h != nil {
		rules = append(rules, h.Rules...)
	}
	return rules
}

// CleanHost is a host in lower case and without its port.
func CleanHost(host string) string {
	host = strings.ToLower(host)
	if i := strings.LastIndexByte(host, ':'); i >= 0 && !strings.HasSuffix(host, "]") {
		host = host[:i]
	}
	return host
}

// ValidHost tells whether a clean host is a name or an IPv4 address, "*." before
// one, or "*". One bad host would make gateways refuse all hosts of its shard.
func ValidHost(host string) bool {
	if host == "*" {
		return true
	}
	name := strings.TrimPrefix(host, "*.")
	outside := func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-' && r != '.' && r != '_'
	}
	return name != "" && len(name) <= 253 && name[0] != '.' && strings.IndexFunc(name, outside) < 0
}
