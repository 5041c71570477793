package translate

import (
	buffer "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/buffer/v3"
	hcm "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/kongdao/kongdao/api"
)

const filterBuffer = "envoy.filters.http.buffer"

// bodies is the filter that refuses large bodies with 413. It holds a body until
// it is complete, so it must be off where nobody asks for it: the filter has no
// such setting of its own, every route that has it has one; see switchedOn.
func (t *translator) bodies() *hcm.HttpFilter {
	return t.filter(filterBuffer, &buffer.Buffer{MaxRequestBytes: wrapperspb.UInt32(uint32(api.MaxRequestBytes))})
}

// bodyLimit is the filter switched on for a route.
func bodyLimit(bytes int64) *buffer.BufferPerRoute {
	return &buffer.BufferPerRoute{Override: &buffer.BufferPerRoute_Buffer{
		Buffer: &buffer.Buffer{MaxRequestBytes: wrapperspb.UInt32(uint32(bytes))},
	}}
}
