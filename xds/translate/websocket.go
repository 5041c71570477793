package translate

import (
	"net/http"
	"slices"

	mutation "github.com/envoyproxy/go-control-plane/envoy/config/common/mutation_rules/v3"
	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	route "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	hcm "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	matcher "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/kongdao/kongdao/xds/model"
)

// Websockets is the route configuration of all routes for websockets, of exact and
// of wildcard hosts. Envoy decides whether a connection may be upgraded before it
// looks among the wildcards (see the package comment), so a websocket's first look
// has to find its route: handshakes carry a header with their version, and that they
// have it leads to the scope that leads here.
const (
	Websockets      = "websockets"
	websocketHeader = "sec-websocket-version"
	websocketScope  = noHost + Websockets
)

// websockets is the route configuration.
func (t *translator) websockets(w *model.World) *route.RouteConfiguration {
	c := configuration(Websockets)
	c.TypedPerFilterConfig = t.shortChain()
	for _, h := range w.Hosts {
		v := &route.VirtualHost{Name: h.Name, Domains: []string{h.Name}}
		rules := w.Websockets(h)
		apart := apart(rules)
		for _, r := range rules {
			v.Routes = append(v.Routes, t.chargedRoutes(r, apart)...)
		}
		t.anotherLook(v, rules)
		if h.TakesWebsockets() { // also when quarantine left no route of it
			c.VirtualHosts = append(c.VirtualHosts, sealed(v))
		}
	}
	if all := w.Host("*"); all == nil || !all.TakesWebsockets() {
		c.VirtualHosts = append(c.VirtualHosts, sealed(&route.VirtualHost{Name: "*", Domains: []string{"*"}}))
	}
	return c
}

// sealed ends a host's routes: what asks for a websocket and finds none must not
// be looked up among the wildcards, where it would reach pods as it is.
func sealed(v *route.VirtualHost) *route.VirtualHost {
	v.Routes = append(v.Routes, noUpgrade())
	return v
}

// noUpgrade is the answer to whoever asks for a protocol that no route gives.
// Where a request matched on the first look Envoy answers by itself, likewise.
func noUpgrade(conditions ...*route.HeaderMatcher) *route.Route {
	m := &route.RouteMatch{PathSpecifier: &route.RouteMatch_Prefix{Prefix: "/"}, Headers: conditions}
	return answer("", m, &model.Function{}, direct(http.StatusForbidden, "no_upgrade", "no function has a route for websockets here"))
}

func websocketsChanged(hosts []model.HostChange) bool {
	takes := func(h *model.Host) bool { return h != nil && h.TakesWebsockets() }
	return slices.ContainsFunc(hosts, func(c model.HostChange) bool { return takes(c.Before) || takes(c.Now) })
}

// toWebsockets are early header mutations that lead handshakes to their scope and
// all else to that of its host: the header is the scope's name for a moment.
// Whatever version a client claims becomes the one there is.
func toWebsockets() []*mutation.HeaderMutation {
	version := func(value string) *mutation.HeaderMutation {
		return &mutation.HeaderMutation{Action: &mutation.HeaderMutation_Append{Append: &core.HeaderValueOption{
			Header:       &core.HeaderValue{Key: websocketHeader, Value: value},
			AppendAction: core.HeaderValueOption_OVERWRITE_IF_EXISTS,
		}}}
	}
	return []*mutation.HeaderMutation{
		version(websocketScope),
		overwrite(ScopeHeader, "%REQ("+websocketHeader+"?:authority)%"),
		version(model.WebsocketVersion),
	}
}

// upgrades lets routes allow websockets; none does unless it says so.
func upgrades() []*hcm.HttpConnectionManager_UpgradeConfig {
	return []*hcm.HttpConnectionManager_UpgradeConfig{{UpgradeType: "websocket", Enabled: wrapperspb.Bool(false)}}
}

// upgradeMatcher takes handshakes.
func upgradeMatcher() *route.HeaderMatcher {
	return &route.HeaderMatcher{Name: "upgrade", HeaderMatchSpecifier: &route.HeaderMatcher_StringMatch{
		StringMatch: &matcher.StringMatcher{
			MatchPattern: &matcher.StringMatcher_Exact{Exact: "websocket"}, IgnoreCase: true,
		},
	}}
}

// upgraded makes a route carry websockets: they have no end of an answer that a
// timeout could wait for, only silence and, where the route gives a time, an age.
func upgraded(to *route.RouteAction, r *model.Rule) {
	to.UpgradeConfigs = []*route.RouteAction_UpgradeConfig{{UpgradeType: "websocket", Enabled: wrapperspb.Bool(true)}}
	to.Timeout = durationpb.New(0)
	if r.Timeout > 0 {
		to.MaxStreamDuration = &route.RouteAction_MaxStreamDuration{MaxStreamDuration: durationpb.New(r.Timeout)}
	}
}
