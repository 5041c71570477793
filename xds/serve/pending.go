package serve

import (
	"cmp"
	"maps"
	"slices"

	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
)

// What a gateway has of a resource that is not as it should be.
const (
	PendingRefused = "refused" // it does not take it as it is
	PendingSent    = "sent"    // it has not answered yet
	PendingUnsent  = "unsent"  // it waits for an answer to something sent before
)

// Pending is a resource that a gateway does not have as its group should.
type Pending struct {
	Type, Name string
	State      string // one of the constants
	Message    string // of the gateway, where it refuses
}

// Pending lists by node what connected gateways do not have, or have otherwise, in
// the order of Types and names.
func (s *Server) Pending() map[string][]Pending {
	all := map[string][]Pending{}
	for _, st := range s.list() {
		if node := st.nodeID(); node != "" {
			all[node] = st.pending()
		}
	}
	return all
}

func (st *stream) pending() (all []Pending) {
	st.mu.Lock()
	defer st.mu.Unlock()
	for _, typeURL := range Types() {
		if sub := st.subs[typeURL]; sub != nil {
			all = append(all, sub.pending(typeURL)...)
		}
	}
	return all
}

// pending compares all that is wanted with what the gateway has. The stream's lock
// must be held.
func (s *subscription) pending(typeURL string) (all []Pending) {
	names := map[string]bool{}
	for name := range s.known {
		names[name] = true
	}
	if s.wildcard {
		for _, name := range s.table.names() {
			names[name] = true
		}
	}
	maps.Copy(names, s.wanted)
	for name := range names {
		if state, message := s.stateOf(name); state != "" {
			all = append(all, Pending{typeURL, name, state, message})
		}
	}
	slices.SortFunc(all, func(a, b Pending) int { return cmp.Compare(a.Name, b.Name) })
	return all
}

// stateOf is empty for what the gateway has as it should.
func (s *subscription) stateOf(name string) (state, message string) {
	e, there := s.table.get(name, s.zone)
	known, has := s.known[name]
	out := s.outstanding
	switch {
	case out != nil && (slices.Contains(out.names, name) || slices.Contains(out.removed, name)):
		return PendingSent, ""
	case there && s.refused[name].version == e.version:
		return PendingRefused, s.refused[name].text
	case there != has || there && known != e.version:
		return PendingUnsent, ""
	}
	return "", ""
}

// warming are the revisions that the gateway has been sent and not accepted: it does
// when it has checked their pods. The lock must be held.
func (st *stream) warming() []string {
	all := []string{}
	if sub := st.subs[resource.ClusterType]; sub != nil && sub.outstanding != nil {
		all = append(all, sub.outstanding.names...)
	}
	slices.Sort(all)
	return all
}
