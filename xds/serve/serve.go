// Package serve brings resources to gateways over one stream each: the aggregated
// discovery service in its incremental form. Callers without a gateway may be served
// beside them, in the form of the whole state; see caller.go.
//
// It promises that
//   - nothing is sent to a group of gateways before its [Group.Open];
//   - a stream has at most one unanswered response of each type, and what changes
//     meanwhile is sent as one response after the answer;
//   - of what is to be sent at the same time, clusters go before their endpoints,
//     and both before secrets, listeners and routes;
//   - a refused response is sent again in halves until the refused resource stands
//     alone, so that one bad resource keeps no other back. A refused resource is
//     not sent again before it changes;
//   - when a cluster that a gateway has is changed, its endpoints follow, for
//     which the gateway would otherwise wait in vain.
package serve

import (
	"cmp"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"google.golang.org/grpc"
)

// Types are the resource types that are served, in the order in which changes of
// the same moment are sent.
func Types() []string {
	return []string{
		resource.ClusterType, resource.EndpointType, resource.SecretType, resource.ExtensionConfigType, resource.ListenerType,
		resource.RouteType, resource.ScopedRouteType,
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
	// Answered is called with every answer, also those to first responses.
	Answered func(typeURL string, accepted bool)
	// Gateways is called when a gateway comes or goes, with those that are connected,
	// sorted by node: one that reconnects before its old stream has ended is there
	// once.
	Gateways func([]Member)
	// Admit is asked for each gateway before it is answered; nil: everybody is one.
	Admit Admit
	// AdmitCaller is the same for callers.
	AdmitCaller Admit
	// Missing is called when a caller asks for listeners that there are not, or not any
	// more.
	Missing func(caller Member, names []string)
}

// Member is a connected gateway.
type Member struct{ Node, Group, Zone string }

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
	Group  string               `json:"group"`
	Zone   string               `json:"zone"`
	Build  string               `json:"build"`          // of Envoy, such as 1.40.0; empty: not said
	Since  time.Time            `json:"since"`          // connected
	Disk   *Disk                `json:"disk,omitempty"` // when it was served from its own disk last; nil: never
	Acked  map[string]time.Time `json:"acked"`          // last acceptance by type
	Silent time.Time            `json:"silent"`         // when the oldest unanswered response was sent; zero: none
	// Unanswered is the number of resources in responses without an answer.
	Unanswered int `json:"unanswered"`
	// Waiting names some of them, the clusters first: one of these keeps a gateway
	// that takes no configuration any more from answering.
	Waiting []string `json:"waiting,omitempty"`
	// Version is the last version that the gateway has accepted whole, and Newest
	// the last there is for its group; 0: none.
	Version uint64 `json:"version"`
	Newest  uint64 `json:"newest"`
	// LastAck is when the gateway accepted something last; zero: never.
	LastAck time.Time `json:"last_ack"`
	// Lag is for how long there has been a version that the gateway has not
	// accepted, seconds; 0: it has all.
	Lag float64 `json:"lag_seconds"`
	// Warming are the clusters, such as function/revision, that the gateway was sent
	// and has not accepted; sorted.
	Warming []string `json:"warming"`
	// Rejected are the resources that the gateway refuses as they are now, by
	// type and name, with its message.
	Rejected map[string]string `json:"rejected"`
}

// Server serves the resources that its groups are given.
type Server struct {
	discovery.UnimplementedAggregatedDiscoveryServiceServer

	log    *slog.Logger
	events Events

	mu      sync.Mutex
	groups  map[string]*Group
	known   map[string]bool // names of groups
	streams map[*stream]struct{}
	callers map[*caller]struct{}
	moved   chan struct{} // closed and replaced whenever a stream made progress

	nonce atomic.Uint64
	shell atomic.Pointer[Shell] // of callers; nil: they are not served
}

// New makes a Server without resources; gateways belong to DefaultGroup.
func New(log *slog.Logger, events Events) *Server {
	return &Server{
		log: log, events: events, groups: map[string]*Group{}, known: map[string]bool{DefaultGroup: true},
		streams: map[*stream]struct{}{}, callers: map[*caller]struct{}{}, moved: make(chan struct{}),
	}
}

// Register adds the service to a gRPC server.
func (s *Server) Register(g grpc.ServiceRegistrar) {
	discovery.RegisterAggregatedDiscoveryServiceServer(g, s)
}

func (s *Server) wake() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for st := range s.streams {
		poke(st.changed)
	}
}

// Gateways lists the connected gateways, sorted by node.
func (s *Server) Gateways() []Gateway {
	var all []Gateway
	now := time.Now()
	for _, st := range s.list() {
		all = append(all, st.describe(now))
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

// count reports the connected gateways, each node once.
func (s *Server) count() {
	if s.events.Gateways == nil {
		return
	}
	nodes := map[string]Member{}
	for _, st := range s.list() {
		if m := st.member(); m.Node != "" {
			nodes[m.Node] = m
		}
	}
	s.events.Gateways(slices.SortedFunc(maps.Values(nodes), func(a, b Member) int { return cmp.Compare(a.Node, b.Node) }))
}

func (s *Server) nextNonce() string { return strconv.FormatUint(s.nonce.Add(1), 10) }
