package plan_test

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/kongdao/kongdao/capacity/plan"
)

// some is a random policy and function that go together.
func some(r *rand.Rand) (plan.Policy, plan.Function) {
	n := 1 + r.IntN(6)
	p := plan.Policy{Zones: strings.Split("abcdef", "")[:n], LostZones: r.IntN(n), Growth: r.Float64(), Utilisation: 0.1 + 0.9*r.Float64()}
	f := plan.Function{Name: "f", PeakQPS: 1 + 10_000*r.Float64(), SafeRate: 1 + 1000*r.Float64(), Measured: true, HavePerZone: map[string]int{}}
	for _, z := range p.Zones {
		f.HavePerZone[z] = r.IntN(30)
	}
	return p, f
}

// More of what asks for pods never plans fewer of them.
func TestMoreDemandIsNeverFewerPods(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 3000 {
		p, f := some(r)
		was := one(t, p, f)
		for name, more := range map[string]func(*plan.Policy, *plan.Function){
			"load":     func(_ *plan.Policy, f *plan.Function) { f.PeakQPS *= 1 + r.Float64() },
			"growth":   func(p *plan.Policy, _ *plan.Function) { p.Growth += r.Float64() },
			"an event": func(p *plan.Policy, _ *plan.Function) { p.Events = []plan.WhatIf{{Name: "e", Factor: 1 + r.Float64()}} },
			"room": func(p *plan.Policy, _ *plan.Function) {
				p.Utilisation *= r.Float64() + 1e-3
				p.Utilisation = min(1, p.Utilisation)
			},
			"slower pods": func(_ *plan.Policy, f *plan.Function) { f.SafeRate *= 0.1 + 0.9*r.Float64() },
			"lost zones":  func(p *plan.Policy, _ *plan.Function) { p.LostZones = min(p.LostZones+1, len(p.Zones)-1) },
			"fewer zones": func(p *plan.Policy, _ *plan.Function) { without(p) },
			"two events": func(p *plan.Policy, _ *plan.Function) {
				p.Events = []plan.WhatIf{{Name: "e", Factor: 2}, {Name: "d", Factor: 0.5}}
			},
			"a small event": func(p *plan.Policy, _ *plan.Function) { p.Events = []plan.WhatIf{{Name: "e", Factor: 1}} },
		} {
			q, g := p, f
			more(&q, &g)
			if q.Utilisation > p.Utilisation {
				continue
			}
			if now := one(t, q, g); now.Needed < was.Needed || now.PerZone < was.PerZone {
				t.Fatalf("%s: %+v %+v: %d, %d a zone; before %d, %d", name, q, g, now.Needed, now.PerZone, was.Needed, was.PerZone)
			}
		}
	}
}

// without thinks a zone away where one may still be lost.
func without(p *plan.Policy) {
	if len(p.Zones)-1 > p.LostZones {
		p.Without = p.Zones[:1]
	}
}

// More pods never survive fewer zones, and what the plan says to survive does:
// every set of that many zones is taken away, and the rest carries the peak.
func TestSurvivalByEnumeration(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for range 3000 {
		p, f := some(r)
		row := one(t, p, f)
		if got := survived(p, f, row.Needed); got != row.Survives {
			t.Fatalf("%+v %+v: survives %d, by enumeration %d", p, f, row.Survives, got)
		}
		more := f
		more.HavePerZone = map[string]int{}
		for z, n := range f.HavePerZone {
			more.HavePerZone[z] = n + r.IntN(3)
		}
		if now := one(t, p, more); now.Survives < row.Survives {
			t.Fatalf("%+v: %v survive %d, %v survive %d", p, f.HavePerZone, row.Survives, more.HavePerZone, now.Survives)
		}
		f.HavePerZone = map[string]int{}
		for _, z := range p.Zones {
			f.HavePerZone[z] = row.PerZone
		}
		if got := survived(p, f, row.Needed); got < p.LostZones {
			t.Fatalf("%+v: %d pods a zone survive %d", p, row.PerZone, got)
		}
	}
}

// survived is the largest number of zones of which any may be lost, tried one set
// after the other; -1: not even none.
func survived(p plan.Policy, f plan.Function, needed int) int {
	enough := make([]bool, len(p.Zones)+1)
	for i := range enough {
		enough[i] = true
	}
	for lost := range 1 << len(p.Zones) {
		left, zones := 0, 0
		for i, z := range p.Zones {
			if lost>>i&1 == 1 {
				zones++
			} else {
				left += f.HavePerZone[z]
			}
		}
		enough[zones] = enough[zones] && left >= needed
	}
	return slices.Index(append(enough[:len(p.Zones)], false), false) - 1
}

func TestWithoutAZone(t *testing.T) {
	p := plan.DefaultPolicy(zones...)
	p.Without = []string{"zb-a"}
	f := plan.Function{Name: "feed", PeakQPS: 1000, SafeRate: 250, Measured: true, HavePerZone: map[string]int{"zb-a": 9, "zb-b": 6, "zb-c": 6}}
	out, err := plan.Make(p, []plan.Function{f})
	if err != nil {
		t.Fatal(err)
	}
	if r := out.Functions[0]; !slices.Equal(out.Zones, zones[1:]) || r.PerZone != 6 || r.Survives != 1 || !out.OK() {
		t.Errorf("%+v", out)
	}
	p.Without = []string{"zb-a", "zb-b"}
	if _, err := plan.Make(p, nil); err == nil || !strings.Contains(err.Error(), "without zb-a, zb-b: lostZones: 1 of 1") {
		t.Errorf("none is left to lose: %v", err)
	}
	p.Without = []string{"zb-x"}
	if _, err := plan.Make(p, nil); err == nil || !strings.Contains(err.Error(), "without: zb-x is not one of the zones") {
		t.Errorf("an unknown zone: %v", err)
	}
}

func TestParseWhatIf(t *testing.T) {
	if e, err := plan.ParseWhatIf("11.11=8x"); err != nil || e != (plan.WhatIf{Name: "11.11", Factor: 8}) {
		t.Errorf("%+v %v", e, err)
	}
	for _, text := range []string{"", "8x", "=8x", "a=", "a=0x", "a=-1", "a=x", "a=Infx", "a=NaN", "a\nb=8x"} {
		if _, err := plan.ParseWhatIf(text); err == nil {
			t.Errorf("%q is no error", text)
		}
	}
}
