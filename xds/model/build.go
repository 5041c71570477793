package model

import (
	"cmp"
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/kongdao/kongdao/api"
)

// Build makes the World of an input. A function that cannot be served does not
// fail it: it is there with its reason in Invalid.
//
// With a Previous World it does little more than compare: every Function and Host
// that would be equal is the same one, the pointer included, so whoever translates
// can see by it what changed.
func Build(in Input) *World {
	b := &builder{in: in, zones: map[string]Zone{}, pins: map[string][]Pin{}, lifts: map[string][]Lift{}, faulty: faulty(in)}
	b.same = in.Previous != nil && reflect.DeepEqual(in.Previous.group, in.Group)
	b.classes = classesOf(in.Set)
	b.signs = anySigns(in.Set)
	for _, z := range in.Set.Zones {
		b.zones[z.Name] = Zone{Name: z.Name, Priority: z.Spec.Priority, Weight: weightOf(z, b.zoneWeight(z.Name))}
	}
	for _, p := range in.Pins {
		b.pins[p.Function] = append(b.pins[p.Function], p)
	}
	for _, l := range in.Lifts {
		b.lifts[l.Function] = append(b.lifts[l.Function], l)
	}
	if w, ok := b.step(); ok {
		return w
	}
	return b.all()
}

// all makes a World by looking at every function.
func (b *builder) all() *World {
	w := &World{Views: b.in.Views, TLS: b.in.TLS, MarkedRefused: b.in.NoMarked, MarkHeader: b.in.MarkHeader, group: b.in.Group, self: &identity{}}
	functions := w.functions.edit()
	for _, spec := range b.in.Set.Functions {
		f := b.previous(spec.Name)
		if f == nil || !b.holds(f, spec) {
			f = b.function(spec)
		}
		w.Functions = append(w.Functions, f)
		functions.set(f.Name, f)
		w.weighted += f.uneven()
	}
	w.functions = functions.next
	slices.SortFunc(w.Functions, byName)
	w.basis = b.basisOf(w)
	for _, f := range w.Functions {
		if f.Invalid != "" {
			w.invalid = append(w.invalid, f)
		}
	}
	before := b.in.Previous
	if before == nil {
		before = &World{}
	}
	w.difference = difference{from: before.self, functions: functionChanges(before.Functions, w.Functions)}
	w.Callers = b.credentials()
	w.addServices()
	w.addHosts(before)
	w.Zones = b.zonesOf(w)
	return w
}

// rulesOf are a function's rules, each with its host.
func (b *builder) rulesOf(f *Function, spec *api.Function) (all []hostRule) {
	for i, route := range spec.Spec.Routes {
		r := &Rule{
			Function: f,
			Name:     fmt.Sprintf("%s/%d", f.Name, i),
			Path:     ParsePath(route.Path),
			Methods:  slices.Sorted(slices.Values(b.in.Group.methods(route.Methods))),
			Headers:  conditions(route.Headers, strings.ToLower),
			Query:    conditions(route.Query, strings.Clone),
			Source:   route.Source,
			Handling: b.handling(spec, route),
			class:    ruleClass(route, spec),
		}
		hosts := route.Hosts
		if len(hosts) == 0 {
			hosts = []string{"*"}
		}
		for _, h := range b.in.Group.hosts(hosts) {
			if hr := (hostRule{CleanHost(h), r}); ValidHost(hr.host) && !slices.Contains(all, hr) {
				all = append(all, hr)
			}
		}
	}
	return all
}

func headers(m map[string]string) []Header {
	var hs []Header
	for name, value := range m {
		hs = append(hs, Header{strings.ToLower(name), value})
	}
	slices.SortFunc(hs, func(a, b Header) int { return cmp.Compare(a.Name, b.Name) })
	return hs
}

// builder holds what every function of one World needs.
type builder struct {
	in    Input
	zones map[string]Zone
	pins  map[string][]Pin // by function
	lifts map[string][]Lift
	same  bool // the World before is the same group's, which does the same

	classes []consumerClass // of all consumers that have one
	signs   bool            // any consumer does

	faulty map[string][]string // what is broken, by function
}

// previous is the function of that name in the World before, or nil.
func (b *builder) previous(name string) *Function {
	if b.in.Previous == nil {
		return nil
	}
	return b.in.Previous.Function(name)
}

// holds tells whether a function of the World before is what this input would
// make of spec.
func (b *builder) holds(f *Function, spec *api.Function) bool {
	if !b.same || !f.fleet.equal(b.in.fleet(f.Name)) || f.broken != b.faultsOf(f.Name) {
		return false
	}
	if f.spec != spec && !reflect.DeepEqual(f.spec, spec) {
		return false
	}
	if !slices.Equal(f.pins, b.pins[f.Name]) || !slices.Equal(f.lifts, b.lifts[f.Name]) || !b.sameAccess(f, b.in.Group.access(spec.Spec.Access)) {
		return false
	}
	if !slices.Equal(f.Callers, b.callers(spec, f.fleet)) || !slices.Equal(f.consumerClasses, b.consumerClasses(spec)) {
		return false
	}
	for _, r := range f.Revisions {
		for _, p := range r.Pods {
			if now := b.pod(api.Endpoint{Address: p.Address, Zone: p.Zone}); now.differs(p) {
				return false
			}
		}
	}
	return true
}

// differs compares all but pins and lifts, which are the function's.
func (p Pod) differs(q *Pod) bool {
	p.Pinned, p.Lift = q.Pinned, q.Lift
	return p != *q
}

// weightOf is the part of its share that a zone's resource leaves to it, drained to
// a percentage of that.
func weightOf(z *api.Zone, percent int) int {
	if z.Spec.Weight == 0 || percent == 0 {
		return percent
	}
	return max(1, (percent*z.Spec.Weight+50)/100)
}

func (b *builder) zoneWeight(name string) int {
	if w, ok := b.in.ZoneWeights[name]; ok {
		return min(max(w, 0), 100)
	}
	return 100
}

// zone returns a zone, also one that no resource declares.
func (b *builder) zone(name string) Zone {
	z, ok := b.zones[name]
	if !ok {
		z = Zone{Name: name, Weight: b.zoneWeight(name)}
		b.zones[name] = z
	}
	return z
}

func (b *builder) function(spec *api.Function) *Function {
	s := spec.Spec
	f := &Function{
		Name: spec.Name, Tenant: cmp.Or(spec.Tenant, "default"), Source: spec.Source,
		Timeout:    cmp.Or(s.Timeout.Std(), DefaultTimeout),
		TryTimeout: s.TryTimeout.Std(),
		Idempotent: s.Idempotent,
		HealthPath: s.HealthCheck.Path,
		Access:     b.access(b.in.Group.access(s.Access)),
		Retries:    s.Retries,
		Mirrors:    mirrors(spec),

		consumerClasses: b.consumerClasses(spec), Concurrency: s.Concurrency,

		spec: spec, fleet: b.in.fleet(spec.Name), broken: b.faultsOf(spec.Name), pins: b.pins[spec.Name], lifts: b.lifts[spec.Name],
		access: b.in.Group.access(s.Access),
	}
	f.Callers = b.callers(spec, f.fleet)
	f.MarkedRefused = s.LoadTest != nil && s.LoadTest.Refuse
	for _, r := range s.Revisions {
		f.Revisions = append(f.Revisions, b.revision(f.Name, r))
	}
	f.Ranked = ranks(spec, f.consumerClasses)
	b.pin(f)
	b.lift(f)
	f.Invalid = cmp.Or(b.in.Broken[f.Name], firstProblem(f, s), accessProblem(f.Access))
	if f.Invalid == "" {
		addTraffic(f, s)
		addLoadTests(f)
	}
	b.limit(f, s.Capacity.Rate())
	f.rules = b.rulesOf(f, spec)
	b.blame(f)
	return f
}

func (b *builder) revision(function string, spec api.Revision) *Revision {
	r := &Revision{Function: function, Name: spec.Name, Protocol: cmp.Or(spec.Protocol, api.HTTP1)}
	for _, e := range spec.Endpoints {
		p := b.pod(e)
		r.Pods = append(r.Pods, &p)
	}
	return r
}

func (b *builder) pod(e api.Endpoint) Pod {
	z := b.zone(e.Zone)
	ready, known := b.in.Ready[e.Address]
	return Pod{
		Address: e.Address, Zone: e.Zone, Priority: z.Priority, Weight: z.Weight,
		Ready: ready, Down: known && !ready,
	}
}

func (b *builder) pin(f *Function) {
	for _, pin := range b.pins[f.Name] {
		for _, r := range f.Revisions {
			i := slices.IndexFunc(r.Pods, func(p *Pod) bool { return p.Address == pin.Address })
			if i < 0 {
				continue
			}
			r.Pods[i].Pinned = true
			f.Pinned = append(f.Pinned, &PinnedPod{Pin: pin, Revision: r, Pod: r.Pods[i]})
		}
	}
}

// addTraffic fills Split and Matches of a valid function.
func addTraffic(f *Function, s api.FunctionSpec) {
	for _, t := range s.Traffic {
		r := f.Revision(t.Revision)
		switch {
		case t.Match != nil:
			f.Matches = append(f.Matches, matchOf(t, r))
		case t.Weight > 0:
			f.Split = append(f.Split, Share{r, t.Weight})
		}
	}
	if s.Sticky != nil {
		f.Sticky = Origin{strings.ToLower(s.Sticky.Header), s.Sticky.Cookie}
	}
	if len(f.Split) == 0 {
		f.Split = []Share{{f.Revisions[len(f.Revisions)-1], 100}}
	}
}

// limit fills in capacities, limit, costs and tier.
func (b *builder) limit(f *Function, q float64) {
	for _, r := range f.Revisions {
		r.Capacity = revisionCapacity(r.Pods, q)
	}
	f.Limit = functionLimit(f.Split)
	dearest := f.charge(float64(max(f.fleet.Gateways, 1)))
	f.Tier = f.tier(dearest, b.previousTier(f.Name))
	f.tiers = b.tiersOf(f)
	f.meet()
}

func (b *builder) previousTier(function string) Tier {
	if f := b.previous(function); f != nil {
		return f.Tier
	}
	return Tier{}
}

// firstProblem says what keeps a function from being served, or "".
func firstProblem(f *Function, s api.FunctionSpec) string {
	if len(f.Revisions) == 0 {
		return "the function has no revision"
	}
	if problem := cmp.Or(wrongOrigins(s.CORS), wrongTranscode(s)); problem != "" {
		return problem
	}
	for _, route := range s.Routes {
		if problem := cmp.Or(wrongConditions(route), wrongOrigins(route.CORS)); problem != "" {
			return problem
		}
		for _, h := range route.Hosts {
			if !ValidHost(CleanHost(h)) {
				return fmt.Sprintf("host %q is not a name, *.name or *", h)
			}
		}
	}
	for _, r := range f.Revisions {
		for _, p := range r.Pods {
			if _, err := netip.ParseAddrPort(p.Address); err != nil {
				return fmt.Sprintf("revision %s: endpoint %q is not an IP address with a port", r.Name, p.Address)
			}
		}
	}
	for _, t := range s.Traffic {
		if f.Revision(t.Revision) == nil {
			return fmt.Sprintf("traffic names revision %q, which does not exist", t.Revision)
		}
		if t.Weight < 0 {
			return fmt.Sprintf("traffic of revision %q has a negative weight", t.Revision)
		}
		if t.Match != nil && emptyMatch(t.Match) {
			return fmt.Sprintf("traffic of revision %q matches without a condition", t.Revision)
		}
	}
	if l := s.LoadTest; l != nil && l.Revision != "" && f.Revision(l.Revision) == nil {
		return fmt.Sprintf("loadTest names revision %q, which does not exist", l.Revision)
	}
	if f.Timeout < 0 || f.TryTimeout < 0 || f.Timeout > 24*time.Hour {
		return "a timeout is out of range"
	}
	return ""
}

// Ranks maps the priorities of the pods in rotation to 0, 1, 2, … without gaps.
func Ranks(pods []*Pod) map[uint32]int {
	var all []uint32
	for _, p := range pods {
		if p.InRotation() && !slices.Contains(all, p.Priority) {
			all = append(all, p.Priority)
		}
	}
	slices.Sort(all)
	ranks := make(map[uint32]int, len(all))
	for i, p := range all {
		ranks[p] = i
	}
	return ranks
}
