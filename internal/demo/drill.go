package demo

import (
	"context"
	"fmt"
	"slices"

	"github.com/kongdao/kongdao/internal/app"
	"github.com/kongdao/kongdao/internal/demo/fleet"
)

// testFleet lets drills kill the demo's zones, which are processes of its own. It is
// for after the walk, which kills zones itself.
func (w *walk) testFleet() app.TestFleet {
	at := func(zone string) (int, error) {
		i := slices.IndexFunc(w.zones, func(p *fleet.Process) bool { return p != nil && p.Spec.Zone == zone })
		if i < 0 {
			return 0, fmt.Errorf("zone %s is none of the demo's", zone)
		}
		return i, nil
	}
	return app.TestFleet{
		Kill: func(_ context.Context, zone string) error {
			i, err := at(zone)
			if err == nil {
				w.zones[i].Kill()
			}
			return err
		},
		Revive: func(ctx context.Context, zone string) error {
			i, err := at(zone)
			if err != nil {
				return err
			}
			p, err := fleet.Start(ctx, w.o.ZoneCommand, w.zones[i].Spec)
			if err == nil {
				w.zones[i] = p
			}
			return err
		},
	}
}
