package app

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/danielgtaylor/huma/v2"

	"github.com/kongdao/kongdao/api"
	"github.com/kongdao/kongdao/xds"
	"github.com/kongdao/kongdao/xds/explain"
	"github.com/kongdao/kongdao/xds/model"
	"github.com/kongdao/kongdao/xds/serve"
)

// Gateways says which gateways are connected, and what they have.
type Gateways struct {
	Gateways []xds.GatewayState `json:"gateways"` // sorted by node
	Groups   []string           `json:"groups"`   // all groups, sorted, with or without gateways
	Rollout  *xds.RolloutState  `json:"rollout,omitempty"`
	// Rejections are the last refusals, oldest first; of one that is found by halving
	// each half is one.
	Rejections []xds.Rejection `json:"rejections"`
	// Callers are gRPC clients that call pods without a gateway, sorted by node. What
	// they refuse concerns them alone.
	Callers []xds.CallerState `json:"callers"`
}

func (s *System) getGateways(context.Context, *struct{}) (*body[Gateways], error) {
	g := Gateways{Gateways: s.xds.Gateways(), Groups: s.xds.Groups(), Rollout: s.xds.Rollout(), Rejections: s.xds.Rejections(), Callers: s.xds.Callers()}
	return reply(g), nil
}

// Config says what gateways should have, and where one has it not. It holds names
// and places, no content and no secret.
type Config struct {
	Version   uint64                 `json:"version"`   // of the resources that are in force
	Resources map[string][]api.Named `json:"resources"` // by kind, sorted by name
	Problems  api.Problems           `json:"problems"`  // what keeps resources from being in force
	Groups    []xds.GroupConfig      `json:"groups"`    // sorted by name
	Rollout   *xds.RolloutState      `json:"rollout,omitempty"`
}

func (s *System) getConfig(context.Context, *struct{}) (*body[Config], error) {
	current := s.registry.Current()
	c := Config{
		Version: current.Version, Resources: current.Set.Index(), Problems: current.Problems,
		Groups: s.xds.Configs(), Rollout: s.xds.Rollout(),
	}
	if c.Problems == nil {
		c.Problems = api.Problems{}
	}
	return reply(c), nil
}

// postPromote gives resources that wait in canary groups to all groups.
func (s *System) postPromote(ctx context.Context, _ *struct{}) (*struct{}, error) {
	if err := s.xds.Promote(); err != nil {
		return nil, huma.Error409Conflict(err.Error())
	}
	if err := s.xds.WaitLive(ctx); err != nil {
		return nil, huma.Error504GatewayTimeout(err.Error())
	}
	return nil, nil
}

// seenFrom is the World that a gateway serves, and the zone that it stands in. A
// name wins over group and zone, of which the default group and no zone are taken
// where they are empty.
func (s *System) seenFrom(gateway, group, zone string) (*model.World, explain.Place, error) {
	place := explain.Place{Group: group, Zone: zone}
	if gateway != "" {
		found := false
		for _, g := range s.xds.Gateways() {
			if g.Node == gateway {
				place, found = explain.Place{Group: g.Group, Zone: g.Zone}, true
			}
		}
		if !found {
			return nil, explain.Place{}, fmt.Errorf("no gateway %s is connected", gateway)
		}
	}
	group = cmp.Or(place.Group, serve.DefaultGroup)
	if !slices.Contains(s.xds.Groups(), group) {
		return nil, explain.Place{}, fmt.Errorf("there is no group %s", group)
	}
	w := s.xds.WorldOf(group)
	if w == nil {
		w = model.Build(model.Input{}) // nothing has been published yet
	}
	return w, place, nil
}
