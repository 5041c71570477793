package policy

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/kongdao/kongdao/internal/calllog"
)

func sampler(t testing.TB, tenants map[string]Sampling) *Sampler {
	t.Helper()
	s, err := NewSampler(tenants)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// randomCalls are calls as they come: several tenants, functions, revisions and
// statuses over a few minutes, some of which are kept for what they are.
func randomCalls(r *rand.Rand, n int) []calllog.Record {
	calls := make([]calllog.Record, n)
	for i := range calls {
		c := &calls[i]
		*c = calllog.Record{
			Time: 1_795_419_896_000_000 + int64(i)*int64(200e6)/int64(n) + r.Int64N(1000), SampleWeight: 1, Status: 200,
			Tenant: fmt.Appendf(nil, "t-%d", r.IntN(3)), Function: fmt.Appendf(nil, "fn-%d", r.IntN(4)), Revision: fmt.Appendf(nil, "r%d", r.IntN(2)),
			DurationUS: uint32(r.ExpFloat64() * 100_000), BytesOut: r.Uint64N(5000),
		}
		binary.LittleEndian.PutUint64(c.RequestID[:], r.Uint64())
		binary.LittleEndian.PutUint64(c.RequestID[8:], r.Uint64())
		switch r.IntN(40) {
		case 0:
			c.Status = 503
		case 1:
			c.Status, c.Flags, c.LimitedBy = 429, []byte("RL"), calllog.LimitedByCapacity
		case 2:
			c.LoadTest = []byte("run-1")
		case 3, 4, 5:
			c.Status = 404
		case 6:
			c.Status, c.Flags = 0, []byte("DC")
		}
	}
	return calls
}

// totals sums several things over parts of the calls: all of them and each function.
func totals(calls []calllog.Record, weight func(*calllog.Record) uint64) map[string]uint64 {
	sums := map[string]uint64{}
	for i := range calls {
		c := &calls[i]
		w := weight(c)
		for _, of := range []string{"all", string(c.Function), string(c.Tenant), fmt.Sprint(c.Time / 60e6)} {
			sums[of+" calls"] += w
			sums[of+" bytes"] += w * c.BytesOut
			sums[of+" us"] += w * uint64(c.DurationUS)
			if c.Status == 404 {
				sums[of+" 404"] += w
			}
			if c.Status >= 500 {
				sums[of+" errors"] += w
			}
		}
	}
	return sums
}

// TestSumsAreUnbiased goes through all phases of the draw: every call that is
// drawn at all is drawn in exactly one of n. So the mean over the phases is the
// expectation, and it has to be the truth, to the last unit.
func TestSumsAreUnbiased(t *testing.T) {
	const n = 12
	tenants := map[string]Sampling{"t-0": {n, 300 * time.Millisecond}, "t-1": {4, 300 * time.Millisecond}}
	for seed := range uint64(5) {
		calls := randomCalls(rand.New(rand.NewPCG(seed, 1)), 3000)
		estimates, stored := map[string]uint64{}, 0
		for phase := range uint64(n) {
			s := sampler(t, tenants)
			s.phase = phase
			for what, sum := range totals(calls, func(c *calllog.Record) uint64 {
				r := *c
				if !s.Keep(&r) {
					return 0
				}
				stored++
				return uint64(r.SampleWeight)
			}) {
				estimates[what] += sum
			}
		}
		for what, sum := range totals(calls, func(*calllog.Record) uint64 { return 1 }) {
			if estimates[what] != n*sum {
				t.Errorf("seed %d: the mean estimate of %s is %v, want %d", seed, what, float64(estimates[what])/n, sum)
			}
		}
		if most := n * len(calls) * 7 / 10; stored > most {
			t.Errorf("%d calls of %d rounds are stored, want less than %d", stored, n, most)
		}
	}
}

// TestRates: with ids as they are, estimates of many runs lie around the truth as
// far as the formula of the variance says.
func TestRates(t *testing.T) {
	const n, runs = 10, 200
	r := rand.New(rand.NewPCG(5, 6))
	var sum, squares float64
	for range runs {
		s := sampler(t, map[string]Sampling{"t-0": {n, time.Hour}})
		truth, estimate, outside := 0, 0, 0
		for _, c := range randomCalls(r, 2000) {
			if string(c.Tenant) != "t-0" {
				continue
			}
			truth++
			kept := s.Keep(&c)
			if !kept || c.SampleWeight == n {
				outside++
			}
			if kept {
				estimate += int(c.SampleWeight)
			}
		}
		z := float64(estimate-truth) / math.Sqrt(float64(outside)*(n-1))
		sum, squares = sum+z, squares+z*z
	}
	if mean := sum / runs; math.Abs(mean) > 4/math.Sqrt(runs) {
		t.Errorf("estimates are off by %v standard deviations, want 0", mean)
	}
	if variance := squares / runs; variance < 0.6 || variance > 1.5 {
		t.Errorf("the variance is %v of what the formula says", variance)
	}
}

func TestAlwaysKept(t *testing.T) {
	base := func() calllog.Record {
		return calllog.Record{Time: 1_795_419_896_000_000, SampleWeight: 1, Status: 200, Tenant: []byte("t"), Function: []byte("f"), Revision: []byte("r1"), DurationUS: 1000}
	}
	tests := map[string]struct {
		change func(*calllog.Record)
		weight uint32 // 0: not kept
	}{
		"an ordinary one":            {func(*calllog.Record) {}, 0},
		"a client's error":           {func(r *calllog.Record) { r.Status = 299 }, 0},
		"a server error":             {func(r *calllog.Record) { r.Status = 500 }, 1},
		"a client that left":         {func(r *calllog.Record) { r.Status = 0 }, 1},
		"a flag":                     {func(r *calllog.Record) { r.Flags = []byte("UT") }, 1},
		"a refused one":              {func(r *calllog.Record) { r.LimitedBy = "capacity" }, 1},
		"a load test's":              {func(r *calllog.Record) { r.LoadTest = []byte("run") }, 1},
		"a slow one":                 {func(r *calllog.Record) { r.DurationUS = 1_000_000 }, 1},
		"nearly slow":                {func(r *calllog.Record) { r.DurationUS = 999_999 }, 0},
		"without function":           {func(r *calllog.Record) { r.Function = nil }, 1},
		"of another revision":        {func(r *calllog.Record) { r.Revision = []byte("r2") }, 1},
		"of another function":        {func(r *calllog.Record) { r.Function = []byte("g") }, 1},
		"of another class":           {func(r *calllog.Record) { r.Status = 404 }, 1},
		"in the next minute":         {func(r *calllog.Record) { r.Time += 60e6 }, 1},
		"in the minute before":       {func(r *calllog.Record) { r.Time -= 60e6 }, 0},
		"of a tenant that keeps all": {func(r *calllog.Record) { r.Tenant = []byte("other") }, 1},
	}
	for name, tt := range tests {
		s := sampler(t, map[string]Sampling{"t": {1_000_000, time.Second}})
		if first := base(); !s.Keep(&first) || first.SampleWeight != 1 {
			t.Fatal("the first call is not kept as one")
		}
		r := base()
		tt.change(&r)
		if kept := s.Keep(&r); kept != (tt.weight > 0) || kept && r.SampleWeight != tt.weight {
			t.Errorf("%s: kept %v with weight %d, want %d", name, kept, r.SampleWeight, tt.weight)
		}
	}
}

// TestDrawIsEven: whatever the ids are, each n-th is drawn; and the same call is
// drawn again.
func TestDrawIsEven(t *testing.T) {
	const calls, n = 200_000, 16
	ids := map[string]func(i int, r *calllog.Record){
		"random":     func(_ int, r *calllog.Record) { binary.LittleEndian.PutUint64(r.RequestID[3:], rand.Uint64()) },
		"counted":    func(i int, r *calllog.Record) { binary.BigEndian.PutUint64(r.RequestID[8:], uint64(i)) },
		"all equal":  func(_ int, r *calllog.Record) { r.RequestID[0] = 7 },
		"trace only": func(i int, r *calllog.Record) { binary.BigEndian.PutUint64(r.TraceID[8:], uint64(i)) },
		"none":       func(i int, r *calllog.Record) { r.Path = fmt.Appendf(nil, "/%d", i) },
	}
	for name, id := range ids {
		var drawn [n]float64
		for i := range calls {
			r := calllog.Record{Time: 1_795_419_896_000_000 + int64(i)*37}
			id(i, &r)
			again := r
			if again.Gateway, again.DurationUS = "another", 7; draw(&again) != draw(&r) {
				t.Fatal("two draws of one call differ")
			}
			drawn[draw(&r)%n]++
		}
		chi := 0.0
		for _, got := range drawn {
			chi += (got - calls/n) * (got - calls/n) / (calls / n)
		}
		if chi > 60 { // 15 degrees of freedom: 60 is beyond 1 in a million
			t.Errorf("%s ids: chi square %v: %v", name, chi, drawn)
		}
	}
}

func TestFirstsAreBounded(t *testing.T) {
	s := sampler(t, map[string]Sampling{"t": {2, time.Second}})
	keep := func(function, minute int) bool {
		return s.first(&calllog.Record{Time: int64(minute) * 60e6, Status: 200, Function: fmt.Appendf(nil, "f-%d", function)})
	}
	for i := range maxFirsts + 100 {
		if got := keep(i, 1000); got != (i < maxFirsts) {
			t.Fatalf("function %d: first is %v", i, got)
		}
	}
	if keep(maxFirsts+200, 1005) {
		t.Error("there is room although nothing is old")
	}
	if !keep(maxFirsts+200, 1011) || len(s.firsts) != 1 {
		t.Errorf("%d are remembered although all are old", len(s.firsts))
	}
}

func TestSamplingThatCannotBe(t *testing.T) {
	if _, err := NewSampler(map[string]Sampling{"a": {0, time.Second}, "b": {1, 0}, "c": {1, time.Second}}); err == nil {
		t.Error("it is accepted")
	}
}

func BenchmarkKeep(b *testing.B) {
	s := sampler(b, map[string]Sampling{"t-0": {10, time.Second}, "t-1": {100, time.Second}})
	calls := randomCalls(rand.New(rand.NewPCG(1, 2)), 1000)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		r := calls[i%len(calls)]
		s.Keep(&r)
	}
}
