package search

import (
	"context"
	"math"
	"math/rand/v2"
	"time"

	"github.com/kongdao/kongdao/capacity/podtest"
)

func objectiveOf(l podtest.Law) Objective {
	return Objective{Latency: []Bound{{0.99, l.Limit}}, Success: 0.999}
}

func probeOf(l podtest.Law, r *rand.Rand) Probe { return subject{Law: l}.probe(r) }

func (s subject) probeOf(p *podtest.Pod) Probe {
	return func(_ context.Context, rate float64, d time.Duration, observe func(time.Duration, bool) bool) (Outcome, error) {
		return Outcome{Elapsed: p.Load(rate, d, func(l time.Duration) bool { return observe(l, s.timeout == 0 || l <= s.timeout) })}, nil
	}
}

// bisection is the peer's way: double the rate until a probe of 30 s fails, then halve
// the gap until a step is below 1 %. With this nighthawk's adaptive load finds its
// rate.
type bisection struct {
	rate, load, peak float64
	broke            int
}

func bisect(l subject, start float64, r *rand.Rand) (x bisection) {
	p := podtest.New(l.Law, r)
	good, bad, rate := 0.0, math.Inf(1), start
	for range 41 {
		n, late := 0, 0
		x.peak = max(x.peak, rate)
		begun := p.Load(rate, time.Second, func(time.Duration) bool { return false })
		x.load += (begun + p.Load(rate, 29*time.Second, func(t time.Duration) bool {
			if n++; t > l.objective.Latency[0].Limit {
				late++
			}
			return false
		})).Seconds()
		x.broke += late
		if float64(late) <= 0.01*float64(n) {
			good = rate
		} else {
			bad = rate
		}
		if math.IsInf(bad, 1) {
			rate *= 2
			continue
		}
		next := (good + bad) / 2
		if math.Abs(next/rate-1) < 0.01 {
			x.rate = next
			return x
		}
		rate = next
	}
	x.rate = rate
	return x
}
