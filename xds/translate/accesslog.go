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
	return logs
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
			CustomTags: []*tracing.CustomTag{
				tag(keyFunction, routeKind()), tag(keyTenant, routeKind()), tag(keyConsumer, routeKind()),
				tag(keyRevision, clusterKind()), tag(keyZone, hostKind()),
			},
			GrpcService: &core.GrpcService{TargetSpecifier: &core.GrpcService_EnvoyGrpc_{
				EnvoyGrpc: &core.GrpcService_EnvoyGrpc{ClusterName: ALSCluster},
			}},
		},
	}
}

// Kinds of metadata that a tag can be taken from.
func routeKind() *metadatav3.MetadataKind {
	return &metadatav3.MetadataKind{Kind: &metadatav3.MetadataKind_Route_{Route: &metadatav3.MetadataKind_Route{}}}
}

func clusterKind() *metadatav3.MetadataKind {
	return &metadatav3.MetadataKind{Kind: &metadatav3.MetadataKind_Cluster_{Cluster: &metadatav3.MetadataKind_Cluster{}}}
}

func hostKind() *metadatav3.MetadataKind {
	return &metadatav3.MetadataKind{Kind: &metadatav3.MetadataKind_Host_{Host: &metadatav3.MetadataKind_Host{}}}
}

// tag copies a piece of metadata into an entry, under its own name: entries hold
// the metadata of requests alone.
func tag(key string, kind *metadatav3.MetadataKind) *tracing.CustomTag {
	return &tracing.CustomTag{Tag: key, Type: &tracing.CustomTag_Metadata_{Metadata: &tracing.CustomTag_Metadata{
		Kind: kind,
		MetadataKey: &metadatav3.MetadataKey{Key: Namespace, Path: []*metadatav3.MetadataKey_PathSegment{{
			Segment: &metadatav3.MetadataKey_PathSegment_Key{Key: key},
		}}},
	}}}
}

func text(format string) *core.SubstitutionFormatString {
	return &core.SubstitutionFormatString{Format: &core.SubstitutionFormatString_TextFormatSource{
		TextFormatSource: &core.DataSource{Specifier: &core.DataSource_InlineString{InlineString: format}},
	}}
}
