package relay

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"sync"
	"time"

	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"

	"github.com/kongdao/kongdao/api"
	"github.com/kongdao/kongdao/xds/envoy"
)

// SocketName is the socket in Dir on which the Envoy finds the relay, see
// envoy.UnixAddr.
const SocketName = "xds.sock"

// Config is one relay.
type Config struct {
	Upstream string // the control plane, host:port
	Dir      string // of the Envoy: the socket and the file are in it

	// Credentials are for the way to the control plane; nil: it is not encrypted.
	Credentials credentials.TransportCredentials

	// Patience is how long an Envoy without any configuration waits for a control
	// plane that is there and says nothing, before it gets what is on disk.
	Patience api.Duration
	// Silence is how long Envoy may leave a response unanswered; each resource in it
	// adds 5 ms.
	Silence api.Duration
	// Heal is called when Envoy is silent for longer; nil: nobody is.
	Heal func(context.Context) error
}

// DefaultConfig has no Upstream and no Dir.
func DefaultConfig() Config {
	return Config{Patience: api.Duration(5 * time.Second), Silence: api.Duration(10 * time.Second)}
}

// Validate reports every problem, each with the name of its field.
func (c Config) Validate() error {
	var errs []error
	if c.Upstream == "" {
		errs = append(errs, errors.New("upstream: is missing"))
	}
	if c.Dir == "" {
		errs = append(errs, errors.New("dir: is missing"))
	}
	if c.Patience <= 0 {
		errs = append(errs, fmt.Errorf("patience: %v is not positive", c.Patience))
	}
	if c.Silence <= 0 {
		errs = append(errs, fmt.Errorf("silence: %v is not positive", c.Silence))
	}
	return errors.Join(errs...)
}

// maxMessage bounds a message of the control plane; the whole configuration comes in
// one of each type.
const maxMessage = 1 << 30

// Relay is for one Envoy.
type Relay struct {
	discovery.UnimplementedAggregatedDiscoveryServiceServer

	config   Config
	log      *slog.Logger
	listener net.Listener
	upstream *grpc.ClientConn
	metrics  *metrics

	mu      sync.Mutex
	journal *journal
	streams map[*session]struct{}
	mute    bool // the control plane is there and said nothing to the last Envoy
}

// New takes the socket and the file, and starts nothing.
func New(config Config, log *slog.Logger, reg prometheus.Registerer) (_ *Relay, err error) {
	if err := config.Validate(); err != nil {
		return nil, err
	}
	r := &Relay{config: config, log: log, streams: map[*session]struct{}{}}
	if r.metrics, err = newMetrics(reg); err != nil {
		return nil, err
	}
	if r.listener, err = envoy.ListenUnix(config.Dir, SocketName); err != nil {
		return nil, err
	}
	var notes []string
	r.journal, notes, err = openJournal(filepath.Join(config.Dir, "accepted.xds"))
	for _, note := range notes {
		log.Warn("the configuration on disk is not whole", "note", note)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("configuration on disk: %w", err), r.listener.Close())
	}
	if err := r.dial(); err != nil {
		return nil, errors.Join(err, r.Close())
	}
	return r, nil
}

func (r *Relay) dial() (err error) {
	c := r.config.Credentials
	if c == nil {
		c = insecure.NewCredentials()
	}
	r.upstream, err = grpc.NewClient("passthrough:///"+r.config.Upstream, grpc.WithTransportCredentials(c),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxMessage)),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 20 * time.Second, Timeout: 5 * time.Second}),
		grpc.WithConnectParams(grpc.ConnectParams{Backoff: backoffConfig(), MinConnectTimeout: time.Second}))
	return err
}

// Close gives everything back when Run was never called.
func (r *Relay) Close() error {
	err := errors.Join(r.listener.Close(), r.journal.close())
	if r.upstream != nil {
		err = errors.Join(err, r.upstream.Close())
	}
	return err
}

// Run serves the Envoy until ctx ends, which is no error.
func (r *Relay) Run(ctx context.Context) error {
	g := grpc.NewServer(grpc.WaitForHandlers(true), grpc.MaxRecvMsgSize(maxMessage))
	discovery.RegisterAggregatedDiscoveryServiceServer(g, r)
	ctx, cancel := context.WithCancel(ctx)
	var workers sync.WaitGroup
	served := make(chan error, 1)
	workers.Go(func() { served <- g.Serve(r.listener) })
	if r.config.Heal != nil {
		workers.Go(func() { r.watch(ctx) })
	}
	var err error
	select {
	case <-ctx.Done():
	case err = <-served:
	}
	cancel()
	g.Stop()
	workers.Wait()
	return errors.Join(err, r.journal.close(), r.upstream.Close())
}

// DeltaAggregatedResources serves the Envoy from the control plane, or from disk
// while that is away.
func (r *Relay) DeltaAggregatedResources(wire discovery.AggregatedDiscoveryService_DeltaAggregatedResourcesServer) error {
	s := newSession(r, wire)
	defer s.end()
	if r.reachable(wire.Context()) && !r.wasMute() {
		return s.pass()
	}
	return s.serveKept()
}

// reach is how long a connection to the control plane may take to begin.
const reach = time.Second

// reachable tells whether the control plane is there.
func (r *Relay) reachable(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, reach)
	defer cancel()
	for {
		state := r.upstream.GetState()
		switch state {
		case connectivity.Ready:
			return true
		case connectivity.TransientFailure, connectivity.Shutdown:
			return false
		case connectivity.Idle:
			r.upstream.Connect()
		case connectivity.Connecting:
		}
		if !r.upstream.WaitForStateChange(ctx, state) {
			return false
		}
	}
}

// wasMute tells once that the control plane said nothing.
func (r *Relay) wasMute() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	was := r.mute
	r.mute = false
	return was
}

// keep writes down what was accepted. A file that cannot be written costs the next
// cold start, not this Envoy.
func (r *Relay) keep(accepted *discovery.DeltaDiscoveryResponse) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.journal.add(accepted); err != nil {
		r.metrics.lost.Inc()
		r.log.Error("accepted configuration is not on disk", "error", err)
	}
}
