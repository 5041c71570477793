// Package serve brings resources to gateways over one stream each: the aggregated
// discovery service in its incremental form, and no other.
//
// It promises that
//   - nothing is sent before [Server.Open];
//   - a stream has at most one unanswered response of each type, and what changes
//     meanwhile is sent as one response after the answer;
//   - of what is to be sent at the same time, clusters go before their endpoints,
//     and both before listeners and routes;
//   - a refused response is sent again in halves until the refused resource stands
//     alone, so that one bad resource keeps no other back. A refused resource is
//     not sent again before it changes;
//   - when a cluster that a gateway has is changed, its endpoints follow, for
//     which the gateway would otherwise wait in vain.
package serve

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/anypb"
)

// Types are the resource types that are served, in the order in which changes of
// the same moment are sent.
func Types() []string {
	return []string{
		resource.ClusterType, resource.EndpointType, resource.ListenerType, resource.RouteType, resource.ScopedRouteType,
	}
}

// Events tells about gateways. Functions may be nil; they are called from
// streams and must not block.
type Events struct {
	// Acked is called when a gateway accepted a response; since is the time of the
	// first change in it.
	Acked func(typeURL string, since time.Duration)
	// Rejected is called when a gateway refused a response.
	Rejected func(Rejection)
	// Gateways is called when a gateway comes or goes, with the number of different
	// nodes: one that reconnects before its old stream has ended counts once.
	Gateways func(n int)
}

// Rejection is a refusal (NACK).
type Rejection struct {
	Node      string    `json:"node"`
	Type      string    `json:"type"`
	Resources []string  `json:"resources"` // of the response; one when it is named for certain
	Message   string    `json:"message"`
	At        time.Time `json:"at"`
}

// Gateway is what is known of one connected gateway.
type Gateway struct {
	Node   string               `json:"node"`
	Zone   string               `json:"zone"`
	Since  time.Time            `json:"since"`
	Acked  map[string]time.Time `json:"acked"`  // last acceptance by type
	Silent time.Time            `json:"silent"` // when the oldest unanswered response was sent; zero: none
	// Rejected are the resources that the gateway refuses as they are now, by
	// type and name, with its message.
	Rejected map[string]string `json:"rejected"`
}

// Server serves the resources that Update gives it.
type Server struct {
	discovery.UnimplementedAggregatedDiscoveryServiceServer

	log    *slog.Logger
	events Events
	tables map[string]*table

	mu      sync.Mutex
	open    bool
	streams map[*stream]struct{}
	moved   chan struct{} // closed and replaced whenever a stream made progress
	nonce   uint64
}

// New makes a Server without resources.
func New(log *slog.Logger, events Events) *Server {
	s := &Server{
		log: log, events: events, tables: map[string]*table{},
		streams: map[*stream]struct{}{}, moved: make(chan struct{}),
	}
	for _, t := range Types() {
		s.tables[t] = newTable()
	}
	return s
}

// Register adds the service to a gRPC server.
func (s *Server) Register(g grpc.ServiceRegistrar) {
	discovery.RegisterAggregatedDiscoveryServiceServer(g, s)
}

// Update puts and removes resources of one type and returns the names of those
// that differ from before. It does not wait for gateways.
func (s *Server) Update(typeURL string, put map[string]*anypb.Any, remove []string) []string {
	changed := s.tables[typeURL].update(put, remove, time.Now())
	if len(changed) > 0 {
		s.wake()
	}
	return changed
}

// Differs tells whether Update with this resource would change anything.
func (s *Server) Differs(typeURL, name string, body *anypb.Any) bool {
	e, ok := s.tables[typeURL].get(name)
	return !ok || e.version != version(body)
}

// Names lists the resources of a type, sorted.
func (s *Server) Names(typeURL string) []string { return s.tables[typeURL].names() }

// Open starts sending. Until then gateways wait: an empty first answer would take
// away what they have.
func (s *Server) Open() {
	s.mu.Lock()
	s.open = true
	s.mu.Unlock()
	s.wake()
}

func (s *Server) wake() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for st := range s.streams {
		select {
		case st.changed <- struct{}{}:
		default:
		}
	}
}

// Gateways lists the connected gateways, sorted by node.
func (s *Server) Gateways() []Gateway {
	var all []Gateway
	for _, st := range s.list() {
		all = append(all, st.describe())
	}
	slices.SortFunc(all, func(a, b Gateway) int { return cmp.Compare(a.Node, b.Node) })
	return all
}

func (s *Server) list() []*stream {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []*stream
	for st := range s.streams {
		all = append(all, st)
	}
	return all
}

// WaitAcked blocks until every connected gateway has accepted all that these types
// hold at the moment of the call. A gateway that left does not count; one that
// refused a resource makes it fail, as the end of ctx does.
func (s *Server) WaitAcked(ctx context.Context, typeURLs ...string) error {
	want := map[string]uint64{}
	for _, t := range typeURLs {
		want[t] = s.tables[t].last()
	}
	for {
		s.mu.Lock()
		moved := s.moved
		s.mu.Unlock()
		waiting, err := s.behind(want)
		if err != nil || waiting == "" {
			return err
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return fmt.Errorf("gateway %s has not answered: %w", waiting, ctx.Err())
		}
	}
}

// behind names a gateway that has not accepted everything, or "".
func (s *Server) behind(want map[string]uint64) (string, error) {
	var refused []error
	waiting := ""
	for _, st := range s.list() {
		reached, err := st.reached(want)
		if err != nil {
			refused = append(refused, err)
		} else if !reached {
			waiting = cmp.Or(st.nodeID(), "unknown")
		}
	}
	return waiting, errors.Join(refused...)
}

// progress tells those that wait that a stream moved on.
func (s *Server) progress() {
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.moved)
	s.moved = make(chan struct{})
}

func (s *Server) add(st *stream) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.streams[st] = struct{}{}
}

func (s *Server) drop(st *stream) {
	s.mu.Lock()
	delete(s.streams, st)
	s.mu.Unlock()
	s.log.Info("gateway left", "node", st.nodeID())
	s.count()
	s.progress()
}

// count reports the number of different nodes.
func (s *Server) count() {
	nodes := map[string]bool{}
	for _, st := range s.list() {
		if id := st.nodeID(); id != "" {
			nodes[id] = true
		}
	}
	if s.events.Gateways != nil {
		s.events.Gateways(len(nodes))
	}
}

func (s *Server) nextNonce() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.nonce++
	return fmt.Sprint(s.nonce)
}

func (s *Server) isOpen() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.open
}
