package xds

import (
	"context"
	"maps"
	"reflect"
	"slices"
	"strings"

	cluster "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"

	"github.com/kongdao/kongdao/api"
	"github.com/kongdao/kongdao/xds/canary"
	"github.com/kongdao/kongdao/xds/model"
)

// undecided are functions that changed and have clusters of a kind that the canary
// Envoys have not decided over yet: they stay what they were until then, and
// everything else goes on. Before gateways have anything, all is waited for.
func (p *publisher) undecided(ctx context.Context, world *model.World, change canary.Change) []string {
	if p.last == nil || p.blind || !p.serve.IsOpen() {
		return nil
	}
	mayWait := map[string]*cluster.Cluster{}
	for name, c := range change.Clusters {
		function, _, _ := strings.Cut(name, "/")
		if f := world.Function(function); f != nil && !p.postponed[function] && !p.isLast(f.Spec()) {
			mayWait[name] = c
		}
	}
	if len(mayWait) == 0 {
		return nil
	}
	var functions []string
	for _, name := range p.canary.Ahead(ctx, mayWait) {
		function, _, _ := strings.Cut(name, "/")
		functions = append(functions, function)
	}
	return functions
}

// isLast tells whether a function was published as it is written now. What then is
// new of it does not follow from how it is written, and cannot wait by that.
func (p *publisher) isLast(spec *api.Function) bool {
	last := p.last.Function(spec.Name)
	return last != nil && same(last.Spec(), spec)
}

func same(a, b *api.Function) bool { return a == b || reflect.DeepEqual(a, b) }

// postpone leaves functions as they were published last, with those that give up
// requests that one of them may get.
func (p *publisher) postpone(in model.Input, names []string) model.Input {
	now := map[string]*api.Function{}
	for _, f := range in.Set.Functions {
		now[f.Name] = f
	}
	for len(names) > 0 {
		var gained []way
		for _, name := range names {
			p.postponed[name] = true
			gained = append(gained, waysOf(routesBeyond(now[name], p.lastOf(name)))...)
		}
		names = p.givingUp(now, gained)
	}
	for name := range p.postponed {
		now[name] = p.lastOf(name)
	}
	in.Set.Functions = slices.DeleteFunc(slices.Collect(maps.Values(now)), func(f *api.Function) bool { return f == nil })
	slices.SortFunc(in.Set.Functions, func(a, b *api.Function) int { return strings.Compare(a.Name, b.Name) })
	return in
}

// givingUp are functions, not postponed yet, that lose a route that meets one of
// these.
func (p *publisher) givingUp(now map[string]*api.Function, gained []way) (names []string) {
	for _, f := range p.last.Functions {
		last := f.Spec()
		if len(gained) == 0 || p.postponed[f.Name] || now[f.Name] == last {
			continue
		}
		lost := waysOf(routesBeyond(last, now[f.Name]))
		if slices.ContainsFunc(lost, func(l way) bool { return slices.ContainsFunc(gained, l.meets) }) {
			names = append(names, f.Name)
		}
	}
	return names
}

// lastOf is a function as it was published last, or nil.
func (p *publisher) lastOf(name string) *api.Function {
	if f := p.last.Function(name); f != nil {
		return f.Spec()
	}
	return nil
}

// routesBeyond are the routes of a function that another one has not. Nil has none.
func routesBeyond(f, but *api.Function) (routes []api.Route) {
	if f == nil {
		return nil
	}
	for _, r := range f.Spec.Routes {
		if but == nil || !slices.ContainsFunc(but.Spec.Routes, func(x api.Route) bool { return takesAlike(r, x) }) {
			routes = append(routes, r)
		}
	}
	return routes
}

// takesAlike compares the conditions of routes.
func takesAlike(a, b api.Route) bool {
	return a.Path == b.Path && slices.Equal(a.Hosts, b.Hosts) && slices.Equal(a.Methods, b.Methods) &&
		reflect.DeepEqual(a.Headers, b.Headers) && reflect.DeepEqual(a.Query, b.Query)
}

// way is a host and a path of a route; a host that stands for several is "*".
type way struct {
	host string
	path model.Path
}

func waysOf(routes []api.Route) (ways []way) {
	for _, r := range routes {
		hosts := r.Hosts
		if len(hosts) == 0 {
			hosts = []string{"*"}
		}
		for _, h := range hosts {
			if h = model.CleanHost(h); strings.HasPrefix(h, "*") {
				h = "*"
			}
			ways = append(ways, way{h, model.ParsePath(r.Path)})
		}
	}
	return ways
}

// meets tells whether there may be a request that takes both.
func (w way) meets(o way) bool {
	if w.host != o.host && w.host != "*" && o.host != "*" {
		return false
	}
	switch {
	case w.path.Kind == model.Exact:
		return o.path.Matches(w.path.Text)
	case o.path.Kind == model.Exact:
		return w.path.Matches(o.path.Text)
	}
	a, b := head(w.path), head(o.path)
	return strings.HasPrefix(a, b) || strings.HasPrefix(b, a)
}

// head is how each request's path begins that takes a path with parameters or an
// open end.
func head(p model.Path) string {
	text, _, _ := strings.Cut(p.Text, "{")
	return text
}
