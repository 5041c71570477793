package cli

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"

	"github.com/kongdao/kongdao/internal/app"
	"github.com/kongdao/kongdao/xds"
)

// steps moves a zone, as long as nobody else does.
type steps struct {
	c       *client
	zone    string
	seconds int  // until it is restored by itself; 0: never
	from    *int // the share that it was given last; nil: whatever it has
}

// plan looks where the zone stands. A restore goes on from there, whoever moves the
// zone at the moment; a drain ends where somebody else moves it.
func (f *drillFlags) plan(ctx context.Context, c *client, zone string) (*steps, error) {
	has, err := c.share(ctx, zone)
	if err != nil {
		return nil, err
	}
	s := &steps{c: c, zone: zone, seconds: int(f.config.Expiry.Seconds())}
	if f.restores {
		f.config.Steps = slices.DeleteFunc(slices.Clone(f.config.Steps), func(step int) bool { return step > 0 && step <= has })
		return s, nil
	}
	s.from = &has
	return s, nil
}

// share is the part of its share that a zone has been left, percent.
func (c *client) share(ctx context.Context, zone string) (int, error) {
	var state xds.State
	if err := c.do(ctx, http.MethodGet, "/state", nil, nil, &state); err != nil {
		return 0, err
	}
	for _, z := range state.Zones {
		if z.Name == zone {
			return z.Shift, nil
		}
	}
	return 0, fmt.Errorf("there is no zone %s", zone)
}

func (s *steps) to(ctx context.Context, weight int) error {
	shift := app.ZoneShift{Weight: weight, Seconds: s.seconds, From: s.from, Force: true} // asked already
	err := s.c.do(ctx, http.MethodPut, "/zones/"+url.PathEscape(s.zone), nil, shift, nil)
	var no *exitError
	if s.from != nil && !(errors.As(err, &no) && no.code == exitRefused) {
		s.from = &weight
	}
	return err
}
