package search

import (
	"bytes"
	"encoding/json"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/kongdao/kongdao/capacity/podtest"
	"github.com/kongdao/kongdao/capacity/usage"
)

// TestStepsSayWhatTheySaw: on a pod of known law the time of a request and how many are
// in it at once are those of theory, and so is the law of its throughput.
func TestStepsSayWhatTheySaw(t *testing.T) {
	law := podtest.Law{Name: "one worker", Workers: 1, Service: podtest.Exponential(0.010), Limit: 250 * time.Millisecond}
	c := DefaultConfig()
	c.Objective, c.Start = objectiveOf(law), 10
	var reported []StepResult
	x, err := Run(t.Context(), c, probeOf(law, rand.New(rand.NewPCG(1, 1))), func(s StepResult) { reported = append(reported, s) })
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range x.Steps {
		if rho := s.Rate / 100; rho < 0.7 && s.whole && math.Abs(s.InFlight-rho/(1-rho)) > 0.3*rho/(1-rho)+0.1 {
			t.Errorf("at %.0f/s %.2f requests were in it at once, theory %.2f", s.Rate, s.InFlight, rho/(1-rho))
		}
		if s.P99 < s.P50 || s.Mean <= 0 {
			t.Errorf("%+v", s.Seen)
		}
	}
	if len(reported) != len(x.Steps) || reported[len(reported)-1].Estimate == 0 || reported[0].Low > reported[0].Rate*2 {
		t.Errorf("reported: %+v", reported)
	}
	f := x.Scaling.Law
	if f == nil {
		t.Fatalf("no fit: %+v", x.Scaling)
	}
	if x.Scaling.Better != "" || x.Scaling.Concurrency < 0.5 || x.Scaling.Concurrency > 5 {
		t.Errorf("%+v", x.Scaling)
	}
	if math.Abs(f.Ceiling-100) > 15 || math.Abs(f.Sigma.Value-0.5) > 0.15 {
		t.Errorf("one worker of 100/s: %+v", f)
	}
}

// TestLongCallsAreLimitedByConcurrency says so.
func TestLongCallsAreLimitedByConcurrency(t *testing.T) {
	law := podtest.Law{Name: "long calls", Workers: 64, Service: podtest.Lognormal(2, 0.3), Limit: 6 * time.Second}
	c := DefaultConfig()
	c.Objective, c.Start = objectiveOf(law), 4
	x, err := Run(t.Context(), c, probeOf(law, rand.New(rand.NewPCG(2, 1))), nil)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(x.Scaling.Better, "calls take 2") || x.Scaling.Concurrency < 30 || x.Scaling.Concurrency > 72 { // those that wait for a worker are in it, too
		t.Errorf("64 workers, two seconds a call, %.1f/s: %+v", x.Safe, x.Scaling)
	}
	var out bytes.Buffer
	if err := x.WriteText(&out); err != nil || !strings.Contains(out.String(), "the better limit: spec.concurrency") {
		t.Errorf("%s, %v", out.String(), err)
	}
}

// TestColdPodIsNoticed by the first seconds of the first probe, and a warm one is not
// taken for it.
func TestColdPodIsNoticed(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 3))
	for _, c := range []struct {
		cold    float64
		rate    float64
		seconds int
		want    string
		known   bool
	}{
		{1, 60, 8, "no sign of any", true},
		{2, 60, 8, "times as long", true},
		{2, 5, 8, "too few", false},
		{2, 60, 2, "too few", false},
	} {
		m := newMeter(c.rate)
		observe := m.around(func(time.Duration, bool) bool { return false })
		for i := range int(c.rate) * c.seconds {
			slow := 1.0
			if i < int(1.8*c.rate) {
				slow = c.cold
			}
			observe(time.Duration(slow*podtest.Lognormal(0.02, 0.6)(r)*float64(time.Second)), true)
		}
		if n := m.cold(c.rate); !strings.Contains(n.Text, c.want) || n.Known != c.known || n.About != "cold caches" {
			t.Errorf("%+v: %s", c, n)
		}
	}
	false_ := 0
	for range 300 {
		m := newMeter(40)
		observe := m.around(func(time.Duration, bool) bool { return false })
		for range 240 {
			observe(time.Duration(podtest.Lognormal(0.02, 1.5)(r)*float64(time.Second)), true)
		}
		if strings.Contains(m.cold(40).Text, "times as long") {
			false_++
		}
	}
	if false_ > 1 {
		t.Errorf("%d of 300 warm pods are taken for cold ones", false_)
	}
}

// TestMeterForwards what it measures, and the answer.
func TestMeterForwards(t *testing.T) {
	m := newMeter(1)
	var got []bool
	observe := m.around(func(l time.Duration, ok bool) bool { got = append(got, ok && l == 0); return len(got) == 2 })
	if observe(0, true) || !observe(time.Hour, false) || len(got) != 2 || !got[0] || got[1] {
		t.Errorf("%v", got)
	}
	if s := m.seen(time.Second, 3*time.Second); s.whole || s.InFlight != 3600 {
		t.Errorf("%+v", s)
	}
	if s := newMeter(1).seen(time.Second, time.Second); s != (Seen{}) {
		t.Errorf("%+v", s)
	}
}

// TestTextHasWhatIsBeside: the pod's use, notes and scaling; a result of before these
// were there still reads and writes.
func TestTextHasWhatIsBeside(t *testing.T) {
	r := Result{
		Safe: 200, Objective: "p99 ≤ 100ms", Steps: []StepResult{{Rate: 200, Pod: &usage.Step{CPU: 1.5, Memory: 64 << 20}}, {Rate: 210}},
		Notes: []Note{{"arrivals", true, "Poisson"}, {"shared node", false, "no metrics"}},
		Pod:   &usage.Summary{CPU: 1.52, CPUPer: 7.6, Memory: 64 << 20, MemoryPer: 2048, CPULimit: 2, LimitFrom: "its quota", Bound: 0.98, BoundRate: 243},
	}
	var out bytes.Buffer
	if err := r.WriteText(&out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"pod        1.52 cores at the safe rate, 7.6 ms a request; memory 64.0 MiB at the end, +2 KiB with 1,000 requests",
		"CPU is at 98 % of its limit of 2 cores (its quota) at 243.0/s: CPU gives in first",
		"note       arrivals: Poisson", "note       shared node: not known: no metrics", "1.50  64.0 MiB",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is missing in\n%s", want, out.String())
		}
	}
	var old Result
	if err := json.Unmarshal([]byte(`{"safe_rate": 100, "steps": [{"rate": 50, "kept": true}]}`), &old); err != nil {
		t.Fatal(err)
	}
	out.Reset()
	if err := old.WriteText(&out); err != nil || !strings.Contains(out.String(), "kept") {
		t.Errorf("%s, %v", out.String(), err)
	}
	text, err := json.Marshal(Result{Steps: []StepResult{{Seen: Seen{Mean: 0.5}}}})
	if err != nil || !strings.Contains(string(text), `"mean_s":0.5`) {
		t.Errorf("%s, %v", text, err)
	}
}

// TestFirstRate: what is given before what is known, never above the most.
func TestFirstRate(t *testing.T) {
	for _, c := range []struct {
		config Config
		want   float64
	}{
		{Config{Start: 30, Earlier: 200, MaxRate: 1000}, 30},
		{Config{Earlier: 200, MaxRate: 1000}, EarlierShare * 200},
		{Config{Earlier: 200, MaxRate: 50}, 50},
		{Config{MaxRate: 50}, 0},
	} {
		if got := c.config.First(); got != c.want {
			t.Errorf("%+v: %g", c.config, got)
		}
	}
}

// TestSteadySteps: what was cut short, discarded or empty does not count, and steps at
// one rate are joined by their time.
func TestSteadySteps(t *testing.T) {
	step := func(rate, seconds, mean float64, whole bool) StepResult {
		return StepResult{Rate: rate, Seconds: seconds, Seen: Seen{Mean: mean, InFlight: rate * mean, ended: rate, whole: whole}}
	}
	discarded := step(50, 5, 1, true)
	discarded.Invalid = "the generator"
	r := Result{Safe: 15, Steps: []StepResult{step(20, 10, 0.4, true), step(10, 10, 0.1, true), step(20, 30, 0.2, true), step(40, 2, 9, false), discarded, {Rate: 30, Seen: Seen{whole: true}}}}
	got := r.steady()
	if len(got) != 2 || got[0].Rate != 10 || math.Abs(got[1].Mean-0.25) > 1e-9 || math.Abs(got[1].InFlight-5) > 1e-9 {
		t.Errorf("%+v", got)
	}
	if r.scale(); math.Abs(r.Scaling.Concurrency-15*0.175) > 0.01 { // between two steps
		t.Errorf("%+v", r.Scaling)
	}
}
