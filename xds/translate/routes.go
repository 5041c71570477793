package translate

import (
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	route "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	matcher "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/kongdao/kongdao/xds/model"
)

// routes has every shard, also empty ones, where there is no World before: a scope
// never names a route configuration that is not there. With one before, shards
// come as patches. AnyHost and Websockets are whole, where they changed.
func (t *translator) routes(before, w *model.World, hosts []model.HostChange) (all map[string]*route.RouteConfiguration, patches map[string]*Patch) {
	all = map[string]*route.RouteConfiguration{}
	if before == nil {
		for i := range t.Shards {
			all[shardName(i)] = t.shard(w, i)
		}
	} else {
		patches = t.patches(hosts)
	}
	if before == nil || slices.ContainsFunc(hosts, wildcard) {
		all[AnyHost] = t.anyHost(w)
	}
	if before == nil || websocketsChanged(hosts) {
		all[Websockets] = t.websockets(w)
	}
	return all, patches
}

func wildcard(c model.HostChange) bool {
	return c.Now != nil && c.Now.Wildcard() || c.Before != nil && c.Before.Wildcard()
}

// frame is a shard without its hosts.
func (t *translator) frame(name string) *route.RouteConfiguration {
	c := configuration(name)
	c.TypedPerFilterConfig = t.shortChain()
	return c
}

func (t *translator) shard(w *model.World, i int) *route.RouteConfiguration {
	c := t.frame(shardName(i))
	for _, h := range w.HostsIn(i, t.Shards) {
		if !h.Wildcard() {
			c.VirtualHosts = append(c.VirtualHosts, t.virtualHost(h))
		}
	}
	return c
}

func (t *translator) anyHost(w *model.World) *route.RouteConfiguration {
	c := configuration(AnyHost)
	c.TypedPerFilterConfig = map[string]*anypb.Any{filterBuffer: t.switchedOn(filterBuffer)}
	for _, h := range w.Wildcards() {
		c.VirtualHosts = append(c.VirtualHosts, t.virtualHost(h))
	}
	if w.Host("*") == nil {
		c.VirtualHosts = append(c.VirtualHosts, t.virtualHost(&model.Host{Name: "*"}))
	}
	return c
}

func configuration(name string) *route.RouteConfiguration {
	return &route.RouteConfiguration{
		Name:                     name,
		IgnorePortInHostMatching: true,
		RequestHeadersToRemove:   append(callerHeaders(), ScopeHeader, model.LetInHeader, model.PodHeader),
		// Of what pods answer; only the gateway says that it refused.
		ResponseHeadersToRemove: []string{LimitedByHeader},
	}
}

// virtualHost holds a host's routes. A wildcard host ends with 404; an exact one
// has no end, so that what it does not match is looked up among the wildcards.
func (t *translator) virtualHost(h *model.Host) *route.VirtualHost {
	v := &route.VirtualHost{Name: h.Name, Domains: []string{h.Name}}
	if h.Wildcard() {
		v.Routes = append(v.Routes, noUpgrade(presentHeader("upgrade")))
	}
	apart := apart(h.Rules)
	for _, r := range h.Rules {
		if r.Websocket {
			continue // see websocket.go
		}
		v.Routes = append(v.Routes, t.chargedRoutes(r, apart)...)
	}
	if h.Wildcard() {
		v.Routes = append(v.Routes, noRoute())
		return v // found with all filters
	}
	t.anotherLook(v, h.Rules)
	return v
}

// chargedRoutes are the routes of one rule as they are sent, for its own requests
// alone where the rules of its host are kept apart.
func (t *translator) chargedRoutes(r *model.Rule, apart bool) (routes []*route.Route) {
	if t.node != "" {
		r = r.At(t.node)
	}
	for _, out := range t.handled(r, t.ruleRoutes(r)) {
		if apart {
			out.Match.Headers = append(out.Match.Headers, letInTo(r.Function.Name))
		}
		routes = append(routes, charged(out))
	}
	return routes
}

// noRoute is the answer to a request that no function takes.
func noRoute() *route.Route {
	nobody := &model.Function{}
	return answer("", &route.RouteMatch{PathSpecifier: &route.RouteMatch_Prefix{Prefix: "/"}}, nobody,
		direct(http.StatusNotFound, "no_route", "no function has a route for this host, path, method and headers"))
}

// ruleRoutes are the routes of one rule, in the order of model.Function.Decide.
func (t *translator) ruleRoutes(r *model.Rule) (routes []*route.Route) {
	f := r.Function
	if r.Quarantined() != "" {
		return invalidRoutes(r)
	}
	routes = append(t.shadowRoutes(r), t.revisionRoutes(r)...)
	for _, p := range f.Pinned {
		routes = append(routes, pinnedRoute(r, p))
	}
	if f.Access.Shut(model.Call) {
		return append(routes, answer(r.Name, match(r), f, closed()))
	}
	for _, door := range doors(f, model.Call) {
		for _, class := range classes(r, door) {
			routes = append(routes, t.classRoutes(r, door, class)...)
		}
	}
	return routes
}

// ordinary is a route to a function's revisions, for those who have the door's right.
func (t *translator) ordinary(r *model.Rule, door door, to *route.RouteAction, c charge, conditions ...*route.HeaderMatcher) *route.Route {
	f := r.Function
	to.Timeout = durationpb.New(f.Timeout)
	to.RetryPolicy = t.retryPolicy(f)
	out := &route.Route{
		Name:     r.Name,
		Match:    match(r, conditions...),
		Metadata: routeMetadata(f, c, callerMetadata(f)...),
		Action:   &route.Route_Route{Route: to},

		TypedPerFilterConfig: t.nameCallers(f),
	}
	if a := t.accessFilters(f, door.right); len(a) > 0 {
		if out.TypedPerFilterConfig == nil {
			out.TypedPerFilterConfig = map[string]*anypb.Any{}
		}
		maps.Copy(out.TypedPerFilterConfig, a)
	}
	t.switchOn(out, unconfigured(f, door.right)...)
	return out
}

// pinnedRoute leads to one pod alone: no retries and no limit, so that a stress
// test sees the truth. It has a bucket of its own, which is never empty.
func pinnedRoute(r *model.Rule, p *model.PinnedPod) *route.Route {
	f := r.Function
	return &route.Route{
		Name:     r.Name,
		Match:    match(r, exactHeader(model.PodHeader, p.Token)),
		Metadata: routeMetadata(f, charge{bucket: p.Cluster(), tier: model.Tiers()[0], cost: 1}),
		Action: &route.Route_Route{Route: &route.RouteAction{
			ClusterSpecifier: &route.RouteAction_Cluster{Cluster: p.Cluster()},
			Timeout:          durationpb.New(f.Timeout),
		}},
	}
}

// answer is a route that the gateway answers itself. It has a cost as all routes
// have, next to nothing.
func answer(name string, m *route.RouteMatch, f *model.Function, d *route.DirectResponseAction) *route.Route {
	return &route.Route{
		Name:                 name,
		Match:                m,
		Metadata:             routeMetadata(f, charge{bucket: "answer/" + f.Name, tier: model.Tiers()[0], cost: 1}),
		Action:               &route.Route_DirectResponse{DirectResponse: d},
		ResponseHeadersToAdd: []*core.HeaderValueOption{header("content-type", "application/json")},
	}
}

// split shares requests over revisions.
func split(shares []model.Share) *route.RouteAction {
	if len(shares) == 1 {
		return &route.RouteAction{ClusterSpecifier: &route.RouteAction_Cluster{Cluster: shares[0].Revision.Cluster()}}
	}
	weighted := &route.WeightedCluster{}
	for _, s := range shares {
		weighted.Clusters = append(weighted.Clusters, &route.WeightedCluster_ClusterWeight{
			Name: s.Revision.Cluster(), Weight: wrapperspb.UInt32(uint32(s.Weight)),
		})
	}
	return &route.RouteAction{ClusterSpecifier: &route.RouteAction_WeightedClusters{WeightedClusters: weighted}}
}

// match is a rule's conditions and some more; nil ones are left out.
func match(r *model.Rule, more ...*route.HeaderMatcher) *route.RouteMatch {
	m := &route.RouteMatch{Headers: conditionMatchers(r.Headers), QueryParameters: queryMatchers(r.Query)}
	switch r.Path.Kind {
	case model.Exact:
		m.PathSpecifier = &route.RouteMatch_Path{Path: r.Path.Text}
	case model.Prefix:
		m.PathSpecifier = &route.RouteMatch_Prefix{Prefix: r.Path.Text}
	default:
		m.PathSpecifier = &route.RouteMatch_SafeRegex{SafeRegex: &matcher.RegexMatcher{Regex: templateRegex(r.Path.Text)}}
	}
	if len(r.Methods) > 0 {
		m.Headers = append(m.Headers, methodMatcher(r.Methods))
	}
	if r.Websocket {
		m.Headers = append(m.Headers, upgradeMatcher())
	}
	for _, h := range more {
		if h != nil {
			m.Headers = append(m.Headers, h)
		}
	}
	return m
}

func methodMatcher(methods []string) *route.HeaderMatcher {
	if len(methods) == 1 {
		return exactHeader(":method", methods[0])
	}
	quoted := make([]string, len(methods))
	for i, m := range methods {
		quoted[i] = regexp.QuoteMeta(m)
	}
	return &route.HeaderMatcher{Name: ":method", HeaderMatchSpecifier: &route.HeaderMatcher_StringMatch{
		StringMatch: &matcher.StringMatcher{MatchPattern: &matcher.StringMatcher_SafeRegex{
			SafeRegex: &matcher.RegexMatcher{Regex: strings.Join(quoted, "|")},
		}},
	}}
}

// templateRegex is /items/{id} as a regular expression, which Envoy compares with
// the whole path.
func templateRegex(template string) string {
	segments := strings.Split(template, "/")
	for i, s := range segments {
		switch {
		case model.IsParameter(s):
			segments[i] = "[^/]+"
		case s == "*" && i == len(segments)-1:
			segments[i] = ".*"
		default:
			segments[i] = regexp.QuoteMeta(s)
		}
	}
	return strings.Join(segments, "/")
}

func headerMatchers(headers []model.Header) []*route.HeaderMatcher {
	var all []*route.HeaderMatcher
	for _, h := range headers {
		all = append(all, exactHeader(h.Name, h.Value))
	}
	return all
}

// configurationOf is the route configuration that a host is in.
func (c Config) configurationOf(h *model.Host) string {
	if h.Wildcard() {
		return AnyHost
	}
	return c.ShardName(h.Name)
}
