// Package podtest has pods of known law: as a simulation in virtual time, in which a
// search of five minutes takes a tenth of a second, and as a real HTTP server, which
// the simulation is checked against. What a pod takes within its objective is known
// of both, so that whoever searches for it can be judged. Tests only.
package podtest

import (
	"math"
	"math/rand/v2"
	"time"
)

// Law is how a pod serves: workers in front of one queue.
type Law struct {
	Name    string
	Workers int
	Service func(*rand.Rand) float64 // seconds of a worker's time
	Limit   time.Duration            // of its p99 objective
	Base    float64                  // share of requests that are late at any rate, about

	PauseEvery, Pause time.Duration // all workers stop for Pause, at random times this far apart on average; 0: never
	Leak              float64       // service gets longer by this share in 300 s, and stays so
	Noise             float64       // service is longer by this share while a neighbour is busy
	NoiseOn, NoiseOff time.Duration // how long it is busy and idle, on average
}

// Lognormal draws service times with this mean in seconds and this coefficient of
// variation.
func Lognormal(mean, cv float64) func(*rand.Rand) float64 {
	s2 := math.Log(1 + cv*cv)
	mu, sigma := math.Log(mean)-s2/2, math.Sqrt(s2)
	return func(r *rand.Rand) float64 { return math.Exp(mu + sigma*r.NormFloat64()) }
}

// Exponential draws service times with this mean in seconds.
func Exponential(mean float64) func(*rand.Rand) float64 {
	return func(r *rand.Rand) float64 { return mean * r.ExpFloat64() }
}

// Fixed is always this many seconds.
func Fixed(mean float64) func(*rand.Rand) float64 { return func(*rand.Rand) float64 { return mean } }

// Laws are those that a search is judged by.
func Laws() []Law {
	const ms = time.Millisecond
	return []Law{
		{Name: "lognormal, 4 workers", Workers: 4, Service: Lognormal(0.0133, 1), Limit: 100 * ms},
		{Name: "deterministic, 1 worker", Workers: 1, Service: Fixed(0.004), Limit: 40 * ms},
		{Name: "exponential, 2 workers", Workers: 2, Service: Exponential(0.008), Limit: 80 * ms},
		{Name: "heavy tail, 16 workers", Workers: 16, Service: Lognormal(0.040, 1.5), Limit: 350 * ms, Base: 0.0055},
		{Name: "pauses", Workers: 4, Service: Lognormal(0.0133, 0.7), Limit: 120 * ms, PauseEvery: 4 * time.Second, Pause: 90 * ms},
		{Name: "slow leak", Workers: 4, Service: Lognormal(0.0133, 1), Limit: 100 * ms, Leak: 0.08},
		{Name: "noisy neighbour", Workers: 4, Service: Lognormal(0.0133, 1), Limit: 120 * ms, Noise: 0.10, NoiseOn: 2 * time.Second, NoiseOff: 6 * time.Second},
	}
}

// Slow is a pod whose service takes long beside what the machine, a gateway and timers
// add to it: exponential, 100 ms, 4 workers; it saturates at 40/s.
func Slow() Law {
	return Law{Name: "exponential, 4 slow workers", Workers: 4, Service: Exponential(0.1), Limit: 800 * time.Millisecond}
}
