package search

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kongdao/kongdao/capacity/podtest"
)

// trial is one search on a simulated pod.
func trial(tb testing.TB, s subject, budget time.Duration, seed uint64) Result {
	tb.Helper()
	r := rand.New(rand.NewPCG(seed, uint64(budget)))
	c := DefaultConfig()
	c.Objective, c.Budget = s.objective, budget
	c.Start = s.truth * (0.1 + 0.2*r.Float64())
	x, err := Run(tb.Context(), c, s.probe(r), nil)
	if err != nil {
		tb.Fatal(err)
	}
	return x
}

func quantile(s []float64, q float64) float64 {
	s = slices.Sorted(slices.Values(s))
	return s[int(q*float64(len(s)-1))]
}

func percent(n, of int) float64 { return 100 * float64(n) / float64(of) }

// trials are searches on one pod, each figure as a share of the true limit.
type trials struct {
	misses, signed, safe, broke, peak, load []float64
	over, above, n                          int
}

func (t *trials) add(truth, estimate, safe, high, peak, load float64, broke int) {
	t.n++
	t.misses = append(t.misses, math.Abs(estimate/truth-1))
	t.signed = append(t.signed, estimate/truth-1)
	t.safe = append(t.safe, safe/truth)
	t.broke = append(t.broke, float64(broke))
	t.peak = append(t.peak, peak/truth)
	t.load = append(t.load, load)
	if safe > truth {
		t.over++
	}
	if high > 0 && high < truth {
		t.above++
	}
}

func (t *trials) String() string {
	return fmt.Sprintf("error p50 %.1f p90 %.1f max %.1f %%, bias %.1f %%, over-promises %.1f %%, limit above the interval %.1f %%, safe p10 %.2f p50 %.2f p90 %.2f, bad requests p50 %.0f p90 %.0f max %.0f, peak p50 %.2f p90 %.2f, load p50 %.0f s",
		100*quantile(t.misses, .5), 100*quantile(t.misses, .9), 100*quantile(t.misses, 1), 100*quantile(t.signed, .5), percent(t.over, t.n), percent(t.above, t.n),
		quantile(t.safe, .1), quantile(t.safe, .5), quantile(t.safe, .9), quantile(t.broke, .5), quantile(t.broke, .9), quantile(t.broke, 1),
		quantile(t.peak, .5), quantile(t.peak, .9), quantile(t.load, .5))
}

// What the search promises, in a size for every day; BenchmarkFind has the figures.
func TestSimulatedPods(t *testing.T) {
	const n = 24
	for _, l := range judged()[:4] {
		t.Run(l.Name, func(t *testing.T) {
			t.Parallel()
			var all trials
			for i := range n {
				x := trial(t, l, 2*time.Minute, uint64(1000+i))
				all.add(l.truth, x.Estimate, x.Safe, x.High, x.Peak, x.Load, x.Broke)
				if x.Load > 121 || x.Broke > DefaultConfig().MaxBroken+60 {
					t.Errorf("%.1f s of load, %d requests broke the objective", x.Load, x.Broke)
				}
			}
			t.Log(all.String())
			if all.over > 3 {
				t.Errorf("%d of %d searches promise too much", all.over, n)
			}
			if quantile(all.safe, .5) < 0.75 || quantile(all.misses, .5) > 0.1 || quantile(all.peak, .5) > 1.35 {
				t.Error("the answers are of no use")
			}
		})
	}
}

// BenchmarkFind is a search of five minutes on pods whose limits are known, beside
// the peer's way. The tables of the package comment are what it logs with 300 trials:
// -benchtime 300x.
func BenchmarkFind(b *testing.B) { find(b, judged()) }

// BenchmarkFindHeldOut is the same on pods that nothing was chosen on.
func BenchmarkFindHeldOut(b *testing.B) { find(b, heldOut()) }

func find(b *testing.B, all []subject) {
	b.Helper()
	for _, l := range all {
		for _, budget := range []time.Duration{35 * time.Second, 2 * time.Minute, 5 * time.Minute} {
			b.Run(fmt.Sprintf("%s/%v", l.Name, budget), func(b *testing.B) {
				var t trials
				for i := range b.N {
					x := trial(b, l, budget, uint64(i))
					t.add(l.truth, x.Estimate, x.Safe, x.High, x.Peak, x.Load, x.Broke)
				}
				t.report(b)
			})
		}
		if len(l.objective.Latency) > 1 || l.objective.Latency[0].Quantile != 0.99 || l.timeout > 0 {
			continue // the peer's way here knows one bound
		}
		b.Run(l.Name+"/doubling and bisecting", func(b *testing.B) {
			var t trials
			for i := range b.N {
				r := rand.New(rand.NewPCG(uint64(i), 77))
				x := bisect(l, l.truth*(0.1+0.2*r.Float64()), r)
				t.add(l.truth, x.rate, x.rate, 0, x.peak, x.load, x.broke)
			}
			t.report(b)
		})
	}
}

func (t *trials) report(b *testing.B) {
	b.Helper()
	b.Log(t)
	b.ReportMetric(100*quantile(t.misses, .9), "error_p90_%")
	b.ReportMetric(percent(t.over, t.n), "over_%")
	b.ReportMetric(quantile(t.broke, .5), "violating")
	b.ReportMetric(quantile(t.load, .5), "load_s")
	b.ReportMetric(quantile(t.peak, .5), "peak")
	b.ReportMetric(quantile(t.safe, .5), "safe")
}

// A search ends when its time is used up, or the requests that it may break; slow
// pods need visits that are longer than others.
func TestBudgetIsUsed(t *testing.T) {
	for _, l := range judged()[:4] {
		for i := range 8 {
			for _, budget := range []time.Duration{35 * time.Second, 40 * time.Second} {
				x := trial(t, l, budget, uint64(i))
				if x.Load < 0.75*budget.Seconds() && x.Broke < DefaultConfig().MaxBroken*3/4 {
					t.Errorf("%s, search %d: ended after %.1f of %v, %d requests broke the objective", l.Name, i, x.Load, budget, x.Broke)
				}
			}
		}
	}
}

// An earlier result saves the climb, and with it most of a short budget.
func TestEarlierResultHelps(t *testing.T) {
	p := podtest.Laws()[0]
	const truth, trials = 242.0, 100
	var safe, broke []float64
	over := 0
	for i := range trials {
		r := rand.New(rand.NewPCG(uint64(i), 9))
		c := DefaultConfig()
		c.Objective, c.Budget, c.Earlier = objectiveOf(p), 35*time.Second, truth*(0.85+0.15*r.Float64())
		x, err := Run(t.Context(), c, probeOf(p, r), nil)
		if err != nil {
			t.Fatal(err)
		}
		safe = append(safe, x.Safe/truth)
		broke = append(broke, float64(x.Broke))
		if x.Safe > truth {
			over++
		}
	}
	t.Logf("safe/truth p10 %.2f p50 %.2f p90 %.2f, bad requests p50 %.0f, too high %d", quantile(safe, .1), quantile(safe, .5), quantile(safe, .9), quantile(broke, .5), over)
	if over > trials*5/100 || quantile(safe, .5) < 0.8 || quantile(safe, .1) < 0.65 {
		t.Errorf("safe/truth p10 %.2f p50 %.2f, too high %d", quantile(safe, .1), quantile(safe, .5), over)
	}
}

// BenchmarkAgain is a search that knows what one before it found: what it costs, as a
// share of the first.
func BenchmarkAgain(b *testing.B) {
	for _, l := range judged() {
		b.Run(l.Name, func(b *testing.B) {
			var first, again trials
			for i := range b.N {
				x := trial(b, l, 5*time.Minute, uint64(i))
				first.add(l.truth, x.Estimate, x.Safe, x.High, x.Peak, x.Load, x.Broke)
				x = second(b, l, x.Safe, uint64(i))
				again.add(l.truth, x.Estimate, x.Safe, x.High, x.Peak, x.Load, x.Broke)
			}
			b.Log(&again)
			b.ReportMetric(100*quantile(again.load, .5)/quantile(first.load, .5), "time_share_%")
			b.ReportMetric(100*quantile(again.broke, .5)/quantile(first.broke, .5), "violating_share_%")
			b.ReportMetric(percent(again.over, again.n), "over_%")
			b.ReportMetric(quantile(again.safe, .5), "safe")
		})
	}
}

func second(tb testing.TB, s subject, earlier float64, seed uint64) Result {
	tb.Helper()
	c := DefaultConfig()
	c.Objective, c.Earlier = s.objective, earlier
	x, err := Run(tb.Context(), c, s.probe(rand.New(rand.NewPCG(seed, 99))), nil)
	if err != nil {
		tb.Fatal(err)
	}
	return x
}

// fixed is a pod that answers everything alike up to a rate, and late beyond it.
func fixed(limit float64) Probe {
	return func(_ context.Context, rate float64, d time.Duration, observe func(time.Duration, bool) bool) (Outcome, error) {
		latency := 10 * time.Millisecond
		if rate > limit {
			latency = time.Second
		}
		n := int(rate * d.Seconds())
		for i := range n {
			if observe(latency, true) {
				return Outcome{Elapsed: time.Duration(float64(i+1) / rate * float64(time.Second))}, nil
			}
		}
		return Outcome{}, nil
	}
}

func setup(start float64) Config {
	c := DefaultConfig()
	c.Objective = Objective{Latency: []Bound{{0.99, 100 * time.Millisecond}}}
	c.Start, c.Budget = start, time.Minute
	return c
}

func TestSharpLimitIsFoundFromBelowAndAbove(t *testing.T) {
	for _, start := range []float64{50, 190, 250, 600} {
		c := setup(start)
		x, err := Run(t.Context(), c, fixed(200), nil)
		if err != nil {
			t.Fatal(err)
		}
		if x.Safe < 120 || x.Safe > 200 || x.High < 200 || x.Proven == 0 || x.Broke > c.MaxBroken+100 {
			t.Errorf("from %v: safe %.1f, proven %.1f, high %.1f; the limit is 200", start, x.Safe, x.Proven, x.High)
		}
	}
}

func TestHighestRateIsNeverPassed(t *testing.T) {
	c := setup(100)
	c.MaxRate = 300
	x, err := Run(t.Context(), c, fixed(1e9), nil)
	if err != nil {
		t.Fatal(err)
	}
	if x.Peak != 300 || x.Proven != 300 || x.High != 0 || !warned(x, "no rate broke the objective") {
		t.Errorf("got %+v", x)
	}
}

// TestHighestRateIsProvenAtOnce: what nothing speaks against is asked once, not until
// the budget is used up.
func TestHighestRateIsProvenAtOnce(t *testing.T) {
	c := setup(100)
	c.MaxRate, c.Budget, c.Objective.Success = 200, time.Minute, 0.99
	x, err := Run(t.Context(), c, fixed(1e9), nil)
	if err != nil || x.Proven != c.MaxRate || x.Load > c.Budget.Seconds()/2 {
		t.Errorf("proven %.1f/s after %.0f s: %v", x.Proven, x.Load, err)
	}
}

func TestHopelessPodIsSaidToBe(t *testing.T) {
	x, err := Run(t.Context(), setup(100), fixed(0), nil)
	if err != nil {
		t.Fatal(err)
	}
	if x.Safe != 0 || !warned(x, "even 100.0/s broke the objective") {
		t.Errorf("got %+v", x)
	}
}

func TestFailuresCountAsMuchAsLateness(t *testing.T) {
	failing := func(_ context.Context, rate float64, d time.Duration, observe func(time.Duration, bool) bool) (Outcome, error) {
		for i := range int(rate * d.Seconds()) {
			if observe(time.Millisecond, rate < 200 || i%10 != 0) {
				break
			}
		}
		return Outcome{}, nil
	}
	x, err := Run(t.Context(), setup(100), failing, nil)
	if err != nil {
		t.Fatal(err)
	}
	if x.Safe > 200 || x.Safe < 130 {
		t.Errorf("safe %.1f, but from 200/s on every tenth request fails", x.Safe)
	}
}

func TestInvalidProbesSayNothing(t *testing.T) {
	calls := 0
	inner := fixed(200)
	probe := func(ctx context.Context, rate float64, d time.Duration, observe func(time.Duration, bool) bool) (Outcome, error) {
		calls++
		if calls == 2 { // would look like a pod that breaks at the second step
			for range 500 {
				if observe(time.Second, true) {
					break
				}
			}
			return Outcome{Elapsed: time.Second, Invalid: "lag"}, nil
		}
		return inner(ctx, rate, d, observe)
	}
	x, err := Run(t.Context(), setup(100), probe, nil)
	if err != nil {
		t.Fatal(err)
	}
	if x.Safe < 130 || x.Steps[1].Invalid != "lag" || x.Steps[1].Rate != x.Steps[2].Rate {
		t.Errorf("safe %.1f, steps %v", x.Safe, x.Steps)
	}
}

// A lagging generator makes latencies longer: what is kept nevertheless is kept.
func TestInvalidProbesMayShowThatItIsKept(t *testing.T) {
	inner := fixed(200)
	probe := func(ctx context.Context, rate float64, d time.Duration, observe func(time.Duration, bool) bool) (Outcome, error) {
		o, err := inner(ctx, rate, d, observe)
		if rate < 180 {
			o.Invalid = "lag"
		}
		return o, err
	}
	x, err := Run(t.Context(), setup(100), probe, nil)
	if err != nil || x.Safe < 130 || x.Steps[0].Invalid != "" || !x.Steps[0].Kept {
		t.Errorf("safe %.1f, steps %v, %v", x.Safe, x.Steps, err)
	}
}

// A generator that always disturbs itself makes the answer low, never high.
func TestDisturbedSearchIsCautious(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	p := podtest.Laws()[0]
	for range 50 {
		inner := probeOf(p, r)
		probe := func(ctx context.Context, rate float64, d time.Duration, observe func(time.Duration, bool) bool) (Outcome, error) {
			o, err := inner(ctx, rate, d, func(latency time.Duration, ok bool) bool {
				if r.Float64() < 0.01 {
					latency += 60 * time.Millisecond
				}
				return observe(latency, ok)
			})
			o.Invalid = "lag"
			return o, err
		}
		c := DefaultConfig()
		c.Objective, c.Budget, c.Start = objectiveOf(p), 35*time.Second, 60
		x, err := Run(t.Context(), c, probe, nil)
		if err != nil || x.Safe > 242 {
			t.Errorf("safe %.1f, the limit is 242; %v", x.Safe, err)
		}
		if x.Safe == 0 || !warned(x, "the generator disturbed itself") {
			t.Errorf("got %+v", x)
		}
	}
}

func TestAlwaysInvalidEnds(t *testing.T) {
	probe := func(context.Context, float64, time.Duration, func(time.Duration, bool) bool) (Outcome, error) {
		return Outcome{Elapsed: time.Second}, nil // observes nothing
	}
	x, err := Run(t.Context(), setup(100), probe, nil)
	if err != nil || x.Safe != 0 || !warned(x, "did not send what was asked for") {
		t.Errorf("got %+v, %v", x, err)
	}
}

func TestLimitAndCancelAreErrors(t *testing.T) {
	limited := func(context.Context, float64, time.Duration, func(time.Duration, bool) bool) (Outcome, error) {
		return Outcome{Limited: 7}, nil
	}
	if _, err := Run(t.Context(), setup(100), limited, nil); !errors.Is(err, ErrLimited) {
		t.Errorf("got %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	steps := 0
	x, err := Run(ctx, setup(100), fixed(200), func(StepResult) {
		if steps++; steps == 3 {
			cancel()
		}
	})
	if !errors.Is(err, context.Canceled) || len(x.Steps) != 3 || !warned(x, "ended early, after ") || x.Safe <= 0 || x.Safe > x.Peak {
		t.Errorf("got %+v, %v", x, err)
	}
}

func TestConfigNamesEveryField(t *testing.T) {
	err := Config{Earlier: -1, Objective: Objective{Success: 1}}.Validate()
	for _, field := range []string{"objective.latency:", "objective.success:", "start:", "earlier:", "factor:", "maxRate:", "budget:"} {
		if err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("%s is missing in %v", field, err)
		}
	}
}

// Bursts widen the bound: the same number of late requests proves less when they
// came together.
func TestBurstsProveLess(t *testing.T) {
	late := func(together bool) *criterion {
		c := &criterion{allowed: 0.01, apart: 20, bad: func(l time.Duration) bool { return l > 0 }, block: 20}
		for i := range 10_000 {
			bad := i%400 == 0
			if together {
				bad = i < 25
			}
			c.observe(map[bool]time.Duration{true: 1}[bad], true)
		}
		return c
	}
	apart, together := late(false), late(true)
	if apart.count != 25 || together.count != 25 || apart.upper() >= together.upper() {
		t.Errorf("apart: %d, up to %.1f; together: %d, up to %.1f", apart.count, apart.upper(), together.count, together.upper())
	}
}

func TestText(t *testing.T) {
	x, err := Run(t.Context(), setup(100), fixed(200), nil)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	if err := x.WriteText(&b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"safe rate ", "/s a pod, under p99 ≤ 100ms", "interval ", "broke the objective, peak ", "broken", "kept", "proven"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("%q is missing in\n%s", want, b.String())
		}
	}
}

func warned(x Result, text string) bool {
	return slices.ContainsFunc(x.Warnings, func(w string) bool { return strings.Contains(w, text) })
}
