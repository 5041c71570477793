package translate

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	route "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"google.golang.org/protobuf/proto"

	"github.com/kongdao/kongdao/api"
	"github.com/kongdao/kongdao/xds/model"
)

// TestChangesAddUp makes random changes to a random configuration and applies what
// Changes says to what was there; the result must be what a translation of
// everything gives, without anything that is untouched having been sent.
func TestChangesAddUp(t *testing.T) {
	c := Config{Address: "127.0.0.1", Port: 9000, Shards: 3}
	for seed := range uint64(40) {
		r := rand.New(rand.NewPCG(seed, 4))
		in := model.Input{Ready: map[string]bool{}, ZoneWeights: map[string]int{}, Fleet: &model.Fleet{}}
		var before *model.World
		have := &Resources{}
		for step := range 25 {
			ready := in.Ready
			mutate(r, &in)
			in.Previous, in.Touched = before, nil
			if seed%2 == 0 { // the way that looks only at what can have changed
				in.Touched = touchedSince(ready, in.Ready)
				in.Set.Functions = slices.SortedFunc(slices.Values(in.Set.Functions), func(a, b *api.Function) int { return strings.Compare(a.Name, b.Name) })
			}
			w := model.Build(in)
			d, err := Changes(c, before, w)
			if err != nil {
				t.Fatal(err)
			}
			apply(t, have, d, before == nil)
			full, err := worldOf(c, w)
			if err != nil {
				t.Fatal(err)
			}
			checkRoutes(t, full)
			checkChains(t, w, full)
			if in.Touched != nil {
				in.Touched = nil
				sameWorld(t, c, w, model.Build(in))
			}
			if diff := difference(have, full); diff != "" {
				t.Fatalf("seed %d, step %d: %s", seed, step, diff)
			}
			// The whole way round, without a World before; tiers have a memory.
			in.Previous = &model.World{}
			if fresh := model.Build(in); len(fresh.Hosts) != len(w.Hosts) || len(fresh.Functions) != len(w.Functions) {
				t.Fatalf("seed %d, step %d: %d hosts, want %d", seed, step, len(w.Hosts), len(fresh.Hosts))
			}
			before = w
			if same, err := Changes(c, w, rebuild(in, w)); err != nil || len(same.Clusters)+len(same.Routes)+len(same.Patches)+len(same.Scopes)+len(same.Listeners) > 0 {
				t.Fatalf("seed %d, step %d: nothing changed, and yet %v %v", seed, step, same, err)
			}
		}
	}
}

func touchedSince(a, b map[string]bool) map[string]bool {
	all := map[string]bool{}
	for address, ready := range b {
		if was, known := a[address]; !known || was != ready {
			all[address] = true
		}
	}
	return all
}

func rebuild(in model.Input, previous *model.World) *model.World {
	in.Previous = previous
	return model.Build(in)
}

// mutate changes one thing.
func mutate(r *rand.Rand, in *model.Input) {
	hosts := []string{"a.example.com", "b.example.com", "*.example.com", "*.com", "*"}
	address := func() string { return fmt.Sprintf("127.0.0.1:%d", 9000+r.IntN(8)) }
	zone := func() string { return fmt.Sprint("z", r.IntN(3)) }
	switch r.IntN(9) {
	case 8:
		in.Weighted = map[string]*model.Fleet{}
		for range r.IntN(3) {
			in.Weighted[fmt.Sprint("f", r.IntN(6))] = &model.Fleet{Gateways: 2, Parts: map[string]float64{"gw-1": r.Float64()}}
		}
	case 0:
		in.Ready = maps.Clone(in.Ready)
		in.Ready[address()] = r.IntN(2) == 0
	case 1:
		in.ZoneWeights = maps.Clone(in.ZoneWeights)
		in.ZoneWeights[zone()] = []int{0, 50, 100}[r.IntN(3)]
	case 2:
		in.Fleet = model.EvenFleet(map[string]int{"za": r.IntN(2), "zb": r.IntN(30)}, 1)
	case 3:
		in.Lifts = nil
		if n := len(in.Set.Functions); n > 0 && r.IntN(2) == 0 {
			in.Lifts = []model.Lift{{Function: in.Set.Functions[r.IntN(n)].Name, Address: address(), Factor: 0.5 + r.Float64()}}
		}
		in.Pins = nil
		if n := len(in.Set.Functions); n > 0 {
			in.Pins = []model.Pin{{Function: in.Set.Functions[r.IntN(n)].Name, Address: address(), Token: fmt.Sprint(r.Uint64())}}
		}
	case 4:
		if n := len(in.Set.Functions); n > 0 {
			i := r.IntN(n)
			in.Set.Functions = append(append([]*api.Function{}, in.Set.Functions[:i]...), in.Set.Functions[i+1:]...)
		}
	default:
		f := &api.Function{Metadata: api.Metadata{Name: fmt.Sprint("f", r.IntN(6))}}
		for range 1 + r.IntN(3) {
			f.Spec.Routes = append(f.Spec.Routes, api.Route{
				Hosts: []string{hosts[r.IntN(len(hosts))], hosts[r.IntN(len(hosts))]}, Path: fmt.Sprint("/", r.IntN(4)),
			})
		}
		for i := range 1 + r.IntN(2) {
			f.Spec.Revisions = append(f.Spec.Revisions, api.Revision{
				Name: fmt.Sprint("r", i+r.IntN(2)), Endpoints: []api.Endpoint{{Address: address(), Zone: zone()}, {Address: address(), Zone: zone()}},
			})
		}
		f.Spec.Access = &api.Access{Public: r.IntN(4) > 0}
		f.Spec.Capacity.PerPodQPS = []float64{0, 1e-3, 0.5, 7, 150, 1e7}[r.IntN(6)]
		f.Spec.Priority = []string{"", "high", "low"}[r.IntN(3)]
		for range r.IntN(3) {
			f.Spec.Limits = append(f.Spec.Limits, api.CallerLimit{
				Per: []string{"ip", "consumer", "header"}[r.IntN(3)], Header: "x-user", Name: fmt.Sprint("l", r.Uint32()),
				Rate: []api.Rate{1.0 / 300, 2, 1e5}[r.IntN(3)], Burst: r.IntN(2),
			})
		}
		if r.IntN(6) == 0 {
			f.Spec.Revisions = nil // invalid
		}
		others := []*api.Function{f}
		for _, o := range in.Set.Functions {
			if o.Name != f.Name {
				others = append(others, o)
			}
		}
		in.Set.Functions = others
	}
}

// apply does to have what gateways do.
func apply(t *testing.T, have *Resources, d *Delta, first bool) {
	t.Helper()
	if first {
		*have = d.Resources
		return
	}
	for _, name := range d.Removed {
		delete(have.Clusters, name)
		delete(have.Endpoints, name)
	}
	for _, name := range d.Unscoped {
		delete(have.Scopes, name)
	}
	maps.Copy(have.Clusters, d.Clusters)
	maps.Copy(have.Endpoints, d.Endpoints)
	maps.Copy(have.Routes, d.Routes)
	for name, p := range d.Patches {
		have.Routes[name] = patched(t, have.Routes[name], p)
	}
	maps.Copy(have.Scopes, d.Scopes)
}

// sameWorld compares a World that was made by looking at what can have changed with
// one for which everything was looked at.
func sameWorld(t *testing.T, c Config, quick, all *model.World) {
	t.Helper()
	a, err := worldOf(c, quick)
	if err != nil {
		t.Fatal(err)
	}
	b, err := worldOf(c, all)
	if err != nil {
		t.Fatal(err)
	}
	if diff := difference(a, b); diff != "" {
		t.Fatal("another World: ", diff)
	}
	if !slices.Equal(quick.Zones, all.Zones) || len(quick.Invalid()) != len(all.Invalid()) || quick.Weighted() != all.Weighted() {
		t.Fatalf("zones %v, want %v", quick.Zones, all.Zones)
	}
}

// patched is a shard with a patch put in, which must be the very bytes that the
// whole shard is marshalled to.
func patched(t *testing.T, old *route.RouteConfiguration, p *Patch) *route.RouteConfiguration {
	t.Helper()
	deterministic := proto.MarshalOptions{Deterministic: true}
	before, err := deterministic.Marshal(old)
	if err != nil {
		t.Fatal(err)
	}
	body, err := p.Apply(before)
	if err != nil {
		t.Fatal(err)
	}
	out := &route.RouteConfiguration{}
	if err := proto.Unmarshal(body, out); err != nil {
		t.Fatal(err)
	}
	if again, err := deterministic.Marshal(out); err != nil || !bytes.Equal(again, body) {
		t.Fatalf("patched bytes are not those of the whole: %v", err)
	}
	return out
}

func difference(a, b *Resources) string {
	for _, diff := range []string{
		compare("cluster", a.Clusters, b.Clusters), compare("endpoints", a.Endpoints, b.Endpoints),
		compare("listener", a.Listeners, b.Listeners), compare("routes", a.Routes, b.Routes), compare("scope", a.Scopes, b.Scopes),
	} {
		if diff != "" {
			return diff
		}
	}
	return ""
}

func compare[M proto.Message](what string, got, want map[string]M) string {
	for name, m := range want {
		if x, ok := got[name]; !ok {
			return fmt.Sprintf("%s %s is missing", what, name)
		} else if !proto.Equal(x, m) {
			return fmt.Sprintf("%s %s differs:\n%v\nwant\n%v", what, name, x, m)
		}
	}
	for name := range got {
		if _, ok := want[name]; !ok {
			return fmt.Sprintf("%s %s is too many", what, name)
		}
	}
	return ""
}

// worldOf translates a whole world.
func worldOf(c Config, w *model.World) (*Resources, error) {
	d, err := Changes(c, nil, w)
	if err != nil {
		return nil, err
	}
	return &d.Resources, nil
}
