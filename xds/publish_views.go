package xds

import (
	"errors"
	"fmt"
	"slices"

	endpoint "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	route "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/kongdao/kongdao/xds/model"
)

// wrapViews marshals the endpoints of zones; nil ones stay nil.
func wrapViews(w *wrapper, views map[string]map[string]*endpoint.ClusterLoadAssignment) map[string]map[string]*anypb.Any {
	all := make(map[string]map[string]*anypb.Any, len(views))
	for zone, assignments := range views {
		all[zone] = make(map[string]*anypb.Any, len(assignments))
		for name, a := range assignments {
			if a == nil {
				all[zone][name] = nil
				continue
			}
			body := &anypb.Any{}
			if err := anypb.MarshalFrom(body, a, proto.MarshalOptions{Deterministic: true}); err != nil {
				w.err = errors.Join(w.err, fmt.Errorf("marshal %s for zone %s: %w", name, zone, err))
				continue
			}
			w.check(resource.EndpointType, name, a)
			all[zone][name] = body
		}
	}
	return all
}

// updateViews sends what zones get of their own. Over a bridge they go with
// everybody, and follow when the others do.
func (p *publisher) updateViews(world *model.World, d *delta) {
	if p.last != nil {
		for _, zone := range p.last.Views {
			if !slices.Contains(world.Views, zone) {
				p.serve.DropZone(resource.EndpointType, zone)
				delete(p.viewed, zone)
			}
		}
	}
	for zone, bodies := range d.views {
		for name, body := range bodies {
			delete(p.viewed[zone], name) // overtaken
			if _, crossing := d.bridges[name]; !crossing {
				continue
			}
			if p.viewed[zone] == nil {
				p.viewed[zone] = map[string]*anypb.Any{}
			}
			p.viewed[zone][name], bodies[name] = body, nil
		}
		p.serve.UpdateZone(resource.EndpointType, zone, bodies)
	}
}

// crossViews sends what followed a bridge.
func (p *publisher) crossViews() {
	for zone, bodies := range p.viewed {
		p.serve.UpdateZone(resource.EndpointType, zone, bodies)
	}
	clear(p.viewed)
}

// wrapNodes marshals the routes of single gateways; nil ones stay nil. They differ
// from the common ones by costs alone, which are tried nowhere else.
func wrapNodes(w *wrapper, nodes map[string]map[string]*route.RouteConfiguration) map[string]map[string]*anypb.Any {
	all := make(map[string]map[string]*anypb.Any, len(nodes))
	for node, configurations := range nodes {
		all[node] = make(map[string]*anypb.Any, len(configurations))
		for name, c := range configurations {
			if c == nil {
				all[node][name] = nil
				continue
			}
			body := &anypb.Any{}
			if err := anypb.MarshalFrom(body, c, proto.MarshalOptions{Deterministic: true}); err != nil {
				w.err = errors.Join(w.err, fmt.Errorf("marshal %s for gateway %s: %w", name, node, err))
				continue
			}
			all[node][name] = body
		}
	}
	return all
}

// hold takes a resource out of what is sent.
func (d *delta) hold(h heldName) {
	delete(d.put[h.typeURL], h.name)
	if h.typeURL == resource.RouteType {
		for _, bodies := range d.nodes {
			delete(bodies, h.name)
		}
	}
}
