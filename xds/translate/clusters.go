package translate

import (
	"time"

	cluster "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/kongdao/kongdao/api"
	"github.com/kongdao/kongdao/xds/model"
)

// ConnectTimeout is short, for a dead zone is mostly noticed by connections that
// are not accepted.
const ConnectTimeout = 250 * time.Millisecond

// Health checks find a pod that is down within a second and a half and one that
// is back within one.
const (
	checkInterval  = 500 * time.Millisecond
	checkTimeout   = 300 * time.Millisecond
	checkThreshold = 2
)

// plenty is a circuit breaker that does not break: limits are what protects pods,
// and a breaker would refuse what the limit admitted.
const plenty = 1 << 20

// maxRetries bounds the retries in flight to one cluster.
const maxRetries = 1000

// ads says that a resource comes over the stream that everything comes over.
func ads() *core.ConfigSource {
	return &core.ConfigSource{
		ResourceApiVersion:    core.ApiVersion_V3,
		ConfigSourceSpecifier: &core.ConfigSource_Ads{Ads: &core.AggregatedConfigSource{}},
		// A changed cluster waits for its endpoints, and every later change of
		// clusters waits with it: a second is the most that a lost answer may cost.
		InitialFetchTimeout: durationpb.New(time.Second),
	}
}

// cluster is the cluster of a revision, with everything that survives losing a
// zone without losing a request.
func (t *translator) cluster(f *model.Function, r *model.Revision) *cluster.Cluster {
	c := baseCluster(r.Cluster(), r)
	c.HealthChecks = []*core.HealthCheck{healthCheck(f, r)}
	c.OutlierDetection = outlierDetection()
	c.IgnoreHealthOnHostRemoval = true
	c.CommonLbConfig.IgnoreNewHostsUntilFirstHc = true
	t.speak(c, r)
	retryBudget(c, f)
	if most := f.ConcurrencyAt(percentOf(f, r)); most > 0 {
		c.CircuitBreakers.Thresholds[0].MaxRequests = wrapperspb.UInt32(most)
	}
	return c
}

// pinnedCluster is the cluster of one pod that is being measured. Nothing checks
// or ejects the pod: the test is to see what the pod itself does.
func (t *translator) pinnedCluster(p *model.PinnedPod) *cluster.Cluster {
	c := baseCluster(p.Cluster(), p.Revision)
	t.speak(c, p.Revision)
	return c
}

func baseCluster(name string, r *model.Revision) *cluster.Cluster {
	return &cluster.Cluster{
		Name:                 name,
		ConnectTimeout:       durationpb.New(ConnectTimeout),
		ClusterDiscoveryType: &cluster.Cluster_Type{Type: cluster.Cluster_EDS},
		EdsClusterConfig:     &cluster.Cluster_EdsClusterConfig{EdsConfig: ads()},
		// Limits are sums over pods, so pods must get equal parts: least request
		// gives fast pods more than their rate.
		LbPolicy: cluster.Cluster_ROUND_ROBIN,
		CommonLbConfig: &cluster.Cluster_CommonLbConfig{
			// Never to pods that are known to be down: with all of them down the
			// answer is 503, at once, rather than timeouts.
			HealthyPanicThreshold: &typev3.Percent{Value: 0},
			// The default second keeps sending to pods that are already ejected.
			UpdateMergeWindow: durationpb.New(0),
			LocalityConfigSpecifier: &cluster.Cluster_CommonLbConfig_ZoneAwareLbConfig_{
				ZoneAwareLbConfig: &cluster.Cluster_CommonLbConfig_ZoneAwareLbConfig{RoutingEnabled: &typev3.Percent{Value: 0}},
			},
		},
		CircuitBreakers: &cluster.CircuitBreakers{Thresholds: []*cluster.CircuitBreakers_Thresholds{{
			MaxConnections:     wrapperspb.UInt32(plenty),
			MaxPendingRequests: wrapperspb.UInt32(plenty),
			MaxRequests:        wrapperspb.UInt32(plenty),
			MaxRetries:         wrapperspb.UInt32(maxRetries),
		}}},
		Metadata: metadata(keyFunction, r.Function, keyRevision, r.Name),
	}
}

func healthCheck(f *model.Function, r *model.Revision) *core.HealthCheck {
	check := &core.HealthCheck{
		Interval:           durationpb.New(checkInterval),
		NoTrafficInterval:  durationpb.New(checkInterval),
		Timeout:            durationpb.New(checkTimeout),
		UnhealthyThreshold: wrapperspb.UInt32(checkThreshold),
		HealthyThreshold:   wrapperspb.UInt32(checkThreshold),
		HealthChecker:      &core.HealthCheck_TcpHealthCheck_{TcpHealthCheck: &core.HealthCheck_TcpHealthCheck{}},
	}
	if f.HealthPath != "" && r.Protocol != api.GRPC {
		check.HealthChecker = &core.HealthCheck_HttpHealthCheck_{HttpHealthCheck: &core.HealthCheck_HttpHealthCheck{
			Path: f.HealthPath,
			Host: f.Name, // else the cluster's name, whose slash servers answer with 400
		}}
	}
	return check
}

// outlierDetection takes a pod out for two seconds after three failures in a row:
// connections that fail, break or time out, or answers 502, 503 or 504. A pod's
// own 500s do not count: a bug on one path would take every pod of the function
// away from all paths.
func outlierDetection() *cluster.OutlierDetection {
	three, always := wrapperspb.UInt32(3), wrapperspb.UInt32(100)
	return &cluster.OutlierDetection{
		ConsecutiveGatewayFailure:              three,
		EnforcingConsecutiveGatewayFailure:     always,
		ConsecutiveLocalOriginFailure:          three,
		EnforcingConsecutiveLocalOriginFailure: always,
		EnforcingConsecutive_5Xx:               wrapperspb.UInt32(0),
		EnforcingSuccessRate:                   wrapperspb.UInt32(0),
		EnforcingLocalOriginSuccessRate:        wrapperspb.UInt32(0),
		SplitExternalLocalOriginErrors:         true,
		Interval:                               durationpb.New(checkInterval),
		BaseEjectionTime:                       durationpb.New(2 * time.Second),
		MaxEjectionTime:                        durationpb.New(10 * time.Second),
		MaxEjectionPercent:                     always,
	}
}
