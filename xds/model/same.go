package model

import (
	"reflect"
	"slices"

	"github.com/kongdao/kongdao/api"
)

// Same tells whether two functions, of whatever Worlds, do the same with every
// request. Where they are written does not count. It may be false for functions
// that do the same nevertheless.
func (f *Function) Same(g *Function) bool {
	if f == g {
		return true
	}
	if f.Name != g.Name || f.Limit != g.Limit || f.Cost != g.Cost || f.Tier != g.Tier || f.Ranked != g.Ranked || f.Invalid != g.Invalid {
		return false
	}
	if !slices.Equal(f.pins, g.pins) || !slices.Equal(f.consumerClasses, g.consumerClasses) || !sameCallers(f.Callers, g.Callers) {
		return false
	}
	return reflect.DeepEqual(f.Access, g.Access) && samePods(f.Revisions, g.Revisions) && sameRules(f.rules, g.rules) &&
		SameSpec(f.spec, g.spec)
}

// SameSpec tells whether two resources say the same, wherever they are written.
func SameSpec(a, b *api.Function) bool { return reflect.DeepEqual(unplaced(a), unplaced(b)) }

func sameCallers(a, b []CallerLimit) bool {
	return slices.EqualFunc(a, b, func(x, y CallerLimit) bool {
		x.Source, y.Source = api.Source{}, api.Source{}
		return x == y
	})
}

func samePods(a, b []*Revision) bool {
	return slices.EqualFunc(a, b, func(x, y *Revision) bool {
		same := func(p, q *Pod) bool { return *p == *q }
		return x.Name == y.Name && x.Capacity == y.Capacity && x.Cost == y.Cost && slices.EqualFunc(x.Pods, y.Pods, same)
	})
}

// sameRules compares what is not of the function's resource: hosts and methods of
// the group, and faults.
func sameRules(a, b []hostRule) bool {
	return slices.EqualFunc(a, b, func(x, y hostRule) bool {
		return x.host == y.host && x.rule.Name == y.rule.Name && x.rule.Fault == y.rule.Fault && slices.Equal(x.rule.Methods, y.rule.Methods)
	})
}

// unplaced is a resource without where it is written.
func unplaced(f *api.Function) api.Function {
	out := *f
	out.Source, out.Lines = api.Source{}, nil
	out.Spec.Routes = slices.Clone(f.Spec.Routes)
	for i := range out.Spec.Routes {
		out.Spec.Routes[i].Source = api.Source{}
	}
	out.Spec.Revisions = slices.Clone(f.Spec.Revisions)
	for i := range out.Spec.Revisions {
		out.Spec.Revisions[i].Source = api.Source{}
	}
	return out
}
