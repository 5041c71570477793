package model

import (
	"maps"
	"slices"
	"strings"

	"github.com/kongdao/kongdao/api"
)

// Fault is what is wrong with a rule alone; its function's other rules are served.
// The zero value is nothing.
type Fault struct {
	// Invalid is why the rule answers 503 instead of what its function says.
	Invalid string
	// Unmatchable means that no gateway takes the rule's own conditions: requests
	// pass it by.
	Unmatchable bool
}

// Reason is why a rule is not served, its own fault or its function's; empty: it is
// served.
func (r *Rule) Reason() string {
	if r.Invalid != "" {
		return r.Invalid
	}
	return r.Function.Invalid
}

// Quarantined is the name of what is not served, the rule or the whole function;
// empty when the rule is served.
func (r *Rule) Quarantined() string {
	switch {
	case r.Function.Invalid != "":
		return r.Function.Name
	case r.Invalid != "" || r.Unmatchable:
		return r.Name
	default:
		return ""
	}
}

// RuleSource is where a rule of the function is written; zero for none of that
// name.
func (f *Function) RuleSource(name string) api.Source {
	for _, hr := range f.rules {
		if hr.rule.Name == name {
			return hr.rule.Source
		}
	}
	return api.Source{}
}

// blame puts what is known to be broken on a function's rules.
func (b *builder) blame(f *Function) {
	for _, hr := range f.rules {
		hr.rule.Invalid, hr.rule.Unmatchable = b.in.Broken[hr.rule.Name], b.in.Unmatchable[hr.rule.Name]
	}
}

// faultsOf is all that is known to be broken about a function, to tell whether it
// is the same as before. It costs nothing while nothing is broken.
func (b *builder) faultsOf(function string) string {
	var all []string
	for _, name := range b.faulty[function] {
		all = append(all, name, b.in.Broken[name])
		if b.in.Unmatchable[name] {
			all = append(all, "unmatchable")
		}
	}
	return strings.Join(all, "\x00")
}

// faulty lists the broken things of each function, sorted.
func faulty(in Input) map[string][]string {
	all := map[string][]string{}
	add := func(names []string) {
		for _, name := range names {
			function, _, _ := strings.Cut(name, "/")
			if !slices.Contains(all[function], name) {
				all[function] = append(all[function], name)
			}
		}
	}
	add(slices.Sorted(maps.Keys(in.Broken)))
	add(slices.Sorted(maps.Keys(in.Unmatchable)))
	return all
}
