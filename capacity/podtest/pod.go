package podtest

import (
	"container/heap"
	"math/rand/v2"
	"time"
)

// Pod is a simulated pod in virtual time. It keeps its queue between loads, as a
// real one does. Not for concurrent use.
type Pod struct {
	law  Law
	r    *rand.Rand
	free freeAt
	now  float64 // seconds

	pauseAt  float64
	noisy    bool
	noiseEnd float64
}

// New is an idle pod.
func New(law Law, r *rand.Rand) *Pod {
	p := &Pod{law: law, r: r, free: make(freeAt, law.Workers)}
	if law.Pause > 0 {
		p.pauseAt = p.r.ExpFloat64() * law.PauseEvery.Seconds()
	}
	return p
}

// Load offers rate requests a second for d, at Poisson times, until observe answers
// true; it returns for how long.
func (p *Pod) Load(rate float64, d time.Duration, observe func(latency time.Duration) (stop bool)) time.Duration {
	begin := p.now
	for {
		p.now += p.r.ExpFloat64() / rate
		if p.now-begin >= d.Seconds() {
			p.now = begin + d.Seconds()
			break
		}
		if observe(p.serve()) {
			break
		}
	}
	return time.Duration((p.now - begin) * float64(time.Second))
}

// serve is one request that comes now.
func (p *Pod) serve() time.Duration {
	p.pause()
	start := max(p.free[0], p.now)
	end := start + p.law.Service(p.r)*p.slowness()
	p.free[0] = end
	heap.Fix(&p.free, 0)
	return time.Duration((end - p.now) * float64(time.Second))
}

// pause stops all workers: what they do ends later by its length.
func (p *Pod) pause() {
	for p.law.Pause > 0 && p.pauseAt <= p.now {
		for i := range p.free {
			p.free[i] = max(p.free[i], p.pauseAt) + p.law.Pause.Seconds()
		}
		p.pauseAt += p.r.ExpFloat64() * p.law.PauseEvery.Seconds()
	}
}

func (p *Pod) slowness() float64 {
	s := 1 + p.law.Leak*min(p.now/300, 1)
	if p.law.Noise == 0 {
		return s
	}
	for p.noiseEnd <= p.now {
		p.noisy = !p.noisy
		mean := p.law.NoiseOff
		if p.noisy {
			mean = p.law.NoiseOn
		}
		p.noiseEnd += p.r.ExpFloat64() * mean.Seconds()
	}
	if p.noisy {
		s *= 1 + p.law.Noise
	}
	return s
}

// Truth is the rate at which exactly 1 % of the requests are late, of a pod that
// leaks when it has leaked.
func Truth(law Law, seed uint64) float64 {
	lo, hi := 10.0, 2000.0
	for hi/lo > 1.003 {
		mid := (lo + hi) / 2
		if Late(law, mid, truthRequests, seed) <= 0.01 {
			lo = mid
		} else {
			hi = mid
		}
	}
	return lo
}

// truthRequests are as many as it takes for the truth to be known to half a percent.
const truthRequests = 2_000_000

// Late is the share of requests that are late at a rate, in the long run, of a pod
// that leaks when it has leaked.
func Late(law Law, rate float64, requests int, seed uint64) float64 {
	p := New(law, rand.New(rand.NewPCG(seed, 2)))
	if law.Leak > 0 {
		p.now, p.pauseAt, p.noiseEnd = 300, 300, 300
	}
	n, late := 0, 0
	p.Load(rate, time.Duration(float64(requests)/rate*float64(time.Second)), func(l time.Duration) bool {
		n++
		if l > law.Limit {
			late++
		}
		return n > 20_000 && 20*late > n // far above it is soon known
	})
	return float64(late) / float64(n)
}

// freeAt is a heap of the times at which workers become free. Its size is fixed, so
// only heap.Fix is used on it.
type freeAt []float64

func (f freeAt) Len() int           { return len(f) }
func (f freeAt) Less(i, j int) bool { return f[i] < f[j] }
func (f freeAt) Swap(i, j int)      { f[i], f[j] = f[j], f[i] }

// Push is never called.
func (f *freeAt) Push(any) {}

// Pop is never called.
func (f *freeAt) Pop() any { return nil }
