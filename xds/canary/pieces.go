package canary

import (
	"crypto/sha256"
	"maps"
	"slices"
	"strings"

	cluster "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	endpoint "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	listener "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	route "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	hcm "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// trialName is the canary's one route configuration, and its scope.
const trialName = "trial"

// trial is one route configuration of all pieces; those of the same host share it.
func trial(configurations []*route.RouteConfiguration) *route.RouteConfiguration {
	out := &route.RouteConfiguration{Name: trialName}
	seen, hosts := map[string]bool{}, map[string]*route.VirtualHost{}
	for _, c := range configurations {
		frame := Frame(c)
		frame.Name = ""
		key := string(frame.ProtoReflect().Descriptor().FullName()) + frame.String()
		if !seen[key] { // repeated fields would only pile up
			seen[key] = true
			proto.Merge(out, frame)
		}
		for _, v := range c.GetVirtualHosts() {
			host := hosts[v.GetName()]
			if host == nil {
				host = WithRoutes(v, nil)
				hosts[v.GetName()] = host
				out.VirtualHosts = append(out.VirtualHosts, host)
			}
			host.Routes = append(host.Routes, v.GetRoutes()...)
		}
	}
	return out
}

// Frame is a configuration without its hosts. It shares what it holds with c.
func Frame(c *route.RouteConfiguration) *route.RouteConfiguration {
	return &route.RouteConfiguration{
		Name:                   c.GetName(),
		RequestHeadersToRemove: c.GetRequestHeadersToRemove(), RequestHeadersToAdd: c.GetRequestHeadersToAdd(),
		ResponseHeadersToAdd: c.GetResponseHeadersToAdd(), ResponseHeadersToRemove: c.GetResponseHeadersToRemove(),
		TypedPerFilterConfig: c.GetTypedPerFilterConfig(), IgnorePortInHostMatching: c.GetIgnorePortInHostMatching(),
	}
}

// WithRoutes is a host with other routes. It shares what it holds with v.
func WithRoutes(v *route.VirtualHost, routes []*route.Route) *route.VirtualHost {
	out := &route.VirtualHost{} // a copy of the message itself is not allowed
	v.ProtoReflect().Range(func(f protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		if f.Name() != "routes" {
			out.ProtoReflect().Set(f, value)
		}
		return true
	})
	out.Routes = routes
	return out
}

func scope() *route.ScopedRouteConfiguration {
	return &route.ScopedRouteConfiguration{
		Name: trialName, RouteConfigurationName: trialName,
		Key: &route.ScopedRouteConfiguration_Key{Fragments: []*route.ScopedRouteConfiguration_Key_Fragment{{
			Type: &route.ScopedRouteConfiguration_Key_Fragment_StringKey{StringKey: trialName},
		}}},
	}
}

// only leaves the routes that are wanted, and hosts even if none of theirs is.
func only(configurations []*route.RouteConfiguration, wanted map[string]bool) []*route.RouteConfiguration {
	var out []*route.RouteConfiguration
	for _, c := range configurations {
		part := Frame(c)
		for _, v := range c.GetVirtualHosts() {
			var routes []*route.Route
			for _, r := range v.GetRoutes() {
				if wanted[r.GetName()] {
					routes = append(routes, r)
				}
			}
			part.VirtualHosts = append(part.VirtualHosts, WithRoutes(v, routes))
		}
		out = append(out, part)
	}
	return out
}

// routeNames lists the different names of routes, sorted.
func routeNames(configurations []*route.RouteConfiguration) []string {
	names := map[string]bool{}
	for _, c := range configurations {
		for _, v := range c.GetVirtualHosts() {
			for _, r := range v.GetRoutes() {
				names[r.GetName()] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(names))
}

// shape is a cluster without what says whose it is.
type shape [sha256.Size]byte

// shapeOf is equal for clusters that Envoy takes, or does not take, alike.
func shapeOf(c *cluster.Cluster) (shape, error) {
	c = proto.Clone(c).(*cluster.Cluster)
	owner, _, _ := strings.Cut(c.GetName(), "/")
	c.Name, c.AltStatName, c.Metadata = "", "", nil
	if e := c.GetEdsClusterConfig(); e != nil {
		e.ServiceName = ""
	}
	for _, check := range c.GetHealthChecks() {
		if h := check.GetHttpHealthCheck(); h != nil && h.GetHost() == owner {
			h.Host = ""
		}
	}
	for _, t := range c.GetCircuitBreakers().GetThresholds() {
		if t.GetMaxRequests() != nil {
			t.MaxRequests = wrapperspb.UInt32(1) // follows gateways and shares of traffic, and Envoy takes any
		}
	}
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(c)
	return sha256.Sum256(b), err
}

// noEndpoints is what the canary is told of a cluster's pods.
func noEndpoints(c *cluster.Cluster) (name string, a *endpoint.ClusterLoadAssignment) {
	name = c.GetName()
	if service := c.GetEdsClusterConfig().GetServiceName(); service != "" {
		name = service
	}
	return name, &endpoint.ClusterLoadAssignment{ClusterName: name}
}

// unbound is a listener that takes no port and writes no log; nil for one that
// cannot be tried so.
func unbound(l *listener.Listener) (*listener.Listener, error) {
	if l.GetUdpListenerConfig() != nil {
		return nil, nil
	}
	l = proto.Clone(l).(*listener.Listener)
	l.BindToPort = wrapperspb.Bool(false)
	l.AccessLog = nil
	chains := l.GetFilterChains()
	if d := l.GetDefaultFilterChain(); d != nil {
		chains = append(slices.Clip(chains), d)
	}
	for _, chain := range chains {
		for _, f := range chain.GetFilters() {
			if err := silence(f); err != nil {
				return nil, err
			}
		}
	}
	return l, nil
}

// silence takes the access logs of an HTTP filter chain away.
func silence(f *listener.Filter) error {
	manager := &hcm.HttpConnectionManager{}
	if !f.GetTypedConfig().MessageIs(manager) {
		return nil
	}
	if err := f.GetTypedConfig().UnmarshalTo(manager); err != nil {
		return err
	}
	manager.AccessLog = nil
	packed, err := anypb.New(manager)
	f.ConfigType = &listener.Filter_TypedConfig{TypedConfig: packed}
	return err
}
