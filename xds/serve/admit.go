package serve

import (
	"context"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Admit says whether whoever is on the connection of ctx may be the gateway node
// of a group. The error is told to it.
type Admit func(ctx context.Context, node, group string) error

// Node judges a node by itself; a nil Admit takes everybody.
func (a Admit) Node(ctx context.Context, n *core.Node) error {
	if a == nil {
		return nil
	}
	return a(ctx, n.GetId(), claimOf(n))
}

// judge is admit for the first thing that somebody says, before anything is answered.
func (s *Server) judge(ctx context.Context, admit Admit, who string, n *core.Node) error {
	if err := admit.Node(ctx, n); err != nil {
		s.log.Warn("refused", "who", who, "node", n.GetId(), "group", claimOf(n), "error", err)
		return status.Error(codes.PermissionDenied, err.Error())
	}
	return nil
}

// poke makes whoever waits for it look, now or when he comes to it.
func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
