package xds

import (
	"maps"
	"slices"
	"time"
)

// ShareState is one gateway's part of a function's limit, and how it is used.
type ShareState struct {
	Node  string  `json:"node"`
	Limit float64 `json:"limit"` // requests a second that it admits at most
	Part  float64 `json:"part"`  // of the function's limit, from 0 to 1
	// Known tells that the gateway reports what it admits.
	Known    bool    `json:"known"`
	Admitted float64 `json:"admitted"` // requests a second, in the last seconds
	// Refused is estimated from some of what the function's limit refused, requests a
	// second in the last seconds.
	Refused float64 `json:"refused"`
}

// Shares are the parts of a function's limit, by gateway, those that left within
// the grace included; none when the function has no limit or is not served.
func (s *Server) Shares(function string) []ShareState {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sharesOf(function, time.Now())
}

// sharesOf is Shares under the lock.
func (s *Server) sharesOf(function string, now time.Time) (all []ShareState) {
	f := s.servedFunction(function)
	if f == nil || f.Limit <= 0 || s.newest == nil {
		return nil
	}
	even, w, interval := 1/float64(max(s.fleetOf(function).Gateways, 1)), s.shares.weights[function], s.loads.Interval()
	for _, name := range slices.Sorted(maps.Keys(s.fleet.nodes)) {
		if !s.serves(s.fleet.nodes[name].Group, function) {
			continue
		}
		x := ShareState{Node: name, Part: even, Known: s.loads.Reports(name)}
		if w != nil {
			x.Part = w.parts[name]
		}
		x.Limit = x.Part * f.Limit
		if u := s.shares.uses[function][name]; u != nil && now.Sub(u.Newest()) < 2*interval+time.Second {
			sum, _ := u.Last(2*interval-interval/4, time.Time{})
			x.Admitted, x.Refused = sum.AdmittedRate(), sum.RefusedRate()
		}
		all = append(all, x)
	}
	return all
}

// calledShares are those of all functions that were called of late, under the lock.
func (s *Server) calledShares() map[string][]ShareState {
	all, now := map[string][]ShareState{}, time.Now()
	for function := range s.shares.uses {
		all[function] = s.sharesOf(function, now)
	}
	return all
}
