package model

import (
	"maps"
	"slices"
)

// indexParts is how many parts an index has. A change copies the parts that it
// touches, and the list of parts.
const indexParts = 1024

// index finds things by name. It is never changed: an edit makes another one that
// shares what is equal, so that a change costs what it changes.
type index[V any] struct{ parts []map[string]V }

func (x index[V]) get(name string) (v V) {
	if x.parts == nil {
		return v
	}
	return x.parts[HashName(name)%indexParts][name]
}

// edit begins the next index.
func (x index[V]) edit() *indexEdit[V] {
	e := &indexEdit[V]{next: index[V]{make([]map[string]V, indexParts)}}
	copy(e.next.parts, x.parts)
	return e
}

// indexEdit is an index that is being made. Those that it was made of stay as they
// are.
type indexEdit[V any] struct {
	next index[V]
	own  [indexParts / 64]uint64 // parts that are not shared
}

func (e *indexEdit[V]) part(name string) map[string]V {
	i := HashName(name) % indexParts
	if e.own[i/64]&(1<<(i%64)) == 0 {
		e.own[i/64] |= 1 << (i % 64)
		e.next.parts[i] = maps.Clone(e.next.parts[i])
	}
	if e.next.parts[i] == nil {
		e.next.parts[i] = map[string]V{}
	}
	return e.next.parts[i]
}

func (e *indexEdit[V]) set(name string, v V) { e.part(name)[name] = v }

func (e *indexEdit[V]) drop(name string) { delete(e.part(name), name) }

// HashName spreads names evenly (FNV-1a). It never changes: gateways know parts of
// the routes by it.
func HashName(name string) uint32 {
	h := uint32(2166136261)
	for i := range len(name) {
		h = (h ^ uint32(name[i])) * 16777619
	}
	return h
}

// HostsIn are the hosts whose names' hash leaves a rest when it is divided by n,
// sorted by name. It costs what it returns where n divides 1024, else it looks at
// all.
func (w *World) HostsIn(rest, n int) (all []*Host) {
	if indexParts%n != 0 || w.hosts.parts == nil {
		for _, h := range w.Hosts {
			if HashName(h.Name)%uint32(n) == uint32(rest) {
				all = append(all, h)
			}
		}
		return all
	}
	for i := rest; i < indexParts; i += n {
		for _, h := range w.hosts.parts[i] {
			all = append(all, h)
		}
	}
	slices.SortFunc(all, byHostName)
	return all
}

// Wildcards are the hosts that stand for many names, sorted: a star sorts before
// everything that a name begins with.
func (w *World) Wildcards() []*Host {
	n := 0
	for n < len(w.Hosts) && w.Hosts[n].Wildcard() {
		n++
	}
	return w.Hosts[:n:n]
}
