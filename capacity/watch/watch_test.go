package watch

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kongdao/kongdao/api"
	"github.com/kongdao/kongdao/capacity/podtest"
	"github.com/kongdao/kongdao/capacity/predict"
)

// pod is of known law: calls wait in line for one of its workers.
type pod struct{ podtest.Law }

func pods() []pod {
	return []pod{
		{podtest.Law{Name: "M/M/1", Workers: 1, Service: podtest.Exponential(0.004)}},
		{podtest.Law{Name: "M/M/4", Workers: 4, Service: podtest.Exponential(0.013)}},
		{podtest.Law{Name: "M/M/16", Workers: 16, Service: podtest.Exponential(0.05)}},
		{podtest.Law{Name: "M/G/4 lognormal", Workers: 4, Service: podtest.Lognormal(0.0133, 1)}},
		{podtest.Law{Name: "M/G/8 lognormal", Workers: 8, Service: podtest.Lognormal(0.03, 0.5)}},
	}
}

// run are the durations of calls that come by chance.
func (p pod) run(r *rand.Rand, rate float64, calls int) []float64 {
	return podtest.Fleet{Law: p.Law, Pods: 1, InTurn: true}.Run(r, rate, calls)
}

func quantile(sorted []float64, p float64) float64 { return podtest.Quantile(sorted, p) }

// past is ten seconds of three pods at each rate.
func (p pod) past(r *rand.Rand, rates ...float64) (all []Stretch) {
	const fleet = 3
	for i, rate := range rates {
		calls := int(10 * rate * fleet)
		took := p.run(r, rate, calls)
		s := Stretch{At: time.Unix(int64(10*i), 0), Sample: predict.Sample{Rate: rate, Pods: fleet, Calls: float64(calls)}}
		for _, l := range predict.Levels() {
			s.Quantiles = append(s.Quantiles, quantile(took, l))
		}
		all = append(all, s)
	}
	return all
}

// truth is the highest rate at which p99 stays within the objective.
func (p pod) truth(limit float64) float64 { return p.closeTruth(limit, 9, 150_000) }

// closeTruth halves so many times what is in question, with so many calls each.
func (p pod) closeTruth(limit float64, steps, calls int) float64 {
	low, high := 0.0, 2*p.Capacity()
	for range steps {
		middle := (low + high) / 2
		if quantile(p.run(rand.New(rand.NewPCG(5, 5)), middle, calls), 0.99) <= limit {
			low = middle
		} else {
			high = middle
		}
	}
	return low
}

// objective is 1.8 times the p99 of an idle pod.
func (p pod) objective() (api.Objective, float64) {
	limit := 1.8 * quantile(p.run(rand.New(rand.NewPCG(4, 4)), 0.02*p.Capacity(), 100_000), 0.99)
	return api.Objective{Latency: api.LatencyObjective{P99: api.Duration(limit * float64(time.Second))}}, limit
}

func between(a, b float64, n int) (all []float64) {
	for i := range n {
		all = append(all, a+(b-a)*float64(i)/float64(n-1))
	}
	return all
}

// TestSafeRate: what pods that reached 60 % of their rate are said to be able to do, and
// what they are. Pods of many places do not keep calls waiting at that load, so that
// nothing tells how many they have: then nothing is said.
func TestSafeRate(t *testing.T) {
	for i, p := range pods()[1:4] {
		o, limit := p.objective()
		truth := p.truth(limit)
		e := Of(p.past(rand.New(rand.NewPCG(uint64(i), 8)), between(0.2*truth, 0.6*truth, 90)...), o, 0, 0, 3)
		off := e.Safe/truth - 1
		t.Logf("%-16s truth %.1f/s, said %+v: %+.1f %%", p.Name, truth, e, 100*off)
		switch {
		case p.Workers > 4 && e.Known && math.Abs(off) > 0.25, p.Workers <= 4 && (!e.Known || math.Abs(off) > 0.15):
			t.Errorf("%s: truth %.1f/s, got %+v", p.Name, truth, e)
		}
	}
}

// TestWorkersKnown: who says how many workers a pod has hears what it can take, though
// nothing ever waited; who says what cannot be hears that.
func TestWorkersKnown(t *testing.T) {
	p := pods()[2]
	o, limit := p.objective()
	truth := p.truth(limit)
	all := p.past(rand.New(rand.NewPCG(1, 12)), between(0.2*truth, 0.6*truth, 90)...)
	e := Of(all, o, 0, p.Workers, 3)
	if !e.Known || math.Abs(e.Safe/truth-1) > 0.12 || e.Low > truth || e.High < truth {
		t.Errorf("truth %.1f/s, got %+v", truth, e)
	}
	p = pods()[1]
	o, limit = p.objective()
	truth = p.truth(limit)
	all = p.past(rand.New(rand.NewPCG(1, 13)), between(0.2*truth, 0.8*truth, 90)...)
	if e := Of(all, o, 0, 16, 3); e.Known || !strings.Contains(e.Why, "not the workers that are declared: 16, but") {
		t.Errorf("4 workers, said to be 16: %+v", e)
	}
}

// TestScaled: of pods with many workers a search of an earlier revision tells what a
// slower one can take, at a load at which nothing waits.
func TestScaled(t *testing.T) {
	p := pods()[2]
	o, limit := p.objective()
	slow := p.slower(1.33)
	before, truth := p.truth(limit), slow.truth(limit)
	r := rand.New(rand.NewPCG(1, 14))
	old, now := p.past(r, between(0.2*truth, 0.4*truth, 60)...), slow.past(r, between(0.2*truth, 0.4*truth, 60)...)
	found := api.Measured{Low: 0.97 * before, High: 1.03 * before, Revision: "r1"}
	e := Scaled(Estimate{Why: "not enough load to tell"}, old, now, found, o, 0, 3)
	t.Logf("truth %.1f/s before, %.1f/s now, said %+v", before, truth, e)
	if !e.Known || e.How != ScaledFrom || math.Abs(e.Safe/truth-1) > 0.12 || e.Low > truth || e.High < truth {
		t.Errorf("truth %.1f/s, got %+v", truth, e)
	}
	for _, found := range []api.Measured{{Low: 0.001 * before, Revision: "r1"}, {Low: 100 * before, Revision: "r1"}} {
		if e := Scaled(Estimate{Why: "not enough load to tell"}, old, now, found, o, 0, 3); e.Known || !strings.Contains(e.Why, "is not explained by calls that wait in line") {
			t.Errorf("measured %.1f/s: %+v", found.Low, e)
		}
	}
	if e := Scaled(Estimate{Why: "not enough load to tell"}, nil, now, found, o, 0, 3); e.Known || e.Why != "not enough load to tell" {
		t.Errorf("without calls of the old one: %+v", e)
	}
}

// TestSeen: pods that went beyond their rate are not extrapolated.
func TestSeen(t *testing.T) {
	p := pods()[1]
	o, limit := p.objective()
	truth := p.truth(limit)
	e := Of(p.past(rand.New(rand.NewPCG(1, 9)), between(0.3*truth, 1.1*truth, 120)...), o, 0, 0, 3)
	if !e.Known || e.How != predict.Seen || math.Abs(e.Safe/truth-1) > 0.1 {
		t.Errorf("truth %.1f, got %+v", truth, e)
	}
}

func TestNotEnoughLoad(t *testing.T) {
	p := pods()[2]
	o, limit := p.objective()
	truth := p.truth(limit)
	e := Of(p.past(rand.New(rand.NewPCG(1, 9)), between(0.05*truth, 0.15*truth, 120)...), o, 0, 0, 3)
	if e.Known || e.Why != fmt.Sprintf("not enough load to tell: highest seen %.1f/s", 0.15*truth) {
		t.Errorf("got %+v", e)
	}
	if e := Of(nil, o, 0, 0, 3); e.Known || !strings.Contains(e.Why, "too few calls") {
		t.Errorf("got %+v", e)
	}
	if e := Of(nil, api.Objective{}, 0, 0, 3); e.Known || e.Why != "there is no objective for latency" {
		t.Errorf("got %+v", e)
	}
}

// TestFailures: where calls begin to fail the rate ends, however fast answers are.
func TestFailures(t *testing.T) {
	p := pods()[1]
	o, limit := p.objective()
	o.Success = 0.999
	truth := p.truth(limit)
	all := p.past(rand.New(rand.NewPCG(1, 9)), between(0.3*truth, 0.9*truth, 120)...)
	for i := range all {
		if all[i].Rate > 0.7*truth {
			all[i].Failed = 0.05 * all[i].Calls
		}
	}
	if e := Of(all, o, 0, 0, 3); !e.Known || e.Safe < 0.6*truth || e.Safe > 0.8*truth {
		t.Errorf("failing from %.1f on: got %+v", 0.7*truth, e)
	}
}

// slower is the same pod with calls that take k times as long.
func (p pod) slower(k float64) pod {
	service := p.Service
	p.Service = func(r *rand.Rand) float64 { return k * service(r) }
	return p
}

// TestRelease: one that takes a third longer is found at 30 % load, and one that does
// not never is.
func TestRelease(t *testing.T) {
	alarms, found := 0, 0
	const trials = 40
	for n := range trials {
		p := pods()[n%len(pods())]
		r := rand.New(rand.NewPCG(uint64(n), 11))
		full := p.Capacity()
		old := p.past(r, between(0.2*full, 0.4*full, 60)...)
		if c := Compare("r1", old, p.past(r, between(0.15*full, 0.35*full, 30)...)); !c.Known || c.Worse {
			alarms++
			t.Logf("%s: the same is said to be %+v", p.Name, c)
		}
		if c := Compare("r1", old, p.slower(1.33).past(r, between(0.15*full, 0.35*full, 30)...)); c.Worse && c.Low < 1.6 && c.High > 1.3 {
			found++
		} else {
			t.Logf("%s: a third slower (and more, where calls wait) is said to be %+v", p.Name, c)
		}
	}
	if alarms > 0 || found < trials-2 {
		t.Errorf("%d false alarms, %d of %d found", alarms, found, trials)
	}
	p := pods()[0]
	if c := Compare("r1", p.past(rand.New(rand.NewPCG(1, 1)), between(50, 60, 20)...), p.past(rand.New(rand.NewPCG(1, 1)), between(100, 120, 20)...)); c.Known || c.Why == "" {
		t.Errorf("never the same load: %+v", c)
	}
}

// judged are pods of one to sixteen workers.
func judged() (all []pod) {
	for _, n := range []int{1, 2, 4, 8, 12, 16} {
		mean := 0.004 * float64(n)
		all = append(all, pod{podtest.Law{Name: fmt.Sprintf("M-M-%d", n), Workers: n, Service: podtest.Exponential(mean)}},
			pod{podtest.Law{Name: fmt.Sprintf("M-G-%d", n), Workers: n, Service: podtest.Lognormal(mean, 1)}})
	}
	return all
}

// BenchmarkEstimate: pods that reached 60 % of their rate, against the truth, when
// nobody says how many workers they have and when somebody does.
func BenchmarkEstimate(b *testing.B) {
	for _, p := range judged() {
		o, limit := p.objective()
		truth := p.closeTruth(limit, 11, 1_000_000)
		for _, workers := range []int{0, p.Workers} {
			b.Run(fmt.Sprintf("%s/said-%d", p.Name, workers), func(b *testing.B) {
				p.estimates(b, o, truth, workers)
			})
		}
	}
}

func (p pod) estimates(b *testing.B, o api.Objective, truth float64, workers int) {
	var errs []float64
	outside, unknown := 0, 0
	for n := 0; b.Loop(); n++ {
		b.StopTimer()
		all := p.past(rand.New(rand.NewPCG(uint64(n), 21)), between(0.2*truth, 0.6*truth, 180)...)
		b.StartTimer()
		e := Of(all, o, 0, workers, 3)
		if !e.Known {
			unknown++
			continue
		}
		errs = append(errs, math.Abs(e.Safe/truth-1))
		if truth < e.Low || truth > e.High {
			outside++
		}
	}
	slices.Sort(errs)
	if len(errs) > 0 {
		b.ReportMetric(100*quantile(errs, 0.5), "%error-p50")
		b.ReportMetric(100*quantile(errs, 0.9), "%error-p90")
		b.ReportMetric(100*float64(outside)/float64(len(errs)), "%outside")
	}
	b.ReportMetric(100*float64(unknown)/float64(unknown+len(errs)), "%unknown")
}
