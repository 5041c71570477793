package model

import (
	"cmp"
	"slices"
	"strings"
)

// FunctionChange is a function that is another one than in a World before; nil: it
// was not there, or is not any more.
type FunctionChange struct{ Before, Now *Function }

// HostChange is the same of a host.
type HostChange struct{ Before, Now *Host }

// identity tells Worlds apart without keeping them.
type identity struct{ _ byte }

// difference is what differs from the World that a World was built upon.
type difference struct {
	from      *identity // that World's; nil: none
	functions []FunctionChange
	hosts     []HostChange
}

// Since lists what differs from a World before, sorted by name; nil for none. It
// costs what it returns for the World that this one was built upon, and else
// compares all.
func (w *World) Since(before *World) ([]FunctionChange, []HostChange) {
	if before == nil {
		before = &World{}
	} else if w.difference.from != nil && w.difference.from == before.self {
		return w.difference.functions, w.difference.hosts
	}
	return functionChanges(before.Functions, w.Functions), hostChanges(before.Hosts, w.Hosts)
}

func functionChanges(before, now []*Function) (all []FunctionChange) {
	merge(before, now, byName, func(a, b *Function) {
		if a != b {
			all = append(all, FunctionChange{a, b})
		}
	})
	return all
}

func hostChanges(before, now []*Host) (all []HostChange) {
	merge(before, now, byHostName, func(a, b *Host) {
		if a != b {
			all = append(all, HostChange{a, b})
		}
	})
	return all
}

func byName(a, b *Function) int { return cmp.Compare(a.Name, b.Name) }

func byHostName(a, b *Host) int { return strings.Compare(a.Name, b.Name) }

// merge walks two sorted lists together and visits pairs of equal names; nil stands
// for what only the other one has.
func merge[T any](as, bs []*T, compare func(a, b *T) int, visit func(a, b *T)) {
	i, j := 0, 0
	for i < len(as) || j < len(bs) {
		order := 0
		switch {
		case i == len(as):
			order = 1
		case j == len(bs):
			order = -1
		case as[i] != bs[j]:
			order = compare(as[i], bs[j])
		}
		switch {
		case order < 0:
			visit(as[i], nil)
			i++
		case order > 0:
			visit(nil, bs[j])
			j++
		default:
			visit(as[i], bs[j])
			i, j = i+1, j+1
		}
	}
}

// Resembles tells whether a function differs from what it was in nothing but its
// pods' readiness, and in what follows from that. Nil resembles nil alone.
func (f *Function) Resembles(was *Function) bool {
	if f == nil || was == nil || f == was {
		return f == was
	}
	return f.spec == was.spec && f.broken == was.broken && f.access == was.access && slices.Equal(f.pins, was.pins) &&
		f.fleet.equal(was.fleet) && slices.Equal(f.consumerClasses, was.consumerClasses) && f.sameKeys(was) && samePods(f, was)
}

// sameKeys compares the key sets of issuers, which can change in their files.
func (f *Function) sameKeys(was *Function) bool {
	return slices.EqualFunc(f.Access.Tokens, was.Access.Tokens, func(a, b Token) bool { return a.Issuer.Name == b.Issuer.Name })
}
