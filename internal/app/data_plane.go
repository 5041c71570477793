package app

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"path/filepath"
	"strconv"
	"time"

	"github.com/kongdao/kongdao/api"
	"github.com/kongdao/kongdao/collector"
	"github.com/kongdao/kongdao/internal/calllog"
	"github.com/kongdao/kongdao/registry"
	"github.com/kongdao/kongdao/xds"
	"github.com/kongdao/kongdao/xds/envoy"
	"github.com/kongdao/kongdao/xds/health"
	"github.com/kongdao/kongdao/xds/relay"
)

// startRegistry starts what the control plane and alerting live by.
func (s *System) startRegistry() (err error) {
	rc := registry.DefaultConfig()
	rc.Dir, rc.Kept = s.cfg.ResourcesDir, s.dir.sub("registry")
	if rc.Check, err = s.openReleases(); err != nil {
		return err
	}
	if s.registry, err = registry.New(rc, s.log.With("part", "registry"), s.reg); err != nil {
		return fmt.Errorf("resources: %w", err)
	}
	s.life.start("registry", s.registry.Run)
	return nil
}

// startXDS starts what decides where calls go: the prober of pods, and the control
// plane that it and the registry feed.
func (s *System) startXDS() (err error) {
	if s.prober, err = health.New(health.DefaultConfig(), s.log.With("part", "health"), s.reg); err != nil {
		return fmt.Errorf("health: %w", err)
	}
	gateway, err := s.gatewayAddress()
	if err != nil {
		return err
	}
	headers, err := calllog.NewHeaders(s.cfg.Collector.Headers)
	if err != nil {
		return fmt.Errorf("collector: %w", err)
	}
	xc := xds.DefaultConfig()
	xc.Listen, xc.Gateway = s.cfg.Listen.XDS, gateway
	xc.TrustedHops, xc.TrustedProxies = uint32(s.cfg.Access.TrustedHops), s.cfg.Access.TrustedProxies
	xc.TrustedCA, xc.SignatureWindow = s.cfg.Access.TrustedCA, s.cfg.Access.SignatureWindow
	secure, err := s.gatewayTLSAddress()
	if err != nil {
		return err
	}
	xc.TLS, xc.Mutual = s.cfg.Gateway.TLS.Entrance(secure), xds.Mutual(s.cfg.XDS.TLS)
	xc.Gateways, xc.ShareByLoad, xc.GatewayGrace = s.cfg.XDS.Gateways, s.cfg.XDS.ShareByLoad, s.cfg.XDS.Grace
	xc.Proxyless = s.cfg.XDS.Proxyless
	if s.mark, err = s.markHeader(); err != nil {
		return err
	}
	xc.MarkHeader = s.mark
	xc.ALS, xc.ALSHeaders = s.cfg.Collector.Source == string(collector.SourceALS), headers.ALSRequestHeaders()
	if !xc.ALS {
		if err := makeDir(s.dir.sub("gateway")); err != nil {
			return err
		}
		xc.AccessLog, xc.AccessLogFormat = s.accessLog(), headers.TextFormat()
	}
	if s.cfg.Envoy.Canary {
		xc.Canary.Path, xc.Canary.Dir = s.cfg.Envoy.Path, s.dir.sub("canary")
	}
	if s.xds, err = xds.New(xc, s.log.With("part", "xds"), s.reg, registry.Resolve); err != nil {
		return fmt.Errorf("xds: %w", err)
	}
	s.addresses.XDS = s.xds.Addr()
	if err := makeDir(s.dir.sub("gateway")); err != nil {
		return err
	}
	s.moved = newMoved(s.xds, s.log.With("part", "xds"), filepath.Join(s.dir.sub("gateway"), "shifts"))
	if s.drills, err = s.newDrills(); err != nil {
		return fmt.Errorf("drills: %w", err)
	}
	s.switches = s.newSwitches()
	s.life.start("xds", s.xds.Run)
	s.life.start("health", s.prober.Run)
	s.life.start("readiness", s.followHealth)
	return s.startReleases()
}

// gatewayAddress is where Envoy will listen, and gatewayTLSAddress where it will for
// TLS. The control plane has to tell Envoy, so free ports are chosen here when the
// configuration leaves them open.
func (s *System) gatewayAddress() (string, error) {
	return chosen(&s.gatewayAddr, "listen.gateway", s.cfg.Listen.Gateway)
}

func (s *System) gatewayTLSAddress() (string, error) {
	if s.cfg.Listen.GatewayTLS == "" {
		return "", nil
	}
	return chosen(&s.gatewayTLS, "listen.gatewayTLS", s.cfg.Listen.GatewayTLS)
}

// chosen fills in at once.
func chosen(at *string, field, address string) (string, error) {
	if *at != "" {
		return *at, nil
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return "", fmt.Errorf("%s: %w", field, err)
	}
	if port == "0" {
		n, err := envoy.FreePort(host)
		if err != nil {
			return "", fmt.Errorf("%s: %w", field, err)
		}
		address = net.JoinHostPort(host, strconv.Itoa(n))
	}
	*at = address
	return address, nil
}

// followHealth hands the prober's findings to the control plane, whose limits
// follow them.
func (s *System) followHealth(ctx context.Context) error {
	for {
		select {
		case changes, open := <-s.prober.Changes():
			if !open {
				<-ctx.Done() // the prober is stopped, and then this is
				return nil
			}
			s.xds.SetReady(changes)
		case <-ctx.Done():
			return nil
		}
	}
}

// followResources hands every new state of the resources to those who live by it.
func (s *System) followResources(ctx context.Context) error {
	watch, weights := s.registry.Watch(ctx), s.weightsChanged()
	var snapshot registry.Snapshot
	for {
		select {
		case next, open := <-watch:
			if !open {
				return nil
			}
			if snapshot = next; s.xds != nil {
				s.applyResources(ctx, snapshot)
			}
			if s.alerting != nil {
				s.applyAlerting(snapshot.Set)
			}
		case <-weights:
			if snapshot.Version > 0 {
				s.applyWeights(ctx, snapshot)
			}
		}
	}
}

func healthTargets(set api.Set) []health.Target {
	seen := map[health.Target]bool{}
	for _, f := range set.Functions {
		for _, r := range f.Spec.Revisions {
			for _, e := range r.Endpoints {
				seen[targetOf(f, r, e)] = true
			}
		}
	}
	targets := make([]health.Target, 0, len(seen))
	for t := range maps.Keys(seen) {
		targets = append(targets, t)
	}
	return targets
}

func (s *System) startGateway(ctx context.Context) error {
	cfg := envoy.DefaultConfig()
	cfg.Path, cfg.Concurrency, cfg.NodeID, cfg.Zone = s.cfg.Envoy.Path, s.cfg.Envoy.Concurrency, s.cfg.Envoy.Node, s.cfg.Envoy.Zone
	cfg.Cluster = s.cfg.Envoy.Group
	cfg.Dir = s.dir.sub("gateway")
	cfg.AdminAddr, cfg.Mutual = s.cfg.Listen.GatewayAdmin, envoy.Mutual(s.cfg.Envoy.TLS)
	cfg.XDSAddr, cfg.HTTPAddr, cfg.TLSAddr = s.cfg.Listen.XDS, s.cfg.Listen.Gateway, s.cfg.Listen.GatewayTLS
	if s.collector != nil {
		cfg.ALSAddr = s.collector.ALSAddr()
	} else if s.cfg.Collector.Source == string(collector.SourceALS) {
		cfg.ALSAddr, cfg.Counters = s.cfg.Listen.ALS, true // of the collector elsewhere
	}
	if s.xds != nil {
		cfg.XDSAddr = s.xds.Addr()
		var err error
		if cfg.HTTPAddr, err = s.gatewayAddress(); err != nil {
			return err
		}
		if cfg.TLSAddr, err = s.gatewayTLSAddress(); err != nil {
			return err
		}
	}
	rc := relay.DefaultConfig()
	if s.xds == nil {
		rc.Dir, rc.Upstream, rc.Mutual = cfg.Dir, cfg.XDSAddr, cfg.Mutual
		cfg.XDSAddr, cfg.Mutual = envoy.UnixAddr(relay.SocketName), envoy.Mutual{}
	}
	g, err := envoy.New(cfg, s.log.With("part", "gateway"), s.reg)
	if err != nil {
		return fmt.Errorf("gateway: %w", err)
	}
	silent := s.ownSilence
	if s.xds == nil {
		if silent, err = s.startRelay(rc); err != nil {
			return errors.Join(err, g.Close())
		}
	}
	if ctx.Err() != nil {
		return errors.Join(ctx.Err(), g.Close())
	}
	s.gateway = g
	close(s.gatewayUp)
	s.addresses.Gateway, s.addresses.GatewayTLS, s.addresses.GatewayAdmin = g.Addr(), cfg.TLSAddr, g.AdminAddr()
	s.life.start("gateway", g.Run)
	s.life.start("gateway watch", func(ctx context.Context) error { return g.Watch(ctx, silent) })
	return nil
}

// firstWorld is how long a start waits for the first configuration, which itself
// waits for pods and for the canary Envoy. What is wrong then is told by the state.
const firstWorld = 10 * time.Second

// awaitConfiguration waits until the control plane knows what gateways are to have.
func (s *System) awaitConfiguration(ctx context.Context) error {
	if s.xds == nil {
		return nil
	}
	wait, cancel := context.WithTimeout(ctx, firstWorld)
	defer cancel()
	if err := s.xds.WaitPublished(wait); err != nil && ctx.Err() == nil {
		s.log.Warn("ready without a configuration", "error", err)
	}
	return ctx.Err()
}

// targetOf is a pod as the prober asks it. Pods that speak gRPC are not asked for a
// path.
func targetOf(f *api.Function, rev api.Revision, e api.Endpoint) health.Target {
	t := health.Target{Address: e.Address, Path: f.Spec.HealthCheck.Path, HTTP2: rev.Protocol == api.HTTP2}
	if rev.Protocol == api.GRPC {
		t.Path = ""
	}
	return t
}
