package translate

import (
	"time"

	accesslog "github.com/envoyproxy/go-control-plane/envoy/config/accesslog/v3"
	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	file "github.com/envoyproxy/go-control-plane/envoy/extensions/access_loggers/file/v3"
	als "github.com/envoyproxy/go-control-plane/envoy/extensions/access_loggers/grpc/v3"
	metadatav3 "github.com/envoyproxy/go-control-plane/envoy/type/metadata/v3"
	tracing "github.com/envoyproxy/go-control-plane/envoy/type/tracing/v3"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/kongdao/kongdao/internal/calllog"
)

// ALSLogName is the name under which Envoy's entries reach the collector.
const ALSLogName = "calls"

// accessLogs writes each call to the file, to the service, or to both.
func (t *translator) accessLogs() (logs []*accesslog.AccessLog) {
	if t.AccessLog != "" {
		logs = append(logs, &accesslog.AccessLog{
			Name:       "envoy.access_loggers.file",
			ConfigType: &accesslog.AccessLog_TypedConfig{TypedConfig: t.pack(t.fileLog())},
		})
	}
	if t.ALS {
		logs = append(logs, &accesslog.AccessLog{
			Name:       "envoy.access_loggers.http_grpc",
			ConfigType: &accesslog.AccessLog_TypedConfig{TypedConfig: t.pack(t.serviceLog())},
		})
	}
	return append(logs, t.refusals())
}

func (t *translator) fileLog() *file.FileAccessLog {
	f := &file.FileAccessLog{Path: t.AccessLog}
	if t.AccessLogFormat != "" {
		f.AccessLogFormat = &file.FileAccessLog_LogFormat{LogFormat: text(t.AccessLogFormat)}
	}
	return f
}

func (t *translator) serviceLog() *als.HttpGrpcAccessLogConfig {
	return &als.HttpGrpcAccessLogConfig{
		AdditionalRequestHeadersToLog:  t.ALSHeaders,
		AdditionalResponseHeadersToLog: []string{LimitedByHeader},
		CommonConfig: &als.CommonGrpcAccessLogConfig{
			LogName:             ALSLogName,
			TransportApiVersion: core.ApiVersion_V3,
			BufferFlushInterval: durationpb.New(time.Second),
			CustomTags:          tags(),
			GrpcService: &core.GrpcService{TargetSpecifier: &core.GrpcService_EnvoyGrpc_{
				EnvoyGrpc: &core.GrpcService_EnvoyGrpc{ClusterName: ALSCluster},
			}},
		},
	}
}

// tags copy metadata of others than the request, and a header, into an entry.
func tags() (tags []*tracing.CustomTag) {
	for _, t := range calllog.ALSCustomTags() {
		if t.Kind == "header" {
			tags = append(tags, &tracing.CustomTag{Tag: t.Name, Type: &tracing.CustomTag_RequestHeader{
				RequestHeader: &tracing.CustomTag_Header{Name: t.Key},
			}})
			continue
		}
		tags = append(tags, &tracing.CustomTag{Tag: t.Name, Type: &tracing.CustomTag_Metadata_{Metadata: &tracing.CustomTag_Metadata{
			Kind: metadataKind(t.Kind),
			MetadataKey: &metadatav3.MetadataKey{Key: Namespace, Path: []*metadatav3.MetadataKey_PathSegment{{
				Segment: &metadatav3.MetadataKey_PathSegment_Key{Key: t.Key},
			}}},
		}}})
	}
	return tags
}

// metadataKind is whose metadata a tag is taken from.
func metadataKind(of string) *metadatav3.MetadataKind {
	switch of {
	case "cluster":
		return &metadatav3.MetadataKind{Kind: &metadatav3.MetadataKind_Cluster_{Cluster: &metadatav3.MetadataKind_Cluster{}}}
	case "host":
		return &metadatav3.MetadataKind{Kind: &metadatav3.MetadataKind_Host_{Host: &metadatav3.MetadataKind_Host{}}}
	default:
		return &metadatav3.MetadataKind{Kind: &metadatav3.MetadataKind_Route_{Route: &metadatav3.MetadataKind_Route{}}}
	}
}

func text(format string) *core.SubstitutionFormatString {
	return &core.SubstitutionFormatString{Format: &core.SubstitutionFormatString_TextFormatSource{
		TextFormatSource: &core.DataSource{Specifier: &core.DataSource_InlineString{InlineString: format}},
	}}
}
