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

// postpone leaves functions as they were published last, with those that give up a
// route on a host where one of them gets one: it may be the same.
func (p *publisher) postpone(in model.Input, names []string) model.Input {
	now := map[string]*api.Function{}
	for _, f := range in.Set.Functions {
		now[f.Name] = f
	}
	for len(names) > 0 {
		gained := map[string]bool{}
		for _, name := range names {
			p.postponed[name] = true
			maps.Copy(gained, hostsOf(routesBeyond(now[name], p.lastOf(name))))
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

// givingUp are functions, not postponed yet, that lose a route on one of these hosts.
func (p *publisher) givingUp(now map[string]*api.Function, hosts map[string]bool) (names []string) {
	for _, f := range p.last.Functions {
		last := f.Spec()
		if p.postponed[f.Name] || now[f.Name] == last {
			continue
		}
		for host := range hostsOf(routesBeyond(last, now[f.Name])) {
			if hosts[host] || hosts["*"] || host == "*" && len(hosts) > 0 {
				names = append(names, f.Name)
				break
			}
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

// hostsOf are the hosts of routes; one that stands for several is "*".
func hostsOf(routes []api.Route) map[string]bool {
	hosts := map[string]bool{}
	for _, r := range routes {
		if len(r.Hosts) == 0 {
			hosts["*"] = true
		}
		for _, h := range r.Hosts {
			if h = model.CleanHost(h); strings.HasPrefix(h, "*") {
				h = "*"
			}
			hosts[h] = true
		}
	}
	return hosts
}
