package translate

import (
	"net/http"
	"strconv"

	route "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"

	"github.com/kongdao/kongdao/xds/model"
)

// charged lets a route go that takes from exactly one bucket, of a cost that the
// bucket can hold. A route without that would be open without any limit, or closed
// for good: it would be a mistake in this package, and such a route answers 503
// instead of letting requests through.
func charged(r *route.Route) *route.Route {
	if chargeable(r) {
		return r
	}
	return answer(r.GetName(), r.GetMatch(), &model.Function{},
		direct(http.StatusServiceUnavailable, "uncharged_route", "the route has no bucket and cost, which is a fault of the control plane"))
}

func chargeable(r *route.Route) bool {
	fields := r.GetMetadata().GetFilterMetadata()[Namespace].GetFields()
	cost, err := strconv.ParseUint(fields[keyCost].GetStringValue(), 10, 32)
	if err != nil || cost == 0 {
		return false
	}
	buckets := 0
	for _, tier := range model.Tiers() {
		if fields[tier.Key].GetStringValue() == "" {
			continue
		}
		buckets++
		if cost > uint64(tier.Burst) {
			return false
		}
	}
	// What leads to a pod says whose it is; what the gateway answers itself may be
	// nobody's.
	return buckets == 1 && (r.GetDirectResponse() != nil || r.GetRedirect() != nil || fields[keyFunction].GetStringValue() != "")
}
