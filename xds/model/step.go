package model

import (
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/kongdao/kongdao/api"
)

// basis is what a World was made of, as far as it tells which functions a later
// input can leave as they are.
type basis struct {
	specs       []*api.Function // as in Functions; nil: their order or names are not ordinary
	zones       []*api.Zone
	limits      []*api.Limit
	classes     []consumerClass
	signs       bool
	zoneWeights map[string]int
	pins        []Pin
	lifts       []Lift
	broken      map[string]string
	unmatchable map[string]bool
	files       map[string]string
	views       []string
	fleet       *Fleet
	fleets      map[string]*Fleet
	weighted    map[string]*Fleet
	used        map[string]int  // pods by zone
	pods        index[[]string] // functions by address of their pods
}

// basisOf is that of an input whose functions have become a World's.
func (b *builder) basisOf(w *World) basis {
	s := basis{
		zones: b.in.Set.Zones, limits: b.in.Set.Limits, classes: b.classes, signs: b.signs, zoneWeights: b.in.ZoneWeights, pins: b.in.Pins, lifts: b.in.Lifts,
		broken: b.in.Broken, unmatchable: b.in.Unmatchable, files: b.in.Files, views: b.in.Views,
		fleet: b.in.Fleet, fleets: b.in.Fleets, weighted: b.in.Weighted, used: map[string]int{},
	}
	if strictlySorted(b.in.Set.Functions) {
		s.specs = slices.Clone(b.in.Set.Functions) // whose owner may go on to change it
	}
	pods := s.pods.edit()
	for _, f := range w.Functions {
		s.count(f, 1)
		s.link(pods, f)
	}
	s.pods = pods.next
	return s
}

func strictlySorted(specs []*api.Function) bool {
	for i := 1; i < len(specs); i++ {
		if specs[i-1].Name >= specs[i].Name {
			return false
		}
	}
	return true
}

// count adds a function's pods to those of their zones, or takes them away.
func (s *basis) count(f *Function, by int) {
	for _, r := range f.Revisions {
		for _, p := range r.Pods {
			s.used[p.Zone] += by
		}
	}
}

func (s *basis) link(pods *indexEdit[[]string], f *Function) {
	for _, r := range f.Revisions {
		for _, p := range r.Pods {
			if known := pods.next.get(p.Address); !slices.Contains(known, f.Name) {
				pods.set(p.Address, append(slices.Clip(known), f.Name))
			}
		}
	}
}

func (s *basis) unlink(pods *indexEdit[[]string], f *Function) {
	for _, r := range f.Revisions {
		for _, p := range r.Pods {
			others := slices.DeleteFunc(slices.Clone(pods.next.get(p.Address)), func(name string) bool { return name == f.Name })
			if len(others) == 0 {
				pods.drop(p.Address)
				continue
			}
			pods.set(p.Address, others)
		}
	}
}

// step makes the next World out of the one before by looking at those functions
// alone that an input can have changed. It is false where that cannot be told.
func (b *builder) step() (*World, bool) {
	before := b.in.Previous
	if !b.same || before.basis.specs == nil || b.in.Touched == nil || !b.alike(before.basis) {
		return nil, false
	}
	specs, ok := b.suspects(before)
	if !ok {
		return nil, false
	}
	w := &World{Views: b.in.Views, TLS: b.in.TLS, MarkedRefused: b.in.NoMarked, MarkHeader: b.in.MarkHeader, group: b.in.Group, self: &identity{}}
	w.difference.from = before.self
	for _, name := range slices.Sorted(maps.Keys(specs)) {
		old, spec := before.Function(name), specs[name]
		if spec == nil {
			w.difference.functions = append(w.difference.functions, FunctionChange{Before: old})
		} else if old == nil || !b.holds(old, spec) {
			w.difference.functions = append(w.difference.functions, FunctionChange{old, b.function(spec)})
		}
	}
	b.take(w, before)
	w.Callers = b.credentials()
	w.takeServices(before)
	w.addHosts(before)
	w.Zones = b.zonesOf(w)
	return w, true
}

// alike tells whether what all functions depend on is as it was.
func (b *builder) alike(s basis) bool {
	return slices.Equal(s.zones, b.in.Set.Zones) && slices.Equal(s.limits, b.in.Set.Limits) && slices.Equal(s.classes, b.classes) && s.signs == b.signs &&
		maps.Equal(s.zoneWeights, b.in.ZoneWeights) && maps.Equal(s.files, b.in.Files) && slices.Equal(s.views, b.in.Views) &&
		s.fleet == b.in.Fleet && sameFleets(s.fleets, b.in.Fleets)
}

// sameFleets compares pointers: fleets of one generation are the same.
func sameFleets(a, b map[string]*Fleet) bool {
	if reflect.ValueOf(a).UnsafePointer() == reflect.ValueOf(b).UnsafePointer() {
		return true
	}
	return maps.Equal(a, b)
}

// suspects are the functions that may differ from those before, by name, each with
// what it is to be made of; nil: it is gone.
func (b *builder) suspects(before *World) (map[string]*api.Function, bool) {
	specs, ok := map[string]*api.Function{}, true
	now := b.in.Set.Functions
	compare(before.basis.specs, now, bySpecName, func(old, spec *api.Function, at int) {
		if spec == nil {
			specs[old.Name] = nil
			return
		}
		specs[spec.Name] = spec
		ok = ok && (at == 0 || now[at-1].Name < spec.Name) && (at+1 == len(now) || spec.Name < now[at+1].Name)
	})
	if !ok {
		return nil, false
	}
	look := func(function string) {
		if _, known := specs[function]; known {
			return
		}
		if i, found := slices.BinarySearchFunc(now, function, func(f *api.Function, name string) int { return strings.Compare(f.Name, name) }); found {
			specs[function] = now[i]
		}
	}
	for address := range b.in.Touched {
		for _, function := range before.basis.pods.get(address) {
			look(function)
		}
	}
	for _, pin := range slices.Concat(before.basis.pins, b.in.Pins) {
		look(pin.Function)
	}
	for _, lift := range slices.Concat(before.basis.lifts, b.in.Lifts) {
		look(lift.Function)
	}
	for _, broken := range []map[string]string{before.basis.broken, b.in.Broken} {
		for name := range broken {
			look(functionOf(name))
		}
	}
	for _, unmatchable := range []map[string]bool{before.basis.unmatchable, b.in.Unmatchable} {
		for name := range unmatchable {
			look(functionOf(name))
		}
	}
	for _, function := range unequal(before.basis.weighted, b.in.Weighted) {
		look(function)
	}
	return specs, true
}

// unequal are the functions whose fleets differ.
func unequal(a, b map[string]*Fleet) (functions []string) {
	for function, f := range a {
		if g := b[function]; g == nil || !f.equal(g) {
			functions = append(functions, function)
		}
	}
	for function := range b {
		if a[function] == nil {
			functions = append(functions, function)
		}
	}
	return functions
}

func bySpecName(a, b *api.Function) int { return strings.Compare(a.Name, b.Name) }

func functionOf(piece string) string {
	function, _, _ := strings.Cut(piece, "/")
	return function
}

// take fills in functions and basis out of the World before and the difference.
func (b *builder) take(w, before *World) {
	w.basis = before.basis
	w.basis.specs, w.basis.pins, w.basis.lifts = slices.Clone(b.in.Set.Functions), b.in.Pins, b.in.Lifts
	w.basis.broken, w.basis.unmatchable, w.basis.weighted = b.in.Broken, b.in.Unmatchable, b.in.Weighted
	w.Functions, w.functions, w.invalid, w.weighted = before.Functions, before.functions, before.invalid, before.weighted
	if len(w.difference.functions) == 0 {
		return
	}
	w.basis.used = maps.Clone(before.basis.used)
	functions, pods := before.functions.edit(), before.basis.pods.edit()
	w.Functions = make([]*Function, 0, len(b.in.Set.Functions))
	w.invalid = slices.Clone(before.invalid)
	i := 0
	for _, c := range w.difference.functions {
		name := c.name()
		next := upTo(before.Functions, i, name, func(f *Function) string { return f.Name })
		w.Functions = append(w.Functions, before.Functions[i:next]...)
		i = next
		if c.Before != nil {
			i++
			w.basis.count(c.Before, -1)
			w.weighted -= c.Before.uneven()
			w.invalid = slices.DeleteFunc(w.invalid, func(f *Function) bool { return f == c.Before })
		}
		if c.Now == nil {
			functions.drop(name)
			w.basis.unlink(pods, c.Before)
			continue
		}
		w.Functions = append(w.Functions, c.Now)
		functions.set(name, c.Now)
		w.basis.count(c.Now, 1)
		w.weighted += c.Now.uneven()
		if c.Now.Invalid != "" {
			w.invalid = append(w.invalid, c.Now)
		}
		if c.Before == nil || !sameAddresses(c.Before, c.Now) {
			if c.Before != nil {
				w.basis.unlink(pods, c.Before)
			}
			w.basis.link(pods, c.Now)
		}
	}
	w.Functions = append(w.Functions, before.Functions[i:]...)
	slices.SortFunc(w.invalid, byName)
	w.functions, w.basis.pods = functions.next, pods.next
}

// uneven is 1 for a function whose limit is not shared evenly.
func (f *Function) uneven() int { return min(len(f.fleet.Parts), 1) }

func (c FunctionChange) name() string {
	if c.Now != nil {
		return c.Now.Name
	}
	return c.Before.Name
}

// sameAddresses tells whether two functions have pods at the same addresses.
func sameAddresses(a, b *Function) bool {
	return slices.EqualFunc(a.Revisions, b.Revisions, func(x, y *Revision) bool {
		return slices.EqualFunc(x.Pods, y.Pods, func(p, q *Pod) bool { return p.Address == q.Address })
	})
}

// zonesOf are declared zones and those that pods name, sorted.
func (b *builder) zonesOf(w *World) (all []Zone) {
	for zone, pods := range w.basis.used {
		if pods > 0 {
			b.zone(zone)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(b.zones)) {
		all = append(all, b.zones[name])
	}
	return all
}

// takeServices keeps what the World before needed besides pods, unless a function
// changed that needs any such thing.
func (w *World) takeServices(before *World) {
	w.Tokens, w.Services = before.Tokens, before.Services
	for _, c := range w.difference.functions {
		for _, f := range []*Function{c.Before, c.Now} {
			if f != nil && (len(f.Access.Tokens) > 0 || f.Access.External != nil) {
				w.addServices()
				return
			}
		}
	}
}
