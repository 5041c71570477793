package canary

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/kongdao/kongdao/api"
	"github.com/kongdao/kongdao/xds/envoy"
	"github.com/kongdao/kongdao/xds/serve"
)

// ErrAway means that no canary Envoy runs at this moment.
var ErrAway = errors.New("the canary Envoy is away")

// Config is the canary Envoy. The zero value of Dir means that there is none.
type Config struct {
	Path string `yaml:"path"` // of the binary; empty: see envoy.Find
	Dir  string `yaml:"dir"`  // its bootstrap, log and socket; its own
	// Patience is how long it may take over a change of ordinary size; each
	// resource adds a little. Beyond it counts as stuck.
	Patience api.Duration `yaml:"patience"`
}

// DefaultConfig is patient for five seconds. Dir has no default.
func DefaultConfig() Config { return Config{Patience: api.Duration(5 * time.Second)} }

// Validate reports every problem, each with the name of its field.
func (c Config) Validate() error {
	var errs []error
	if c.Dir == "" {
		errs = append(errs, errors.New("dir: is missing"))
	}
	if c.Patience <= 0 {
		errs = append(errs, fmt.Errorf("patience: %v is not positive", c.Patience))
	}
	return errors.Join(errs...)
}

// perResource is what the patience grows by for each resource of a change. Envoy
// takes about 0.4 ms for a cluster and 0.05 ms for a route on an idle machine.
const perResource = 5 * time.Millisecond

// Canary is an Envoy that only tries changes. All methods may be called from any
// goroutine; changes are tried one after the other.
type Canary struct {
	config   Config
	log      *slog.Logger
	listener net.Listener
	server   *serve.Server
	serve    *serve.Group
	up       func(bool)
	metrics  *metrics

	trying sync.Mutex
	tried  []string  // clusters that the canary still has
	killed time.Time // when the Envoy was, while nobody waited for the next one

	ahead   *ahead
	careful bool // clusters have to finish warming

	mu      sync.Mutex
	gateway *envoy.Gateway // nil while there is none
	there   bool
	missing bool
	ending  bool
	refused int // responses with clusters, by this Envoy
}

// New takes the folder and starts nothing. up is told, from any goroutine, when the
// canary comes and goes, and when what was asked of Ahead is decided; it may be nil
// and must not block.
func New(config Config, log *slog.Logger, reg prometheus.Registerer, up func(bool)) (*Canary, error) {
	m, err := newMetrics(reg)
	if err != nil {
		return nil, err
	}
	return assemble(config, log, m, func(there bool) {
		m.set(there)
		if up != nil {
			up(there)
		}
	})
}

func assemble(config Config, log *slog.Logger, m *metrics, up func(bool)) (*Canary, error) {
	if err := config.Validate(); err != nil {
		return nil, err
	}
	dir, err := filepath.Abs(config.Dir)
	if err != nil {
		return nil, err
	}
	config.Dir = dir
	c := &Canary{config: config, log: log, up: up, metrics: m, ahead: newAhead()}
	if c.listener, err = envoy.ListenUnix(dir, socketName); err != nil {
		return nil, err
	}
	c.server = serve.New(slog.New(slog.DiscardHandler), serve.Events{Gateways: c.gateways, Rejected: c.rejected, Answered: c.answered})
	c.serve = c.server.Group(serve.DefaultGroup)
	if err := c.prepare(); err != nil {
		return nil, errors.Join(err, c.listener.Close())
	}
	return c, nil
}

const socketName = "xds.sock"

// prepare serves what is always there: one scope with an empty set of routes, and a
// listener that makes Envoy ask for them.
func (c *Canary) prepare() error {
	routes, errRoutes := anypb.New(trial(nil))
	s, errScope := anypb.New(scope())
	asks, errAsks := asker()
	if err := errors.Join(errRoutes, errScope, errAsks); err != nil {
		return err
	}
	c.serve.Update(resource.ListenerType, map[string]*anypb.Any{trialName: asks}, nil)
	c.serve.Update(resource.RouteType, map[string]*anypb.Any{trialName: routes}, nil)
	c.serve.Update(resource.ScopedRouteType, map[string]*anypb.Any{trialName: s}, nil)
	c.serve.Open()
	return nil
}

// Close gives the folder back when Run was never called.
func (c *Canary) Close() error { return c.listener.Close() }

// Up tells whether a canary Envoy is there.
func (c *Canary) Up() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.there
}

// Missing tells whether a canary Envoy could not be started, as when there is no
// Envoy on this machine.
func (c *Canary) Missing() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.missing
}

// Restarts is how often the canary Envoy ended by itself, or had to be ended.
func (c *Canary) Restarts() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.gateway == nil {
		return 0
	}
	return c.gateway.Restarts()
}

// gateways is told by the server which Envoys are connected. A new one is there
// when it has answered for its routes, see answered.
func (c *Canary) gateways(all []serve.Member) {
	if len(all) > 0 {
		return
	}
	c.mu.Lock()
	was, ending := c.there, c.ending
	c.there, c.refused = false, 0
	c.mu.Unlock()
	if was && !ending {
		c.log.Warn("the canary Envoy is away: changes go to the gateways without being tried")
		c.up(false)
	}
}

// answered is told of every answer. Routes are what Envoy asks for last.
func (c *Canary) answered(typeURL string, _ bool) {
	if typeURL != resource.RouteType {
		return
	}
	c.mu.Lock()
	was := c.there
	c.there, c.missing = true, false
	c.mu.Unlock()
	if !was {
		c.log.Info("the canary Envoy is there: changes are tried on it")
		c.up(true)
	}
}

// Run keeps the canary Envoy alive until ctx ends, which is no error. An Envoy that
// cannot be started is tried again, for as long as it takes.
func (c *Canary) Run(ctx context.Context) error {
	g := grpc.NewServer(grpc.WaitForHandlers(true))
	c.server.Register(g)
	var workers sync.WaitGroup
	served := make(chan error, 1)
	workers.Go(func() { served <- g.Serve(c.listener) })
	ctx, cancel := context.WithCancel(ctx)
	defer context.AfterFunc(ctx, func() {
		c.mu.Lock()
		c.ending = true
		c.mu.Unlock()
	})()
	workers.Go(func() { c.keep(ctx) })
	workers.Go(func() { c.tryAhead(ctx) })
	var err error
	select {
	case <-ctx.Done():
	case err = <-served:
	}
	cancel()
	g.Stop()
	workers.Wait()
	return err
}

// keep starts Envoy again and again; envoy.Gateway.Run itself gives up on one that
// never gets ready.
func (c *Canary) keep(ctx context.Context) {
	for pause := time.Second; ; pause = min(2*pause, time.Minute) {
		err := c.keepOne(ctx)
		if ctx.Err() != nil {
			return
		}
		c.lacks(err)
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return
		}
	}
}

// lacks notes that there is no Envoy, and says so the first time.
func (c *Canary) lacks(err error) {
	c.mu.Lock()
	known := c.missing
	c.missing = true
	c.mu.Unlock()
	if known {
		return
	}
	c.log.Error("no canary Envoy: changes go to the gateways without being tried", "error", err)
	c.up(false) // whoever waits for it need not any longer
}

func (c *Canary) keepOne(ctx context.Context) error {
	cfg := envoy.DefaultConfig()
	cfg.Path, cfg.Dir, cfg.XDSAddr = c.config.Path, c.config.Dir, envoy.UnixAddr(socketName)
	cfg.NodeID, cfg.Cluster, cfg.Concurrency, cfg.Drain = "canary", "canary", 1, 0
	g, err := envoy.New(cfg, c.log, prometheus.NewRegistry())
	if err != nil {
		return err
	}
	c.mu.Lock()
	c.gateway = g
	c.mu.Unlock()
	return g.Run(ctx)
}

// Kill ends the Envoy, which is then started again.
func (c *Canary) Kill() error {
	c.mu.Lock()
	g := c.gateway
	c.mu.Unlock()
	if g == nil {
		return ErrAway
	}
	return g.Kill()
}

// renew kills the Envoy and waits for the next one.
func (c *Canary) renew(ctx context.Context) error {
	if err := c.discard(); err != nil {
		return err
	}
	return c.renewed(ctx)
}

// discard kills the Envoy; whoever needs the next one calls renewed.
func (c *Canary) discard() error {
	killed := time.Now()
	if err := c.Kill(); err != nil {
		return err
	}
	c.killed = killed
	return nil
}

// renewed waits for the Envoy that comes after the one that was discarded.
func (c *Canary) renewed(ctx context.Context) error {
	if c.killed.IsZero() {
		return nil
	}
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !c.connectedSince(c.killed) || !c.Up() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ErrAway
		}
	}
	c.killed = time.Time{}
	return nil
}

// connectedSince tells whether an Envoy is there that connected after a moment.
func (c *Canary) connectedSince(at time.Time) bool {
	return slices.ContainsFunc(c.server.Gateways(), func(g serve.Gateway) bool { return g.Node != "" && g.Since.After(at) })
}
