package translate

import (
	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listener "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	cors "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/cors/v3"
	router "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/router/v3"
	hcm "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// ListenerName is the one listener of a gateway.
const ListenerName = "gateway"

// listener depends on the configuration alone. Nothing that comes from functions
// may enter it: a changed listener refills every bucket and drains connections.
func (t *translator) listener() *listener.Listener {
	manager := &hcm.HttpConnectionManager{
		StatPrefix:                    ListenerName,
		RouteSpecifier:                scopedRoutes(),
		EarlyHeaderMutationExtensions: []*core.TypedExtensionConfig{t.earlyHeaders()},
		HttpFilters:                   t.httpFilters(),
		AccessLog:                     t.accessLogs(),
		LocalReplyConfig:              localReplies(),
		// Clients are outside, whatever their address: their x-envoy-* and
		// x-request-id headers are not believed.
		UseRemoteAddress:             wrapperspb.Bool(true),
		InternalAddressConfig:        &hcm.HttpConnectionManager_InternalAddressConfig{},
		GenerateRequestId:            wrapperspb.Bool(true),
		AlwaysSetRequestIdInResponse: true,
		NormalizePath:                wrapperspb.Bool(true),
	}
	return &listener.Listener{
		Name:    ListenerName,
		Address: socket(t.Address, t.Port),
		FilterChains: []*listener.FilterChain{{Filters: []*listener.Filter{{
			Name:       "envoy.filters.network.http_connection_manager",
			ConfigType: &listener.Filter_TypedConfig{TypedConfig: t.pack(manager)},
		}}}},
	}
}

func (t *translator) filter(name string, config proto.Message) *hcm.HttpFilter {
	return &hcm.HttpFilter{Name: name, ConfigType: &hcm.HttpFilter_TypedConfig{TypedConfig: t.pack(config)}}
}

// httpFilters are all filters, in the order of requests. Whatever a function may
// ask for is here from the start and off; its routes switch it on.
func (t *translator) httpFilters() []*hcm.HttpFilter {
	return append(t.anyHostFilters(),
		t.filter(filterCORS, &cors.Cors{}),
		t.chosenRevisions(),
		t.limits(),
		t.filter("envoy.filters.http.router", &router.Router{}),
	)
}
