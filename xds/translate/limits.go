package translate

import (
	"time"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	route "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	ratelimit "github.com/envoyproxy/go-control-plane/envoy/extensions/common/ratelimit/v3"
	localratelimit "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/local_ratelimit/v3"
	hcm "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/kongdao/kongdao/xds/model"
)

// LimitedByHeader names the limit that refused a request, in the answer and, from
// there, in the access log.
const LimitedByHeader = "x-kongdao-limited-by"

// What refuses in this file: the function's capacity, or that too little of it is
// left for the request's class.
const (
	limitedByCapacity = "capacity"
	limitedByPriority = "priority"
)

// CapacityLimits are the words for refusals by a function's own limit.
func CapacityLimits() []string { return []string{limitedByCapacity, limitedByPriority} }

// maxBuckets bounds the functions with a bucket, in each tier; the bucket of the
// function that was called longest ago makes way.
const maxBuckets = 20_000

// limits is the one filter that limits functions. Each function has a bucket of
// its own, which Envoy makes when it first sees the function's name in a route's
// metadata; the metadata also says what a request costs. A change of a limit is
// so a change of metadata: neither it nor any other push refills a bucket, as it
// does where the limit itself lies in a route. The filter never changes because of
// functions, since a changed listener would refill them all.
//
// An entrance has buckets of its own: share is the part of each limit, in percent,
// that it admits.
func (t *translator) limits(share uint32) *hcm.HttpFilter {
	filter := neverByDefault("capacity")
	filter.MaxDynamicDescriptors = wrapperspb.UInt32(maxBuckets)
	filter.ResponseHeadersToAdd = refusedBy(keyLimitedBy, keyRetry)
	for _, tier := range model.Tiers() {
		filter.Descriptors = append(filter.Descriptors, &ratelimit.LocalRateLimitDescriptor{
			Entries:     []*ratelimit.RateLimitDescriptor_Entry{{Key: tier.Key}},
			TokenBucket: bucket(tier.Burst, model.TokensPerSecond/100*share),
		})
		filter.RateLimits = append(filter.RateLimits, takeFrom(tier))
	}
	for _, tier := range model.Tiers() {
		filter.RateLimits = append(filter.RateLimits, giveBack(tier))
	}
	return t.filter("envoy.filters.http.local_ratelimit", filter)
}

type localRateLimit = localratelimit.LocalRateLimit

// neverByDefault is a limit that only buckets of descriptors refuse by.
func neverByDefault(stats string) *localRateLimit {
	const unlimited = 1_000_000_000
	always := &core.RuntimeFractionalPercent{DefaultValue: &typev3.FractionalPercent{Numerator: 100}}
	return &localRateLimit{
		StatPrefix:                      stats,
		TokenBucket:                     bucket(unlimited, unlimited), // must be there, never decides
		AlwaysConsumeDefaultTokenBucket: wrapperspb.Bool(false),
		FilterEnabled:                   always,
		FilterEnforced:                  always,
	}
}

// takeFrom charges the bucket that a route's metadata names under the tier's key;
// a route of another tier has no such key, and the entry does nothing.
func takeFrom(tier model.Tier) *route.RateLimit {
	return &route.RateLimit{
		Actions:    []*route.RateLimit_Action{routeValue(tier.Key, tier.Key)},
		HitsAddend: &route.RateLimit_HitsAddend{Format: routeFormat(keyCost)},
	}
}

// giveBack returns to the bucket what a request of a lower class had to find there
// beyond its cost: such a request is charged its cost and its reserve, and when the
// bucket holds both it gets the reserve back in the same moment. Envoy asks buckets
// that flow in equally fast in the order of these entries, and asks no more once
// one has refused; so all of giveBack must come after all of takeFrom.
func giveBack(tier model.Tier) *route.RateLimit {
	return &route.RateLimit{
		Actions:    []*route.RateLimit_Action{routeValue(tier.Key, reserveOf+tier.Key)},
		HitsAddend: &route.RateLimit_HitsAddend{Format: routeFormat(keyReserve), IsNegativeHits: true},
	}
}

func bucket(size, perSecond uint32) *typev3.TokenBucket {
	return &typev3.TokenBucket{
		MaxTokens: size, TokensPerFill: wrapperspb.UInt32(perSecond), FillInterval: durationpb.New(time.Second),
	}
}
