package translate

import (
	"fmt"

	mutation "github.com/envoyproxy/go-control-plane/envoy/config/common/mutation_rules/v3"
	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	route "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	headermutation "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/header_mutation/v3"
	setfilterstate "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/set_filter_state/v3"
	hcm "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	early "github.com/envoyproxy/go-control-plane/envoy/extensions/http/early_header_mutation/header_mutation/v3"

	"github.com/kongdao/kongdao/xds/model"
)

// ScopeHeader carries the name of the scope through Envoy. It is overwritten when
// a request comes in and removed before it goes out.
const ScopeHeader = "x-kongdao-scope"

// AnyHost is the route configuration of all wildcard hosts, and anyScope its scope.
const (
	AnyHost  = "any-host"
	anyScope = "*"
)

// noHost is what the names of scopes begin with that are no host's: none has it.
const noHost = "/"

// Names of the two filters that look again for wildcards.
const (
	anyHostScope   = "kongdao.any_host.scope"
	anyHostReroute = "kongdao.any_host.reroute"
)

// ShardName is the route configuration that holds an exact host.
func (c Config) ShardName(host string) string {
	return shardName(int(model.HashName(host) % uint32(c.Shards)))
}

func shardName(i int) string { return fmt.Sprintf("shard-%d", i) }

// scopes has a scope for each exact host and one for all wildcards. Each shard has
// one of its own name too, so that gateways hold every shard from the start and
// the first route of a shard is live as quickly as any other.
//
// Of a World with one before it, only the exact hosts that are new are in put, and
// those that are gone in gone.
func (t *translator) scopes(before *model.World, hosts []model.HostChange) (put map[string]*route.ScopedRouteConfiguration, gone []string) {
	put = map[string]*route.ScopedRouteConfiguration{}
	if before == nil {
		put[anyScope] = scope(anyScope, AnyHost)
		put[websocketScope] = scope(websocketScope, Websockets)
		for i := range t.Shards {
			own := noHost + shardName(i)
			put[own] = scope(own, shardName(i))
		}
	}
	for _, c := range hosts {
		switch {
		case wildcard(c):
		case c.Before == nil:
			put[c.Now.Name] = scope(c.Now.Name, t.ShardName(c.Now.Name))
		case c.Now == nil:
			gone = append(gone, c.Before.Name)
		}
	}
	return put, gone
}

func scope(key, configuration string) *route.ScopedRouteConfiguration {
	return &route.ScopedRouteConfiguration{
		Name:                   key,
		RouteConfigurationName: configuration,
		Key: &route.ScopedRouteConfiguration_Key{Fragments: []*route.ScopedRouteConfiguration_Key_Fragment{{
			Type: &route.ScopedRouteConfiguration_Key_Fragment_StringKey{StringKey: key},
		}}},
	}
}

// scopedRoutes makes Envoy pick a route configuration by ScopeHeader up to the
// first colon, which begins the port.
func scopedRoutes() *hcm.HttpConnectionManager_ScopedRoutes {
	type extractor = hcm.ScopedRoutes_ScopeKeyBuilder_FragmentBuilder_HeaderValueExtractor
	byHost := &hcm.ScopedRoutes_ScopeKeyBuilder_FragmentBuilder{
		Type: &hcm.ScopedRoutes_ScopeKeyBuilder_FragmentBuilder_HeaderValueExtractor_{
			HeaderValueExtractor: &extractor{
				Name:             ScopeHeader,
				ElementSeparator: ":",
				ExtractType:      &hcm.ScopedRoutes_ScopeKeyBuilder_FragmentBuilder_HeaderValueExtractor_Index{Index: 0},
			},
		},
	}
	return &hcm.HttpConnectionManager_ScopedRoutes{ScopedRoutes: &hcm.ScopedRoutes{
		Name:            "by-host",
		RdsConfigSource: ads(),
		ScopeKeyBuilder: &hcm.ScopedRoutes_ScopeKeyBuilder{
			Fragments: []*hcm.ScopedRoutes_ScopeKeyBuilder_FragmentBuilder{byHost},
		},
		ConfigSpecifier: &hcm.ScopedRoutes_ScopedRds{ScopedRds: &hcm.ScopedRds{ScopedRdsConfigSource: ads()}},
	}}
}

// earlyHeaders runs before the scope is looked up. It also takes away what only
// the gateway may say.
func (t *translator) earlyHeaders() *core.TypedExtensionConfig {
	return &core.TypedExtensionConfig{Name: "kongdao.early_headers", TypedConfig: t.pack(&early.HeaderMutation{
		Mutations: append(append(toWebsockets(),
			remove(model.ConsumerHeader),
			remove(model.LetInHeader),
			// Where these are, the call log takes them for what the caller sent.
			remove("x-envoy-original-path"),
			remove("x-envoy-original-method"),
		), t.believedMarks()...),
	})}
}

// anyHostFilters are the second look, for requests that matched no exact host; see
// shortChain for who has them off.
func (t *translator) anyHostFilters() []*hcm.HttpFilter {
	return []*hcm.HttpFilter{
		t.filter(anyHostScope, &headermutation.HeaderMutation{
			Mutations: &headermutation.Mutations{RequestMutations: []*mutation.HeaderMutation{overwrite(ScopeHeader, anyScope)}},
		}),
		t.filter(anyHostReroute, &setfilterstate.Config{ClearRouteCache: true}),
	}
}

func overwrite(name, value string) *mutation.HeaderMutation {
	return &mutation.HeaderMutation{Action: &mutation.HeaderMutation_Append{Append: header(name, value)}}
}

func header(name, value string) *core.HeaderValueOption {
	return &core.HeaderValueOption{
		Header:       &core.HeaderValue{Key: name, Value: value},
		AppendAction: core.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD,
	}
}
