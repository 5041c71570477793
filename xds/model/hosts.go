package model

import (
	"cmp"
	"maps"
	"slices"
	"strings"
)

// addHosts gives the World its hosts: those of the World before, and new ones
// where a function came, went or changed.
func (w *World) addHosts(previous *World) {
	if previous == nil {
		previous = &World{}
	}
	w.hosts = maps.Clone(previous.hosts)
	if w.hosts == nil {
		w.hosts = map[string]*Host{}
	}
	fresh, touched := w.touched(previous)
	names := slices.Sorted(maps.Keys(touched))
	for _, name := range names {
		w.renew(name, fresh[name])
	}
	if slices.ContainsFunc(names, func(name string) bool { return strings.HasPrefix(name, "*") }) {
		w.widen()
	}
	w.Hosts = slices.SortedFunc(maps.Values(w.hosts), func(a, b *Host) int { return cmp.Compare(a.Name, b.Name) })
}

// touched lists the hosts that functions which differ from the World before are
// or were reached by, and the new functions' rules by host.
func (w *World) touched(previous *World) (fresh map[string][]*Rule, hosts map[string]bool) {
	fresh, hosts = map[string][]*Rule{}, map[string]bool{}
	for _, f := range previous.Functions {
		if w.functions[f.Name] == f {
			continue
		}
		for _, hr := range f.rules {
			hosts[hr.host] = true
		}
	}
	for _, f := range w.Functions {
		if previous.functions[f.Name] == f {
			continue
		}
		for _, hr := range f.rules {
			fresh[hr.host] = append(fresh[hr.host], hr.rule)
			hosts[hr.host] = true
		}
	}
	return fresh, hosts
}

// renew replaces a host by one with fresh rules and without those of functions
// that are not in the World any more.
func (w *World) renew(name string, fresh []*Rule) {
	own := fresh
	if old := w.hosts[name]; old != nil {
		for _, r := range old.own {
			if w.functions[r.Function.Name] == r.Function {
				own = append(own, r)
			}
		}
	}
	if len(own) == 0 {
		delete(w.hosts, name)
		return
	}
	slices.SortFunc(own, compareRules)
	w.hosts[name] = &Host{Name: name, Rules: own, own: own}
}

// widen renews every wildcard: each ends with the rules of wider ones.
func (w *World) widen() {
	for name, h := range w.hosts {
		if h.Wildcard() {
			w.hosts[name] = &Host{Name: name, own: h.own, Rules: slices.Concat(h.own, w.wider(name))}
		}
	}
}

// wider are the rules of all wildcards that cover a wildcard, narrow first.
func (w *World) wider(name string) (all []*Rule) {
	if name == "*" {
		return nil
	}
	own := func(name string) []*Rule {
		if h := w.hosts[name]; h != nil {
			return h.own
		}
		return nil
	}
	for rest := strings.TrimPrefix(name, "*."); ; {
		_, after, found := strings.Cut(rest, ".")
		if !found {
			return append(all, own("*")...)
		}
		all = append(all, own("*."+after)...)
		rest = after
	}
}
