package attack

import (
	"time"

	vegeta "github.com/tsenart/vegeta/v12/lib"
)

// Share is the part of a plan that one of several generators carries out. The zero
// value is all of it.
type Share struct {
	Index int `json:"index"` // from 0
	Of    int `json:"of"`    // generators
}

// Whole tells whether there is one generator.
func (s Share) Whole() bool { return s.Of < 2 }

// Part is what is left of n things for this share; the parts of all add up to n.
func (s Share) Part(n int) int {
	if s.Whole() {
		return n
	}
	part := n / s.Of
	if s.Index < n%s.Of {
		part++
	}
	return part
}

// Bytes is Part for many things.
func (s Share) Bytes(n uint64) uint64 {
	if s.Whole() {
		return n
	}
	return max(1, n/uint64(s.Of))
}

// Pacer is a pacer for this share of p's plan: request n of the share is request
// n·Of+Index of the whole, at exactly the time at which p plans it. So the shares
// together are the plan, whatever its shape, as long as each generator asks a pacer
// of its own that plans the same (the same seed for arrivals at random).
func (s Share) Pacer(p vegeta.Pacer) vegeta.Pacer {
	if s.Whole() {
		return p
	}
	shared := &shared{pacer: p, share: s}
	if streams, ok := p.(Streams); ok {
		return &sharedStreams{shared, streams}
	}
	return shared
}

type shared struct {
	pacer vegeta.Pacer
	share Share
	at    time.Duration // planned time of the last request of the whole plan that was asked for
	hits  uint64        // of the whole plan
}

// Pace is the wait from elapsed to the planned time of the share's next request.
func (s *shared) Pace(elapsed time.Duration, hits uint64) (wait time.Duration, stop bool) {
	for want := hits*uint64(s.share.Of) + uint64(s.share.Index); s.hits <= want; s.hits++ {
		wait, stop := s.pacer.Pace(s.at, s.hits)
		if stop {
			return 0, true
		}
		s.at += max(0, wait)
	}
	return max(0, s.at-elapsed), false
}

// Rate is that of the share, requests a second.
func (s *shared) Rate(elapsed time.Duration) float64 {
	return s.pacer.Rate(elapsed) / float64(s.share.Of)
}

type sharedStreams struct {
	*shared
	streams Streams
}

// Stream is the one that the last request of the share belongs to.
func (s *sharedStreams) Stream() int { return s.streams.Stream() }
