package relay

import (
	"context"
	"log/slog"
	"time"

	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/kongdao/kongdao/xds/serve"
)

// serveKept serves what is on disk until the control plane is there.
func (s *session) serveKept() error {
	s.relay.mu.Lock()
	kept, _, err := read(s.relay.journal.path)
	s.relay.mu.Unlock()
	if err != nil || len(kept[resource.ListenerType]) == 0 {
		s.awaitUpstream(s.wire.Context(), time.Time{})
		return status.Error(codes.Unavailable, errBack.Error())
	}
	s.relay.log.Warn("the control plane is away: the gateway gets the configuration that it accepted last")
	s.relay.metrics.kept.Set(1)
	defer s.relay.metrics.kept.Set(0)
	ctx, cancel := context.WithCancel(s.wire.Context())
	defer cancel()
	waited := make(chan struct{})
	go func() {
		defer close(waited)
		s.awaitUpstream(ctx, time.Now().Add(settle))
		cancel()
	}()
	local := serve.New(slog.New(slog.DiscardHandler), serve.Events{})
	fill(local, kept)
	w := &borrowed{AggregatedDiscoveryService_DeltaAggregatedResourcesServer: s.wire, ctx: ctx, in: make(chan *discovery.DeltaDiscoveryRequest)}
	go w.receive()
	err = local.DeltaAggregatedResources(w)
	cancel()
	<-waited
	return err
}

// settle is how long an Envoy has at least to take what is on disk before it is
// sent to a control plane that said nothing before.
const settle = 2 * time.Second

// awaitUpstream waits until the control plane is connected, and until a moment.
func (s *session) awaitUpstream(ctx context.Context, least time.Time) {
	wait := time.NewTimer(time.Until(least))
	defer wait.Stop()
	for {
		state := s.relay.upstream.GetState()
		if state == connectivity.Ready {
			break
		}
		s.relay.upstream.Connect()
		if !s.relay.upstream.WaitForStateChange(ctx, state) {
			return
		}
	}
	select {
	case <-wait.C:
	case <-ctx.Done():
	}
}

// fill gives a server what was accepted. Endpoints of clusters that are gone were
// not taken back by anybody.
func fill(local *serve.Server, kept resources) {
	group := local.Group(serve.DefaultGroup)
	for _, typeURL := range serve.Types() {
		put := map[string]*anypb.Any{}
		for name, r := range kept[typeURL] {
			if r.GetResource() != nil && (typeURL != resource.EndpointType || kept[resource.ClusterType][name] != nil) {
				put[name] = r.GetResource()
			}
		}
		group.Update(typeURL, put, nil)
	}
	group.Open()
}

// borrowed is a stream that is taken back when ctx ends.
type borrowed struct {
	discovery.AggregatedDiscoveryService_DeltaAggregatedResourcesServer
	ctx context.Context //nolint:containedctx // a stream has one
	in  chan *discovery.DeltaDiscoveryRequest
}

// Context is the stream's, cut short.
func (w *borrowed) Context() context.Context { return w.ctx }

// receive ends with the real stream, that is when its handler has returned.
func (w *borrowed) receive() {
	for {
		r, err := w.AggregatedDiscoveryService_DeltaAggregatedResourcesServer.Recv()
		if err != nil {
			return
		}
		select {
		case w.in <- r:
		case <-w.ctx.Done():
			return
		}
	}
}

// Recv returns an error when the stream is taken back.
func (w *borrowed) Recv() (*discovery.DeltaDiscoveryRequest, error) {
	select {
	case r := <-w.in:
		return r, nil
	case <-w.ctx.Done():
		return nil, status.Error(codes.Unavailable, errBack.Error())
	}
}
