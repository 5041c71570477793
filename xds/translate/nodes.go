package translate

import (
	route "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"

	"github.com/kongdao/kongdao/xds/model"
)

// nodeRoutes are the configurations among those that are sent which single gateways
// get with costs of their own: those that hold a function whose limit is not shared
// evenly. What they got before and do not need any more is nil.
func (t *translator) nodeRoutes(before, w *model.World, sent map[string]bool) map[string]map[string]*route.RouteConfiguration {
	all := map[string]map[string]*route.RouteConfiguration{}
	for node, names := range t.weightedShards(before, sent) {
		all[node] = map[string]*route.RouteConfiguration{}
		for name := range names {
			all[node][name] = nil
		}
	}
	for node, names := range t.weightedShards(w, sent) {
		own := &translator{Config: t.Config, node: node}
		if all[node] == nil {
			all[node] = map[string]*route.RouteConfiguration{}
		}
		for name := range names {
			all[node][name] = own.routesNamed(w, name)
		}
		t.errs = append(t.errs, own.errs...)
	}
	return all
}

// weightedShards are the configurations among these that gateways get with costs of
// their own, by node.
func (t *translator) weightedShards(w *model.World, among map[string]bool) map[string]map[string]bool {
	all := map[string]map[string]bool{}
	if w == nil || !w.Weighted() {
		return all
	}
	for _, h := range t.hostsIn(w, among) {
		for _, r := range h.Rules {
			name := t.configurationOf(h)
			if r.Websocket {
				name = Websockets
			}
			if !among[name] {
				continue
			}
			for _, node := range r.Function.Weighted() {
				if all[node] == nil {
					all[node] = map[string]bool{}
				}
				all[node][name] = true
			}
		}
	}
	return all
}

// sentRoutes are the names of all route configurations of a change.
func sentRoutes(d *Delta) map[string]bool {
	all := map[string]bool{}
	for name := range d.Routes {
		all[name] = true
	}
	for name := range d.Patches {
		all[name] = true
	}
	return all
}

// hostsIn are the hosts that the routes of some configurations are of.
func (t *translator) hostsIn(w *model.World, among map[string]bool) (all []*model.Host) {
	if among[Websockets] {
		return w.Hosts
	}
	for i := range t.Shards {
		if among[shardName(i)] {
			all = append(all, w.HostsIn(i, t.Shards)...)
		}
	}
	if among[AnyHost] {
		all = append(all, w.Wildcards()...)
	}
	return all
}

// routesNamed is one route configuration, whole.
func (t *translator) routesNamed(w *model.World, name string) *route.RouteConfiguration {
	switch name {
	case AnyHost:
		return t.anyHost(w)
	case Websockets:
		return t.websockets(w)
	}
	for i := range t.Shards {
		if shardName(i) == name {
			return t.shard(w, i)
		}
	}
	return nil
}
