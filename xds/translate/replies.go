package translate

import (
	"maps"
	"net/http"

	accesslog "github.com/envoyproxy/go-control-plane/envoy/config/accesslog/v3"
	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	cel "github.com/envoyproxy/go-control-plane/envoy/extensions/access_loggers/filters/cel/v3"
	hcm "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// limitedByConcurrency is the limit of requests in flight, a circuit breaker of the
// revision's cluster.
const limitedByConcurrency = "concurrency"

// localReplies makes JSON of what Envoy itself answers: refused by the limit, no
// pod, no connection, a broken or late answer. A local 429 can only be the limit;
// its flag (RL) is set too late to be used here. Direct responses have none of
// these flags and keep their own body.
func (t *translator) localReplies() *hcm.LocalReplyConfig {
	limited := map[string]string{
		"error":      "limited",
		"limited_by": "%RESP(" + LimitedByHeader + ")%",
		"function":   "%METADATA(ROUTE:" + Namespace + ":" + keyFunction + ")%",
		"request_id": "%REQ(x-request-id)%",
	}
	crowded := maps.Clone(limited)
	crowded["limited_by"] = limitedByConcurrency
	failed := map[string]string{
		"error":      "%RESPONSE_CODE_DETAILS%",
		"flags":      "%RESPONSE_FLAGS%",
		"function":   "%METADATA(ROUTE:" + Namespace + ":" + keyFunction + ")%",
		"request_id": "%REQ(x-request-id)%",
	}
	unanswered := map[string]string{
		"error":      "authorizer_unavailable",
		"reason":     "who decides about this request gives no answer",
		"details":    "%RESPONSE_CODE_DETAILS%",
		"function":   "%METADATA(ROUTE:" + Namespace + ":" + keyFunction + ")%",
		"request_id": "%REQ(x-request-id)%",
	}
	long := map[string]string{
		"error":            "too_large",
		"reason":           "the body is longer than the function takes",
		"limit":            "%METADATA(ROUTE:" + Namespace + ":" + keyBodyLimit + ")%", // null where a signature is checked
		keyMaxRequestBytes: "%METADATA(ROUTE:" + Namespace + ":" + keyMaxRequestBytes + ")%",
		"function":         "%METADATA(ROUTE:" + Namespace + ":" + keyFunction + ")%",
		"request_id":       "%REQ(x-request-id)%",
	}
	return &hcm.LocalReplyConfig{Mappers: []*hcm.ResponseMapper{
		t.markedRefused(),
		revisionRefused(),
		{
			Filter:             tooMany(),
			BodyFormatOverride: jsonBody(limited),
		},
		{
			Filter:             and503("UAEX"),
			BodyFormatOverride: jsonBody(unanswered),
		},
		{
			Filter:             t.tooLong(),
			BodyFormatOverride: jsonBody(long),
		},
		{
			Filter:             flags("UH", "UF", "NR", "URX", "NC", "UT", "LR", "UR", "UC", "UPE"),
			BodyFormatOverride: jsonBody(failed),
		},
		{
			Filter:             flags("UO"), // after the others: a retry too many has it, too
			StatusCode:         wrapperspb.UInt32(http.StatusTooManyRequests),
			BodyFormatOverride: jsonBody(crowded),
			HeadersToAdd: []*core.HeaderValueOption{
				header(LimitedByHeader, limitedByConcurrency), header("retry-after", "1"),
			},
		},
	}}
}

// tooLong is a body that was refused for its length. A route's own answer with the
// same status keeps its body: only the details tell them apart.
func (t *translator) tooLong() *accesslog.AccessLogFilter {
	return &accesslog.AccessLogFilter{FilterSpecifier: &accesslog.AccessLogFilter_ExtensionFilter{ExtensionFilter: &accesslog.ExtensionFilter{
		Name: "kongdao.too_long",
		ConfigType: &accesslog.ExtensionFilter_TypedConfig{TypedConfig: t.pack(&cel.ExpressionFilter{
			Expression: `response.code_details == "request_payload_too_large"`,
		})},
	}}}
}

func tooMany() *accesslog.AccessLogFilter {
	return &accesslog.AccessLogFilter{FilterSpecifier: &accesslog.AccessLogFilter_StatusCodeFilter{
		StatusCodeFilter: &accesslog.StatusCodeFilter{Comparison: &accesslog.ComparisonFilter{
			Op:    accesslog.ComparisonFilter_EQ,
			Value: &core.RuntimeUInt32{DefaultValue: http.StatusTooManyRequests, RuntimeKey: "kongdao.too_many"},
		}},
	}}
}

func flags(names ...string) *accesslog.AccessLogFilter {
	return &accesslog.AccessLogFilter{FilterSpecifier: &accesslog.AccessLogFilter_ResponseFlagFilter{
		ResponseFlagFilter: &accesslog.ResponseFlagFilter{Flags: names},
	}}
}

func jsonBody(fields map[string]string) *core.SubstitutionFormatString {
	s := &structpb.Struct{Fields: map[string]*structpb.Value{}}
	for name, format := range fields {
		s.Fields[name] = structpb.NewStringValue(format)
	}
	return &core.SubstitutionFormatString{Format: &core.SubstitutionFormatString_JsonFormat{JsonFormat: s}}
}
