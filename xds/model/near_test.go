package model

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

// randomFleet are gateways in up to three of the zones of randomPods, and some
// that stand nowhere or where no pod is.
func randomFleet(r *rand.Rand) *Fleet {
	zones := map[string]int{}
	for _, zone := range []string{"0", "1", "2", "3", "elsewhere", ""} {
		if r.IntN(2) == 0 {
			zones[zone] = r.IntN(4)
		}
	}
	return EvenFleet(zones, 1)
}

// TestNoPodIsGivenMoreThanItsRate adds up what the gateways of all zones send to
// each pod when they admit all that the limit lets them.
func TestNoPodIsGivenMoreThanItsRate(t *testing.T) {
	for seed := range uint64(20_000) {
		r := rand.New(rand.NewPCG(seed, 1))
		rev := &Revision{Pods: randomPods(r), fleet: randomFleet(r)}
		rev.Capacity = revisionCapacity(rev.Pods, 1)
		if r.IntN(2) == 0 {
			rev.demand = rev.Capacity * r.Float64()
		}
		demand := rev.load() * rev.Capacity
		got, nowhere := make([]float64, len(rev.Pods)), 1.0
		for zone, part := range rev.fleet.Zones {
			nowhere -= part
			add(t, got, rev, zone, part*demand)
		}
		add(t, got, rev, "", nowhere*demand)
		for i, p := range rev.Pods {
			if p.Ready && got[i] > 1.02 { // priorities are in whole percents
				t.Fatalf("seed %d: pod %d gets %v of its rate; %s", seed, i, got[i], describe(rev))
			}
			if (!p.Ready || !p.InRotation()) && got[i] > 0 {
				t.Fatalf("seed %d: pod %d takes nothing, and gets %v; %s", seed, i, got[i], describe(rev))
			}
		}
	}
}

func add(t *testing.T, got []float64, r *Revision, zone string, rate float64) {
	t.Helper()
	plan, ok := r.From(zone)
	if !ok {
		return
	}
	sum := 0.0
	for i, share := range plan.Shares {
		got[i] += share * rate
		sum += share
		if (share > 0) != (plan.Ranks[i] == 0) {
			t.Fatalf("pod %d has the share %v and the rank %d; %s", i, share, plan.Ranks[i], describe(r))
		}
	}
	if math.Abs(sum-1) > 1e-9 {
		t.Fatalf("shares of %s add up to %v; %s", zone, sum, describe(r))
	}
	for _, rank := range plan.Ranks {
		for below := range rank {
			if !contains(plan.Ranks, below) {
				t.Fatalf("ranks %v have a gap", plan.Ranks)
			}
		}
	}
}

func contains(all []int, x int) bool {
	for _, y := range all {
		if x == y {
			return true
		}
	}
	return false
}

func describe(r *Revision) (text string) {
	for _, p := range r.Pods {
		text += fmt.Sprintf("%+v ", *p)
	}
	return text + fmt.Sprintf("fleet %+v", *r.fleet)
}

// TestPlans are the cases that people think of.
func TestPlans(t *testing.T) {
	pods := func(zones ...string) (all []*Pod) {
		for i, z := range zones {
			all = append(all, &Pod{Address: fmt.Sprint(i), Zone: z, Weight: 100, Ready: true})
		}
		return all
	}
	for name, c := range map[string]struct {
		pods  []*Pod
		fleet map[string]int
		from  string
		want  map[string]float64
	}{
		"one gateway has to use them all":        {pods("a", "b", "b"), map[string]int{"a": 1}, "a", map[string]float64{"a": 1. / 3, "b": 2. / 3}},
		"each stays at home":                     {pods("a", "b", "c"), map[string]int{"a": 1, "b": 1, "c": 1}, "b", map[string]float64{"b": 1}},
		"more gateways than pods spill over":     {pods("a", "b", "b", "b"), map[string]int{"a": 1, "b": 1}, "a", map[string]float64{"a": .5, "b": .5}},
		"more pods than gateways stay at home":   {pods("a", "b", "b", "b"), map[string]int{"a": 1, "b": 1}, "b", map[string]float64{"b": 1}},
		"what is left over decides":              {pods("a", "b", "b", "c", "c", "c"), map[string]int{"a": 1, "b": 1, "c": 1}, "a", map[string]float64{"a": .5, "c": .5}},
		"no pod at home":                         {pods("b", "c"), map[string]int{"a": 1, "b": 1}, "a", map[string]float64{"c": 1}},
		"a gateway that stands nowhere":          {pods("a", "b"), map[string]int{"a": 1, "": 1}, "", map[string]float64{"b": 1}},
		"no gateway says where it stands":        {pods("a", "b"), map[string]int{"": 2}, "", map[string]float64{"a": .5, "b": .5}},
		"a zone of which nobody knows a gateway": {pods("a", "b"), map[string]int{"b": 1}, "a", map[string]float64{"a": 1}},
	} {
		t.Run(name, func(t *testing.T) {
			r := &Revision{Pods: c.pods, fleet: EvenFleet(c.fleet, 1)}
			plan, ok := r.From(c.from)
			got := map[string]float64{}
			for i, p := range c.pods {
				got[p.Zone] += plan.Shares[i]
			}
			for zone := range got {
				if !ok || math.Abs(got[zone]-c.want[zone]) > 1e-9 {
					t.Errorf("got %v, want %v", got, c.want)
				}
			}
		})
	}
}
