package relay

import (
	"context"

	auth "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	load "github.com/envoyproxy/go-control-plane/envoy/service/load_stats/v3"
)

// Check asks the control plane about a signed request, of which it alone knows the
// secret.
func (r *Relay) Check(ctx context.Context, q *auth.CheckRequest) (*auth.CheckResponse, error) {
	return auth.NewAuthorizationClient(r.upstream).Check(ctx, q)
}

// StreamLoadStats carries what Envoy says of its load to the control plane, and how
// often that wants to hear it.
func (r *Relay) StreamLoadStats(wire load.LoadReportingService_StreamLoadStatsServer) error {
	ctx, cancel := context.WithCancel(wire.Context())
	defer cancel()
	up, err := load.NewLoadReportingServiceClient(r.upstream).StreamLoadStats(ctx)
	if err != nil {
		return err
	}
	go func() { // ends with the stream of the Envoy, which ends when this handler does
		defer cancel()
		for {
			q, err := wire.Recv()
			if err != nil || up.Send(q) != nil {
				return
			}
		}
	}()
	for {
		a, err := up.Recv()
		if err != nil {
			return err
		}
		if err := wire.Send(a); err != nil {
			return err
		}
	}
}
