package podtest

import (
	"math/rand/v2"
	"time"

	"github.com/kongdao/kongdao/internal/queue"
)

// Pod is a simulated pod in virtual time. It keeps its queue between loads, as a
// real one does. Not for concurrent use.
type Pod struct {
	law   Law
	r     *rand.Rand
	line  *queue.Line // in the time in which workers work
	stops stops
	now   float64 // seconds

	noisy    bool
	noiseEnd float64
}

// New is an idle pod.
func New(law Law, r *rand.Rand) *Pod { return from(law, r, 0) }

// from is a pod that is idle until a time.
func from(law Law, r *rand.Rand, now float64) *Pod {
	p := &Pod{law: law, r: r, line: queue.NewLine(law.Workers, now), now: now, noiseEnd: now}
	p.stops = stops{r: r, every: law.PauseEvery.Seconds(), length: law.Pause.Seconds(), last: now}
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
		if observe(p.Serve(p.now)) {
			break
		}
	}
	return time.Duration((p.now - begin) * float64(time.Second))
}

// Serve is one request that comes at a time in seconds, not before the one before it.
// It returns how long the request takes.
func (p *Pod) Serve(now float64) time.Duration {
	p.now = now
	service := p.law.Service(p.r) * p.slowness()
	end := p.stops.clock(p.line.Serve(p.stops.worked(p.now), service) + service)
	return time.Duration((end - p.now) * float64(time.Second))
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

// stops are the pauses of all workers. They work on where they stopped, so that the
// queue is simulated in the time in which they work, which stands still meanwhile.
type stops struct {
	r             *rand.Rand
	every, length float64 // seconds

	last  float64   // when the last pause begins that is known
	edge  float64   // the same in the time in which workers work
	past  float64   // seconds of pauses that are over
	later []float64 // pauses that are not, in the time in which workers work
}

// worked is the time in which workers worked until now, which never goes back.
func (s *stops) worked(now float64) float64 {
	for s.length > 0 {
		s.know(now - s.past)
		if s.later[0]+s.past+s.length > now {
			return min(now-s.past, s.later[0])
		}
		s.past += s.length
		s.later = s.later[1:]
	}
	return now
}

// clock is the clock's time when workers have worked for so long.
func (s *stops) clock(worked float64) float64 {
	at := worked + s.past
	if s.length == 0 {
		return at
	}
	s.know(worked)
	for _, stop := range s.later {
		if stop >= worked {
			break
		}
		at += s.length
	}
	return at
}

// know draws pauses until one is behind a time. One that would begin during another
// follows it.
func (s *stops) know(worked float64) {
	for len(s.later) == 0 || s.later[len(s.later)-1] < worked {
		s.last += s.r.ExpFloat64() * s.every
		s.edge = max(s.edge, s.last-s.past-s.length*float64(len(s.later)))
		s.later = append(s.later, s.edge)
	}
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
	begin := 0.0
	if law.Leak > 0 {
		begin = 300
	}
	p := from(law, rand.New(rand.NewPCG(seed, 2)), begin)
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

// Known is what [Truth] finds with seed 1, which takes some seconds, for one of [Laws];
// 0 for others.
func Known(law Law) float64 {
	return map[string]float64{
		"lognormal, 4 workers": 243, "deterministic, 1 worker": 193.2, "exponential, 2 workers": 189.3,
		"heavy tail, 16 workers": 367.6, "pauses": 222.3, "slow leak": 217.9, "noisy neighbour": 239.8,
	}[law.Name]
}
