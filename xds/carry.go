package xds

import (
	"reflect"
	"slices"

	"github.com/kongdao/kongdao/api"
)

// carry is a set with what a newer one says that waits for no canary group: the pods
// of revisions, and how traffic is shared over revisions that are there. A bad
// revision has to lose its traffic everywhere at once, and its weight was raised
// everywhere at once, so that what is measured is what is.
func carry(old, newest api.Set) api.Set {
	functions := make([]*api.Function, len(old.Functions))
	for i, f := range old.Functions {
		functions[i] = f
		if n := newest.Function(f.Name); n != nil && n != f {
			functions[i] = carried(f, n)
		}
	}
	old.Functions = functions
	return old
}

// carried is a function with the pods and weights of a newer one.
func carried(f, from *api.Function) *api.Function {
	pods := map[string][]api.Endpoint{}
	for _, r := range from.Spec.Revisions {
		pods[r.Name] = r.Endpoints
	}
	out := *f
	out.Spec.Revisions = slices.Clone(f.Spec.Revisions)
	for i, r := range out.Spec.Revisions {
		if now, there := pods[r.Name]; there {
			out.Spec.Revisions[i].Endpoints = now
		}
	}
	if sharesAlone(f, from) {
		out.Spec.Traffic = from.Spec.Traffic
	}
	return &out
}

// sharesAlone tells whether the traffic of a newer function differs by weights at
// most, and by no revision that the older one has not.
func sharesAlone(f, from *api.Function) bool {
	if weightless(from) && last(f) != last(from) {
		return false // everything to the last revision, which is another one
	}
	for _, t := range from.Spec.Traffic {
		if !slices.ContainsFunc(f.Spec.Revisions, func(r api.Revision) bool { return r.Name == t.Revision }) {
			return false
		}
	}
	return slices.EqualFunc(matches(f), matches(from), func(a, b api.Traffic) bool {
		return a.Revision == b.Revision && reflect.DeepEqual(a.Match, b.Match)
	})
}

func weightless(f *api.Function) bool {
	return !slices.ContainsFunc(f.Spec.Traffic, func(t api.Traffic) bool { return t.Match == nil && t.Weight > 0 })
}

func last(f *api.Function) string {
	if n := len(f.Spec.Revisions); n > 0 {
		return f.Spec.Revisions[n-1].Name
	}
	return ""
}

// matches are the entries that pick calls and have no weight.
func matches(f *api.Function) (all []api.Traffic) {
	for _, t := range f.Spec.Traffic {
		if t.Match != nil {
			all = append(all, t)
		}
	}
	return all
}
