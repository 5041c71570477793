package translate

import (
	"fmt"
	"strconv"

	mutation "github.com/envoyproxy/go-control-plane/envoy/config/common/mutation_rules/v3"
	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	route "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	ratelimit "github.com/envoyproxy/go-control-plane/envoy/extensions/common/ratelimit/v3"
	headermutation "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/header_mutation/v3"
	hcm "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	metadatav3 "github.com/envoyproxy/go-control-plane/envoy/type/metadata/v3"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/kongdao/kongdao/api"
	"github.com/kongdao/kongdao/xds/model"
)

// callerFilter names the filter that says who the caller is, for each limit that
// a route has. Which header that is, is the route's to say; the listener is not to
// know it.
const callerFilter = "kongdao.callers"

// maxCallers bounds the callers with a bucket, for each size of buckets and each
// slot. Above it the caller that was seen longest ago makes way and finds a full
// bucket when it comes back: a crowd of made-up callers softens the limits of the
// others, and never refuses them. Buckets of functions lie elsewhere.
const maxCallers = 10_000

// longestValue bounds what of a header's value tells callers apart, so that
// callers cannot fill the gateway's memory with names.
const longestValue = 64

// v6Network is what of an IPv6 address is one client: whoever has one address has
// the whole network.
const v6Network = 64

// entryCaller is the key under which Envoy puts an address, hence all callers.
const entryCaller = "masked_remote_address"

// What a caller limit adds to a route's metadata, each with the number of its slot.
const (
	keyCaller      = "caller"       // bucket, of callers told apart by a header
	keyCallerIP    = "caller_ip"    // bucket, of callers told apart by their address
	keyCallerSize  = "caller_size"  // of the bucket
	keyCallerCost  = "caller_cost"  // of a request
	keyCallerLabel = "caller_label" // of the limit
	keyCallerRetry = "caller_retry" // seconds
)

func slotKey(key string, slot int) string { return key + "_" + strconv.Itoa(slot) }

// callerHeader carries the caller of a slot from callerFilter to its limit.
func callerHeader(slot int) string { return fmt.Sprintf("x-kongdao-caller-%d", slot) }

// callerHeaders are those of all slots; pods do not get them.
func callerHeaders() (names []string) {
	for slot := range model.CallerSlots {
		names = append(names, callerHeader(slot))
	}
	return names
}

// callerFilters are the limits of callers. Each slot is a filter of its own, so
// that a refusal can say which limit it was, and all of them come before the
// function's: what a caller has too much takes nothing of the capacity.
func (t *translator) callerFilters(share uint32) []*hcm.HttpFilter {
	filters := []*hcm.HttpFilter{t.filter(callerFilter, &headermutation.HeaderMutation{})}
	for slot := range model.CallerSlots {
		filters = append(filters, t.filter(callerSlotFilter(slot), callerLimit(slot, share)))
	}
	return filters
}

func callerLimit(slot int, share uint32) *localRateLimit {
	filter := neverByDefault("callers")
	filter.MaxDynamicDescriptors = wrapperspb.UInt32(maxCallers)
	filter.ResponseHeadersToAdd = refusedBy(slotKey(keyCallerLabel, slot), slotKey(keyCallerRetry, slot))
	for _, size := range model.Sizes() {
		filter.Descriptors = append(filter.Descriptors, &ratelimit.LocalRateLimitDescriptor{
			Entries:     []*ratelimit.RateLimitDescriptor_Entry{{Key: "size", Value: size.Key}, {Key: "limit"}, {Key: entryCaller}},
			TokenBucket: bucket(size.Tokens, model.TokensPerSecond/100*share),
		})
	}
	byHeader := &route.RateLimit_Action{ActionSpecifier: &route.RateLimit_Action_RequestHeaders_{
		RequestHeaders: &route.RateLimit_Action_RequestHeaders{HeaderName: callerHeader(slot), DescriptorKey: entryCaller},
	}}
	byAddress := &route.RateLimit_Action{ActionSpecifier: &route.RateLimit_Action_MaskedRemoteAddress_{
		MaskedRemoteAddress: &route.RateLimit_Action_MaskedRemoteAddress{V6PrefixMaskLen: wrapperspb.UInt32(v6Network)},
	}}
	filter.RateLimits = []*route.RateLimit{
		callerCharge(slot, keyCaller, byHeader),
		callerCharge(slot, keyCallerIP, byAddress),
	}
	return filter
}

// callerCharge takes a request's cost from the bucket of its caller.
func callerCharge(slot int, key string, caller *route.RateLimit_Action) *route.RateLimit {
	return &route.RateLimit{
		Actions: []*route.RateLimit_Action{
			routeValue("size", slotKey(keyCallerSize, slot)),
			routeValue("limit", slotKey(key, slot)),
			caller,
		},
		HitsAddend: &route.RateLimit_HitsAddend{Format: routeFormat(slotKey(keyCallerCost, slot))},
	}
}

// callerMetadata is what a route says of its function's caller limits.
func callerMetadata(f *model.Function) (pairs []string) {
	for slot, l := range f.Callers {
		key := keyCaller
		if l.Per == api.PerIP {
			key = keyCallerIP
		}
		pairs = append(pairs,
			slotKey(key, slot), l.Bucket,
			slotKey(keyCallerSize, slot), l.Size.Key,
			slotKey(keyCallerCost, slot), strconv.FormatUint(uint64(l.Cost), 10),
			slotKey(keyCallerLabel, slot), l.Label(),
			slotKey(keyCallerRetry, slot), retryAfter(l.Cost),
		)
	}
	return pairs
}

// nameCallers makes callerFilter say who the caller is. It puts something before
// the value, for an empty header would be none, and who has none is limited by
// none.
func (t *translator) nameCallers(f *model.Function) map[string]*anypb.Any {
	var all []*mutation.HeaderMutation
	for slot, l := range f.Callers {
		if l.Per != api.PerIP {
			all = append(all, overwrite(callerHeader(slot), "="+callerFormat(l)))
		}
	}
	if len(all) == 0 {
		return nil
	}
	return map[string]*anypb.Any{callerFilter: t.pack(&headermutation.HeaderMutationPerRoute{
		Mutations: &headermutation.Mutations{RequestMutations: all},
	})}
}

func callerFormat(l model.CallerLimit) string {
	if l.Per == api.PerHeader {
		return fmt.Sprintf("%%REQ(%s):%d%%", l.Header, longestValue)
	}
	return fmt.Sprintf("%%REQ(%s)%%", model.ConsumerHeader)
}

// routeValue is a descriptor's entry of that key with what the route's metadata
// says under name; without it there is no descriptor.
func routeValue(key, name string) *route.RateLimit_Action {
	return &route.RateLimit_Action{ActionSpecifier: &route.RateLimit_Action_Metadata{
		Metadata: &route.RateLimit_Action_MetaData{
			DescriptorKey: key,
			Source:        route.RateLimit_Action_MetaData_ROUTE_ENTRY,
			MetadataKey: &metadatav3.MetadataKey{
				Key: Namespace,
				Path: []*metadatav3.MetadataKey_PathSegment{{
					Segment: &metadatav3.MetadataKey_PathSegment_Key{Key: name},
				}},
			},
		},
	}}
}

// routeFormat prints what the route's metadata says under name.
func routeFormat(name string) string { return "%METADATA(ROUTE:" + Namespace + ":" + name + ")%" }

// refusedBy are the headers of a refusal, as the route's metadata words them.
func refusedBy(label, retry string) []*core.HeaderValueOption {
	return []*core.HeaderValueOption{
		header(LimitedByHeader, routeFormat(label)),
		header("retry-after", routeFormat(retry)),
	}
}

// retryAfter is how long a request's tokens take to flow in, in whole seconds.
func retryAfter(cost uint32) string {
	return strconv.Itoa(max(int((cost+model.TokensPerSecond-1)/model.TokensPerSecond), 1))
}
