package api

import (
	"slices"
	"strings"
)

// Validate checks a whole configuration: each resource by itself, and what only
// shows when they are seen together. It reports every problem, sorted by file and
// line. Where two resources contradict each other, the one that stands later
// (by file name and line) is reported, and [Problem.Other] names the first.
func Validate(s Set) Problems {
	var problems Problems
	v := validation{
		zones:     directoryOf(s.Zones, KindZone, s.Broken),
		consumers: directoryOf(s.Consumers, KindConsumer, s.Broken),
		functions: directoryOf(s.Functions, KindFunction, s.Broken),
		problems:  &problems,
	}
	for _, r := range s.resources() {
		r.check(v.report(r))
	}
	v.duplicateNames(s)
	v.duplicateRoutes(s.Functions)
	for _, f := range s.Functions {
		v.references(f)
		v.mirrors(f, s.Functions)
	}
	for _, g := range s.GatewayGroups {
		v.groupReferences(g)
	}
	v.certificates(s.Certificates)
	v.channels(s)
	v.limits(s)
	v.people(s)
	problems.Sort()
	return problems
}

type validation struct {
	zones, consumers, functions directory
	problems                    *Problems
}

func (v validation) report(r resource) *report {
	return &report{source: r.meta().Source, lines: r.meta().Lines, problems: v.problems}
}

// directory is the names that resources of one kind have.
type directory struct {
	names []string        // sorted, each once
	has   map[string]bool // also those that are broken
}

func directoryOf[R resource](rs []R, kind string, broken []string) directory {
	d := directory{has: make(map[string]bool, len(rs))}
	for _, r := range rs {
		if name := r.meta().Name; !d.has[name] {
			d.has[name] = true
			d.names = append(d.names, name)
		}
	}
	slices.Sort(d.names)
	for _, b := range broken {
		if name, ok := strings.CutPrefix(b, kind+"/"); ok {
			d.has[name] = true
		}
	}
	return d
}

func (v validation) duplicateNames(s Set) {
	first := map[string]resource{}
	for _, r := range s.resources() { // sorted by name, then by place
		key := r.kind() + "/" + r.meta().Name
		if other, again := first[key]; again {
			where := v.report(other).at("metadata.name")
			v.report(r).contradict(where, "metadata.name", "is %s, the name of the %s at %s: want a name of its own",
				quote(r.meta().Name), r.kind(), where)
			continue
		}
		first[key] = r
	}
}
