package scenario_test

import (
	"math"
	"math/rand/v2"
	"testing"
	"testing/quick"
	"time"

	"github.com/kongdao/kongdao/api"
	"github.com/kongdao/kongdao/loadtest/scenario"
)

// shapes is a stage of each kind with its integral, which is written down here once
// more, in another way.
func shapes(r *rand.Rand) ([]api.Stage, float64) {
	d := time.Duration(1000+r.IntN(20_000)) * time.Millisecond
	s := d.Seconds()
	rate := func() float64 { return math.Round(r.Float64() * 200) }
	from, to, base := rate(), rate(), rate()
	mean := 1 + rate()
	count := 2 + r.IntN(9)
	rise := time.Duration(r.Float64() * 0.3 * float64(d))
	hold := time.Duration((0.01 + 0.3*r.Float64()) * float64(d))
	periods := 1 + r.IntN(5)
	stages := []api.Stage{
		{Rate: 1 + from, Duration: api.Duration(d)},
		{From: from, To: to + 1, Duration: api.Duration(d)},
		{Steps: &api.Steps{From: from, To: to, Count: count}, Duration: api.Duration(d)},
		{Spike: &api.Spike{Base: base, Peak: base + 100, Rise: api.Duration(rise), Hold: api.Duration(hold)}, Duration: api.Duration(d)},
		{Sine: &api.Sine{Mean: mean, Amplitude: mean * r.Float64(), Period: api.Duration(d / time.Duration(periods)), Start: []string{"", "mean", "peak", "falling", "trough"}[r.IntN(5)]}, Duration: api.Duration(d / time.Duration(periods) * time.Duration(periods))},
		{Soak: &api.Soak{Rate: mean, Ramp: api.Duration(rise)}, Duration: api.Duration(d)},
	}
	ramp := rise.Seconds()
	if rise == 0 {
		ramp = s / 20
	}
	want := (1+from)*s + (from+to+1)/2*s + (from+to)/2*s +
		base*s + 100*(rise.Seconds()+hold.Seconds()) +
		mean*s + mean*(s-ramp)
	return stages, want
}

// The number of requests of every shape is the integral of its rate, no request is
// planned before the integral reaches it, and the rate is never above the highest.
func TestShapesAreExact(t *testing.T) {
	limits := scenario.Limits{MaxRate: 1e6, MaxTotal: 1e9, MaxDuration: 24 * time.Hour, MaxInFlight: 1000}
	property := func(seed uint64) bool {
		stages, want := shapes(rand.New(rand.NewPCG(seed, 1)))
		p, err := scenario.New(api.ScenarioSpec{Targets: []api.Target{{URL: "http://127.0.0.1/"}}, Stages: stages}, limits)
		if err != nil {
			t.Errorf("seed %d: %v", seed, err)
			return false
		}
		if n := float64(p.Total()); math.Abs(n-want) > 1+want*1e-6 {
			t.Errorf("seed %d: %v requests, the integral is %v", seed, n, want)
			return false
		}
		pacer := p.Pacer(0)
		var at time.Duration
		n := uint64(0)
		for ; ; n++ {
			wait, stop := pacer.Pace(at, n)
			if stop {
				break
			}
			if at += wait; wait < 0 || at > p.Duration() || p.Rate(at) > p.MaxRate()*(1+1e-9) {
				t.Errorf("seed %d: request %d at %v of %v, rate %v of %v", seed, n, at, p.Duration(), p.Rate(at), p.MaxRate())
				return false
			}
		}
		return n == p.Total()
	}
	if err := quick.Check(property, &quick.Config{MaxCount: 60, Rand: nil}); err != nil {
		t.Error(err)
	}
}

// Scenarios that share stages get their weights' parts of them, and never more or
// less in sum.
func TestWeightsAddUp(t *testing.T) {
	property := func(a, b, c uint8, rate uint16) bool {
		spec := api.ScenarioSpec{Stages: []api.Stage{{Rate: float64(rate%1000) + 1, Duration: api.Duration(7 * time.Second)}}}
		for i, w := range []uint8{a, b, c} {
			spec.Scenarios = append(spec.Scenarios, api.SubScenario{
				Name: string(rune('a' + i)), Weight: float64(w) + 0.5, Targets: []api.Target{{URL: "http://127.0.0.1/"}},
			})
		}
		p, err := scenario.New(spec, scenario.DefaultLimits())
		if err != nil {
			t.Error(err)
			return false
		}
		sum := 0.0
		for _, s := range p.Scenarios {
			sum += s.Share
		}
		return math.Abs(sum-1) < 1e-9 && p.Total() == 7*(uint64(rate%1000)+1) && math.Abs(p.MaxRate()-float64(rate%1000)-1) < 1e-6
	}
	if err := quick.Check(property, nil); err != nil {
		t.Error(err)
	}
}
