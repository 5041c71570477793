package app

import (
	"context"
	"fmt"
	"time"

	"github.com/kongdao/kongdao/xds/relay"
)

// startRelay puts the relay between Envoy and a control plane elsewhere: what Envoy
// has accepted is kept on disk for starts without it. It returns who knows whether
// Envoy is silent.
func (s *System) startRelay(rc relay.Config) (silent func() (time.Duration, []string), err error) {
	r, err := relay.New(rc, s.log.With("part", "relay"), s.reg)
	if err != nil {
		return nil, fmt.Errorf("relay: %w", err)
	}
	s.life.start("relay", r.Run)
	return r.Silent, nil
}

// ownSilence is for how long the Envoy of this process leaves the control plane of
// this process without an answer, and for what, when that is longer than it may
// take.
func (s *System) ownSilence() (time.Duration, []string) {
	for _, g := range s.xds.Gateways() {
		if g.Node == s.cfg.Envoy.Node && g.Faulty {
			return time.Since(g.Silent), g.Waiting
		}
	}
	return 0, nil
}

// followAdmin writes down where Envoy's admin port is when another Envoy has taken
// the place of one that was wedged.
func (s *System) followAdmin(ctx context.Context) error {
	for {
		select {
		case <-s.gateway.Moved():
		case <-ctx.Done():
			return nil
		}
		s.addressesMu.Lock()
		s.addresses.GatewayAdmin = s.gateway.AdminAddr()
		err := s.addresses.write(s.dir.path)
		s.addressesMu.Unlock()
		if err != nil {
			s.log.Warn("addresses are not written", "error", err)
		}
	}
}
