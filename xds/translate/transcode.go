package translate

import (
	route "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	transcoder "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/grpc_json_transcoder/v3"
	hcm "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/kongdao/kongdao/api"
	"github.com/kongdao/kongdao/xds/model"
)

const filterTranscoder = "envoy.filters.http.grpc_json_transcoder"

// maxTranscoded bounds what a gateway holds of a body that it transcodes, bytes: more
// than twice the largest message that gRPC servers take by default, for JSON is
// longer. Bodies of several messages are not held whole.
const maxTranscoded = 10 << 20

// transcoder is the filter that makes gRPC of JSON, and JSON of the answers. It has
// no services, which is off; routes have their own configuration. It is the last
// before the router: what comes before it sees calls as they came, and compressors
// see the JSON.
func (t *translator) transcoder() *hcm.HttpFilter {
	return t.filter(filterTranscoder, &transcoder.GrpcJsonTranscoder{
		DescriptorSet: &transcoder.GrpcJsonTranscoder_ProtoDescriptorBin{},
	})
}

// transcoding is the filter's configuration for a rule's routes, the same message for
// all of them; nil where there is nothing to transcode.
func (t *translator) transcoding(r *model.Rule) *anypb.Any {
	c := r.Transcode
	if c == nil {
		return nil
	}
	return t.pack(&transcoder.GrpcJsonTranscoder{
		DescriptorSet: &transcoder.GrpcJsonTranscoder_ProtoDescriptorBin{ProtoDescriptorBin: c.Set.Bytes()},
		Services:      c.Services,
		AutoMapping:   c.AutoMapping,
		// The route was found by the path that came; looked up anew by the path of
		// the method it would be another one, or none.
		MatchIncomingRequestRoute:    true,
		ConvertGrpcStatus:            true,
		IgnoreUnknownQueryParameters: c.IgnoreUnknown,
		// What cannot be transcoded must not reach pods, which would break the
		// connection on it.
		RequestValidationOptions: &transcoder.GrpcJsonTranscoder_RequestValidationOptions{
			RejectUnknownMethod: true, RejectUnknownQueryParameters: true,
		},
		MaxRequestBodySize:  wrapperspb.UInt32(maxTranscoded),
		MaxResponseBodySize: wrapperspb.UInt32(maxTranscoded),
		PrintOptions: &transcoder.GrpcJsonTranscoder_PrintOptions{
			AlwaysPrintPrimitiveFields: c.Defaults,
			AlwaysPrintEnumsAsInts:     c.EnumNumbers,
			PreserveProtoFieldNames:    c.ProtoNames,
			StreamNewlineDelimited:     c.Stream == api.StreamLines,
		},
	})
}

func transcodeBy(out *route.Route, config *anypb.Any) {
	if config == nil || out.GetRoute() == nil {
		return
	}
	if out.TypedPerFilterConfig == nil {
		out.TypedPerFilterConfig = map[string]*anypb.Any{}
	}
	out.TypedPerFilterConfig[filterTranscoder] = config
}
