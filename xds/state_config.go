package xds

import (
	"maps"
	"slices"

	"github.com/kongdao/kongdao/xds/serve"
)

// GroupConfig is what the gateways of a group should have, and where they have it
// not.
type GroupConfig struct {
	Name string `json:"name"`
	// Version is the newest that was published; 0: none. Waits tells that newer
	// resources are with canary groups alone so far.
	Version     uint64          `json:"version"`
	Waits       bool            `json:"waits"`
	Functions   int             `json:"functions"`
	Hosts       int             `json:"hosts"`
	Fault       string          `json:"fault,omitempty"` // why the last change, or a part of it, was not published
	Quarantined []Quarantine    `json:"quarantined"`     // sorted by name
	Gateways    []GatewayConfig `json:"gateways"`        // connected ones, sorted by node
}

// GatewayConfig is how a gateway differs from what it should have.
type GatewayConfig struct {
	Node        string       `json:"node"`
	Version     uint64       `json:"version"`     // the last that it has accepted whole; 0: none
	Differences []Difference `json:"differences"` // the first of them
	Total       int          `json:"total"`       // of differences
}

// Configs are what gateways should have, group by group, sorted by name.
func (s *Server) Configs() []GroupConfig {
	gateways, pending, versions := s.serve.Gateways(), s.serve.Pending(), map[string]uint64{}
	for _, name := range s.Groups() {
		versions[name] = s.serve.Group(name).Version()
	}
	s.mu.Lock() // after all that streams hold locks for: they report under them
	defer s.mu.Unlock()
	all := []GroupConfig{}
	for _, name := range slices.Sorted(maps.Keys(s.lines)) {
		l := s.lines[name]
		g := GroupConfig{Name: name, Version: versions[name], Quarantined: orNone(l.quarantined), Gateways: []GatewayConfig{}}
		g.Waits = s.stable != nil && s.gets(name) == s.stable
		if l.fault != nil {
			g.Fault = l.fault.Error()
		}
		if l.world != nil {
			g.Functions, g.Hosts = len(l.world.Functions), len(l.world.Hosts)
		}
		for _, gw := range gateways {
			if gw.Group == name {
				g.Gateways = append(g.Gateways, s.gatewayConfig(l, gw, pending[gw.Node]))
			}
		}
		all = append(all, g)
	}
	return all
}

// gatewayConfig needs the lock.
func (s *Server) gatewayConfig(l *line, gw serve.Gateway, pending []serve.Pending) GatewayConfig {
	c := GatewayConfig{Node: gw.Node, Version: gw.Version}
	c.Differences, c.Total = s.differences(l.world, pending)
	return c
}

func orNone(all []Quarantine) []Quarantine {
	if all == nil {
		return []Quarantine{}
	}
	return all
}
