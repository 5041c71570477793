package relay

import (
	"slices"
	"time"

	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
)

// perResource is what each resource of a response adds to the time that Envoy may
// take: ten times what it takes for a cluster on an idle machine.
const perResource = 5 * time.Millisecond

// Silent is for how long Envoy leaves a response unanswered, when that is longer
// than it may take, and the resources that it does not answer for; else 0.
func (r *Relay) Silent() (time.Duration, []string) { return r.silentAt(time.Now()) }

func (r *Relay) silentAt(now time.Time) (time.Duration, []string) {
	r.mu.Lock()
	all := make([]*session, 0, len(r.streams))
	for s := range r.streams {
		all = append(all, s)
	}
	r.mu.Unlock()
	for _, s := range all {
		if silent, names := s.silentFor(now); silent > 0 {
			return silent, names
		}
	}
	return 0, nil
}

func (s *session) silentFor(now time.Time) (time.Duration, []string) {
	since, names := s.silence()
	if !since.IsZero() && now.Sub(since) > s.relay.allowed(len(names)) {
		return now.Sub(since), names
	}
	return s.stuckFor(now), nil
}

func (r *Relay) allowed(resources int) time.Duration {
	return r.config.Silence.Std() + time.Duration(resources)*perResource
}

// stuckFor is for how long an Envoy that starts has not got on: it has accepted
// clusters and never asks for listeners, as one of them does not finish warming. 0
// when it may take that long, or when there is nothing on disk to start from instead.
func (s *session) stuckFor(now time.Time) time.Duration {
	s.mu.Lock()
	took, allowed, stuck := now.Sub(s.moved), 2*s.relay.allowed(s.given), s.heard && !s.live && len(s.pending) == 0
	s.mu.Unlock()
	if !stuck || took <= allowed || !s.relay.hasKept() {
		return 0
	}
	return took
}

// silence is since when the oldest response has no answer, and the names of what is
// in the responses without one; the zero time: all are answered.
func (s *session) silence() (since time.Time, names []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, w := range s.pending {
		names = append(names, namesOf(w.response)...)
		if since.IsZero() || w.sent.Before(since) {
			since = w.sent
		}
	}
	slices.Sort(names)
	return since, names
}

func namesOf(r *discovery.DeltaDiscoveryResponse) []string {
	names := slices.Clone(r.GetRemovedResources())
	for _, x := range r.GetResources() {
		names = append(names, x.GetName())
	}
	return names
}
