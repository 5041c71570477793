package live

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kongdao/kongdao/capacity/objective"
	"github.com/kongdao/kongdao/capacity/podtest"
	"github.com/kongdao/kongdao/capacity/search"
)

// fleet is a function of simulated pods that are called by others, in the test's time.
type fleet struct {
	law     podtest.Law
	pods    []*podtest.Pod
	rate    func(since time.Duration) float64 // of all calls
	lag     time.Duration
	r       *rand.Rand
	began   time.Time
	until   time.Time // calls have been made
	pending []pending
	factor  float64
	lifts   []float64

	counts      objective.Count
	window      objective.Window
	bound       objective.Bound
	high        float64              // highest rate of the pod
	ejected     func(f *fleet) bool  // the pod gets nothing
	failing     func(pod int) bool   // calls fail
	retries     func(f *fleet) bool  // a call of another pod was tried before
	clear       func(f *fleet) error // what is in the way
	ownBad, own int
}

type pending struct {
	known time.Time
	call  Call
}

func newFleet(law podtest.Law, pods int, rate float64, seed uint64) *fleet {
	f := &fleet{
		law: law, r: rand.New(rand.NewPCG(seed, 5)), lag: 600 * time.Millisecond, factor: 1,
		began: time.Now(), until: time.Now(), window: objective.Window{Length: 3 * time.Second},
		bound: objective.Bound{Failed: 0.001, Latency: law.Limit, Slow: 0.01},
		rate:  func(time.Duration) float64 { return rate },
	}
	for i := range pods {
		f.pods = append(f.pods, podtest.New(law, rand.New(rand.NewPCG(seed, uint64(10+i)))))
	}
	return f
}

func (f *fleet) system() System {
	return System{
		Lift: func(_ context.Context, factor float64) error {
			f.advance()
			f.factor = factor
			f.lifts = append(f.lifts, factor)
			return nil
		},
		Calls: f.calls,
		Production: func(context.Context) error {
			f.window.Add(time.Now(), f.counts)
			if why := f.bound.Broken(f.window.Last()); why != "" {
				return errors.New(why)
			}
			return nil
		},
		Clear: func() error {
			if f.clear != nil {
				return f.clear(f)
			}
			return nil
		},
	}
}

func (f *fleet) calls(ctx context.Context) (known []Call, missed int64, err error) {
	const step = 500 * time.Millisecond // the collector's blocks
	deadline, _ := ctx.Deadline()
	next := f.until.Truncate(step).Add(step)
	if next.After(deadline) {
		<-ctx.Done()
		return nil, 0, nil
	}
	time.Sleep(time.Until(next))
	f.advance()
	now := time.Now()
	later := f.pending[:0:0]
	for _, p := range f.pending {
		if p.known.After(now) {
			later = append(later, p)
			continue
		}
		known = append(known, p.call)
		f.counts.Calls++
		if !p.call.OK {
			f.counts.Failed++
		} else if p.call.Latency > f.law.Limit {
			f.counts.Slow++
		}
	}
	f.pending = later
	return known, 0, nil
}

// advance makes the calls until now.
func (f *fleet) advance() {
	now := time.Now()
	d := now.Sub(f.until)
	if d <= 0 {
		return
	}
	total := f.rate(now.Sub(f.began))
	factor := f.factor
	if f.ejected != nil && f.ejected(f) {
		factor = 0
	}
	for i, p := range f.pods {
		share := 1 / (factor + float64(len(f.pods)-1))
		if i == 0 {
			share *= factor
			f.high = max(f.high, share*total)
		}
		if share == 0 {
			continue
		}
		p.Load(share*total, d, func(late time.Duration) bool {
			f.log(i, late, f.until.Add(time.Duration(f.r.Float64()*float64(d))))
			return false
		})
	}
	f.until = now
}

func (f *fleet) log(pod int, late time.Duration, at time.Time) {
	c := Call{At: at, Gateway: "gw", Pod: fmt.Sprint(pod), Latency: late, OK: f.failing == nil || !f.failing(pod), Tries: 1}
	if pod > 0 && f.retries != nil && f.retries(f) {
		c.Tries = 2
	}
	if pod == 0 {
		if f.own++; late > f.law.Limit {
			f.ownBad++
		}
	}
	f.pending = append(f.pending, pending{at.Add(late + f.lag), c})
}

func (f *fleet) config(budget time.Duration) Config {
	return Config{
		Pod: "0", Objective: search.Objective{Latency: []search.Bound{{Quantile: 0.99, Limit: f.law.Limit}}, Success: 0.999},
		Budget: budget, MaxFactor: DefaultMaxFactor, Lag: DefaultLag,
	}
}

// find is a search in time that passes by itself.
func find(t *testing.T, make func() *fleet, alter func(*Config)) (r search.Result, f *fleet, err error) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		f = make()
		c := f.config(5 * time.Minute)
		if alter != nil {
			alter(&c)
		}
		r, err = Find(t.Context(), c, f.system(), Reports{})
	})
	return r, f, err
}

func (f *fleet) steps(t *testing.T) {
	t.Helper()
	last := 1.0
	for _, l := range f.lifts {
		if l > 1.2*last*1.0001 || l < 1 || l > DefaultMaxFactor {
			t.Fatalf("a factor of %v follows %v", l, last)
		}
		last = l
	}
}

// TestLiveSimulatedPods: pods of known law, whose truth is known, by their users' calls
// alone.
func TestLiveSimulatedPods(t *testing.T) {
	const n = 12
	law, truth := podtest.Laws()[0], 243.0
	var misses, safe []float64
	over, worst := 0, 0.0
	for i := range n {
		r, f, err := find(t, func() *fleet {
			drift := 0.1 * float64(i%3)
			f := newFleet(law, 4, 0, uint64(i+1))
			f.rate = func(d time.Duration) float64 { return 700 * (1 + drift*d.Seconds()/400) }
			return f
		}, nil)
		if err != nil {
			t.Fatal(err, r.Steps, r.Warnings)
		}
		f.steps(t)
		misses, safe = append(misses, math.Abs(r.Estimate/truth-1)), append(safe, r.Safe/truth)
		if r.Safe > truth {
			over++
		}
		worst = max(worst, f.high/truth)
		if r.Broke > 290+60 {
			t.Errorf("%d of users' calls broke the objective", r.Broke)
		}
	}
	slices.Sort(misses)
	slices.Sort(safe)
	t.Logf("error p50 %.1f %% max %.1f %%, %d of %d over-promise, safe p50 %.2f, peak %.2f", 100*misses[n/2], 100*misses[n-1], over, n, safe[n/2], worst)
	if over > 2 || misses[n/2] > 0.1 || safe[n/2] < 0.75 || worst > 1.4 {
		t.Error("the answers are of no use")
	}
}

// TestLiveTooLittleTraffic says what the pod had at most.
func TestLiveTooLittleTraffic(t *testing.T) {
	r, f, err := find(t, func() *fleet { return newFleet(podtest.Laws()[0], 4, 120, 3) }, nil)
	if err != nil {
		t.Fatal(err)
	}
	f.steps(t)
	if r.Estimate != 0 || r.High != 0 || r.Safe < 50 || r.Safe > 64 {
		t.Errorf("%+v", r)
	}
	if last := r.Warnings[len(r.Warnings)-1]; !strings.Contains(last, "at least") {
		t.Error(last)
	}
}

// TestLiveEndsAtTheHighestShare as soon as that is shown to be kept.
func TestLiveEndsAtTheHighestShare(t *testing.T) {
	r, _, err := find(t, func() *fleet { return newFleet(podtest.Laws()[0], 4, 300, 4) }, nil)
	if err != nil || r.Load > 120 || r.Proven < 140 || r.Estimate != 0 {
		t.Errorf("%+v, %v", r, err)
	}
}

// TestLiveGivesWay: whatever is not the pod's own calls ends a step, or the search, and
// never leaves the pod with more than its share.
func TestLiveGivesWay(t *testing.T) {
	lifted := func(f *fleet) bool { return f.factor > 1.15 }
	for name, c := range map[string]struct {
		alter func(*fleet)
		fails string // empty: there is an answer
		says  string
	}{
		"production breaks by the lift": {func(f *fleet) { f.failing = func(pod int) bool { return f.factor > 1.5 && f.r.IntN(100) == 0 } }, "", "production broke"},
		"production breaks anyhow":      {func(f *fleet) { f.failing = func(pod int) bool { return len(f.lifts) > 2 && f.r.IntN(50) == 0 } }, "production", ""},
		"it is broken before":           {func(f *fleet) { f.failing = func(pod int) bool { return f.r.IntN(50) == 0 } }, "production breaks its objective", ""},
		"gateways take the pod out":     {func(f *fleet) { f.ejected = func(f *fleet) bool { return f.factor > 1.5 } }, "", "taken it out"},
		"calls are tried again":         {func(f *fleet) { f.retries = func(f *fleet) bool { return lifted(f) && f.r.IntN(100) == 0 } }, "", ""},
		"they were before":              {func(f *fleet) { f.retries = func(f *fleet) bool { return f.r.IntN(100) == 0 } }, "more than one try", ""},
		"a drill begins": {func(f *fleet) {
			f.clear = func(f *fleet) error { return map[bool]error{true: errors.New("a drill")}[lifted(f)] }
		}, "a drill", ""},
		"calls end": {func(f *fleet) {
			f.rate = func(d time.Duration) float64 { return map[bool]float64{true: 700, false: 0.001}[d < 20*time.Second] }
		}, "no calls", ""},
		"too few calls":                {func(f *fleet) { f.rate = func(time.Duration) float64 { return 1 } }, "share", ""},
		"the pod is too slow as it is": {func(f *fleet) { f.rate = func(time.Duration) float64 { return 1100 } }, "production breaks", ""},
		"it fails as it is":            {func(f *fleet) { f.failing = func(pod int) bool { return pod == 0 && f.r.IntN(300) == 0 } }, "nothing can be raised", ""},
	} {
		t.Run(name, func(t *testing.T) {
			r, f, err := find(t, func() *fleet {
				f := newFleet(podtest.Laws()[0], 4, 700, 9)
				c.alter(f)
				return f
			}, nil)
			t.Logf("%v; factors %.2f; %v", err, f.lifts, r.Warnings)
			if (err != nil) != (c.fails != "") || err != nil && (!strings.Contains(err.Error(), c.fails) || !errors.Is(err, ErrNotNow)) {
				t.Errorf("error %v", err)
			}
			if text := strings.Join(r.Warnings, "; "); !strings.Contains(text, c.says) {
				t.Errorf("warnings %s", text)
			}
			if name == "calls are tried again" && r.Safe > 205 {
				t.Errorf("safe %v, where calls are tried again", r.Safe)
			}
			f.steps(t)
		})
	}
}
