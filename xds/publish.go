package xds

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"reflect"
	"slices"
	"time"

	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/kongdao/kongdao/api"
	"github.com/kongdao/kongdao/xds/model"
	"github.com/kongdao/kongdao/xds/preflight"
	"github.com/kongdao/kongdao/xds/serve"
	"github.com/kongdao/kongdao/xds/translate"
)

// publisher brings a World to the gateways. Only the reconciling goroutine uses it.
type publisher struct {
	config Config
	serve  *serve.Group
	log    *slog.Logger
	gone   map[string]time.Time // clusters that no World has any more, and since when
	broken map[string]broken    // functions that the preflight refused
	last   *model.World         // the last one that was published; nil before

	bridged map[string]*anypb.Any            // endpoints that follow their bridge
	viewed  map[string]map[string]*anypb.Any // the same of zones, by zone
	cross   time.Time                        // when they follow
}

// bridgeTime is how long the replaced pods of a revision stay beside the new ones:
// long enough for a gateway to have checked these twice.
const bridgeTime = time.Second

// broken is a function that the preflight refused. It holds until the function is
// written anew.
type broken struct {
	spec   *api.Function
	reason string
}

// delta is what changes, ready to be sent.
type delta struct {
	put      map[string]map[string]*anypb.Any // by type and name
	bridges  map[string]*anypb.Any            // endpoints to be sent before those in put
	views    map[string]map[string]*anypb.Any // endpoints by zone and name, see translate.Delta
	removed  []string                         // clusters that left the World
	present  []string                         // clusters that are in it, changed or not
	unscoped []string                         // scopes
}

// publish makes the World of an input live. Functions that fail the preflight are
// quarantined in it.
func (p *publisher) publish(ctx context.Context, in model.Input) (*model.World, error) {
	world, d, err := p.prepare(in)
	if err != nil {
		return nil, err
	}
	p.keep(d, time.Now())
	changed := p.serve.Update(resource.ClusterType, d.put[resource.ClusterType], nil)
	p.serve.Update(resource.EndpointType, p.bridge(d, time.Now()), nil)
	p.updateViews(world, d)
	if len(changed) > 0 && p.last != nil {
		p.warm(ctx)
	}
	p.serve.Update(resource.SecretType, d.put[resource.SecretType], nil)
	p.serve.Update(resource.ListenerType, d.put[resource.ListenerType], nil)
	p.serve.Update(resource.RouteType, d.put[resource.RouteType], nil)
	p.serve.Update(resource.ScopedRouteType, d.put[resource.ScopedRouteType], d.unscoped)
	p.serve.Open()
	p.report(world)
	p.last = world
	return world, nil
}

// prepare translates until nothing is refused any more: a function that is named
// as broken becomes an answer that says so, which in turn is always good.
func (p *publisher) prepare(in model.Input) (*model.World, *delta, error) {
	p.forget(in.Set)
	for {
		in.Previous, in.Broken = p.last, map[string]string{}
		for name, b := range p.broken {
			in.Broken[name] = b.reason
		}
		world := model.Build(in)
		d, problems, err := p.pack(world)
		if err != nil {
			return nil, nil, err
		}
		if len(problems) == 0 {
			return world, d, nil
		}
		for _, problem := range problems {
			f := world.Function(problem.Function)
			if f == nil || f.Invalid != "" {
				return nil, nil, problem // not a function's fault
			}
			p.broken[f.Name] = broken{f.Spec(), problem.Err.Error()}
		}
	}
}

// forget gives functions that were written anew another chance.
func (p *publisher) forget(set api.Set) {
	maps.DeleteFunc(p.broken, func(name string, b broken) bool {
		f := set.Function(name)
		return f == nil || f != b.spec && !reflect.DeepEqual(f, b.spec)
	})
}

// pack marshals what changed and checks what the gateways do not have yet.
func (p *publisher) pack(world *model.World) (*delta, []preflight.Problem, error) {
	c, err := translate.Changes(p.config.translation(), p.last, world)
	if err != nil {
		return nil, nil, err
	}
	w := wrapper{serve: p.serve}
	d := &delta{removed: c.Removed, present: slices.Collect(maps.Keys(c.Clusters)), unscoped: c.Unscoped, put: map[string]map[string]*anypb.Any{
		resource.ClusterType:     wrap(&w, resource.ClusterType, c.Clusters),
		resource.EndpointType:    wrap(&w, resource.EndpointType, c.Endpoints),
		resource.SecretType:      wrap(&w, resource.SecretType, c.Secrets),
		resource.ListenerType:    wrap(&w, resource.ListenerType, c.Listeners),
		resource.RouteType:       wrap(&w, resource.RouteType, c.Routes),
		resource.ScopedRouteType: wrap(&w, resource.ScopedRouteType, c.Scopes),
	}}
	d.bridges = wrap(&w, resource.EndpointType, c.Bridges)
	d.views = wrapViews(&w, c.Views)
	return d, w.problems, w.err
}

// bridge returns the endpoints to be sent now, and keeps those that follow.
func (p *publisher) bridge(d *delta, now time.Time) map[string]*anypb.Any {
	send := maps.Clone(d.put[resource.EndpointType])
	for name := range send {
		delete(p.bridged, name) // overtaken
	}
	for name, both := range d.bridges {
		if last, ok := send[name]; ok {
			p.bridged[name], send[name] = last, both
			p.cross = now.Add(bridgeTime)
		}
	}
	return send
}

// wrapper collects what wrap finds.
type wrapper struct {
	serve    *serve.Group
	problems []preflight.Problem
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
			w.problems = append(w.problems, preflight.Check(name, m)...)
			all[name] = body
		}
	}
	return all
}

// report logs functions that became invalid, once.
func (p *publisher) report(world *model.World) {
	for _, f := range world.Functions {
		if f.Invalid == "" {
			continue
		}
		if p.last != nil {
			if old := p.last.Function(f.Name); old != nil && old.Invalid == f.Invalid {
				continue
			}
		}
		p.log.Error("function quarantined", "function", f.Name, "source", f.Source.String(), "reason", f.Invalid)
	}
}

// warm waits until the gateways have accepted new clusters, which they do when
// their pods have been checked. A gateway that takes too long does not keep routes
// from the others.
func (p *publisher) warm(ctx context.Context) {
	if p.config.WarmTimeout == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, p.config.WarmTimeout.Std())
	defer cancel()
	if err := p.serve.WaitAcked(ctx, resource.ClusterType, resource.EndpointType); err != nil && ctx.Err() != nil {
		p.log.Warn("gateways are slow to warm new revisions", "error", err)
	}
}

// keep starts the grace of clusters that left the World and ends that of those
// that came back, changed or not.
func (p *publisher) keep(d *delta, now time.Time) {
	for _, name := range d.removed {
		p.gone[name] = now
	}
	for _, name := range d.present {
		delete(p.gone, name)
	}
}

// sweep takes the old pods of bridges away, and removes clusters that are past
// their grace, then their endpoints.
func (p *publisher) sweep(now time.Time) {
	if len(p.bridged) > 0 && !p.cross.After(now) {
		p.serve.Update(resource.EndpointType, p.bridged, nil)
		clear(p.bridged)
		p.crossViews()
	}
	var names []string
	for name, since := range p.gone {
		if !since.Add(p.config.RemovedClusterGrace.Std()).After(now) {
			names = append(names, name)
			delete(p.gone, name)
		}
	}
	p.serve.Update(resource.ClusterType, nil, names)
	p.serve.Update(resource.EndpointType, nil, names)
}

// nextSweep is when sweep has something to do.
func (p *publisher) nextSweep() (next time.Time, ok bool) {
	for _, since := range p.gone {
		if due := since.Add(p.config.RemovedClusterGrace.Std()); !ok || due.Before(next) {
			next, ok = due, true
		}
	}
	if len(p.bridged) > 0 && (!ok || p.cross.Before(next)) {
		next, ok = p.cross, true
	}
	return next, ok
}

// translation is the part of a valid configuration that gateways see.
func (c Config) translation() translate.Config {
	at := netip.MustParseAddrPort(c.Gateway)
	return translate.Config{
		Address: at.Addr().String(), Port: uint32(at.Port()),
		AccessLog: c.AccessLog, AccessLogFormat: c.AccessLogFormat,
		ALS: c.ALS, ALSHeaders: c.ALSHeaders, Shards: c.Shards, TLS: c.TLS.translation(),
	}
}
