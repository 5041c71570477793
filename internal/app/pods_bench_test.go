package app_test

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/kongdao/kongdao/api"
	"github.com/kongdao/kongdao/capacity/podtest"
	"github.com/kongdao/kongdao/capacity/search"
	"github.com/kongdao/kongdao/internal/app"
	"github.com/kongdao/kongdao/loadtest"
	"github.com/kongdao/kongdao/loadtest/attack"
	"github.com/kongdao/kongdao/loadtest/scenario"
)

// table is written by several goroutines, a line each.
type table struct {
	mu    sync.Mutex
	lines []string
}

func (t *table) add(format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.lines = append(t.lines, fmt.Sprintf(format, args...))
}

func (t *table) log(b *testing.B, head string) {
	var out strings.Builder
	w := tabwriter.NewWriter(&out, 0, 0, 2, ' ', 0)
	slices.Sort(t.lines)
	fmt.Fprintln(w, head)
	for _, l := range t.lines {
		fmt.Fprintln(w, l)
	}
	_ = w.Flush()
	b.Logf("\n%s", &out)
}

// everyLaw calls f for all laws at once: pods sleep, and leave the machine idle.
func everyLaw(f func(podtest.Law)) {
	var all sync.WaitGroup
	for _, l := range podtest.Laws() {
		all.Go(func() { f(l) })
	}
	all.Wait()
}

// BenchmarkRealPods holds pods in processes of their own against simulated ones, at
// three loads for half a minute each. "law" is what the pod's workers made of the
// requests that reached them, as a ratio to the median of 200 simulated pods with the
// same arrivals: it is right on a busy machine, too. "seen" is what the generator saw,
// as a ratio to simulated half minutes of Poisson arrivals: what the machine and the
// generator add is in it. It takes a minute and a half; -v shows the table.
func BenchmarkRealPods(b *testing.B) {
	const d, runs = 30 * time.Second, 200
	for b.Loop() {
		var t table
		var mu sync.Mutex
		law, seen := make([][]float64, len(compared)), make([][]float64, len(compared))
		outside, invalid := 0, 0
		for _, part := range []float64{0.5, 0.75, 0.95} {
			everyLaw(func(l podtest.Law) {
				rate := part * podtest.Known(l)
				real := onRealPod(b, l, rate, d, 7)
				poisson := simulated(l, runs, func(p *podtest.Pod, observe func(time.Duration) bool) { p.Load(rate, d, observe) })
				same := simulated(l, runs, sameArrivals(real))
				row := fmt.Sprintf("%s\t%.0f %%\t%.0f/s", l.Name, 100*part, rate)
				mu.Lock()
				defer mu.Unlock()
				for i, q := range compared {
					got := podtest.Quantile(real.law, q)
					off, offSeen := got/podtest.Quantile(same[i], 0.5), podtest.Quantile(real.seen, q)/podtest.Quantile(poisson[i], 0.5)
					law[i], seen[i] = append(law[i], math.Abs(off-1)), append(seen[i], math.Abs(offSeen-1))
					mark := ""
					if got < same[i][0] || got > same[i][runs-1] {
						outside++
						mark = " !"
					}
					row += fmt.Sprintf("\t%.1f\t%.3f%s\t%.3f", 1e3*got, off, mark, offSeen)
				}
				if len(real.invalid) > 0 {
					invalid++
				}
				t.add("%s", row)
			})
		}
		t.log(b, "law\tload\trate\tp50 ms\tlaw\tseen\tp90 ms\tlaw\tseen\tp99 ms\tlaw\tseen")
		for i, q := range compared {
			slices.Sort(law[i])
			slices.Sort(seen[i])
			b.ReportMetric(100*podtest.Quantile(law[i], 0.5), fmt.Sprintf("law-p%.0f-off-median-%%", 100*q))
			b.ReportMetric(100*podtest.Quantile(law[i], 1), fmt.Sprintf("law-p%.0f-off-max-%%", 100*q))
			b.ReportMetric(100*podtest.Quantile(seen[i], 0.5), fmt.Sprintf("seen-p%.0f-off-median-%%", 100*q))
		}
		b.ReportMetric(float64(outside), "law-outside-of-63")
		b.ReportMetric(float64(invalid), "invalid-of-21")
	}
	b.ReportMetric(0, "ns/op")
}

// found is what a search found, rates as shares of the truth.
type found struct {
	miss, safe, peak []float64
	broke, load      []float64
	over             int
	mu               sync.Mutex
}

func (f *found) add(truth, estimate, safe, peak, load float64, broke int) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.miss, f.safe, f.peak = append(f.miss, 100*math.Abs(estimate/truth-1)), append(f.safe, safe/truth), append(f.peak, peak/truth)
	f.broke, f.load = append(f.broke, float64(broke)), append(f.load, load)
	if safe > truth {
		f.over++
	}
	return fmt.Sprintf("%.1f/s\t%+.1f %%\t%.1f/s\t%.2f\t%d\t%.2f\t%.0f s", estimate, 100*(estimate/truth-1), safe, safe/truth, broke, peak/truth, load)
}

func (f *found) report(b *testing.B, who string) {
	for _, v := range [][]float64{f.miss, f.broke, f.peak} {
		slices.Sort(v)
	}
	b.ReportMetric(podtest.Quantile(f.miss, 0.5), who+"-error-p50-%")
	b.ReportMetric(podtest.Quantile(f.miss, 0.9), who+"-error-p90-%")
	b.ReportMetric(100*float64(f.over)/float64(len(f.miss)), who+"-over-%")
	b.ReportMetric(podtest.Quantile(f.broke, 0.5), who+"-violating-p50")
	b.ReportMetric(podtest.Quantile(f.peak, 0.5), who+"-peak-p50")
}

// BenchmarkFindRealPods searches for the safe rate of pods in processes of their own,
// as "capacity find" does, then by doubling and bisecting; all laws at the same time.
// The truth is the law's, of an objective less what the machine adds to a call. It
// takes two minutes and, for doubling and bisecting, about seven; -v shows the table.
func BenchmarkFindRealPods(b *testing.B) {
	var ours, peers found
	var t table
	for n := 0; b.Loop(); n++ {
		everyLaw(func(l podtest.Law) {
			truth, added := truthOfReal(b, l)
			x := findReal(b, l, truth*(0.1+0.02*float64(n%10)))
			t.add("%s\tsearch\t%.1f/s\t%.1f ms\t%s", l.Name, truth, 1e3*added, ours.add(truth, x.Estimate, x.Safe, x.Peak, x.Load, x.Broke))
		})
		everyLaw(func(l podtest.Law) {
			truth, added := truthOfReal(b, l)
			rate, peak, load, broke := bisectReal(b, l, truth*(0.1+0.02*float64(n%10)))
			t.add("%s\tbisecting\t%.1f/s\t%.1f ms\t%s", l.Name, truth, 1e3*added, peers.add(truth, rate, rate, peak, load, broke))
		})
	}
	t.log(b, "law\tway\ttruth\tadded\testimate\toff\tsafe\tof truth\tviolating\tpeak\tload")
	ours.report(b, "search")
	peers.report(b, "bisecting")
	b.ReportMetric(0, "ns/op")
}

// truthOfReal is the rate at which a pod of the law breaks its objective on this
// machine, which adds so many seconds to a call.
func truthOfReal(b *testing.B, l podtest.Law) (truth, added float64) {
	r := onRealPod(b, l, 0.3*podtest.Known(l), 8*time.Second, 3)
	added = max(0, podtest.Quantile(r.seen, 0.5)-podtest.Quantile(r.law, 0.5))
	l.Limit -= time.Duration(added * float64(time.Second))
	return podtest.Truth(l, 1), added
}

func findReal(b *testing.B, l podtest.Law, start float64) search.Result {
	pods, stop := podtest.Start(b, l, 1)
	defer stop()
	f := &api.Function{}
	f.Name = strings.Fields(l.Name)[0]
	f.Spec.Routes = []api.Route{{Path: "/", Methods: []string{"GET"}}}
	f.Spec.Objective.Latency.P99 = api.Duration(l.Limit)
	f.Spec.Objective.Success = 0.999
	x, err := app.FindCapacity(b.Context(), app.Find{
		Gateway: pods[0], Function: f, Pin: app.Pin{Header: "x-pod", Value: "1"}, Run: loadtest.NewRunID(),
		Start: start, MaxRate: 5000, Budget: 2 * time.Minute, Limits: scenario.DefaultLimits(),
	})
	if err != nil {
		b.Error(err)
	}
	return x
}

// bisectReal doubles the rate until half a minute of it breaks the objective, then
// halves the gap until a step is below 1 %.
func bisectReal(b *testing.B, l podtest.Law, rate float64) (found, peak, load float64, broke int) {
	pods, stop := podtest.Start(b, l, 1)
	defer stop()
	good, bad := 0.0, math.Inf(1)
	for range 41 {
		const d = 30 * time.Second
		n, late := 0, 0
		spec := api.ScenarioSpec{
			Targets: []api.Target{{Method: "GET", URL: "http://" + pods[0] + "/"}},
			Stages:  []api.Stage{{Rate: rate, Duration: api.Duration(d)}},
			Workers: 256, Timeout: api.Duration(10 * l.Limit), Arrivals: "poisson",
		}
		_, err := loadtest.Run(b.Context(), spec, loadtest.Options{Observe: func(o attack.Observation) bool {
			if o.Planned < time.Second {
				return false
			}
			if n++; o.Latency > l.Limit || o.Status != 200 {
				late++
			}
			return false
		}})
		if err != nil {
			b.Error(err)
			return rate, peak, load, broke
		}
		peak, load, broke = max(peak, rate), load+d.Seconds(), broke+late
		if float64(late) <= 0.01*float64(n) {
			good = rate
		} else {
			bad = rate
		}
		next := (good + bad) / 2
		switch {
		case math.IsInf(bad, 1):
			next = 2 * rate
		case math.Abs(next/rate-1) < 0.01:
			return next, peak, load, broke
		}
		rate = next
	}
	return rate, peak, load, broke
}
