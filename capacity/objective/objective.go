// Package objective tells, while calls come in, whether a function keeps its
// objective: within seconds, and without raising an alarm for chance.
//
// It judges a window of calls, such as the last five seconds: of n calls a share q may
// be bad (failed, or slower than the objective's p99, of which 1 % may be). It is broken
// when so many bad calls or more are next to impossible at a share of q:
//
//	P(X ≥ k) < 10⁻⁴ and k ≥ 3  with  X Poisson, of mean n·q
//
// Looked at five times a second with windows that overlap, a function that just keeps
// its objective raises an alarm about once an hour; one that stays clear of it, never.
package objective

import (
	"fmt"
	"math"
	"slices"
	"time"
)

// Bound is what an objective allows; the zero value allows everything.
type Bound struct {
	Failed  float64       // share of calls that may fail, from 0 to 1; 1: any
	Slow    float64       // share that may be slower than Latency
	Latency time.Duration // 0: there is no bound
}

// Count is calls since some beginning.
type Count struct{ Calls, Failed, Slow uint64 }

func (c Count) minus(o Count) Count {
	return Count{sub(c.Calls, o.Calls), sub(c.Failed, o.Failed), sub(c.Slow, o.Slow)}
}

// sub is 0 where a counter began anew.
func sub(a, b uint64) uint64 {
	if a < b {
		return 0
	}
	return a - b
}

// What an alarm needs.
const (
	leastBad = 3
	chance   = 1e-4
)

// Broken says what is wrong with a stretch of calls, or nothing.
func (b Bound) Broken(c Count) string {
	if b.Failed < 1 && unlikely(c.Failed, float64(c.Calls)*b.Failed) {
		return fmt.Sprintf("%d of %d calls failed, %.4g %% may", c.Failed, c.Calls, 100*b.Failed)
	}
	if b.Latency > 0 && unlikely(c.Slow, float64(c.Calls)*b.Slow) {
		return fmt.Sprintf("%d of %d calls took longer than %v, %.4g %% may", c.Slow, c.Calls, b.Latency, 100*b.Slow)
	}
	return ""
}

// unlikely tells whether k or more are next to impossible where mean are expected.
func unlikely(k uint64, mean float64) bool {
	if k < leastBad || float64(k) <= mean {
		return false
	}
	if mean <= 0 {
		return true
	}
	// The tail above k ≥ mean is less than a geometric series from its first term.
	first, _ := math.Lgamma(float64(k) + 1)
	term := math.Exp(float64(k)*math.Log(mean) - mean - first)
	return term/(1-mean/float64(k+1)) < chance
}

// Window remembers counts for as long as they are asked for. The zero value keeps
// nothing: set Length.
type Window struct {
	Length time.Duration
	at     []time.Time
	counts []Count
}

// Add notes how the count stands, and forgets what is older than the window, but for
// the last one of those.
func (w *Window) Add(at time.Time, c Count) {
	w.at, w.counts = append(w.at, at), append(w.counts, c)
	old := 0
	for old+1 < len(w.at) && at.Sub(w.at[old+1]) >= w.Length {
		old++
	}
	w.at, w.counts = slices.Delete(w.at, 0, old), slices.Delete(w.counts, 0, old)
}

// Last is the calls of the window.
func (w *Window) Last() Count {
	if len(w.counts) == 0 {
		return Count{}
	}
	return w.counts[len(w.counts)-1].minus(w.counts[0])
}
