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
//  2. When no route matched, two filters run that every shard switches off: one
//     sets the header to "*", one makes Envoy look again.
//
// So a request is tried against its exact host first and then against wildcards,
// and only requests that use wildcards pay for the second look. Two things follow:
// which filters a request goes through is decided before the second look, so all of
// them are on where no route was found (see chain.go), and a host in upper case is
// only found by wildcards.
//
// # Limits
//
// See limits.go: one bucket filter on the listener, costs in route metadata.
package translate

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	cluster "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpoint "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	listener "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	route "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/kongdao/kongdao/xds/model"
)

// Namespace is the filter metadata that KongDao puts on routes, clusters and
// endpoints, for limits and for the access log.
const Namespace = "kongdao"

// Config is what the resources of all gateways have in common.
type Config struct {
	Address         string         // IP that gateways listen on
	Port            uint32         // they listen on
	AccessLog       string         // file; empty: none
	AccessLogFormat string         // Envoy's format string, one line; empty: Envoy's own
	ALS             bool           // also send the access log to the static cluster ALSCluster
	ALSHeaders      []string       // request headers that the access log service gets
	TrustedHops     uint32         // proxies in front of gateways that x-forwarded-for is believed through
	TrustedProxies  []netip.Prefix // where those are; empty: everywhere
	TrustedCA       string         // file of gateways' machines with the authorities of services that they call over TLS
	Shards          int            // route configurations that exact hosts are spread over, above 0
	TLS             *TLS           // nil: gateways do not listen for it
	MarkHeader      string         // that a stress test's mark is believed with; empty: it is without
}

// ALSCluster is the name of the access log service in an Envoy's bootstrap.
const ALSCluster = "als"

// Resources are all resources of a World, by name.
type Resources struct {
	Clusters  map[string]*cluster.Cluster
	Endpoints map[string]*endpoint.ClusterLoadAssignment
	Listeners map[string]*listener.Listener
	// Extensions are configurations of the listener's filters that follow resources:
	// a gateway takes a new one without touching the listener.
	Extensions map[string]*core.TypedExtensionConfig
	Routes     map[string]*route.RouteConfiguration
	Scopes     map[string]*route.ScopedRouteConfiguration
	Secrets    map[string]*tlsv3.Secret
}

// Delta are the resources that differ between two Worlds.
type Delta struct {
	Resources          // new or changed; with a World before, shards are in Patches
	Removed   []string // clusters and their endpoints, sorted
	Unscoped  []string // scopes that are gone, sorted

	// Patches are the changes of shards of exact hosts, by name.
	Patches map[string]*Patch

	// Bridges are endpoints to be sent before those in Endpoints, of revisions whose
	// pods in rotation were all replaced: the old and the new ones together. A
	// gateway uses no pod that it has not checked, so without the old ones it would
	// have none for a moment.
	Bridges map[string]*endpoint.ClusterLoadAssignment

	// Views are endpoints that the gateways of a zone get instead of those in
	// Endpoints, by zone and name; nil: the common ones again.
	Views map[string]map[string]*endpoint.ClusterLoadAssignment

	// Nodes are route configurations that single gateways get instead of those in
	// Routes, by node and name; nil: the common ones again.
	Nodes map[string]map[string]*route.RouteConfiguration
}

// Changes translates what differs from a World before, nil for none: the
// functions and the shards of the hosts that are other ones. It may contain
// resources that turn out to be equal.
func Changes(c Config, before, w *model.World) (*Delta, error) {
	t := &translator{Config: c.at(w)}
	d := &Delta{Resources: Resources{
		Clusters:   map[string]*cluster.Cluster{},
		Endpoints:  map[string]*endpoint.ClusterLoadAssignment{},
		Listeners:  map[string]*listener.Listener{},
		Extensions: t.accessExtensions(before, w),
	}, Bridges: map[string]*endpoint.ClusterLoadAssignment{}, Views: map[string]map[string]*endpoint.ClusterLoadAssignment{}}
	if before == nil || before.Listen() != w.Listen() {
		d.Listeners = t.listeners()
	}
	functions, hosts := w.Since(before)
	for _, c := range functions {
		if f := c.Now; f != nil {
			t.addFunction(&d.Resources, f)
			addBridges(d, c)
			t.addViews(d, w, f)
		}
	}
	d.Secrets = secrets(before, w)
	t.addServices(&d.Resources, before, w)
	if before != nil {
		d.Removed = removedClusters(before, w, functions, d.Clusters)
	}
	d.Routes, d.Patches = t.routes(before, w, hosts)
	d.Nodes = t.nodeRoutes(before, w, sentRoutes(d))
	d.Scopes, d.Unscoped = t.scopes(before, hosts)
	return d, errors.Join(t.errs...)
}

func (t *translator) addFunction(r *Resources, f *model.Function) {
	if f.Invalid != "" {
		return
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

func addBridges(d *Delta, c model.FunctionChange) {
	old, f := c.Before, c.Now
	if old == nil || old.Invalid != "" || f.Invalid != "" {
		return
	}
	for _, r := range f.Revisions {
		if was := old.Revision(r.Name); was != nil && replaced(was, r) {
			both := &model.Revision{Function: r.Function, Name: r.Name, Pods: slices.Concat(was.Pods, r.Pods)}
			d.Bridges[r.Cluster()] = assignment(both)
		}
	}
}

// removedClusters are those of functions that are other ones now and do not have
// them any more.
func removedClusters(before, w *model.World, functions []model.FunctionChange, now map[string]*cluster.Cluster) (names []string) {
	names = goneServices(before, w)
	for _, c := range functions {
		f := c.Before
		if f == nil || f.Invalid != "" {
			continue
		}
		for _, r := range f.Revisions {
			names = append(names, r.Cluster())
		}
		for _, p := range f.Pinned {
			names = append(names, p.Cluster())
		}
	}
	names = slices.DeleteFunc(names, func(name string) bool { return now[name] != nil })
	slices.Sort(names)
	return names
}

// translator carries the configuration and collects what went wrong.
type translator struct {
	Config
	node string // gateway whose own costs routes say; empty: those of all
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
