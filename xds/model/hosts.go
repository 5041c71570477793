package model

import (
	"maps"
	"slices"
	"strings"
)

// addHosts gives the World its hosts: those of the World before, and new ones
// where a function came, went or changed.
func (w *World) addHosts(before *World) {
	w.Hosts, w.hosts = before.Hosts, before.hosts
	if len(w.difference.functions) == 0 {
		return
	}
	hosts := before.hosts.edit()
	w.hosts = hosts.next // its parts follow the edit
	fresh, touched := w.touched()
	for name := range touched {
		w.renew(hosts, name, fresh[name])
	}
	if anyWildcard(touched) {
		w.widen(hosts, before, touched)
	}
	w.placeHosts(before, touched)
}

func anyWildcard(names map[string]bool) bool {
	for name := range names {
		if strings.HasPrefix(name, "*") {
			return true
		}
	}
	return false
}

// touched lists the hosts that functions which differ from the World before are
// or were reached by, and the new functions' rules by host.
func (w *World) touched() (fresh map[string][]*Rule, hosts map[string]bool) {
	fresh, hosts = map[string][]*Rule{}, map[string]bool{}
	for _, c := range w.difference.functions {
		if c.Before != nil {
			for _, hr := range c.Before.rules {
				hosts[hr.host] = true
			}
		}
		if c.Now == nil {
			continue
		}
		for _, hr := range c.Now.rules {
			fresh[hr.host] = append(fresh[hr.host], hr.rule)
			hosts[hr.host] = true
		}
	}
	return fresh, hosts
}

// renew replaces a host by one with fresh rules and without those of functions
// that are not in the World any more.
func (w *World) renew(hosts *indexEdit[*Host], name string, fresh []*Rule) {
	own := fresh
	if old := hosts.next.get(name); old != nil {
		for _, r := range old.own {
			if w.Function(r.Function.Name) == r.Function {
				own = append(own, r)
			}
		}
	}
	if len(own) == 0 {
		hosts.drop(name)
		return
	}
	slices.SortFunc(own, compareRules)
	hosts.set(name, &Host{Name: name, Rules: own, own: own})
}

// widen renews every wildcard, for each ends with the rules of wider ones.
func (w *World) widen(hosts *indexEdit[*Host], before *World, touched map[string]bool) {
	for _, h := range before.Wildcards() {
		touched[h.Name] = true
	}
	for name := range touched {
		if h := hosts.next.get(name); h != nil && h.Wildcard() {
			hosts.set(name, &Host{Name: name, own: h.own, Rules: slices.Concat(h.own, w.wider(name))})
		}
	}
}

// wider are the rules of all wildcards that cover a wildcard, narrow first.
func (w *World) wider(name string) (all []*Rule) {
	if name == "*" {
		return nil
	}
	own := func(name string) []*Rule {
		if h := w.hosts.get(name); h != nil {
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

// placeHosts makes the sorted list of hosts, and notes which are others now.
func (w *World) placeHosts(before *World, touched map[string]bool) {
	w.Hosts = make([]*Host, 0, len(before.Hosts)+len(touched))
	i := 0
	for _, name := range slices.Sorted(maps.Keys(touched)) {
		next := upTo(before.Hosts, i, name, func(h *Host) string { return h.Name })
		w.Hosts = append(w.Hosts, before.Hosts[i:next]...)
		i = next
		was, now := before.Host(name), w.Host(name)
		if was != nil {
			i++
		}
		if now != nil {
			w.Hosts = append(w.Hosts, now)
		}
		if was != now {
			w.difference.hosts = append(w.difference.hosts, HostChange{was, now})
		}
	}
	w.Hosts = append(w.Hosts, before.Hosts[i:]...)
}
