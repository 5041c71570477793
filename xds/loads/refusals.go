package loads

import (
	"maps"
	"slices"
	"strings"

	accesslog "github.com/envoyproxy/go-control-plane/envoy/data/accesslog/v3"
	als "github.com/envoyproxy/go-control-plane/envoy/service/accesslog/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Refusals says what of an access log is a refusal that counts: entries with one of
// these values in a header, each of which stands for several.
type Refusals struct {
	Header string   // of the answer, lower case
	Values []string // that count
	Each   uint64   // what an entry stands for
}

// refusals hears gateways' logs of what they refuse.
type refusals struct {
	als.UnimplementedAccessLogServiceServer
	*Server
}

// StreamAccessLogs counts what one gateway refused until it leaves.
func (s refusals) StreamAccessLogs(stream als.AccessLogService_StreamAccessLogsServer) error {
	node := ""
	for {
		m, err := stream.Recv()
		if err != nil {
			return err
		}
		if node == "" {
			n := m.GetIdentifier().GetNode()
			if node = n.GetId(); s.admit != nil {
				if err := s.admit(stream.Context(), n); err != nil {
					return status.Error(codes.PermissionDenied, err.Error())
				}
			}
		}
		s.count(node, m.GetHttpLogs().GetLogEntry())
	}
}

func (s refusals) count(node string, entries []*accesslog.HTTPAccessLogEntry) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.refused[node] == nil {
		s.refused[node] = map[string]uint64{}
	}
	for _, e := range entries {
		if slices.Contains(s.counts.Values, e.GetResponse().GetResponseHeaders()[s.counts.Header]) {
			function, _, _ := strings.Cut(e.GetCommonProperties().GetRouteName(), "/")
			s.refused[node][function] += s.counts.Each
		}
	}
}

// taken are a gateway's refusals since the last call, by function.
func (s *Server) taken(node string) map[string]uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := maps.Clone(s.refused[node])
	delete(s.refused, node)
	return all
}
