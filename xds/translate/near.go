package translate

import (
	"math"

	endpoint "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"

	"github.com/kongdao/kongdao/xds/model"
)

// topWeight is the weight of the pod with the largest share: large, so that small
// shares are not rounded away, and small, so that the sum over many pods fits.
const (
	topWeight  = 10_000
	evenWeight = 100 // of pods with equal shares
)

// addViews adds what the gateways of each zone get instead of the common endpoints.
// Shares are weights of pods in the first priority; pods that stand by are behind
// it, where retries and Envoy find them when those before are lost.
func (t *translator) addViews(d *Delta, w *model.World, f *model.Function) {
	if f.Invalid != "" {
		return
	}
	for _, zone := range w.Views {
		if d.Views[zone] == nil {
			d.Views[zone] = map[string]*endpoint.ClusterLoadAssignment{}
		}
		for _, r := range f.Revisions {
			d.Views[zone][r.Cluster()] = assignmentFrom(r, zone)
		}
	}
}

// assignmentFrom is a revision's endpoints for the gateways of a zone; nil: the
// common ones.
func assignmentFrom(r *model.Revision, zone string) *endpoint.ClusterLoadAssignment {
	plan, ok := r.From(zone)
	if !ok {
		return nil
	}
	top, least := 0.0, math.Inf(1)
	for i, share := range plan.Shares {
		if plan.Ranks[i] == 0 {
			top, least = math.Max(top, share), math.Min(least, share)
		}
	}
	places := make([]standing, len(r.Pods))
	for i, p := range r.Pods {
		places[i] = standing{pod: p, rank: plan.Ranks[i], weight: uint32(p.Weight)}
		switch {
		case plan.Ranks[i] != 0:
		case top-least > top/topWeight:
			places[i].weight = uint32(max(1, math.Round(topWeight*plan.Shares[i]/top)))
		default:
			places[i].weight = evenWeight
		}
	}
	return assign(r, places)
}
