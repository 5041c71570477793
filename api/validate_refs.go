package api

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// holder is the route that holds a key.
type holder struct {
	function *Function
	index    int
	where    Source
}

func (h holder) field() string { return fmt.Sprintf("spec.routes[%d]", h.index) }

func (h holder) compare(o holder) int {
	return cmp.Or(strings.Compare(h.where.File, o.where.File), cmp.Compare(h.where.Line, o.where.Line),
		strings.Compare(h.function.Name, o.function.Name), cmp.Compare(h.index, o.index))
}

// duplicateRoutes reports routes that another route of equal conditions hides.
func (v validation) duplicateRoutes(functions []*Function) {
	var all []holder
	for _, f := range functions {
		r := v.report(f)
		for i := range f.Spec.Routes {
			h := holder{function: f, index: i}
			h.where = r.at(h.field())
			all = append(all, h)
		}
	}
	slices.SortStableFunc(all, holder.compare)
	first := make(map[string]holder, len(all))
	for _, h := range all {
		reported := false
		for _, key := range h.function.Spec.Routes[h.index].keys() {
			other, taken := first[key]
			if !taken {
				first[key] = h
				continue
			}
			if other == h || reported { // listed twice in one route, which unique reports; or one message is enough
				continue
			}
			reported = true
			v.report(h.function).contradict(other.where, h.field(), "routes %s, which %s routes already (%s): want it in one place",
				key, quote(other.function.Name), other.where)
		}
	}
}

// references checks the zones and consumers that a function names.
func (v validation) references(f *Function) {
	for i, rev := range f.Spec.Revisions {
		for j, e := range rev.Endpoints {
			if len(v.zones.names) > 0 {
				v.mustExist(f, fmt.Sprintf("spec.revisions[%d].endpoints[%d].zone", i, j), e.Zone, v.zones, KindZone)
			}
		}
	}
	v.accessReferences(f, f.Spec.Access)
}

// mustExist reports a name that no resource of a kind has.
func (v validation) mustExist(r resource, field, name string, known directory, kind string) {
	if known.has[name] {
		return
	}
	const most = 10 // names that a message can list and stay readable
	want := fmt.Sprintf("the name of a %s", kind)
	switch {
	case len(known.names) == 0:
		want = fmt.Sprintf("the name of a %s: there is none yet", kind)
	case len(known.names) <= most:
		want += ": " + oneOf(known.names)
	default:
		if near := nearest(name, known.names); near != "" {
			want += fmt.Sprintf(", did you mean %q?", near)
		}
	}
	v.report(r).add(field, "%s, want %s", isOrMissing(name), want)
}
