package relay

import (
	"context"
	"errors"
	"log/slog"
	"time"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/kongdao/kongdao/xds/serve"
)

// fromDisk is when the gateway was served from disk last.
type fromDisk struct {
	since time.Time // zero: never
	until time.Time // zero: it still is
}

// begin and end are called with the relay's lock. What goes on after an interruption
// by a stream that broke is one time.
func (f *fromDisk) begin(now time.Time) {
	if f.since.IsZero() || !f.until.IsZero() {
		f.since = now
	}
	f.until = time.Time{}
}

func (f *fromDisk) end(now time.Time) {
	if !f.since.IsZero() && f.until.IsZero() {
		f.until = now
	}
}

// tell puts it where the control plane reads it.
func (f *fromDisk) tell(n *core.Node) {
	if f.since.IsZero() {
		return
	}
	if n.GetMetadata() == nil {
		n.Metadata = &structpb.Struct{}
	}
	if n.Metadata.Fields == nil {
		n.Metadata.Fields = map[string]*structpb.Value{}
	}
	n.Metadata.Fields[serve.DiskSinceKey] = structpb.NewStringValue(f.since.UTC().Format(time.RFC3339Nano))
	n.Metadata.Fields[serve.DiskUntilKey] = structpb.NewStringValue(f.until.UTC().Format(time.RFC3339Nano))
}

var errBack = errors.New("the control plane is back")

// settle is for how long an Envoy must have had nothing to answer for, with its
// listeners among what it has, before it is sent to a control plane that may have
// nothing to say. A part of what is on disk would serve nobody.
const settle = time.Second

// serveKept serves what is on disk until the control plane is there.
func (s *session) serveKept() error {
	local := s.relay.local(s.warm)
	if local == nil {
		s.relay.awaitUpstream(s.wire.Context())
		return status.Error(codes.Unavailable, errBack.Error())
	}
	ctx, cancel := context.WithCancel(s.wire.Context())
	defer cancel()
	waited := make(chan struct{})
	go func() {
		defer close(waited)
		s.relay.awaitUpstream(ctx)
		awaitSettled(ctx, local, s.warm)
		cancel()
	}()
	w := &borrowed{AggregatedDiscoveryService_DeltaAggregatedResourcesServer: s.wire, ctx: ctx, first: s.first, in: make(chan *discovery.DeltaDiscoveryRequest)}
	go w.receive()
	err := local.DeltaAggregatedResources(w)
	cancel()
	<-waited
	return err
}

// awaitSettled waits until the one Envoy of a server has taken what there is; one that
// had something before may have nothing to take.
func awaitSettled(ctx context.Context, local *serve.Server, warm bool) {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	since := time.Time{} // from when on it had all
	for since.IsZero() || time.Since(since) < settle {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		all := local.Gateways()
		has := len(all) == 1 && all[0].Silent.IsZero() && (warm || !all[0].Acked[resource.ListenerType].IsZero())
		switch {
		case !has:
			since = time.Time{}
		case since.IsZero():
			since = time.Now()
		}
	}
}

// local is a server with what is on disk; nil when that is not enough to serve
// anybody. An Envoy that is warm only has to wait.
func (r *Relay) local(warm bool) *serve.Server {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.journal.serves() {
		return nil
	}
	if !warm {
		r.from.begin(time.Now())
		r.metrics.kept.Set(1)
		r.log.Warn("the control plane is away, or of no use: the gateway gets the configuration that it accepted last")
	}
	local := serve.New(slog.New(slog.DiscardHandler), serve.Events{})
	r.journal.kept.prune()
	group := local.Group(serve.DefaultGroup)
	for _, typeURL := range serve.Types() {
		put := map[string]*anypb.Any{}
		for name, x := range r.journal.kept[typeURL] {
			put[name] = x.GetResource()
		}
		group.Update(typeURL, put, nil)
	}
	group.Open()
	return local
}

func (r *Relay) hasKept() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.journal.serves()
}

// introduce completes what Envoy says of itself to a control plane that is back.
// Only the first message of a stream says something.
func (r *Relay) introduce(n *core.Node) {
	if n == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.from.end(time.Now())
	r.from.tell(n)
	r.metrics.kept.Set(0)
}

// borrowed is a stream that is taken back when ctx ends.
type borrowed struct {
	discovery.AggregatedDiscoveryService_DeltaAggregatedResourcesServer
	ctx   context.Context                  //nolint:containedctx // a stream has one
	first *discovery.DeltaDiscoveryRequest // nil once it was received
	in    chan *discovery.DeltaDiscoveryRequest
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
	if first := w.first; first != nil {
		w.first = nil
		return first, nil
	}
	select {
	case r := <-w.in:
		return r, nil
	case <-w.ctx.Done():
		return nil, status.Error(codes.Unavailable, errBack.Error())
	}
}
