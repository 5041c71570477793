package translate

import (
	"strconv"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/kongdao/kongdao/xds/model"
)

// Keys of the metadata under Namespace.
const (
	keyFunction  = "function"   // route, cluster
	keyTenant    = "tenant"     // route
	keyCost      = "cost"       // route; see limits.go, as are the keys of the tiers
	keyReserve   = "reserve"    // route; what of the cost comes back
	keyLimitedBy = "limited_by" // route; what a refusal by the function's bucket is called
	keyRetry     = "retry"      // route; Retry-After of such a refusal
	keyRevision  = "revision"   // cluster
	// The two are of routes that hold bodies to a size, for the refusal.
	keyBodyLimit       = "body_limit"
	keyMaxRequestBytes = "max_request_bytes"
	keyZone            = "zone" // endpoint
	keyPod             = "pod"  // endpoint
)

// reserveOf before a tier's key names the bucket that gets the reserve back.
const reserveOf = "reserve_"

// metadata makes filter metadata of strings. Numbers are written as strings too,
// because Envoy prints large numbers in scientific notation.
func metadata(pairs ...string) *core.Metadata {
	fields := map[string]*structpb.Value{}
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			fields[pairs[i]] = structpb.NewStringValue(pairs[i+1])
		}
	}
	return &core.Metadata{FilterMetadata: map[string]*structpb.Struct{Namespace: {Fields: fields}}}
}

// charge is the bucket that a route's requests take tokens from, and how many.
type charge struct {
	bucket  string
	tier    model.Tier
	cost    uint32
	reserve uint32 // what must be left in the bucket; 0 for those that are refused last
}

func routeMetadata(f *model.Function, c charge, more ...string) *core.Metadata {
	pairs := append(more,
		c.tier.Key, c.bucket,
		keyCost, strconv.FormatUint(uint64(c.cost)+uint64(c.reserve), 10),
		keyLimitedBy, limitedByCapacity,
		keyRetry, retryAfter(c.cost),
		keyFunction, f.Name,
		keyTenant, f.Tenant,
	)
	if f.MarkedRefused {
		pairs = append(pairs, keyRefuseMarked, "1")
	}
	if c.reserve > 0 {
		pairs = append(pairs,
			reserveOf+c.tier.Key, c.bucket,
			keyReserve, strconv.FormatUint(uint64(c.reserve), 10),
			keyLimitedBy, limitedByPriority,
		)
	}
	return metadata(pairs...)
}
