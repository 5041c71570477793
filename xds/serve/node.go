package serve

import (
	"maps"
	"slices"
	"time"

	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"google.golang.org/protobuf/types/known/anypb"
)

// place is what variants of a type are told apart by: routes by gateway, all else
// by zone. The lock must be held.
func (st *stream) place(typeURL string) string {
	if typeURL == resource.RouteType {
		return st.node
	}
	return st.zone
}

// UpdateNodes puts resources as Update does, and in the same moment sets what
// single gateways get instead, by node and name; a nil body takes that back. Only
// routes have gateways of their own.
func (g *Group) UpdateNodes(put map[string]*anypb.Any, nodes map[string]map[string]*anypb.Any) []string {
	changed := g.tables[resource.RouteType].updateNodes(put, nodes, time.Now())
	if len(changed) > 0 {
		g.server.wake()
	}
	return changed
}

func (t *table) updateNodes(put map[string]*anypb.Any, nodes map[string]map[string]*anypb.Any, now time.Time) []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	changed := map[string]bool{}
	for _, name := range t.set(put, nil) {
		changed[name] = true
	}
	for node, bodies := range nodes {
		own := t.zones[node]
		if own == nil {
			own = map[string]entry{}
		}
		for name, body := range bodies {
			before := own[name].version
			if body == nil {
				delete(own, name)
			} else {
				own[name] = entry{body, version(body)}
			}
			if own[name].version != before {
				changed[name] = true
			}
		}
		t.zones[node] = own
		if len(own) == 0 {
			delete(t.zones, node)
		}
	}
	names := slices.Collect(maps.Keys(changed))
	t.note(names, now)
	return names
}

// Has tells whether a gateway is connected and has answered everything that its
// group held when it was marked with this version or the next one after it.
func (s *Server) Has(node string, version uint64) bool {
	for _, st := range s.list() {
		if st.nodeID() == node {
			return st.answered(version)
		}
	}
	return false
}

func (st *stream) answered(version uint64) bool {
	marks := st.marks()
	i := slices.IndexFunc(marks, func(m mark) bool { return m.version >= version })
	if i < 0 {
		return false
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	for typeURL, seq := range marks[i].seqs {
		sub := st.subs[typeURL]
		if sub == nil && wildcards(typeURL) || sub != nil && sub.settled < seq {
			return false
		}
	}
	return true
}
