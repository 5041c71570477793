package envoy

import (
	"context"
	"fmt"
	"time"
)

// hung is how often in a row Renew may find Envoy busy before it believes that it
// hangs.
const hung = 3

// renewAsk is how long Envoy may take to answer on its admin port before it counts
// as busy.
const renewAsk = 2 * time.Second

// Renew ends an Envoy that takes no configuration any more, after calls in flight,
// and Run starts another one in its place. The gateway's port stays held; no call is
// taken for the moment between.
//
// An Envoy that does not answer on its admin port is busy with what it was given,
// which is no reason to end it: Renew fails. The third time in a row it is taken to
// hang.
func (g *Gateway) Renew(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, renewAsk)
	defer cancel()
	stats, err := g.Stats(ctx, `^(cluster_manager\.warming_clusters|cluster_manager\.cds\.update_rejected)$`)
	if err != nil && g.busy.Add(1) < hung {
		return fmt.Errorf("envoy is busy, not stuck: %w", err)
	}
	g.busy.Store(0)
	g.log.Warn("envoy is replaced",
		"warming_clusters", stats["cluster_manager.warming_clusters"], "cds_update_rejected", stats["cluster_manager.cds.update_rejected"])
	select {
	case g.renew <- struct{}{}:
	default: // it is asked for already
	}
	return nil
}
