package translate

import (
	cluster "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	upstreamhttp "github.com/envoyproxy/go-control-plane/envoy/extensions/upstreams/http/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/kongdao/kongdao/api"
	"github.com/kongdao/kongdao/xds/model"
)

const httpProtocolOptions = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"

// speak makes a cluster talk to its pods as they expect. Plain clusters are left
// as they are: HTTP/1.1.
func (t *translator) speak(c *cluster.Cluster, r *model.Revision) {
	if r.Protocol != api.HTTP2 && r.Protocol != api.GRPC {
		return
	}
	c.TypedExtensionProtocolOptions = map[string]*anypb.Any{httpProtocolOptions: t.pack(&upstreamhttp.HttpProtocolOptions{
		UpstreamProtocolOptions: &upstreamhttp.HttpProtocolOptions_ExplicitHttpConfig_{
			ExplicitHttpConfig: &upstreamhttp.HttpProtocolOptions_ExplicitHttpConfig{
				ProtocolConfig: &upstreamhttp.HttpProtocolOptions_ExplicitHttpConfig_Http2ProtocolOptions{
					Http2ProtocolOptions: &core.Http2ProtocolOptions{},
				},
			},
		},
	})}
	for _, check := range c.HealthChecks {
		if h := check.GetHttpHealthCheck(); h != nil {
			h.CodecClientType = typev3.CodecClientType_HTTP2
		}
	}
}

// retryBudget bounds the retries in flight to a part of the requests in flight. A
// few are always possible: with one request in flight no part of it is a retry.
func retryBudget(c *cluster.Cluster, f *model.Function) {
	percent := budgetOf(f.Retries)
	if percent == 0 {
		return
	}
	for _, th := range c.GetCircuitBreakers().GetThresholds() {
		th.RetryBudget = &cluster.CircuitBreakers_Thresholds_RetryBudget{
			BudgetPercent:       &typev3.Percent{Value: percent},
			MinRetryConcurrency: wrapperspb.UInt32(3),
		}
	}
}
