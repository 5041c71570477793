package translate

import (
	route "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"

	"github.com/kongdao/kongdao/xds/model"
)

// nodeRoutes are the configurations among those that are sent which single gateways
// get with costs of their own: those that hold a function whose limit is not shared
// evenly. What they got before and do not need any more is nil.
func (t *translator) nodeRoutes(before, w *model.World, sent map[string]*route.RouteConfiguration) map[string]map[string]*route.RouteConfiguration {
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
		if names[Websockets] {
			delete(names, Websockets)
			all[node][Websockets] = own.websockets(nil, w)
		}
		for name, c := range own.shards(w, names) {
			all[node][name] = c
		}
		t.errs = append(t.errs, own.errs...)
	}
	return all
}

// weightedShards are the configurations among these that gateways get with costs of
// their own, by node.
func (t *translator) weightedShards(w *model.World, among map[string]*route.RouteConfiguration) map[string]map[string]bool {
	all := map[string]map[string]bool{}
	if w == nil || !w.Weighted() {
		return all
	}
	for _, h := range w.Hosts {
		for _, r := range h.Rules {
			name := t.configurationOf(h)
			if r.Websocket {
				name = Websockets
			}
			if among[name] == nil {
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
