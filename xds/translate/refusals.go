package translate

import (
	"time"

	accesslog "github.com/envoyproxy/go-control-plane/envoy/config/accesslog/v3"
	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	als "github.com/envoyproxy/go-control-plane/envoy/extensions/access_loggers/grpc/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/protobuf/types/known/durationpb"
)

const (
	// XDSCluster is the name of the control plane in an Envoy's bootstrap.
	XDSCluster = "xds"
	// RefusalsLogName is the name under which refusals reach the control plane.
	RefusalsLogName = "kongdao.refusals"
	// RefusalsSample is of how many refusals by a limit one is told to the control
	// plane: what a gateway refuses says how much more of a limit it could use. All of
	// them would cost more than refusing does.
	RefusalsSample = 4
)

// refusals tells the control plane of some of the requests that got 429.
func (t *translator) refusals() *accesslog.AccessLog {
	config := &als.HttpGrpcAccessLogConfig{
		AdditionalResponseHeadersToLog: []string{LimitedByHeader},
		CommonConfig: &als.CommonGrpcAccessLogConfig{
			LogName:             RefusalsLogName,
			TransportApiVersion: core.ApiVersion_V3,
			BufferFlushInterval: durationpb.New(250 * time.Millisecond),
			GrpcService: &core.GrpcService{TargetSpecifier: &core.GrpcService_EnvoyGrpc_{
				EnvoyGrpc: &core.GrpcService_EnvoyGrpc{ClusterName: XDSCluster},
			}},
		},
	}
	return &accesslog.AccessLog{
		Name:       "envoy.access_loggers.http_grpc",
		Filter:     &accesslog.AccessLogFilter{FilterSpecifier: &accesslog.AccessLogFilter_AndFilter{AndFilter: &accesslog.AndFilter{Filters: someOf429()}}},
		ConfigType: &accesslog.AccessLog_TypedConfig{TypedConfig: t.pack(config)},
	}
}

func someOf429() []*accesslog.AccessLogFilter {
	refused := &accesslog.StatusCodeFilter{Comparison: &accesslog.ComparisonFilter{
		Op: accesslog.ComparisonFilter_EQ, Value: &core.RuntimeUInt32{DefaultValue: 429, RuntimeKey: "kongdao.refusals.status"},
	}}
	sample := &accesslog.RuntimeFilter{
		RuntimeKey: "kongdao.refusals.sample", UseIndependentRandomness: true,
		PercentSampled: &typev3.FractionalPercent{Numerator: 100 / RefusalsSample},
	}
	return []*accesslog.AccessLogFilter{
		{FilterSpecifier: &accesslog.AccessLogFilter_StatusCodeFilter{StatusCodeFilter: refused}},
		{FilterSpecifier: &accesslog.AccessLogFilter_RuntimeFilter{RuntimeFilter: sample}},
	}
}
