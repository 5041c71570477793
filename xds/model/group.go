package model

import (
	"maps"
	"strings"

	"github.com/kongdao/kongdao/api"
)

// Group is what a group of gateways does differently. The zero value does nothing
// differently.
type Group struct {
	Name      string
	Listen    string      // IP:port that calls are taken at; empty: as everywhere
	Hosts     []string    // that routes are reachable under; empty: as the routes say
	AnyMethod bool        // routes take every method
	Access    *api.Access // of functions that have none of their own
}

// access is who may call a function: its own word, or else the group's.
func (g *Group) access(own *api.Access) *api.Access {
	if own != nil || g == nil {
		return own
	}
	return g.Access
}

func (g *Group) methods(own []string) []string {
	if g != nil && g.AnyMethod {
		return nil
	}
	return own
}

// hosts narrows the hosts of a route to those of the group: of a host and one of
// the group's hosts that it covers, or is covered by, the narrower one.
func (g *Group) hosts(own []string) []string {
	if g == nil || len(g.Hosts) == 0 {
		return own
	}
	var all []string
	for _, h := range own {
		for _, mine := range g.Hosts {
			switch h, mine := CleanHost(h), CleanHost(mine); {
			case covers(mine, h):
				all = append(all, h)
			case covers(h, mine):
				all = append(all, mine)
			}
		}
	}
	return all
}

// covers tells whether every name that b stands for is one that a stands for.
func covers(a, b string) bool {
	if a == b || a == "*" {
		return true
	}
	suffix, wild := strings.CutPrefix(a, "*")
	return wild && b != "*" && strings.HasSuffix(strings.TrimPrefix(b, "*"), suffix)
}

// Fleet is the gateways that share a function's limit. The zero value is one
// gateway of no known place.
type Fleet struct {
	// Gateways is how many there are; each admits its part of the limit. Below 1: 1.
	Gateways int
	// Zones is the part of the limit that the gateways of a zone admit together, from
	// 0 to 1; what is missing to 1 is admitted at places that are not known.
	Zones map[string]float64
	// Parts is the part of the limit that each gateway admits, from 0 to 1, by node;
	// one that is not in it admits an even part. nil: all do.
	Parts map[string]float64
}

// EvenFleet are gateways that admit even parts, by zone; those of zone "" stand
// nowhere. least is how many gateways share a limit in any case.
func EvenFleet(zones map[string]int, least int) *Fleet {
	f := &Fleet{Zones: map[string]float64{}}
	for _, n := range zones {
		f.Gateways += n
	}
	known := float64(max(f.Gateways, 1))
	for zone, n := range zones {
		if zone != "" {
			f.Zones[zone] = float64(n) / known
		}
	}
	f.Gateways = max(f.Gateways, least, 1)
	return f
}

func (f *Fleet) equal(g *Fleet) bool {
	return f == g || f.Gateways == g.Gateways && maps.Equal(f.Zones, g.Zones) && maps.Equal(f.Parts, g.Parts)
}

// fleet is what shares the limit of a function.
func (in Input) fleet(function string) *Fleet {
	if f := in.Weighted[function]; f != nil {
		return f
	}
	if f := in.Fleets[function]; f != nil {
		return f
	}
	if in.Fleet != nil {
		return in.Fleet
	}
	return &Fleet{}
}

// Listen is where the World's gateways take calls, IP:port; empty: as everywhere.
func (w *World) Listen() string {
	if w.group == nil {
		return ""
	}
	return w.group.Listen
}
