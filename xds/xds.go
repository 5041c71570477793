// Package xds is the control plane of the gateways: it turns resources and what is
// known of pods into a [model.World], that into Envoy resources, and brings what
// changed to every connected Envoy.
//
// Limits follow ready pods: whenever a pod's readiness, a zone's weight or a pin
// changes, so does the rate that its function is admitted with.
//
// The order of a change is make before break: new revisions and their pods first;
// then, when every gateway has checked them, the routes; revisions that are gone
// leave last, after a grace. Nothing is sent before the first [Server.Apply].
package xds

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	"google.golang.org/grpc/keepalive"

	"github.com/kongdao/kongdao/api"
	"github.com/kongdao/kongdao/xds/access"
	"github.com/kongdao/kongdao/xds/canary"
	"github.com/kongdao/kongdao/xds/loads"
	"github.com/kongdao/kongdao/xds/model"
	"github.com/kongdao/kongdao/xds/proxyless"
	"github.com/kongdao/kongdao/xds/serve"
	"github.com/kongdao/kongdao/xds/translate"
)

// ResolveSecret turns a secret as it is written in a resource into its text.
type ResolveSecret func(api.Secret) (string, error)

// Server is the control plane. All methods may be called at any time from any
// goroutine; changes take effect once Run runs.
type Server struct {
	config   Config
	log      *slog.Logger
	resolve  ResolveSecret
	metrics  *metrics
	listener net.Listener
	serve    *serve.Server
	canary   *canary.Canary                         // nil: none is wanted
	tamper   atomic.Pointer[func(*translate.Delta)] // of tests, see publisher

	certificates *certificates
	authorizer   *access.Authorizer // of signed requests
	handshakes   *handshakes        // nil: gateways are not asked who they are
	loads        *loads.Server

	mu      sync.Mutex
	in      model.Input      // without what differs by group
	newest  *parts           // the last set; nil before
	stable  *parts           // what groups have that wait for the canary groups; nil: none does
	rollout *rollout         // nil: none
	applied time.Time        // when the first set came; zero before
	wanted  uint64           // number of the last change
	moved   chan struct{}    // closed and replaced when a line moves on
	lines   map[string]*line // by group; the default group's is always there
	fleet   fleet
	shares  shares
	reject  []serve.Rejection

	kick chan struct{} // size 1: groups may be others
}

// New binds the listener and starts nothing. A nil resolve lets no consumer in.
func New(config Config, log *slog.Logger, reg prometheus.Registerer, resolve ResolveSecret) (*Server, error) {
	if err := config.Validate(); err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", config.Listen)
	if err != nil {
		return nil, fmt.Errorf("listen for gateways: %w", err)
	}
	s := &Server{
		config: config, log: log, resolve: resolve, listener: listener,
		moved: make(chan struct{}), kick: make(chan struct{}, 1), lines: map[string]*line{}, fleet: newFleet(config),
		shares: newShares(),
	}
	s.in = model.Input{Ready: map[string]bool{}, ZoneWeights: map[string]int{}, MarkHeader: config.MarkHeader}
	if config.Mutual.on() {
		if s.handshakes, err = newHandshakes(config.Mutual, log); err != nil {
			return nil, errors.Join(err, listener.Close())
		}
	}
	if s.certificates, err = newCertificates(config.TLS, log, resolve); err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	if s.metrics, err = newMetrics(reg, s); err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	if config.Canary.Dir != "" {
		if s.canary, err = canary.New(config.Canary, log, reg, func(bool) { s.wake() }); err != nil {
			return nil, errors.Join(fmt.Errorf("canary: %w", err), listener.Close())
		}
	}
	if s.authorizer, err = access.New(config.SignatureWindow.Std(), time.Now, reg); err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	events := serve.Events{Acked: s.metrics.acked, Rejected: s.rejected, Gateways: s.gateways, Missing: s.missed}
	if s.handshakes != nil {
		events.Admit, events.AdmitCaller = admitByCertificate, admitCallerByCertificate
	}
	s.serve = serve.New(log, events)
	if config.Proxyless {
		s.serve.ServeCallers(proxyless.Shell)
	}
	refusals := loads.Refusals{Header: translate.LimitedByHeader, Values: translate.CapacityLimits(), Each: translate.RefusalsSample}
	s.loads = loads.New(log, refusals, events.Admit.Node, s.loaded)
	s.lines[serve.DefaultGroup] = s.newLine(serve.DefaultGroup)
	return s, nil
}

// Addr is where gateways connect.
func (s *Server) Addr() string { return s.listener.Addr().String() }

// Run serves gateways until ctx ends, which is no error. The gateways keep what
// they have.
func (s *Server) Run(ctx context.Context) error {
	options := []grpc.ServerOption{
		grpc.WaitForHandlers(true), grpc.KeepaliveParams(keepalive.ServerParameters{Time: 10 * time.Second, Timeout: 5 * time.Second}),
	}
	if s.handshakes != nil {
		options = append(options, grpc.Creds(s.handshakes.credentials()), grpc.UnaryInterceptor(admitAsking))
	}
	g := grpc.NewServer(options...)
	s.serve.Register(g)
	s.authorizer.Register(g)
	s.loads.Register(g)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var workers sync.WaitGroup
	served := make(chan error, 1)
	workers.Go(func() { served <- g.Serve(s.listener) })
	workers.Go(func() { s.reconcile(ctx) })
	workers.Go(func() { s.followCertificates(ctx) })
	if s.canary != nil {
		workers.Go(func() {
			if err := s.canary.Run(ctx); err != nil {
				s.log.Error("no changes are tried on a canary Envoy any more", "error", err)
			}
		})
	}
	var err error
	select {
	case <-ctx.Done():
	case err = <-served:
		err = fmt.Errorf("serve gateways: %w", err)
	}
	cancel()
	g.Stop() // streams never end by themselves
	workers.Wait()
	return err
}

// Close gives the listener back when Run was never called.
func (s *Server) Close() error {
	if s.canary != nil {
		return errors.Join(s.listener.Close(), s.canary.Close())
	}
	return s.listener.Close()
}

// Apply makes a validated set the wanted state. It returns at once; see WaitLive.
// A consumer whose keys cannot be resolved is let in nowhere, and is in the error;
// everything else applies all the same.
func (s *Server) Apply(_ context.Context, set api.Set) error {
	c, err := s.credentials(set)
	s.authorizer.SetSecrets(c.secrets)
	s.certificates.want(set.Certificates)
	s.change(func(in *model.Input) {
		in.Set, in.Keys, in.Files, in.TLS = set, c.keys, c.files, s.certificates.current()
		s.arrive(set)
		if s.applied.IsZero() {
			s.applied = time.Now()
		}
	})
	return err
}

// SetReady changes the readiness of pods by address. A pod counts for its
// function's limit from when it was first said to be ready.
func (s *Server) SetReady(changes map[string]bool) {
	s.change(func(in *model.Input) {
		maps.Copy(in.Ready, changes)
		for _, l := range s.lines {
			l.touch(changes)
		}
	})
}

// SetReadiness changes the readiness of one pod.
func (s *Server) SetReadiness(address string, ready bool) {
	s.SetReady(map[string]bool{address: ready})
}

// SetZoneWeight sets the part of its even share that each pod of a zone gets, in
// percent; 0 drains the zone, 100 is ordinary. Values outside are cut off.
func (s *Server) SetZoneWeight(zone string, percent int) {
	s.change(func(in *model.Input) { in.ZoneWeights[zone] = min(max(percent, 0), 100) })
}

// shift is what SetZoneWeight left a zone of its share.
func (s *Server) shift(zone string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if w, ok := s.in.ZoneWeights[zone]; ok {
		return w
	}
	return 100
}

// World is the last published World of the default group; nil before the first
// Apply took effect.
func (s *Server) World() *model.World { return s.WorldOf(serve.DefaultGroup) }

// WorldOf is the last published World of a group, that of the default group where
// there is no such group; nil before the first Apply took effect.
func (s *Server) WorldOf(group string) *model.World {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lineOf(group).world
}

// WaitLive blocks until every connected gateway has accepted every change that was
// made before the call. It fails when a gateway refuses something, or ctx ends.
// Without gateways it waits for the changes to be ready for them. Groups that wait
// for canary groups have accepted what they are to have now; see WaitRollout.
func (s *Server) WaitLive(ctx context.Context) error {
	s.mu.Lock()
	want := s.wanted
	s.mu.Unlock()
	for {
		s.mu.Lock()
		reached, fault := s.reached(want)
		moved := s.moved
		s.mu.Unlock()
		if reached && fault != nil {
			return fault
		}
		if reached {
			return s.serve.WaitAcked(ctx, serve.Types()...)
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return fmt.Errorf("wait for changes to be published: %w", ctx.Err())
		}
	}
}

// change alters the input, under the lock.
func (s *Server) change(alter func(*model.Input)) {
	s.mu.Lock()
	alter(&s.in)
	s.wanted++
	s.wakeAll()
	s.mu.Unlock()
}

// wake makes all lines publish what is wanted.
func (s *Server) wake() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wakeAll()
}

// wakeAll is wake under the lock.
func (s *Server) wakeAll() {
	for _, l := range s.lines {
		l.wake()
	}
	select {
	case s.kick <- struct{}{}:
	default:
	}
}

// reconcile runs a line for each group, and counts gateways and judges canary
// groups from time to time.
func (s *Server) reconcile(ctx context.Context) {
	var lines sync.WaitGroup
	defer lines.Wait()
	s.startLine(ctx, s.lines[serve.DefaultGroup], &lines)
	s.lines[serve.DefaultGroup].wake()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.kick:
			s.regroup(ctx, &lines)
		case now := <-tick.C:
			s.recount(now)
			s.balance(now)
			s.judge(now)
		}
	}
}

// input is what the World of a line follows from, a copy that changes do not reach.
// The lock must be held.
func (s *Server) input(l *line) model.Input {
	in := s.in
	in.Ready, in.Touched = l.takeReady(in.Ready)
	in.ZoneWeights, in.Pins, in.Lifts = maps.Clone(in.ZoneWeights), slices.Clone(in.Pins), slices.Clone(in.Lifts)
	in.Weighted = s.weighted(l.group)
	return s.gets(l.group).of(l.group, &s.fleet, in)
}

// gateways is told which gateways are connected. More of them share every limit at
// once; fewer after the grace.
func (s *Server) gateways(members []serve.Member) {
	now := time.Now()
	s.mu.Lock()
	s.fleet.connected(members, now)
	s.mu.Unlock()
	s.recount(now)
}

func (s *Server) recount(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fleet.count(now) {
		if s.newest != nil {
			s.resettle(now)
		}
		s.wanted++
		s.wakeAll()
	}
}

// rejections is how many refusals State remembers.
const rejections = 20

func (s *Server) rejected(r serve.Rejection) {
	s.metrics.rejected(r.Type)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reject = append(s.reject, r)
	if len(s.reject) > rejections {
		s.reject = s.reject[len(s.reject)-rejections:]
	}
}
