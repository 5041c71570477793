package canary

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	cluster "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	listener "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	route "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/kongdao/kongdao/xds/serve"
)

// Change is what is to be tried.
type Change struct {
	// Group keeps apart the listeners of groups of gateways, which have the same
	// names.
	Group    string
	Clusters map[string]*cluster.Cluster
	// Routes are the routes that are new, in their hosts; every route has a name,
	// and what is refused is told by it.
	Routes []*route.RouteConfiguration
	// Listeners stay, for routes depend on them.
	Listeners map[string]*listener.Listener
	// Others are resources of further types, such as certificates; they stay too.
	Others map[string]map[string]*anypb.Any
}

// Refusal is a piece that Envoy does not take.
type Refusal struct {
	Type  string // of the resource
	Name  string // of the cluster, the route, the listener …; empty: no single piece is to blame
	Error string // what Envoy says
}

// Try gives a change to the canary Envoy and returns the pieces that it refuses,
// sorted by type and name. ErrAway: there is no canary, or it came to nothing.
func (c *Canary) Try(ctx context.Context, change Change) ([]Refusal, error) {
	c.trying.Lock()
	defer c.trying.Unlock()
	if !c.Up() {
		return nil, ErrAway
	}
	begin := time.Now()
	defer func() { c.metrics.took.Observe(time.Since(begin).Seconds()) }()
	fixed, err := c.tryFixed(ctx, change)
	if err != nil {
		return nil, err
	}
	fresh, known, err := c.newShapes(change.Clusters)
	if err != nil {
		return nil, err
	}
	clusters, err := c.tryClusters(ctx, fresh)
	if err != nil {
		return nil, err
	}
	clusters = append(clusters, known...)
	slices.SortFunc(clusters, func(a, b Refusal) int { return cmp.Compare(a.Name, b.Name) })
	routes, err := c.tryRoutes(ctx, change.Routes)
	return slices.Concat(fixed, clusters, routes), err
}

// tryFixed tries what stays.
func (c *Canary) tryFixed(ctx context.Context, change Change) (refused []Refusal, err error) {
	others := map[string]map[string]*anypb.Any{}
	maps.Copy(others, change.Others)
	listeners := map[string]*anypb.Any{}
	for name, l := range change.Listeners {
		quiet, err := unbound(l)
		if err != nil {
			return nil, err
		}
		if quiet == nil {
			continue
		}
		quiet.Name = change.Group + "/" + name
		if listeners[quiet.Name], err = pack(quiet); err != nil {
			return nil, err
		}
	}
	if len(listeners) > 0 {
		others[resource.ListenerType] = listeners
	}
	var types []string
	resources := 0
	for _, typeURL := range serve.Types() { // their order is that of dependence
		if len(others[typeURL]) > 0 {
			c.serve.Update(typeURL, others[typeURL], nil)
			types, resources = append(types, typeURL), resources+len(others[typeURL])
		}
	}
	if len(types) == 0 {
		return nil, nil
	}
	if err := c.settle(ctx, resources, types...); err != nil {
		return nil, errors.Join(err, c.unstick(ctx))
	}
	for _, typeURL := range types {
		texts := c.serve.Refused(typeURL)
		for _, name := range slices.Sorted(maps.Keys(others[typeURL])) {
			if text, bad := texts[name]; bad {
				refused = append(refused, Refusal{typeURL, name, text})
			}
		}
	}
	return refused, nil
}

// newShapes leaves one cluster out of those that are alike, and none that is like
// one that was taken before, or refused ahead.
func (c *Canary) newShapes(clusters map[string]*cluster.Cluster) (fresh map[shape][]*cluster.Cluster, refused []Refusal, err error) {
	fresh = map[shape][]*cluster.Cluster{}
	for _, name := range slices.Sorted(maps.Keys(clusters)) {
		s, err := shapeOf(clusters[name])
		if err != nil {
			return nil, nil, fmt.Errorf("cluster %s: %w", name, err)
		}
		switch good, reason := c.ahead.known(s); {
		case reason != "":
			refused = append(refused, Refusal{resource.ClusterType, name, reason})
		case !good:
			fresh[s] = append(fresh[s], clusters[name])
		}
	}
	return fresh, refused, nil
}

// tryClusters tries one cluster of each shape; all of a shape share its fate.
func (c *Canary) tryClusters(ctx context.Context, fresh map[shape][]*cluster.Cluster) ([]Refusal, error) {
	if len(fresh) == 0 {
		return nil, nil
	}
	representatives := map[string]*cluster.Cluster{}
	shapes := map[string]shape{}
	for s, alike := range fresh {
		representatives[alike[0].GetName()], shapes[alike[0].GetName()] = alike[0], s
	}
	names := slices.Sorted(maps.Keys(representatives))
	texts, err := c.trySome(ctx, representatives, names)
	if err != nil {
		return nil, err
	}
	var refused []Refusal
	for _, name := range names {
		text, bad := texts[name]
		if !bad {
			c.ahead.take(shapes[name])
			continue
		}
		for _, like := range fresh[shapes[name]] {
			refused = append(refused, Refusal{resource.ClusterType, like.GetName(), text})
		}
	}
	return refused, nil
}

// silent is what is said of a cluster that Envoy says nothing of.
const silent = "Envoy takes it without an answer, and takes no change after it"

// trySome returns what is refused of some clusters, and why. The server halves what
// is refused; what makes Envoy silent is halved here, with a new Envoy each time.
func (c *Canary) trySome(ctx context.Context, all map[string]*cluster.Cluster, names []string) (map[string]string, error) {
	if err := c.renewed(ctx); err != nil {
		return nil, err
	}
	err := c.send(ctx, all, names)
	if err == nil {
		texts := c.serve.Refused(resource.ClusterType)
		maps.DeleteFunc(texts, func(name, _ string) bool { return !slices.Contains(names, name) })
		return texts, nil
	}
	if ctx.Err() != nil {
		return nil, err
	}
	c.serve.Update(resource.ClusterType, nil, names)
	if len(names) == 1 && c.careful {
		return map[string]string{names[0]: silent}, c.unstickLater()
	}
	if err := c.unstick(ctx); err != nil {
		return nil, err
	}
	if len(names) == 1 {
		return map[string]string{names[0]: silent}, nil
	}
	first, err := c.trySome(ctx, all, names[:len(names)/2])
	if err != nil {
		return nil, err
	}
	second, err := c.trySome(ctx, all, names[len(names)/2:])
	maps.Copy(first, second)
	return first, err
}

// send replaces the clusters that the canary has.
func (c *Canary) send(ctx context.Context, all map[string]*cluster.Cluster, names []string) error {
	put, endpoints := map[string]*anypb.Any{}, map[string]*anypb.Any{}
	for _, name := range names {
		var err error
		if put[name], err = pack(all[name]); err != nil {
			return err
		}
		service, nothing := noEndpoints(all[name])
		if endpoints[service], err = pack(nothing); err != nil {
			return err
		}
	}
	gone := slices.DeleteFunc(slices.Clone(c.tried), func(name string) bool { return put[name] != nil })
	c.tried = names
	c.serve.Update(resource.ClusterType, put, gone)
	c.serve.Update(resource.EndpointType, endpoints, gone)
	if err := c.settle(ctx, len(names), resource.ClusterType, resource.EndpointType); err != nil || !c.careful {
		return err
	}
	return c.warmed(ctx)
}

func (c *Canary) tryRoutes(ctx context.Context, configurations []*route.RouteConfiguration) ([]Refusal, error) {
	names := routeNames(configurations)
	text, err := c.refusalOf(ctx, configurations)
	if text == "" || err != nil {
		return nil, err
	}
	refused, err := c.culprits(ctx, configurations, names)
	if err == nil && len(refused) == 0 {
		refused = []Refusal{{resource.RouteType, "", text}}
	}
	return refused, err
}

// culprits halves routes that are refused together. Both halves may be good: then
// it is no route's fault.
func (c *Canary) culprits(ctx context.Context, configurations []*route.RouteConfiguration, names []string) ([]Refusal, error) {
	wanted := map[string]bool{}
	for _, name := range names {
		wanted[name] = true
	}
	text, err := c.refusalOf(ctx, only(configurations, wanted))
	if text == "" || err != nil || len(names) == 0 {
		return nil, err
	}
	if len(names) == 1 {
		return []Refusal{{resource.RouteType, names[0], text}}, nil
	}
	first, err := c.culprits(ctx, configurations, names[:len(names)/2])
	if err != nil {
		return nil, err
	}
	second, err := c.culprits(ctx, configurations, names[len(names)/2:])
	return append(first, second...), err
}

// refusalOf is what Envoy says against these routes; empty: nothing.
func (c *Canary) refusalOf(ctx context.Context, configurations []*route.RouteConfiguration) (string, error) {
	t := trial(configurations)
	body, err := pack(t)
	if err != nil {
		return "", err
	}
	c.serve.Update(resource.RouteType, map[string]*anypb.Any{trialName: body}, nil)
	if err := c.settle(ctx, len(t.GetVirtualHosts()), resource.RouteType); err != nil {
		return "", errors.Join(err, c.unstick(ctx))
	}
	return c.serve.Refused(resource.RouteType)[trialName], nil
}

func pack(m proto.Message) (*anypb.Any, error) {
	a := &anypb.Any{}
	err := anypb.MarshalFrom(a, m, proto.MarshalOptions{Deterministic: true})
	return a, err
}
