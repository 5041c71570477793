package share

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

func sum(parts []float64) (all float64) {
	for _, p := range parts {
		all += p
	}
	return all
}

// TestDivide: the parts are the budget, nobody goes without, and who is asked for
// more has more.
func TestDivide(t *testing.T) {
	for seed := range uint64(2000) {
		r := rand.New(rand.NewPCG(seed, 1))
		budget := 0.2 + 0.8*r.Float64()
		gateways := make([]Gateway, 2+r.IntN(6))
		for i := range gateways {
			gateways[i] = Gateway{Part: budget / float64(len(gateways)), Demand: 3 * r.Float64() * float64(r.IntN(3))}
		}
		parts, ok := Divide(gateways, budget)
		if !ok {
			continue
		}
		if math.Abs(sum(parts)-budget) > 1e-9 {
			t.Fatalf("seed %d: parts add up to %v of %v", seed, sum(parts), budget)
		}
		for i, p := range parts {
			if p < Floor*budget/float64(len(parts))-1e-12 {
				t.Fatalf("seed %d: part %v is below the floor", seed, p)
			}
			for j, q := range parts {
				if gateways[i].Demand > gateways[j].Demand && p <= q {
					t.Fatalf("seed %d: asked for more, got less: %v, %v", seed, gateways, parts)
				}
			}
		}
	}
}

func TestDivideLeavesAlone(t *testing.T) {
	for _, c := range []struct {
		why      string
		gateways []Gateway
		moves    bool
	}{
		{"nobody calls", []Gateway{{0.5, 0}, {0.5, 0}}, false},
		{"all have room", []Gateway{{0.5, 0.44}, {0.5, 0.01}}, false},
		{"all are short alike", []Gateway{{0.5, 2}, {0.5, 2.05}}, false},
		{"one is short, one has room", []Gateway{{0.5, 0.7}, {0.5, 0.1}}, true},
		{"both are short, one more so", []Gateway{{0.5, 1.6}, {0.5, 0.6}}, true},
		{"as it was divided", []Gateway{{0.77, 1.6}, {0.23, 0.4}}, false},
	} {
		parts, ok := Divide(c.gateways, 1)
		if ok != c.moves {
			t.Errorf("%s: %v, %v", c.why, parts, ok)
		}
	}
	if Fits([]Gateway{{0.8, 0.6}, {0.2, 0.1}}, 1) || !Fits([]Gateway{{0.8, 0.4}, {0.2, 0.1}}, 1) {
		t.Error("whether even parts would do")
	}
}

func TestRejoin(t *testing.T) {
	before := map[string]float64{"a": 0.8, "b": 0.2}
	for _, c := range []struct {
		now    []string
		budget float64
		want   string
	}{
		{[]string{"a", "b", "c"}, 1, "map[a:0.5333 b:0.1333 c:0.3333]"},
		{[]string{"a"}, 1, "map[a:1.0000]"},
		{[]string{"b", "c"}, 1, "map[b:0.5000 c:0.5000]"},
		{[]string{"a", "b"}, 0.5, "map[a:0.4000 b:0.1000]"},
	} {
		got := map[string]string{}
		for node, p := range Rejoin(before, c.now, c.budget) {
			got[node] = fmt.Sprintf("%.4f", p)
		}
		if fmt.Sprint(got) != c.want {
			t.Errorf("%v of %v: %v, want %s", c.now, c.budget, got, c.want)
		}
	}
}

func TestUse(t *testing.T) {
	var u Use
	start := time.Unix(1000, 0)
	if _, ok := u.Last(time.Second, time.Time{}); ok || !u.Newest().IsZero() {
		t.Error("something is known of nothing")
	}
	for i := range 4 {
		u.Add(start.Add(time.Duration(i)*time.Second), Sum{Admitted: float64(100 * i), Refused: 10, Took: time.Second})
	}
	if s, ok := u.Last(1900*time.Millisecond, time.Time{}); !ok || s.Demand() != 260 || s.AdmittedRate() != 250 || s.RefusedRate() != 10 {
		t.Errorf("last two seconds: %+v, %v", s, ok)
	}
	if s, ok := u.Last(1900*time.Millisecond, start.Add(1500*time.Millisecond)); ok {
		t.Errorf("reports for earlier times count: %+v", s)
	}
	if _, ok := u.Last(time.Minute, time.Time{}); ok {
		t.Error("four seconds cover a minute")
	}
	for i := range 30 {
		u.Add(start.Add(time.Duration(4+i)*time.Second), Sum{Admitted: 5, Took: time.Second})
	}
	if s, ok := u.Last(time.Minute, time.Time{}); !ok || s.Demand() != 5 {
		t.Errorf("all that is remembered: %+v, %v", s, ok)
	}
}
