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

	auth "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	load "github.com/envoyproxy/go-control-plane/envoy/service/load_stats/v3"
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/kongdao/kongdao/api"
	"github.com/kongdao/kongdao/xds/envoy"
)

// SocketName is the socket in Dir on which the Envoy finds the relay, see
// envoy.UnixAddr.
const SocketName = "xds.sock"

// FileName is the file in Dir with what was accepted.
const FileName = "accepted.xds"

// Config is one relay.
type Config struct {
	Upstream string       `yaml:"upstream"` // the control plane, host:port
	Dir      string       `yaml:"dir"`      // of the Envoy: the socket and the file are in it
	Mutual   envoy.Mutual `yaml:"mutual"`   // how gateway and control plane know each other

	// Patience is how long an Envoy without any configuration waits for a control
	// plane that is there and says nothing, before it gets what is on disk.
	Patience api.Duration `yaml:"patience"`
	// Silence is how long Envoy may leave a response unanswered; each resource in it
	// adds 5 ms.
	Silence api.Duration `yaml:"silence"`
}

// DefaultConfig has no Upstream and no Dir.
func DefaultConfig() Config {
	return Config{Patience: api.Duration(5 * time.Second), Silence: api.Duration(10 * time.Second)}
}

// Validate reports every problem, each with the name of its field.
func (c Config) Validate() error {
	var errs []error
	if _, _, err := net.SplitHostPort(c.Upstream); err != nil {
		errs = append(errs, fmt.Errorf("upstream: %q is not host:port", c.Upstream))
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
	auth.UnimplementedAuthorizationServer
	load.UnimplementedLoadReportingServiceServer

	config   Config
	log      *slog.Logger
	listener net.Listener
	upstream *grpc.ClientConn
	metrics  *metrics

	mu      sync.Mutex
	journal *journal
	streams map[*session]struct{}
	mute    bool // the control plane is there and was of no use to the last Envoy that was cold
	from    fromDisk
	refusal string // why the control plane ended a stream, as logged last
}

// New takes the socket and reads the file, and starts nothing. What is wrong with
// the file is logged and no error: a gateway starts without it, too.
func New(config Config, log *slog.Logger, reg prometheus.Registerer) (_ *Relay, err error) {
	if err := config.Validate(); err != nil {
		return nil, err
	}
	r := &Relay{config: config, log: log, streams: map[*session]struct{}{}}
	if err := r.dial(); err != nil {
		return nil, err
	}
	if r.metrics, err = newMetrics(reg); err != nil {
		return nil, errors.Join(err, r.upstream.Close())
	}
	if r.listener, err = envoy.ListenUnix(config.Dir, SocketName); err != nil {
		return nil, errors.Join(err, r.upstream.Close())
	}
	var notes []string
	r.journal, notes = openJournal(filepath.Join(config.Dir, FileName))
	for _, note := range notes {
		log.Warn("accepted configuration on disk", "file", FileName, "note", note)
	}
	r.metrics.behind.Set(number(r.journal.lacks))
	return r, nil
}

// dial prepares the way to the control plane. One that vanished without a word is
// noticed by TCP keepalive, as Envoy itself does it.
func (r *Relay) dial() (err error) {
	c := insecure.NewCredentials()
	if r.config.Mutual.On() {
		if c, err = newIdentity(r.config.Mutual, r.config.Upstream, r.log); err != nil {
			return err
		}
	}
	dialer := &net.Dialer{KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 5 * time.Second, Interval: time.Second, Count: 3}}
	r.upstream, err = grpc.NewClient("passthrough:///"+r.config.Upstream, grpc.WithTransportCredentials(c),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxMessage)),
		grpc.WithContextDialer(func(ctx context.Context, addr string) (net.Conn, error) { return dialer.DialContext(ctx, "tcp", addr) }),
		grpc.WithConnectParams(grpc.ConnectParams{Backoff: backoffConfig(), MinConnectTimeout: time.Second}))
	return err
}

// Close gives everything back when Run was never called.
func (r *Relay) Close() error {
	return errors.Join(r.listener.Close(), r.journal.close(), r.upstream.Close())
}

// Run serves the Envoy until ctx ends, which is no error.
func (r *Relay) Run(ctx context.Context) error {
	g := grpc.NewServer(grpc.WaitForHandlers(true), grpc.MaxRecvMsgSize(maxMessage))
	discovery.RegisterAggregatedDiscoveryServiceServer(g, r)
	auth.RegisterAuthorizationServer(g, r)
	load.RegisterLoadReportingServiceServer(g, r)
	ctx, cancel := context.WithCancel(ctx)
	var workers sync.WaitGroup
	served := make(chan error, 1)
	workers.Go(func() { served <- g.Serve(r.listener) })
	workers.Go(func() { r.mend(ctx) })
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
// while that is away, or of no use to an Envoy that has nothing.
func (r *Relay) DeltaAggregatedResources(wire discovery.AggregatedDiscoveryService_DeltaAggregatedResourcesServer) error {
	first, err := wire.Recv()
	if err != nil {
		return err
	}
	s := newSession(r, wire, first)
	defer s.end()
	if r.reachable(wire.Context()) && (s.warm || !r.wasMute()) {
		return s.pass()
	}
	return s.serveKept()
}

// keep writes down what was accepted. A file that cannot be written costs the next
// cold start, not this Envoy.
func (r *Relay) keep(accepted *discovery.DeltaDiscoveryResponse) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.journal.add(accepted); err != nil {
		r.log.Error("accepted configuration is not on disk, a gateway that starts without the control plane will serve what was there before", "error", err)
	}
	r.metrics.behind.Set(number(r.journal.lacks))
}

// mendEvery is how often a file that could not be written is tried again.
const mendEvery = time.Second

// mend writes the file as soon as that is possible again.
func (r *Relay) mend(ctx context.Context) {
	tick := time.NewTicker(mendEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		r.mu.Lock()
		if r.journal.lacks && r.journal.repair() == nil {
			r.log.Info("accepted configuration is on disk again")
		}
		r.metrics.behind.Set(number(r.journal.lacks))
		r.mu.Unlock()
	}
}
