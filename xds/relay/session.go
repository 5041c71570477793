package relay

import (
	"context"
	"slices"
	"sync"
	"time"

	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// session is one stream of the Envoy.
type session struct {
	relay *Relay
	wire  discovery.AggregatedDiscoveryService_DeltaAggregatedResourcesServer
	first *discovery.DeltaDiscoveryRequest
	warm  bool // Envoy had something before

	mu      sync.Mutex
	pending map[string]waiting // by nonce
	cold    map[string]bool    // types whose first response holds all there is
	heard   bool               // the control plane said something
	live    bool               // Envoy had something, or has its listeners now
	moved   time.Time          // when either side said something last
	held    []*discovery.DeltaDiscoveryResponse
	given   int // resources in held
}

// waiting is a response without an answer.
type waiting struct {
	response *discovery.DeltaDiscoveryResponse
	sent     time.Time
}

// newSession is told the first thing that Envoy says: it asks for clusters first,
// and for what it has of them.
func newSession(r *Relay, wire discovery.AggregatedDiscoveryService_DeltaAggregatedResourcesServer, first *discovery.DeltaDiscoveryRequest) *session {
	s := &session{
		relay: r, wire: wire, first: first, warm: len(first.GetInitialResourceVersions()) > 0,
		pending: map[string]waiting{}, cold: map[string]bool{}, moved: time.Now(),
	}
	s.live = s.warm
	r.mu.Lock()
	r.streams[s] = struct{}{}
	r.mu.Unlock()
	return s
}

// end notes for the next one that an Envoy which had nothing was given something
// that it never took, so that none of its calls was served.
func (s *session) end() {
	silent, _ := s.silentFor(time.Now())
	s.relay.mu.Lock()
	defer s.relay.mu.Unlock()
	delete(s.relay.streams, s)
	if silent > 0 && !s.warm && len(s.relay.streams) == 0 {
		s.relay.mute = true
	}
}

// pass carries everything between Envoy and control plane.
func (s *session) pass() error {
	ctx, cancel := context.WithCancel(s.wire.Context())
	defer cancel()
	up, err := discovery.NewAggregatedDiscoveryServiceClient(s.relay.upstream).DeltaAggregatedResources(ctx)
	if err != nil {
		return status.Error(codes.Unavailable, err.Error())
	}
	ended := make(chan error, 3) // one from each direction, and impatience
	go func() { ended <- s.requests(up) }()
	var down sync.WaitGroup
	down.Go(func() { ended <- s.responses(up) })
	patience := time.AfterFunc(s.relay.config.Patience.Std(), func() {
		if !s.wasHeard() {
			ended <- status.Error(codes.Unavailable, "the control plane says nothing")
		}
	})
	defer patience.Stop()
	err = <-ended
	cancel()
	down.Wait()
	if !s.wasHeard() && s.wire.Context().Err() == nil {
		s.relay.setMute()
	}
	s.linger()
	return err
}

func (s *session) wasHeard() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.heard || s.warm
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

type upstream = discovery.AggregatedDiscoveryService_DeltaAggregatedResourcesClient

// requests ends with the stream of the Envoy, which ends when its handler does.
func (s *session) requests(up upstream) error {
	for r := s.first; ; {
		s.request(r)
		s.relay.introduce(r.GetNode())
		_ = up.Send(r) // when it fails, responses tells why; answers are taken in still
		var err error
		if r, err = s.wire.Recv(); err != nil {
			return err
		}
	}
}

func (s *session) responses(up upstream) error {
	for {
		r, err := up.Recv()
		if err != nil {
			if s.wire.Context().Err() == nil {
				s.relay.refused(reasonOf(err))
			}
			return status.Error(codes.Unavailable, err.Error())
		}
		s.mu.Lock()
		first := !s.heard
		s.heard, s.moved = true, time.Now()
		s.pending[r.GetNonce()] = waiting{r, time.Now()}
		s.mu.Unlock()
		if first {
			s.relay.refused("")
		}
		if err := s.wire.Send(r); err != nil {
			return err
		}
	}
}

// reasonOf is empty for a control plane that only went away.
func reasonOf(err error) string {
	if c := status.Code(err); c == codes.Unavailable || c == codes.Canceled || c == codes.Unknown {
		return ""
	}
	return err.Error()
}

// wildcards are the types of which Envoy has all there is.
func wildcards(typeURL string) bool {
	return slices.Contains([]string{resource.ClusterType, resource.ListenerType, resource.ScopedRouteType}, typeURL)
}

// request takes in what Envoy says: an acceptance goes to disk before it goes on.
func (s *session) request(r *discovery.DeltaDiscoveryRequest) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.moved = time.Now()
	typeURL := r.GetTypeUrl()
	if _, known := s.cold[typeURL]; !known {
		s.cold[typeURL] = wildcards(typeURL) && len(r.GetInitialResourceVersions()) == 0
	}
	if gone := r.GetResourceNamesUnsubscribe(); len(gone) > 0 && !wildcards(typeURL) {
		s.accepted(&discovery.DeltaDiscoveryResponse{TypeUrl: typeURL, RemovedResources: gone})
	}
	w, answered := s.pending[r.GetResponseNonce()]
	if !answered {
		return
	}
	delete(s.pending, r.GetResponseNonce())
	whole := s.cold[typeURL]
	s.cold[typeURL] = false
	if r.GetErrorDetail() == nil {
		accepted := &discovery.DeltaDiscoveryResponse{
			TypeUrl: typeURL, Resources: w.response.GetResources(), RemovedResources: w.response.GetRemovedResources(),
		}
		if whole {
			accepted.SystemVersionInfo = complete
		}
		s.accepted(accepted)
	}
	if typeURL == resource.ListenerType {
		s.release()
	}
}

// accepted keeps what Envoy has accepted. An Envoy that starts accepts clusters at
// once, and asks for listeners when all of them work: what it took before that is not
// known to be of use, and held back.
func (s *session) accepted(r *discovery.DeltaDiscoveryResponse) {
	if s.live {
		s.relay.keep(r)
		return
	}
	s.held = append(s.held, r)
	s.given += len(r.GetResources())
}

func (s *session) release() {
	for _, r := range s.held {
		s.relay.keep(r)
	}
	s.live, s.held = true, nil
}
