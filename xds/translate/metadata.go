package translate

import (
	"strconv"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/kongdao/kongdao/xds/model"
)

// Keys of the metadata under Namespace.
const (
	keyFunction = "function" // route, cluster
	keyTenant   = "tenant"   // route
	keyConsumer = "consumer" // route
	keyCost     = "cost"     // route; see limits.go, as are the keys of the tiers
	keyRevision = "revision" // cluster
	keyZone     = "zone"     // endpoint
	keyPod      = "pod"      // endpoint
)

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
	bucket string
	tier   model.Tier
	cost   uint32
}

func routeMetadata(f *model.Function, c charge, consumer string) *core.Metadata {
	return metadata(
		c.tier.Key, c.bucket,
		keyCost, strconv.FormatUint(uint64(c.cost), 10),
		keyFunction, f.Name,
		keyTenant, f.Tenant,
		keyConsumer, consumer,
	)
}
