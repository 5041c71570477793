package search

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/kongdao/kongdao/capacity/podtest"
)

// load is what probes of a pod see, seconds each.
func load(p *podtest.Pod, limit time.Duration, seconds int, rates ...float64) (out []probed) {
	for i, rate := range rates {
		s := newSketch(limit)
		p.Load(rate, time.Duration(seconds)*time.Second, func(l time.Duration) bool { s.observe(l); return false })
		out = append(out, probed{rate, (float64(i) + 0.5) / float64(len(rates)), s, rate > 0.7*rates[len(rates)-1]})
	}
	return out
}

// The queue knows from requests that are in time where the limit is: at most 0.2 % were
// late at the rates that it saw here.
func TestQueueFindsTheLimitFromBelow(t *testing.T) {
	for _, s := range judged()[1:3] {
		var l latencies
		p := podtest.New(s.Law, rand.New(rand.NewPCG(3, 3)))
		for _, f := range []float64{0.2, 0.3, 0.4, 0.8, 0.85, 0.88} {
			l.probes = append(l.probes, load(p, s.Limit, 60, f*s.truth)...)
		}
		b := l.believe(s.objective.Latency, drift{})[0]
		if off := math.Abs(math.Exp(b.at)/s.truth - 1); off > 0.08 || b.width == 0 || b.width > 0.2 {
			t.Errorf("%s: off by %.3f, width %.3f", s.Name, off, b.width)
		}
	}
}

func TestQueueSaysNothingOfLittle(t *testing.T) {
	s := judged()[0]
	l := latencies{probes: load(podtest.New(s.Law, rand.New(rand.NewPCG(3, 3))), s.Limit, 2, 20, 30)}
	if b := l.believe(s.objective.Latency, drift{})[0]; b.width != 0 {
		t.Errorf("got %+v", b)
	}
}

// A pod that gets slower is told from one that stays as it is.
func TestDriftIsSeen(t *testing.T) {
	s := judged()[0]
	var rates []float64
	for i := range 16 {
		rates = append(rates, s.truth*[]float64{0.85, 0.88, 0.82}[i%3])
	}
	for _, c := range []struct{ leak, least, most float64 }{{0, 0, 0.04}, {0.15, 0.08, 0.3}} {
		law := s.Law
		law.Leak = c.leak
		d := driftOf(load(podtest.New(law, rand.New(rand.NewPCG(5, 5))), s.Limit, 18, rates...))
		if d.down < c.least || d.down > c.most {
			t.Errorf("service longer by %.2f in the end: %+v", c.leak, d)
		}
		if got := d.rate(100, 0); c.leak > 0 && (got >= 100 || d.rate(100, 1) != 100) {
			t.Errorf("a rate of 100/s amounts to %.1f/s", got)
		}
	}
}

func TestSketch(t *testing.T) {
	s := newSketch(100 * time.Millisecond)
	for i := range 1000 {
		s.observe(time.Duration(i) * time.Millisecond / 5) // half of them above the unit
	}
	s.observe(0)
	s.observe(time.Hour)
	if got := s.late(); math.Abs(got-0.5) > 0.01 {
		t.Errorf("%.3f are late", got)
	}
	sum := 0.0
	for _, a := range s.atoms() {
		sum += a.mass
	}
	if math.Abs(sum-1) > 1e-9 {
		t.Errorf("masses add up to %g", sum)
	}
	if e := s.edge(s.reached(0.1)); math.Abs(e/0.18-1) > 0.06 {
		t.Errorf("a tenth takes longer than %.3f s, want 0.180", e)
	}
	more := newSketch(100 * time.Millisecond)
	for range 1000 {
		more.observe(10 * time.Millisecond)
	}
	for range 10 {
		more.observe(time.Second)
	}
	if got := s.withTail(more).late(); math.Abs(got-more.late()) > 1e-3 {
		t.Errorf("%.4f are late, of more there were %.4f", got, more.late())
	}
}

// A search that confirms an earlier answer ends.
func TestConfirmedSearchIsShort(t *testing.T) {
	s := judged()[1]
	x := second(t, s, 0.85*s.truth, 1)
	if x.Load > 0.7*DefaultConfig().Budget.Seconds() || x.Safe < 0.8*s.truth || x.Safe > s.truth {
		t.Errorf("%.1f s, safe rate %.1f/s of %.1f/s", x.Load, x.Safe, s.truth)
	}
	if x = second(t, s, 1.1*s.truth, 1); x.Safe > s.truth { // it was wrong, or the pod has become slower
		t.Errorf("safe rate %.1f/s of %.1f/s", x.Safe, s.truth)
	}
}
