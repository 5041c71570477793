package translate

import (
	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	route "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	brotli "github.com/envoyproxy/go-control-plane/envoy/extensions/compression/brotli/compressor/v3"
	gzip "github.com/envoyproxy/go-control-plane/envoy/extensions/compression/gzip/compressor/v3"
	zstd "github.com/envoyproxy/go-control-plane/envoy/extensions/compression/zstd/compressor/v3"
	compressor "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/compressor/v3"
	hcm "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// compressionFilters are the filters of all algorithms. They negotiate among all of
// them, on or off, so a route has all or none: with one alone, a caller who names
// another one first would get nothing.
var compressionFilters = []string{"kongdao.compress.gzip", "kongdao.compress.brotli", "kongdao.compress.zstd"}

// compressors are off on all routes that do not switch them on. Of several that a
// caller likes alike it gets the one that it names first. Short answers, and those
// that are compressed already or no text, are left alone.
func (t *translator) compressors() (filters []*hcm.HttpFilter) {
	for i, library := range []proto.Message{
		&gzip.Gzip{CompressionLevel: gzip.Gzip_COMPRESSION_LEVEL_6, MemoryLevel: wrapperspb.UInt32(8)},
		&brotli.Brotli{Quality: wrapperspb.UInt32(4)},
		&zstd.Zstd{CompressionLevel: wrapperspb.UInt32(3)},
	} {
		name := compressionFilters[i]
		filters = append(filters, t.filter(name, &compressor.Compressor{
			CompressorLibrary: &core.TypedExtensionConfig{Name: name, TypedConfig: t.pack(library)},
			ResponseDirectionConfig: &compressor.Compressor_ResponseDirectionConfig{
				CommonConfig: &compressor.Compressor_CommonDirectionConfig{
					Enabled:          &core.RuntimeFeatureFlag{DefaultValue: wrapperspb.Bool(false), RuntimeKey: "kongdao.compress"},
					MinContentLength: wrapperspb.UInt32(minCompressed),
				},
			},
		}))
	}
	return filters
}

// minCompressed is the shortest answer that is compressed, bytes.
const minCompressed = 256

func (t *translator) compress(out *route.Route) {
	for _, name := range compressionFilters {
		t.configure(out, name, &compressor.CompressorPerRoute{Override: &compressor.CompressorPerRoute_Overrides{
			Overrides: &compressor.CompressorOverrides{ResponseDirectionConfig: &compressor.ResponseDirectionOverrides{}},
		}})
	}
}
