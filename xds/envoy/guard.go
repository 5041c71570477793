package envoy

import (
	"time"

	metrics "github.com/envoyproxy/go-control-plane/envoy/config/metrics/v3"
	overload "github.com/envoyproxy/go-control-plane/envoy/config/overload/v3"
	connections "github.com/envoyproxy/go-control-plane/envoy/extensions/resource_monitors/downstream_connections/v3"
	heap "github.com/envoyproxy/go-control-plane/envoy/extensions/resource_monitors/fixed_heap/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
)

const heapMonitor = "envoy.resource_monitors.fixed_heap"

// overloadManager bounds connections and memory. From 90 % of the heap Envoy
// gives memory back, from 95 % it keeps no idle connections, at 98 % it answers
// 503 at once instead of being killed.
func overloadManager(o Options) (*overload.OverloadManager, error) {
	monitors := []struct {
		name   string
		config proto.Message
	}{
		{"envoy.resource_monitors.global_downstream_max_connections", &connections.DownstreamConnectionsConfig{MaxActiveDownstreamConnections: o.MaxConnections}},
		{heapMonitor, &heap.FixedHeapConfig{MaxHeapSizeBytes: o.MaxHeapBytes}},
	}
	manager := &overload.OverloadManager{
		RefreshInterval: durationpb.New(250 * time.Millisecond),
		Actions: []*overload.OverloadAction{
			heapAction("envoy.overload_actions.shrink_heap", 0.90),
			heapAction("envoy.overload_actions.disable_http_keepalive", 0.95),
			heapAction("envoy.overload_actions.stop_accepting_requests", 0.98),
		},
	}
	for _, m := range monitors {
		config, err := pack(m.config)
		if err != nil {
			return nil, err
		}
		manager.ResourceMonitors = append(manager.ResourceMonitors, &overload.ResourceMonitor{
			Name:       m.name,
			ConfigType: &overload.ResourceMonitor_TypedConfig{TypedConfig: config},
		})
	}
	return manager, nil
}

func heapAction(name string, threshold float64) *overload.OverloadAction {
	return &overload.OverloadAction{Name: name, Triggers: []*overload.Trigger{{
		Name:         heapMonitor,
		TriggerOneof: &overload.Trigger_Threshold{Threshold: &overload.ThresholdTrigger{Value: threshold}},
	}}}
}

// keptPrefixes and keptSuffixes are all statistics that exist; the rest is never
// allocated. Envoy has over 100 for each cluster, which is half a megabyte for
// every ten functions.
var (
	keptPrefixes = []string{
		"server.", "listener_manager.", "cluster_manager.", "control_plane.", "runtime.", "overload.",
		"http.", "listener.", "access_logs.", "http_local_rate_limiter.",
		"cluster." + XDSCluster + ".", "cluster." + ALSCluster + ".",
	}
	keptSuffixes = []string{
		".update_rejected", ".update_success", ".update_attempt",
		".upstream_rq_total",
		".upstream_rq_retry", ".upstream_rq_retry_success", ".upstream_rq_timeout", ".upstream_rq_pending_overflow",
		".upstream_rq_active", ".upstream_cx_active", ".upstream_cx_total", ".upstream_cx_connect_fail",
		".membership_total", ".membership_healthy",
		".outlier_detection.ejections_active", ".health_check.failure",
	}
)

func statsConfig() *metrics.StatsConfig { return kept(keptPrefixes, keptSuffixes) }
