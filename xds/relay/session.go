package relay

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

func backoffConfig() backoff.Config {
	return backoff.Config{BaseDelay: 50 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: 500 * time.Millisecond}
}

// session is one stream of the Envoy.
type session struct {
	relay *Relay
	wire  discovery.AggregatedDiscoveryService_DeltaAggregatedResourcesServer

	mu      sync.Mutex
	pending map[string]waiting // by nonce
	cold    map[string]bool    // types whose first response holds all there is
	heard   bool               // the control plane said something
	warm    bool               // Envoy had something before
}

// waiting is a response without an answer.
type waiting struct {
	response *discovery.DeltaDiscoveryResponse
	sent     time.Time
}

func newSession(r *Relay, wire discovery.AggregatedDiscoveryService_DeltaAggregatedResourcesServer) *session {
	s := &session{relay: r, wire: wire, pending: map[string]waiting{}, cold: map[string]bool{}}
	r.mu.Lock()
	r.streams[s] = struct{}{}
	r.mu.Unlock()
	return s
}

func (s *session) end() {
	s.relay.mu.Lock()
	delete(s.relay.streams, s)
	s.relay.mu.Unlock()
}

// pass carries everything between Envoy and control plane.
func (s *session) pass() error {
	ctx, cancel := context.WithCancel(s.wire.Context())
	defer cancel()
	up, err := discovery.NewAggregatedDiscoveryServiceClient(s.relay.upstream).DeltaAggregatedResources(ctx)
	if err != nil {
		return status.Error(codes.Unavailable, err.Error())
	}
	ended := make(chan error, 2) // one from each direction
	go func() { ended <- s.requests(up) }()
	var down sync.WaitGroup
	down.Go(func() { ended <- s.responses(up) })
	patience := time.AfterFunc(s.relay.config.Patience.Std(), func() {
		if s.muted() {
			ended <- status.Error(codes.Unavailable, "the control plane says nothing")
		}
	})
	defer patience.Stop()
	err = <-ended
	cancel()
	down.Wait()
	s.linger()
	return err
}

// lingerTime is how long an Envoy may take to answer what it got before the control
// plane left.
const lingerTime = time.Second

// linger takes in the last answers.
func (s *session) linger() {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(lingerTime); time.Now().Before(end); {
		if since, _ := s.silence(); since.IsZero() {
			return
		}
		select {
		case <-tick.C:
		case <-s.wire.Context().Done():
			return
		}
	}
}

// muted tells whether an Envoy without configuration was told nothing, and notes
// it for its next stream.
func (s *session) muted() bool {
	s.mu.Lock()
	mute := !s.heard && !s.warm
	s.mu.Unlock()
	if mute {
		s.relay.mu.Lock()
		s.relay.mute = true
		s.relay.mu.Unlock()
	}
	return mute
}

// requests ends with the stream of the Envoy, which ends when its handler does.
func (s *session) requests(up discovery.AggregatedDiscoveryService_DeltaAggregatedResourcesClient) error {
	for {
		r, err := s.wire.Recv()
		if err != nil {
			return err
		}
		s.request(r)
		_ = up.Send(r) // when it fails, responses tells why; answers are taken in still
	}
}

func (s *session) responses(up discovery.AggregatedDiscoveryService_DeltaAggregatedResourcesClient) error {
	for {
		r, err := up.Recv()
		if err != nil {
			return status.Error(codes.Unavailable, err.Error())
		}
		s.mu.Lock()
		s.heard = true
		s.pending[r.GetNonce()] = waiting{r, time.Now()}
		s.mu.Unlock()
		if err := s.wire.Send(r); err != nil {
			return err
		}
	}
}

// wildcards are the types of which Envoy has all there is.
func wildcards(typeURL string) bool {
	return slices.Contains([]string{resource.ClusterType, resource.ListenerType, resource.ScopedRouteType}, typeURL)
}

// request takes in what Envoy says: an acceptance goes to disk before it goes on.
func (s *session) request(r *discovery.DeltaDiscoveryRequest) {
	s.mu.Lock()
	defer s.mu.Unlock()
	typeURL := r.GetTypeUrl()
	if _, known := s.cold[typeURL]; !known {
		s.cold[typeURL] = wildcards(typeURL) && len(r.GetInitialResourceVersions()) == 0
		s.warm = s.warm || len(r.GetInitialResourceVersions()) > 0
	}
	if gone := r.GetResourceNamesUnsubscribe(); len(gone) > 0 && !wildcards(typeURL) {
		s.relay.keep(&discovery.DeltaDiscoveryResponse{TypeUrl: typeURL, RemovedResources: gone})
	}
	w, answered := s.pending[r.GetResponseNonce()]
	if !answered {
		return
	}
	delete(s.pending, r.GetResponseNonce())
	whole := s.cold[typeURL]
	s.cold[typeURL] = false
	if r.GetErrorDetail() != nil {
		return
	}
	accepted := proto.Clone(w.response).(*discovery.DeltaDiscoveryResponse)
	accepted.Nonce, accepted.SystemVersionInfo = "", ""
	if whole {
		accepted.SystemVersionInfo = complete
	}
	s.relay.keep(accepted)
}

// silence is since when the oldest response has no answer, and how many resources
// the responses without one hold; the zero time: all are answered.
func (s *session) silence() (since time.Time, resources int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, w := range s.pending {
		resources += len(w.response.GetResources()) + len(w.response.GetRemovedResources())
		if since.IsZero() || w.sent.Before(since) {
			since = w.sent
		}
	}
	return since, resources
}

var errBack = errors.New("the control plane is back")
