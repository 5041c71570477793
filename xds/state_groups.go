package xds

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/kongdao/kongdao/xds/model"
	"github.com/kongdao/kongdao/xds/serve"
)

// Gateways are the connected gateways, sorted by node.
func (s *Server) Gateways() []GatewayState {
	all := []GatewayState{}
	gateways := s.serve.Gateways()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, g := range gateways {
		l := s.lineOf(g.Group)
		state := GatewayState{Gateway: g, Refuses: []Difference{}, Quarantined: orNone(l.quarantined)}
		state.Faulty = !g.Silent.IsZero() && time.Since(g.Silent) > s.config.silenceAllowed(g.Unanswered)
		for _, resource := range slices.Sorted(maps.Keys(g.Rejected)) {
			typeURL, name, _ := strings.Cut(resource, " ")
			p := serve.Pending{Type: typeURL, Name: name, State: serve.PendingRefused, Message: g.Rejected[resource]}
			state.Refuses = append(state.Refuses, s.difference(l.world, p))
		}
		all = append(all, state)
	}
	return all
}

// Groups are the names of all groups, sorted, with or without gateways.
func (s *Server) Groups() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Sorted(maps.Keys(s.lines))
}

// worlds are the last published Worlds, the default group's first. The lock must be
// held.
func (s *Server) worlds() (all []*model.World) {
	names := slices.SortedFunc(maps.Keys(s.lines), func(a, b string) int {
		return cmp.Or(cmp.Compare(later(a), later(b)), cmp.Compare(a, b))
	})
	for _, name := range names {
		if w := s.lines[name].world; w != nil {
			all = append(all, w)
		}
	}
	return all
}

func later(group string) int {
	if group == serve.DefaultGroup {
		return 0
	}
	return 1
}

// functionsOf are the functions of several Worlds by name, each as the first World
// has it that has it.
func functionsOf(worlds []*model.World) (all []*model.Function) {
	if len(worlds) == 1 {
		return worlds[0].Functions
	}
	seen := map[string]bool{}
	for _, w := range worlds {
		for _, f := range w.Functions {
			if !seen[f.Name] {
				seen[f.Name] = true
				all = append(all, f)
			}
		}
	}
	slices.SortFunc(all, func(a, b *model.Function) int { return cmp.Compare(a.Name, b.Name) })
	return all
}

// zonesOf are the zones of several Worlds by name.
func zonesOf(worlds []*model.World) (all []ZoneState) {
	seen := map[string]bool{}
	for _, w := range worlds {
		for _, z := range w.Zones {
			if !seen[z.Name] {
				seen[z.Name] = true
				all = append(all, ZoneState{Name: z.Name, Priority: z.Priority, Weight: z.Weight})
			}
		}
	}
	slices.SortFunc(all, func(a, b ZoneState) int { return cmp.Compare(a.Name, b.Name) })
	return all
}
