package xds

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	cluster "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	route "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/kongdao/kongdao/xds/canary"
	"github.com/kongdao/kongdao/xds/model"
	"github.com/kongdao/kongdao/xds/preflight"
	"github.com/kongdao/kongdao/xds/serve"
	"github.com/kongdao/kongdao/xds/translate"
)

// prepare makes what is to be sent. What cannot be decided over in a moment is left
// as it was, so that it keeps nothing else waiting.
func (p *publisher) prepare(ctx context.Context, in model.Input) (*model.World, *delta, error) {
	for {
		broken := maps.Clone(p.broken)
		world, d, undecided, err := p.attempt(ctx, in)
		if err != nil || len(undecided) == 0 {
			return world, d, err
		}
		p.broken = broken // of functions as they were
		in = p.postpone(in, undecided)
	}
}

// attempt translates until nothing is refused any more: what is named as broken
// becomes an answer that says so, and is tried again as that. What no function is
// to blame for is held back, and the gateways keep what they have of it.
func (p *publisher) attempt(ctx context.Context, in model.Input) (_ *model.World, _ *delta, undecided []string, _ error) {
	p.forget(in.Set)
	held := map[heldName]error{}
	for {
		in.Previous = p.last
		in.Broken, in.Unmatchable = p.known()
		p.input = in
		world := model.Build(in)
		d, problems, err := p.pack(world)
		if err != nil {
			return nil, nil, nil, err
		}
		for h := range held {
			d.hold(h)
		}
		p.holdBack(held)
		problems = slices.DeleteFunc(problems, func(x problem) bool { return held[heldName{x.typeURL, x.Resource}] != nil })
		if len(problems) == 0 {
			problems, undecided = p.try(ctx, world, d)
		}
		if len(undecided) > 0 {
			return nil, nil, undecided, nil
		}
		if len(problems) == 0 {
			p.held = errors.Join(slices.Collect(maps.Values(held))...)
			return world, d, nil, nil
		}
		for _, x := range problems {
			if p.blame(world, x) {
				continue
			}
			h := heldName{x.typeURL, x.Resource}
			if held[h] != nil {
				return nil, nil, nil, x // nothing helps against it
			}
			held[h] = x
		}
	}
}

// holdBack remembers shards that gateways do not get as the World has them: what
// comes next cannot be put into what they have.
func (p *publisher) holdBack(held map[heldName]error) {
	for h := range held {
		if h.typeURL == resource.RouteType {
			p.behind[h.name] = true
		}
	}
}

// heldName is a resource that is held back.
type heldName struct{ typeURL, name string }

// problem is a refusal before any gateway saw the resource.
type problem struct {
	preflight.Problem
	typeURL string
	stage   string
}

// pack marshals what changed and checks what the gateways do not have yet.
func (p *publisher) pack(world *model.World) (*delta, []problem, error) {
	c, err := p.translate(p.last, world)
	if err != nil {
		return nil, nil, err
	}
	w := wrapper{serve: p.serve, fresh: p.fresh(world)}
	d := &delta{removed: c.Removed, present: slices.Collect(maps.Keys(c.Clusters)), unscoped: c.Unscoped, put: map[string]map[string]*anypb.Any{
		resource.ClusterType:         wrap(&w, resource.ClusterType, c.Clusters),
		resource.EndpointType:        wrap(&w, resource.EndpointType, c.Endpoints),
		resource.SecretType:          wrap(&w, resource.SecretType, c.Secrets),
		resource.ExtensionConfigType: wrap(&w, resource.ExtensionConfigType, c.Extensions),
		resource.ListenerType:        wrap(&w, resource.ListenerType, c.Listeners),
		resource.RouteType:           wrap(&w, resource.RouteType, c.Routes),
		resource.ScopedRouteType:     wrap(&w, resource.ScopedRouteType, c.Scopes),
	}}
	p.patch(&w, world, c, d.put[resource.RouteType])
	d.bridges = wrap(&w, resource.EndpointType, c.Bridges)
	d.views = wrapViews(&w, c.Views)
	d.nodes = wrapNodes(&w, c.Nodes)
	d.translated = c
	return d, w.problems, w.err
}

func (p *publisher) translate(before, world *model.World) (*translate.Delta, error) {
	c, err := translate.Changes(p.config.translation(), before, world)
	if tamper := p.tamper.Load(); tamper != nil && err == nil {
		(*tamper)(c)
	}
	return c, err
}

// patch puts the changes of shards into what gateways have of them, and adds the
// shards that differ then to put.
func (p *publisher) patch(w *wrapper, world *model.World, c *translate.Delta, put map[string]*anypb.Any) {
	for name, patch := range c.Patches {
		old := p.serve.Body(resource.RouteType, name)
		if old == nil || p.behind[name] {
			whole, err := translate.Shard(p.config.translation(), world, name)
			if w.err = errors.Join(w.err, err); err != nil {
				continue
			}
			c.Routes[name] = whole
			delete(c.Patches, name)
			maps.Copy(put, wrap(w, resource.RouteType, map[string]*route.RouteConfiguration{name: whole}))
			continue
		}
		value, err := patch.Apply(old.GetValue())
		if w.err = errors.Join(w.err, err); err != nil {
			continue
		}
		body := &anypb.Any{TypeUrl: old.GetTypeUrl(), Value: value}
		if !bytes.Equal(value, old.GetValue()) {
			w.check(resource.RouteType, name, patch.Put)
			put[name] = body
		}
	}
}

// fresh tells of a route, by its name, whether something else than readiness
// differs of its function from the last World: no other route can have become bad.
func (p *publisher) fresh(world *model.World) func(route string) bool {
	last := p.last
	if last == nil {
		return func(string) bool { return true }
	}
	return func(route string) bool {
		function, _, _ := strings.Cut(route, "/")
		return !world.Function(function).Resembles(last.Function(function))
	}
}

// wrapper collects what wrap finds.
type wrapper struct {
	serve    *serve.Group
	fresh    func(route string) bool
	problems []problem
	err      error
}

func wrap[M proto.Message](w *wrapper, typeURL string, messages map[string]M) map[string]*anypb.Any {
	all := make(map[string]*anypb.Any, len(messages))
	for name, m := range messages {
		body := &anypb.Any{}
		if err := anypb.MarshalFrom(body, m, proto.MarshalOptions{Deterministic: true}); err != nil {
			w.err = errors.Join(w.err, fmt.Errorf("marshal %s: %w", name, err))
			continue
		}
		if w.serve.Differs(typeURL, name, body) {
			w.check(typeURL, name, m)
			all[name] = body
		}
	}
	return all
}

func (w *wrapper) check(typeURL, name string, m proto.Message) {
	var found []preflight.Problem
	if c, ok := m.(*route.RouteConfiguration); ok {
		found = preflight.CheckRoutes(c, w.fresh)
	} else {
		found = preflight.Check(name, m)
	}
	for _, x := range found {
		w.problems = append(w.problems, problem{x, typeURL, stageCheck})
	}
}

// try gives what is new to the canary Envoy, and names functions that it needs more
// time for; then it has tried nothing else. Without one the change goes out untried,
// and everything is tried once there is one.
func (p *publisher) try(ctx context.Context, world *model.World, d *delta) (_ []problem, undecided []string) {
	if p.canary == nil {
		return nil, nil
	}
	change := canary.Change{Group: p.group, Clusters: map[string]*cluster.Cluster{}, Listeners: d.translated.Listeners}
	change.Others = map[string]map[string]*anypb.Any{
		resource.SecretType: d.put[resource.SecretType], resource.ExtensionConfigType: d.put[resource.ExtensionConfigType],
	}
	for name := range d.put[resource.ClusterType] {
		change.Clusters[name] = d.translated.Clusters[name]
	}
	if undecided = p.undecided(ctx, world, change); len(undecided) > 0 {
		return nil, undecided
	}
	fresh := p.fresh(world)
	for name := range d.put[resource.RouteType] {
		if part := newRoutes(d.translated.RoutesOf(name), fresh); len(part.GetVirtualHosts()) > 0 {
			change.Routes = append(change.Routes, part)
		}
	}
	if p.blind {
		return p.tryAll(ctx), nil
	}
	return p.tryOne(ctx, change), nil
}

func (p *publisher) tryOne(ctx context.Context, change canary.Change) []problem {
	refused, err := p.canary.Try(ctx, change)
	if p.blind = err != nil; p.blind {
		p.again = time.Now().Add(tryAgain)
	}
	if err != nil && !errors.Is(err, canary.ErrAway) {
		p.log.Warn("a change was not tried on the canary Envoy", "error", err)
	}
	var problems []problem
	for _, r := range refused {
		problems = append(problems, refusalOf(r, change)...)
	}
	return problems
}

// tryAll tries all functions, in batches, for none were tried.
func (p *publisher) tryAll(ctx context.Context) (problems []problem) {
	in, functions := p.input, p.input.Set.Functions
	in.Previous, in.Touched = nil, nil
	for {
		if !p.canary.Up() {
			p.again = time.Now().Add(tryAgain)
			return nil
		}
		in.Set.Functions = functions[:min(batch, len(functions))]
		functions = functions[len(in.Set.Functions):]
		problems = append(problems, p.tryOne(ctx, p.everything(model.Build(in)))...)
		if p.blind || len(functions) == 0 {
			return problems
		}
	}
}

// tryAgain is how long a change that could not be tried waits for the next try.
const tryAgain = time.Second

// untried tells whether the canary Envoy could try now what it has not.
func (p *publisher) untried(now time.Time) bool {
	return p.canary != nil && p.blind && p.last != nil && p.canary.Up() && now.After(p.again)
}

// everything is a whole World, to be tried.
func (p *publisher) everything(world *model.World) canary.Change {
	all, err := p.translate(nil, world)
	if err != nil {
		return canary.Change{} // it was translated before
	}
	change := canary.Change{Group: p.group, Clusters: all.Clusters, Listeners: all.Listeners}
	change.Others = map[string]map[string]*anypb.Any{
		resource.SecretType: packed(all.Secrets), resource.ExtensionConfigType: packed(all.Extensions),
	}
	for _, r := range all.Routes {
		change.Routes = append(change.Routes, r)
	}
	return change
}

// packed are messages that were marshalled before, without an error.
func packed[M proto.Message](messages map[string]M) map[string]*anypb.Any {
	all := map[string]*anypb.Any{}
	for name, m := range messages {
		body := &anypb.Any{}
		if anypb.MarshalFrom(body, m, proto.MarshalOptions{Deterministic: true}) == nil {
			all[name] = body
		}
	}
	return all
}

// newRoutes leaves the fresh routes of a route configuration, in their hosts.
func newRoutes(c *route.RouteConfiguration, fresh func(string) bool) *route.RouteConfiguration {
	part := canary.Frame(c)
	for _, v := range c.GetVirtualHosts() {
		var routes []*route.Route
		for _, r := range v.GetRoutes() {
			if fresh(r.GetName()) {
				routes = append(routes, r)
			}
		}
		if len(routes) > 0 {
			part.VirtualHosts = append(part.VirtualHosts, canary.WithRoutes(v, routes))
		}
	}
	return part
}

// refusalOf is a canary's refusal in terms of what was refused. Where no single
// route is to blame, every route configuration of the change is.
func refusalOf(r canary.Refusal, change canary.Change) []problem {
	function, _, found := strings.Cut(r.Name, "/")
	if !found {
		function = ""
	}
	err := errors.New(r.Error)
	if r.Type != resource.RouteType {
		return []problem{{preflight.Problem{Function: function, Resource: r.Name, Err: err}, r.Type, stageCanary}}
	}
	if r.Name != "" {
		return []problem{{preflight.Problem{Function: function, Route: r.Name, Resource: r.Name, Err: err}, r.Type, stageCanary}}
	}
	var all []problem
	for _, c := range change.Routes {
		all = append(all, problem{preflight.Problem{Resource: c.GetName(), Err: err}, r.Type, stageCanary})
	}
	return all
}
