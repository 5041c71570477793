// Package translate turns a [model.World] into Envoy resources. It is pure: equal
// worlds give equal bytes, and nothing is read but the arguments. One file holds
// one feature.
//
// # Hosts
//
// Routes lie in shards: route configurations that Envoy picks by the host of a
// request (scoped routes, SRDS), so that a change costs what one shard costs.
// Scope keys are exact strings, hence wildcard hosts cannot be sharded. They live
// in one more route configuration, [AnyHost], that is reached like this:
//
//  1. Before anything else Envoy copies the host into [ScopeHeader], whatever the
//     client sent in it, and looks up the scope of that name.
//  2. When no route matched, two filters run that every matched route of a shard
//     switches off: one sets the header to "*", one makes Envoy look again.
//
// So a request is tried against its exact host first and then against wildcards,
// and only requests that use wildcards pay for the second look. Two things follow:
// no filter may be switched per route by FilterConfig.disabled (it is decided
// before the second look), and a host in upper case is only found by wildcards.
//
// # Limits
//
// See limits.go: one bucket filter on the listener, costs in route metadata.
package translate

import (
	"errors"
	"fmt"

	cluster "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	endpoint "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	listener "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	route "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/kongdao/kongdao/xds/model"
)

// Namespace is the filter metadata that KongDao puts on routes, clusters and
// endpoints, for limits and for the access log.
const Namespace = "kongdao"

// Config is what the resources of all gateways have in common.
type Config struct {
	Address         string   // IP that gateways listen on
	Port            uint32   // they listen on
	AccessLog       string   // file; empty: none
	AccessLogFormat string   // Envoy's format string, one line; empty: Envoy's own
	ALS             bool     // also send the access log to the static cluster ALSCluster
	ALSHeaders      []string // request headers that the access log service gets
	Shards          int      // route configurations that exact hosts are spread over, above 0
}

// ALSCluster is the name of the access log service in an Envoy's bootstrap.
const ALSCluster = "als"

// Resources are all resources of a World, by name.
type Resources struct {
	Clusters  map[string]*cluster.Cluster
	Endpoints map[string]*endpoint.ClusterLoadAssignment
	Listeners map[string]*listener.Listener
	Routes    map[string]*route.RouteConfiguration
	Scopes    map[string]*route.ScopedRouteConfiguration
}

// World translates a whole world. It fails only on a message that cannot be
// marshalled, which is a mistake in this package.
func World(c Config, w *model.World) (*Resources, error) {
	t := &translator{Config: c}
	r := &Resources{
		Clusters:  map[string]*cluster.Cluster{},
		Endpoints: map[string]*endpoint.ClusterLoadAssignment{},
		Listeners: map[string]*listener.Listener{ListenerName: t.listener()},
		Routes:    t.routes(w),
		Scopes:    t.scopes(w),
	}
	for _, f := range w.Functions {
		if f.Invalid != "" {
			continue
		}
		for _, rev := range f.Revisions {
			r.Clusters[rev.Cluster()] = t.cluster(f, rev)
			r.Endpoints[rev.Cluster()] = assignment(rev)
		}
		for _, p := range f.Pinned {
			r.Clusters[p.Cluster()] = t.pinnedCluster(p)
			r.Endpoints[p.Cluster()] = pinnedAssignment(p)
		}
	}
	return r, errors.Join(t.errs...)
}

// translator carries the configuration and collects what went wrong.
type translator struct {
	Config
	errs []error
}

// pack wraps a message; equal messages give equal bytes.
func (t *translator) pack(m proto.Message) *anypb.Any {
	a := &anypb.Any{}
	if err := anypb.MarshalFrom(a, m, proto.MarshalOptions{Deterministic: true}); err != nil {
		t.errs = append(t.errs, fmt.Errorf("marshal %T: %w", m, err))
	}
	return a
}
