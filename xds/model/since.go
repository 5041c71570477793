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
	compare(before, now, byName, func(a, b *Function, _ int) { all = append(all, FunctionChange{a, b}) })
	return all
}

func hostChanges(before, now []*Host) (all []HostChange) {
	compare(before, now, byHostName, func(a, b *Host, _ int) { all = append(all, HostChange{a, b}) })
	return all
}

func byName(a, b *Function) int { return cmp.Compare(a.Name, b.Name) }

func byHostName(a, b *Host) int { return strings.Compare(a.Name, b.Name) }

// compare walks two sorted lists together and visits what is not the same in both:
// pairs of equal names, nil for what only the other one has, and the index in now.
func compare[T any](before, now []*T, order func(a, b *T) int, visit func(before, now *T, at int)) {
	i, j := 0, 0
	for {
		for i < len(before) && j < len(now) && before[i] == now[j] {
			i, j = i+1, j+1
		}
		var first int
		switch {
		case i == len(before) && j == len(now):
			return
		case i == len(before):
			first = 1
		case j == len(now):
			first = -1
		default:
			first = order(before[i], now[j])
		}
		switch {
		case first < 0:
			visit(before[i], nil, j)
			i++
		case first > 0:
			visit(nil, now[j], j)
			j++
		default:
			visit(before[i], now[j], j)
			i, j = i+1, j+1
		}
	}
}

// upTo is the index of the first of a sorted list, from an index on, whose name is
// not below a name.
func upTo[T any](all []T, from int, name string, nameOf func(T) string) int {
	at, _ := slices.BinarySearchFunc(all[from:], name, func(x T, name string) int { return strings.Compare(nameOf(x), name) })
	return from + at
}

// Resembles tells whether a function differs from what it was in nothing but its
// pods' readiness, and in what follows from that. Nil resembles nil alone.
func (f *Function) Resembles(was *Function) bool {
	if f == nil || was == nil || f == was {
		return f == was
	}
	return f.spec == was.spec && f.broken == was.broken && f.access == was.access && f.Access.Signed == was.Access.Signed && slices.Equal(f.pins, was.pins) &&
		f.fleet.equal(was.fleet) && slices.Equal(f.consumerClasses, was.consumerClasses) && f.sameKeys(was) && sameAddresses(f, was)
}

// sameKeys compares the key sets of issuers, which can change in their files.
func (f *Function) sameKeys(was *Function) bool {
	return slices.EqualFunc(f.Access.Tokens, was.Access.Tokens, func(a, b Token) bool { return a.Issuer.Name == b.Issuer.Name })
}
