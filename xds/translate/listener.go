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

// ListenerName is the listener without TLS; see also TLSListenerName.
const ListenerName = "gateway"

// entrance is one way in: without TLS, or with it.
type entrance struct {
	name  string // of its listener
	tls   bool
	share uint32 // of every limit, percent
}

// listeners depend on the configuration alone. Nothing that comes from functions
// or certificates may enter them: a changed listener refills every bucket and
// drains connections.
func (t *translator) listeners() map[string]*listener.Listener {
	if t.TLS == nil {
		return byName(t.listener(socket(t.Address, t.Port), t.manager(entrance{name: ListenerName, share: whole})))
	}
	plain := t.manager(entrance{name: ListenerName, share: whole - t.TLS.share()})
	if t.TLS.Redirect {
		plain = t.redirecting()
	}
	return byName(
		t.listener(socket(t.Address, t.Port), plain),
		t.listenerTLS(t.manager(entrance{name: TLSListenerName, tls: true, share: t.TLS.share()})),
	)
}

func byName(all ...*listener.Listener) map[string]*listener.Listener {
	named := make(map[string]*listener.Listener, len(all))
	for _, l := range all {
		named[l.GetName()] = l
	}
	return named
}

// manager is what serves functions at an entrance.
func (t *translator) manager(e entrance) *hcm.HttpConnectionManager {
	m := &hcm.HttpConnectionManager{
		StatPrefix:                    ListenerName, // of both: calls are counted together
		RouteSpecifier:                scopedRoutes(),
		EarlyHeaderMutationExtensions: []*core.TypedExtensionConfig{t.earlyHeaders()},
		HttpFilters:                   t.httpFilters(e.share),
		UpgradeConfigs:                upgrades(),
		AccessLog:                     t.accessLogs(),
		LocalReplyConfig:              t.localReplies(),
		// Clients are outside, whatever their address: their x-envoy-* and
		// x-request-id headers are not believed.
		UseRemoteAddress:             wrapperspb.Bool(true),
		XffNumTrustedHops:            t.TrustedHops,
		InternalAddressConfig:        &hcm.HttpConnectionManager_InternalAddressConfig{},
		GenerateRequestId:            wrapperspb.Bool(true),
		AlwaysSetRequestIdInResponse: true,
		NormalizePath:                wrapperspb.Bool(true),
		// What a client says of a client's certificate is never believed.
		ForwardClientCertDetails: hcm.HttpConnectionManager_SANITIZE,
	}
	protocols(m)
	if e.tls {
		t.secure(m)
	}
	return m
}

func (t *translator) listener(at *core.Address, manager *hcm.HttpConnectionManager) *listener.Listener {
	return &listener.Listener{
		Name:    ListenerName,
		Address: at,
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
func (t *translator) httpFilters(share uint32) []*hcm.HttpFilter {
	filters := append(t.anyHostFilters(), t.filter(filterCORS, &cors.Cors{}), discovered(revisionFilter, rbacType))
	filters = append(filters, t.accessChain()...)
	filters = append(filters, t.callerFilters(share)...)
	filters = append(filters, t.limits(share), t.bodies())
	filters = append(append(filters, t.compressors()...), t.transcoder())
	return append(filters, t.filter("envoy.filters.http.router", &router.Router{
		// Answers by status, of each cluster: the call log has them, and counting them
		// here costs more than any filter.
		DynamicStats: wrapperspb.Bool(false),
	}))
}
