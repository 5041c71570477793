package serve

import (
	"context"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
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

// admitted judges the first thing that a gateway says, before anything is answered.
func (st *stream) admitted(r *discovery.DeltaDiscoveryRequest) error {
	admit := st.server.events.Admit
	if admit == nil || st.isIn() != "" {
		return nil
	}
	n := r.GetNode()
	if err := admit(st.wire.Context(), n.GetId(), claimOf(n)); err != nil {
		st.server.log.Warn("gateway refused", "node", n.GetId(), "group", claimOf(n), "error", err)
		return status.Error(codes.PermissionDenied, err.Error())
	}
	return nil
}
