package envoy

import (
	"time"

	bootstrap "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	metrics "github.com/envoyproxy/go-control-plane/envoy/config/metrics/v3"
	matcher "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"google.golang.org/protobuf/types/known/durationpb"
)

// sentPrefixes and sentSuffixes are the statistics of a gateway that sends its
// counters. A sink sends all that exist, every second: those of each cluster are
// left out.
var (
	sentPrefixes = []string{
		"server.", "listener_manager.", "cluster_manager.", "control_plane.", "runtime.", "overload.",
		"http.", "access_logs.", "http_local_rate_limiter.",
		"cluster." + XDSCluster + ".", "cluster." + ALSCluster + ".",
	}
	sentSuffixes = []string{".update_rejected"}
)

// sendCounters makes the gateway send what it counted to its collector, once a
// second. That is its heartbeat, too.
func sendCounters(b *bootstrap.Bootstrap) error {
	service, err := pack(&metrics.MetricsServiceConfig{
		TransportApiVersion: core.ApiVersion_V3,
		GrpcService: &core.GrpcService{TargetSpecifier: &core.GrpcService_EnvoyGrpc_{
			EnvoyGrpc: &core.GrpcService_EnvoyGrpc{ClusterName: ALSCluster},
		}},
		HistogramEmitMode: metrics.HistogramEmitMode_SUMMARY,
		BatchSize:         1000,
	})
	if err != nil {
		return err
	}
	b.StatsSinks = []*metrics.StatsSink{{
		Name: "envoy.stat_sinks.metrics_service", ConfigType: &metrics.StatsSink_TypedConfig{TypedConfig: service},
	}}
	b.StatsFlush = nil
	b.StatsFlushInterval = durationpb.New(time.Second)
	b.StatsConfig = kept(sentPrefixes, sentSuffixes)
	return nil
}

// kept lets the statistics exist whose names begin or end with one of those.
func kept(prefixes, suffixes []string) *metrics.StatsConfig {
	patterns := make([]*matcher.StringMatcher, 0, len(prefixes)+len(suffixes))
	for _, prefix := range prefixes {
		patterns = append(patterns, &matcher.StringMatcher{MatchPattern: &matcher.StringMatcher_Prefix{Prefix: prefix}})
	}
	for _, suffix := range suffixes {
		patterns = append(patterns, &matcher.StringMatcher{MatchPattern: &matcher.StringMatcher_Suffix{Suffix: suffix}})
	}
	return &metrics.StatsConfig{StatsMatcher: &metrics.StatsMatcher{
		StatsMatcher: &metrics.StatsMatcher_InclusionList{InclusionList: &matcher.ListStringMatcher{Patterns: patterns}},
	}}
}
