package plan_test

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kongdao/kongdao/capacity/plan"
)

var zones = []string{"zb-a", "zb-b", "zb-c"}

func one(t *testing.T, p plan.Policy, f plan.Function) plan.Row {
	t.Helper()
	out, err := plan.Make(p, []plan.Function{f})
	if err != nil {
		t.Fatal(err)
	}
	return out.Functions[0]
}

// 10 million calls a day, 300/s a pod, 70 %.
func TestGoldenCases(t *testing.T) {
	for _, c := range []struct {
		factor                 float64
		needed, perZone, total int
	}{
		{10, 6, 3, 9},
		{3, 2, 1, 3},
	} {
		f := plan.Function{Name: "recommend-feed", PeakQPS: plan.Peak(10e6, c.factor), SafeRate: 300, Measured: true}
		r := one(t, plan.DefaultPolicy(zones...), f)
		if r.Needed != c.needed || r.PerZone != c.perZone || r.PerZone*len(zones) != c.total {
			t.Errorf("peak factor %g: %d pods, %d a zone, %d in all; want %d, %d, %d",
				c.factor, r.Needed, r.PerZone, r.PerZone*len(zones), c.needed, c.perZone, c.total)
		}
	}
}

func TestWhatIsMissing(t *testing.T) {
	f := plan.Function{Name: "feed", PeakQPS: 1000, SafeRate: 250, Measured: true, HavePerZone: map[string]int{"zb-a": 3, "zb-b": 2, "zb-c": 4}}
	r := one(t, plan.DefaultPolicy(zones...), f)
	want := plan.Row{
		Function: "feed", PeakQPS: 1000, SafeRate: 250, Measured: true, Needed: 6, PerZone: 3,
		Have: map[string]int{"zb-a": 3, "zb-b": 2, "zb-c": 4}, Missing: map[string]int{"zb-b": 1}, Idle: map[string]int{"zb-c": 1},
		Survives: 0, Now: 4.0 / 9, ZoneLost: 4.0 / 5,
	}
	if diff := cmp.Diff(want, r); diff != "" {
		t.Error("-want +got:\n" + diff)
	}
	f.HavePerZone["zb-b"] = 3
	if r := one(t, plan.DefaultPolicy(zones...), f); !r.OK() || r.Survives != 1 {
		t.Errorf("three in each zone survive the loss of one: %+v", r)
	}
	f.HavePerZone = nil
	if r := one(t, plan.DefaultPolicy(zones...), f); r.OK() || r.Survives != -1 || r.Now != -1 || r.Missing["zb-a"] != 3 {
		t.Errorf("without pods: %+v", r)
	}
}

func TestUnknownFiguresSayWhatToRun(t *testing.T) {
	r := one(t, plan.DefaultPolicy(zones...), plan.Function{Name: "feed", PeakQPS: 100})
	if r.OK() || r.PerZone != 0 || !strings.Contains(strings.Join(r.Notes, "\n"), "kongdao capacity find feed") {
		t.Errorf("unknown safe rate: %+v", r)
	}
	r = one(t, plan.DefaultPolicy(zones...), plan.Function{Name: "feed", PeakQPS: 100, SafeRate: 300})
	if r.PerZone != 1 || !strings.Contains(strings.Join(r.Notes, "\n"), "not measured") {
		t.Errorf("a wish for a rate: %+v", r)
	}
	r = one(t, plan.DefaultPolicy(zones...), plan.Function{Name: "feed", SafeRate: 300, Measured: true})
	if r.OK() || !strings.Contains(strings.Join(r.Notes, "\n"), "forecastQPS") {
		t.Errorf("unknown peak: %+v", r)
	}
}

// Whatever is planned suffices when zones are lost, one pod a zone less does not,
// and more demand never needs fewer pods.
func TestPlanIsEnoughAndNotMore(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 5000 {
		n := 1 + r.IntN(6)
		p := plan.Policy{Zones: strings.Split("abcdef", "")[:n], LostZones: r.IntN(n), Growth: r.Float64(), Utilisation: 0.1 + 0.9*r.Float64()}
		f := plan.Function{Name: "f", PeakQPS: 1 + 10_000*r.Float64(), SafeRate: 1 + 1000*r.Float64(), Measured: true}
		x := one(t, p, f)
		peak, usable := f.PeakQPS*(1+p.Growth), f.SafeRate*p.Utilisation
		left := func(perZone int) float64 { return float64(perZone*(n-p.LostZones)) * usable }
		if left(x.PerZone) < peak*(1-1e-9) {
			t.Fatalf("%+v %+v: %d a zone leave %.1f/s of %.1f/s", p, f, x.PerZone, left(x.PerZone), peak)
		}
		if left(x.PerZone-1) >= peak*(1+1e-9) {
			t.Fatalf("%+v %+v: %d a zone are more than needed", p, f, x.PerZone)
		}
		if once := int(math.Ceil(peak/(float64(n-p.LostZones)*usable) - 1e-9)); once != x.PerZone {
			t.Fatalf("%+v %+v: rounding twice gives %d, once %d", p, f, x.PerZone, once)
		}
		f.HavePerZone = map[string]int{}
		for _, z := range p.Zones {
			f.HavePerZone[z] = x.PerZone
		}
		if y := one(t, p, f); !y.OK() || y.Survives < p.LostZones || y.Now > p.Utilisation+1e-9 {
			t.Fatalf("%+v %+v: what was planned is not enough: %+v", p, f, y)
		}
		f.PeakQPS *= 1.5
		if y := one(t, p, f); y.PerZone < x.PerZone {
			t.Fatalf("%+v %+v: more demand, fewer pods", p, f)
		}
	}
}

func TestRoundingErrorsAddNoPod(t *testing.T) {
	for pods := 1; pods < 2000; pods++ {
		if got := plan.Pods(float64(pods)*300*0.7, 300, 0.7); got != pods {
			t.Errorf("%d pods' worth of traffic need %d pods", pods, got)
		}
	}
}

func TestRefusals(t *testing.T) {
	for field, p := range map[string]plan.Policy{
		"zones:":       {Utilisation: 0.7},
		"zones: each":  {Zones: []string{"a", "a"}, Utilisation: 0.7},
		"lostZones:":   {Zones: zones, LostZones: 3, Utilisation: 0.7},
		"growth:":      {Zones: zones, Growth: -1, Utilisation: 0.7},
		"utilisation:": {Zones: zones, Utilisation: 1.1},
	} {
		if _, err := plan.Make(p, nil); err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("%s: got %v", field, err)
		}
	}
	for _, f := range []plan.Function{
		{Name: "f", PeakQPS: -1},
		{Name: "f", SafeRate: math.NaN()},
		{Name: "f", HavePerZone: map[string]int{"zb-a": -1}},
		{Name: "f", HavePerZone: map[string]int{"elsewhere": 1}},
	} {
		if _, err := plan.Make(plan.DefaultPolicy(zones...), []plan.Function{f}); err == nil || !strings.Contains(err.Error(), "function f:") {
			t.Errorf("%+v: got %v", f, err)
		}
	}
}

func TestText(t *testing.T) {
	p, err := plan.Make(plan.DefaultPolicy(zones...), []plan.Function{
		{Name: "recommend-feed", PeakQPS: 1157.4, SafeRate: 300, Measured: true, HavePerZone: map[string]int{"zb-a": 3, "zb-b": 3, "zb-c": 2}},
		{Name: "visa-wifi", PeakQPS: 50},
	})
	if err != nil {
		t.Fatal(err)
	}
	const want = `3 zones, 1 may be lost, 70 % of the safe rate, 0 % growth

FUNCTION        PEAK      SAFE RATE  NEEDED PER ZONE  HAVE                    MISSING  SURVIVES  NOW   ZONE LOST
recommend-feed  1157.4/s  300.0/s    3                zb-a 3, zb-b 3, zb-c 2  zb-c 1   0 zones   48 %  77 %
visa-wifi       50.0/s    ?          ?                -                       ?        ?         ?     ?

visa-wifi: safe rate unknown: run kongdao capacity find visa-wifi
`
	var b strings.Builder
	if err := p.WriteText(&b); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, b.String()); diff != "" {
		t.Error("-want +got:\n" + diff)
	}
	if _, err := json.Marshal(p); err != nil {
		t.Error(err)
	}
}
