// Package loads hears from gateways how many requests they send to clusters, by the
// load reporting service, and how many they refuse, by an access log of some of
// those. Every Envoy speaks both.
//
// A gateway reports once in an interval, which is a second as long as there are
// few clusters to report on; what it refused meanwhile is added to its report.
// Nothing depends on a report coming: a gateway that does not report is just not
// known.
package loads

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpoint "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	als "github.com/envoyproxy/go-control-plane/envoy/service/accesslog/v3"
	loadstats "github.com/envoyproxy/go-control-plane/envoy/service/load_stats/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"
)

// perSecond is how many clusters a gateway reports on in a second at most: a
// report names each of them, with traffic or without, at about 60 bytes.
const perSecond = 2000

// interval is how often gateways report on so many clusters.
func interval(clusters int) time.Duration {
	return time.Second * time.Duration(max(1, (clusters+perSecond-1)/perSecond))
}

// Report is what one gateway sent until now.
type Report struct {
	Node     string
	Clusters map[string]Load
	Refused  map[string]uint64 // about so many requests, by function
}

// Load is what was sent to one cluster.
type Load struct {
	Requests uint64
	Took     time.Duration // in this time, above 0
}

// Server is the service. All methods may be called at any time from any goroutine.
type Server struct {
	loadstats.UnimplementedLoadReportingServiceServer

	log   *slog.Logger
	admit func(ctx context.Context, node *core.Node) error
	take  func(Report)

	counts Refusals

	mu       sync.Mutex
	refused  map[string]map[string]uint64 // since the last report, by node and function
	nodes    map[string]int               // streams of reports, by node
	clusters []string
	changed  chan struct{} // closed and replaced when clusters change
}

// New makes a Server that asks for nothing yet. admit says whether whoever is on a
// connection may be a node; nil: everybody is one. take gets the reports, must not
// block, and is called from many goroutines.
func New(log *slog.Logger, counts Refusals, admit func(context.Context, *core.Node) error, take func(Report)) *Server {
	return &Server{log: log, counts: counts, admit: admit, take: take, refused: map[string]map[string]uint64{}, nodes: map[string]int{}, changed: make(chan struct{})}
}

// Register adds both services to a gRPC server.
func (s *Server) Register(g grpc.ServiceRegistrar) {
	loadstats.RegisterLoadReportingServiceServer(g, s)
	als.RegisterAccessLogServiceServer(g, refusals{Server: s})
}

// Want sets the clusters that gateways report on; sorted, and not changed after.
func (s *Server) Want(clusters []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if slices.Equal(clusters, s.clusters) {
		return
	}
	s.clusters = clusters
	close(s.changed)
	s.changed = make(chan struct{})
}

// Interval is how often gateways report now.
func (s *Server) Interval() time.Duration {
	clusters, _ := s.wanted()
	return interval(len(clusters))
}

func (s *Server) wanted() ([]string, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.clusters, s.changed
}

// StreamLoadStats hears one gateway until it leaves.
func (s *Server) StreamLoadStats(stream loadstats.LoadReportingService_StreamLoadStatsServer) error {
	first, err := stream.Recv()
	if err != nil {
		return err
	}
	node := first.GetNode()
	if s.admit != nil {
		if err := s.admit(stream.Context(), node); err != nil {
			s.log.Warn("load reports of a gateway refused", "node", node.GetId(), "error", err)
			return status.Error(codes.PermissionDenied, err.Error())
		}
	}
	s.join(node.GetId(), 1)
	defer s.join(node.GetId(), -1)
	failed := make(chan error, 1)
	go func() { failed <- s.hear(stream, node.GetId()) }() // ends with the stream
	for asked := false; ; {
		clusters, changed := s.wanted()
		if asked || len(clusters) > 0 {
			asked = true
			if err := stream.Send(ask(clusters)); err != nil {
				return err
			}
		}
		select {
		case <-changed:
		case err := <-failed:
			return err
		case <-stream.Context().Done():
			return stream.Context().Err()
		}
	}
}

func (s *Server) join(node string, streams int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.nodes[node] += streams; s.nodes[node] == 0 {
		delete(s.nodes, node)
		delete(s.refused, node)
	}
}

// Reports tells whether a gateway reports.
func (s *Server) Reports(node string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.nodes[node] > 0
}

func ask(clusters []string) *loadstats.LoadStatsResponse {
	return &loadstats.LoadStatsResponse{Clusters: clusters, LoadReportingInterval: durationpb.New(interval(len(clusters)))}
}

func (s *Server) hear(stream loadstats.LoadReportingService_StreamLoadStatsServer, node string) error {
	for {
		r, err := stream.Recv()
		if err != nil {
			return err
		}
		s.take(Report{Node: node, Clusters: read(r.GetClusterStats()), Refused: s.taken(node)})
	}
}

func read(stats []*endpoint.ClusterStats) map[string]Load {
	all := make(map[string]Load, len(stats))
	for _, c := range stats {
		l := Load{Took: c.GetLoadReportInterval().AsDuration()}
		if l.Took <= 0 {
			continue
		}
		for _, place := range c.GetUpstreamLocalityStats() {
			l.Requests += place.GetTotalIssuedRequests()
		}
		all[c.GetClusterName()] = l
	}
	return all
}
