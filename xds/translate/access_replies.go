package translate

import (
	"net/http"

	accesslog "github.com/envoyproxy/go-control-plane/envoy/config/accesslog/v3"
	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	hcm "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	matcher "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/kongdao/kongdao/xds/model"
)

// addressRefused makes JSON of what the filter of addresses answers, which shows in
// the filter's metadata alone.
func addressRefused() *hcm.ResponseMapper {
	denied := &accesslog.MetadataFilter{
		Matcher: &matcher.MetadataMatcher{
			Filter: "envoy.filters.http.rbac", // whatever the filter is called
			Path:   []*matcher.MetadataMatcher_PathSegment{{Segment: &matcher.MetadataMatcher_PathSegment_Key{Key: "enforced_engine_result"}}},
			Value:  exactly("denied"),
		},
		MatchIfKeyNotFound: wrapperspb.Bool(false),
	}
	return &hcm.ResponseMapper{
		Filter: &accesslog.AccessLogFilter{FilterSpecifier: &accesslog.AccessLogFilter_MetadataFilter{MetadataFilter: denied}},
		BodyFormatOverride: jsonBody(map[string]string{
			"error":  model.ErrorAddress,
			"reason": "calls from %DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT% are not let in",
		}),
	}
}

// and503 is an answer of 503 with one of the flags.
func and503(names ...string) *accesslog.AccessLogFilter {
	unavailable := &accesslog.AccessLogFilter{FilterSpecifier: &accesslog.AccessLogFilter_StatusCodeFilter{
		StatusCodeFilter: &accesslog.StatusCodeFilter{Comparison: &accesslog.ComparisonFilter{
			Op:    accesslog.ComparisonFilter_EQ,
			Value: &core.RuntimeUInt32{DefaultValue: http.StatusServiceUnavailable, RuntimeKey: "kongdao.unavailable"},
		}},
	}}
	return &accesslog.AccessLogFilter{FilterSpecifier: &accesslog.AccessLogFilter_AndFilter{
		AndFilter: &accesslog.AndFilter{Filters: []*accesslog.AccessLogFilter{unavailable, flags(names...)}},
	}}
}
