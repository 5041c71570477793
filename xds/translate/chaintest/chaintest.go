// Package chaintest holds route configurations against a promise: whatever route a
// request ends at, the filters that the route needs are in the chain that the
// request got by the route it began at. It knows nothing of how package translate
// sees to that, only how Envoy reads messages, and is for tests.
package chaintest

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	listener "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	route "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	lua "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/lua/v3"
	hcm "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/structpb"
)

// Filters names a listener's HTTP filters, in order. A filter that is off unless a
// route switches it on is an error: requests without a route would not have it.
func Filters(l *listener.Listener) (names []string, err error) {
	var m hcm.HttpConnectionManager
	if err := l.GetFilterChains()[0].GetFilters()[0].GetTypedConfig().UnmarshalTo(&m); err != nil {
		return nil, fmt.Errorf("read the filters of %s: %w", l.GetName(), err)
	}
	for _, f := range m.GetHttpFilters() {
		if f.GetDisabled() {
			return nil, fmt.Errorf("filter %s is off on the listener", f.GetName())
		}
		names = append(names, f.GetName())
	}
	return names, nil
}

// Problems are the routes of c that a request can end at without a filter that they
// need, and settings of filters that are not on the listener.
func Problems(c *route.RouteConfiguration, filters []string) (all []string) {
	for _, v := range c.GetVirtualHosts() {
		host := v.GetRoutes()
		needs := make([][]string, len(host))
		for i, r := range host {
			needs[i] = Needs(r)
		}
		for i, first := range host {
			lacks := missing(Chain(c, v, first, filters))
			ends, at := host, needs
			if !moves(first) {
				ends, at = host[i:i+1], needs[i:i+1]
			}
			for j, r := range ends {
				for _, name := range lacks(at[j]) {
					all = append(all, fmt.Sprintf("%s, host %s: a request that begins at %s can end at %s without %s", c.GetName(), v.GetName(), first.GetName(), r.GetName(), name))
				}
			}
		}
	}
	return all
}

// missing says which filters are not in a chain.
func missing(chain []string) func(needs []string) []string {
	has := map[string]bool{}
	for _, name := range chain {
		has[name] = true
	}
	return func(needs []string) []string {
		return slices.DeleteFunc(slices.Clone(needs), func(name string) bool { return has[name] })
	}
}

// Chain names the filters that requests have which take the route at first: the
// most specific setting counts, and any but one that says off is on.
func Chain(c *route.RouteConfiguration, v *route.VirtualHost, r *route.Route, filters []string) []string {
	return slices.DeleteFunc(slices.Clone(filters), func(name string) bool {
		for _, level := range []map[string]*anypb.Any{r.GetTypedPerFilterConfig(), v.GetTypedPerFilterConfig(), c.GetTypedPerFilterConfig()} {
			if setting := level[name]; setting != nil {
				var f route.FilterConfig
				return setting.UnmarshalTo(&f) == nil && f.GetDisabled()
			}
		}
		return false
	})
}

// always are filters that every request has.
var always = []string{"kongdao.revision", "envoy.filters.http.local_ratelimit", "envoy.filters.http.router"}

// callerKey is the metadata of a slot of callers.
var callerKey = regexp.MustCompile(`^caller(?:_ip)?_(\d+)$`)

// Needs names the filters that a route wants something of, sorted.
func Needs(r *route.Route) []string {
	needs := map[string]bool{}
	for _, name := range always {
		needs[name] = true
	}
	for name := range r.GetTypedPerFilterConfig() {
		needs[name] = true
	}
	for key := range r.GetMetadata().GetFilterMetadata()["kongdao"].GetFields() {
		if m := callerKey.FindStringSubmatch(key); m != nil {
			needs["kongdao.callers."+m[1]] = true
			needs["kongdao.callers"] = needs["kongdao.callers"] || !strings.Contains(key, "_ip_")
		}
		if key == "max_request_bytes" {
			needs["envoy.filters.http.buffer"] = true
		}
	}
	asked := asked(r)
	for field, name := range map[string]string{"addresses": "kongdao.addresses", "tokens": "kongdao.tokens", "signature": "kongdao.signatures"} {
		if asked[field] != nil {
			needs[name] = true
		}
	}
	if e := asked["external"].GetStringValue(); e != "" {
		needs[e] = true
	}
	return slices.DeleteFunc(slices.Sorted(maps.Keys(needs)), func(name string) bool { return !needs[name] })
}

// asked is what the route asks access.lua for; empty without it.
func asked(r *route.Route) map[string]*structpb.Value {
	var l lua.LuaPerRoute
	if config := r.GetTypedPerFilterConfig()["kongdao.access"]; config == nil || config.UnmarshalTo(&l) != nil {
		return nil
	}
	return l.GetFilterContext().GetFields()
}

// moves tells whether a request can be looked up again from the route: by
// access.lua, or by the filters that ask others.
func moves(r *route.Route) bool {
	a := asked(r)
	return a["reroute"] != nil || a["signature"] != nil || a["external"] != nil
}
