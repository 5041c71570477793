package xds

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/kongdao/kongdao/api"
	"github.com/kongdao/kongdao/xds/model"
	"github.com/kongdao/kongdao/xds/serve"
)

// fleet is the gateways that count: those that are connected, and those that left
// within the grace, which may still be admitting their parts.
type fleet struct {
	grace time.Duration
	least int // gateways that share every limit in any case
	nodes map[string]node
	now   map[string]map[string]int // how many count, by group and zone

	generation int                     // grows when the numbers change
	made       map[string]*model.Fleet // of this generation, by names of groups
}

// node is a gateway; gone is when it left, zero while it is connected.
type node struct {
	serve.Member
	gone time.Time
}

func newFleet(c Config) fleet {
	return fleet{grace: c.GatewayGrace.Std(), least: c.Gateways, nodes: map[string]node{}, now: map[string]map[string]int{}, made: map[string]*model.Fleet{}}
}

// connected takes in which gateways are connected.
func (f *fleet) connected(members []serve.Member, now time.Time) {
	left := maps.Clone(f.nodes)
	for _, m := range members {
		f.nodes[m.Node] = node{Member: m}
		delete(left, m.Node)
	}
	for name, n := range left {
		if n.gone.IsZero() {
			n.gone = now
			f.nodes[name] = n
		}
	}
}

// count counts anew and tells whether the numbers are others now.
func (f *fleet) count(now time.Time) (changed bool) {
	counts := map[string]map[string]int{}
	for name, n := range f.nodes {
		if !n.gone.IsZero() && now.Sub(n.gone) >= f.grace {
			delete(f.nodes, name)
			continue
		}
		if counts[n.Group] == nil {
			counts[n.Group] = map[string]int{}
		}
		counts[n.Group][n.Zone]++
	}
	if maps.EqualFunc(counts, f.now, maps.Equal[map[string]int]) {
		return false
	}
	f.now = counts
	f.generation++
	clear(f.made)
	return true
}

// of are the gateways of some groups together, the same Fleet as long as nothing
// changes: Worlds are compared by it.
func (f *fleet) of(groups ...string) *model.Fleet {
	key := strings.Join(groups, "/")
	if made := f.made[key]; made != nil {
		return made
	}
	zones := map[string]int{}
	for _, g := range groups {
		for zone, n := range f.now[g] {
			zones[zone] += n
		}
	}
	f.made[key] = model.EvenFleet(zones, f.least)
	return f.made[key]
}

// parts is a set as the groups get it.
type parts struct {
	set       api.Set
	groups    []string                     // sorted, with the default group
	specs     map[string]*api.GatewayGroup // declared ones
	functions map[string][]*api.Function   // by group
	shared    map[string][]string          // groups that serve a function, by function

	generation int                                // of fleets
	fleets     map[string]map[string]*model.Fleet // by group and function
}

// part tells which group gets which function.
func part(set api.Set) *parts {
	p := &parts{set: set, specs: map[string]*api.GatewayGroup{}, functions: map[string][]*api.Function{}, shared: map[string][]string{}}
	p.groups = []string{serve.DefaultGroup}
	for _, g := range set.GatewayGroups {
		p.specs[g.Name] = g
		if g.Name != serve.DefaultGroup {
			p.groups = append(p.groups, g.Name)
		}
	}
	if len(p.specs) == 0 {
		p.functions[serve.DefaultGroup] = set.Functions
		return p
	}
	for _, f := range set.Functions {
		for _, name := range p.servedBy(f) {
			p.functions[name] = append(p.functions[name], f)
			p.shared[f.Name] = append(p.shared[f.Name], name)
		}
	}
	return p
}

func (p *parts) servedBy(f *api.Function) (groups []string) {
	exclusive := false
	for _, g := range p.specs {
		exclusive = exclusive || g.Spec.Exclusive && g.Spec.Selects(f)
	}
	for _, name := range p.groups {
		spec := p.specs[name]
		all := spec == nil || spec.Spec.All()
		if all && !exclusive || spec != nil && spec.Spec.Selects(f) {
			groups = append(groups, name)
		}
	}
	return groups
}

// of is what the World of a group follows from, besides what all have in common.
func (p *parts) of(group string, f *fleet, in model.Input) model.Input {
	in.Set = p.set
	in.Set.Functions = p.functions[group]
	if spec := p.specs[group]; spec != nil {
		in.Group = &model.Group{Name: group, Listen: spec.Spec.Listen, Hosts: spec.Spec.Hosts, AnyMethod: spec.Spec.AnyMethod, Access: spec.Spec.Access}
	}
	in.Views = views(f.now[group])
	if len(p.specs) == 0 {
		in.Fleet = f.of(serve.DefaultGroup)
		return in
	}
	in.Fleets = p.fleetsOf(group, f)
	return in
}

// fleetsOf are the gateways that share the limits of a group's functions.
func (p *parts) fleetsOf(group string, f *fleet) map[string]*model.Fleet {
	if p.generation != f.generation || p.fleets == nil {
		p.generation, p.fleets = f.generation, map[string]map[string]*model.Fleet{}
	}
	if p.fleets[group] == nil {
		p.fleets[group] = make(map[string]*model.Fleet, len(p.functions[group]))
		for _, fn := range p.functions[group] {
			p.fleets[group][fn.Name] = f.of(p.shared[fn.Name]...)
		}
	}
	return p.fleets[group]
}

// views are the zones that gateways stand in.
func views(zones map[string]int) (names []string) {
	for _, zone := range slices.Sorted(maps.Keys(zones)) {
		if zone != "" {
			names = append(names, zone)
		}
	}
	return names
}
