package xds

import (
	"context"
	"log/slog"
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/kongdao/kongdao/xds/model"
	"github.com/kongdao/kongdao/xds/preflight"
	"github.com/kongdao/kongdao/xds/serve"
	"github.com/kongdao/kongdao/xds/translate"
)

// publisher brings a World to the gateways. Only the reconciling goroutine uses it.
type publisher struct {
	config Config
	serve  *serve.Server
	log    *slog.Logger
	gone   map[string]time.Time // clusters that no World has any more, and since when
	broken map[string]string    // functions that are quarantined, and why
	last   *model.World         // the last one that was published; nil before
}

// packed are the resources of a World by type and name, ready to be sent.
type packed map[string]map[string]*anypb.Any

// publish makes the World of an input live. Functions that fail the preflight are
// quarantined in it.
func (p *publisher) publish(ctx context.Context, in model.Input) (*model.World, error) {
	world, resources, err := p.prepare(in)
	if err != nil {
		return nil, err
	}
	p.keep(resources[resource.ClusterType], time.Now())
	changed := p.serve.Update(resource.ClusterType, resources[resource.ClusterType], nil)
	p.serve.Update(resource.EndpointType, resources[resource.EndpointType], nil)
	p.serve.Open()
	if len(changed) > 0 {
		p.warm(ctx)
	}
	for _, typeURL := range []string{resource.ListenerType, resource.RouteType, resource.ScopedRouteType} {
		p.serve.Update(typeURL, resources[typeURL], absent(p.serve.Names(typeURL), resources[typeURL]))
	}
	p.last = world
	return world, nil
}

// prepare translates until nothing is refused any more: a function that is named
// as broken becomes an answer that says so, which in turn is always good.
func (p *publisher) prepare(in model.Input) (*model.World, packed, error) {
	broken := map[string]string{}
	for {
		in.Broken, in.Previous = broken, p.last
		world := model.Build(in)
		resources, problems, err := p.pack(world)
		if err != nil {
			return nil, nil, err
		}
		grew := false
		for _, problem := range problems {
			if problem.Function == "" {
				return nil, nil, problem
			}
			if _, known := broken[problem.Function]; !known {
				broken[problem.Function] = problem.Err.Error()
				grew = true
			}
		}
		if !grew {
			p.report(world)
			return world, resources, nil
		}
	}
}

// pack marshals the World's resources and checks those that differ from what the
// gateways have.
func (p *publisher) pack(world *model.World) (packed, []preflight.Problem, error) {
	r, err := translate.World(p.config.translation(), world)
	if err != nil {
		return nil, nil, err
	}
	all, w := packed{}, wrapper{serve: p.serve}
	all[resource.ClusterType] = wrap(&w, resource.ClusterType, r.Clusters)
	all[resource.EndpointType] = wrap(&w, resource.EndpointType, r.Endpoints)
	all[resource.ListenerType] = wrap(&w, resource.ListenerType, r.Listeners)
	all[resource.RouteType] = wrap(&w, resource.RouteType, r.Routes)
	all[resource.ScopedRouteType] = wrap(&w, resource.ScopedRouteType, r.Scopes)
	return all, w.problems, w.err
}

// wrapper collects what wrap finds.
type wrapper struct {
	serve    *serve.Server
	problems []preflight.Problem
	err      error
}

func wrap[M proto.Message](w *wrapper, typeURL string, messages map[string]M) map[string]*anypb.Any {
	all := make(map[string]*anypb.Any, len(messages))
	for name, m := range messages {
		body := &anypb.Any{}
		if err := anypb.MarshalFrom(body, m, proto.MarshalOptions{Deterministic: true}); err != nil {
			w.err = err
			return nil
		}
		if w.serve.Differs(typeURL, name, body) {
			w.problems = append(w.problems, preflight.Check(name, m)...)
		}
		all[name] = body
	}
	return all
}

// report logs functions that became invalid, once.
func (p *publisher) report(world *model.World) {
	invalid := map[string]string{}
	for _, f := range world.Functions {
		if f.Invalid == "" {
			continue
		}
		invalid[f.Name] = f.Invalid
		if p.broken[f.Name] != f.Invalid {
			p.log.Error("function quarantined", "function", f.Name, "source", f.Source.String(), "reason", f.Invalid)
		}
	}
	p.broken = invalid
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
// that came back.
func (p *publisher) keep(clusters map[string]*anypb.Any, now time.Time) {
	for _, name := range absent(p.serve.Names(resource.ClusterType), clusters) {
		if _, ok := p.gone[name]; !ok {
			p.gone[name] = now
		}
	}
	for name := range clusters {
		delete(p.gone, name)
	}
}

// sweep removes clusters that are past their grace, then their endpoints.
func (p *publisher) sweep(now time.Time) {
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

// nextSweep is when the first cluster is past its grace.
func (p *publisher) nextSweep() (time.Time, bool) {
	if len(p.gone) == 0 {
		return time.Time{}, false
	}
	first := slices.MinFunc(slices.Collect(maps.Values(p.gone)), time.Time.Compare)
	return first.Add(p.config.RemovedClusterGrace.Std()), true
}

func absent(names []string, from map[string]*anypb.Any) (missing []string) {
	for _, name := range names {
		if _, ok := from[name]; !ok {
			missing = append(missing, name)
		}
	}
	return missing
}

// translation is the part of a valid configuration that gateways see.
func (c Config) translation() translate.Config {
	at := netip.MustParseAddrPort(c.Gateway)
	return translate.Config{
		Address: at.Addr().String(), Port: uint32(at.Port()),
		AccessLog: c.AccessLog, AccessLogFormat: c.AccessLogFormat,
		ALS: c.ALS, ALSHeaders: c.ALSHeaders, Shards: c.Shards,
	}
}
