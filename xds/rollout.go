package xds

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/kongdao/kongdao/api"
	"github.com/kongdao/kongdao/xds/serve"
)

// rollout is a set on its way through the canary groups. What the others have until
// then is Server.stable; the pods of its revisions and the weights between them follow
// the newest set all the same, as do readiness, drained zones, pins and keys.
type rollout struct {
	number  uint64          // of the change that brought the set
	began   time.Time       // the set came
	members map[string]bool // gateways of canary groups that have been seen since
	well    time.Time       // since when all is well; zero: it is not
	reason  string          // what is waited for
	bad     bool            // it is not a matter of time
}

// RolloutState is a set that only canary groups have so far.
type RolloutState struct {
	Canary []string  `json:"canary"` // groups, sorted
	Others []string  `json:"others"` // groups that wait, sorted
	Since  time.Time `json:"since"`
	Held   bool      `json:"held"`   // something is wrong; time alone does not mend it
	Reason string    `json:"reason"` // what is waited for
}

// canaries are the canary groups of a set, sorted.
func canaries(set api.Set) (names []string) {
	for _, g := range set.GatewayGroups {
		if g.Spec.Canary != nil {
			names = append(names, g.Name)
		}
	}
	slices.Sort(names)
	return names
}

// holdOf is how long canary gateways have to be well.
func holdOf(set api.Set) (hold time.Duration) {
	for _, g := range set.GatewayGroups {
		if g.Spec.Canary == nil {
			continue
		}
		d := g.Spec.Canary.Hold
		if d == 0 {
			d = api.DefaultHold
		}
		hold = max(hold, d.Std())
	}
	return hold
}

// arrive makes a set the newest: for all groups, or for canary groups first. The
// lock must be held.
func (s *Server) arrive(set api.Set) {
	before := s.newest
	s.newest = part(set)
	if len(canaries(set)) == 0 || before == nil {
		s.stable, s.rollout = nil, nil
		return
	}
	if s.stable == nil {
		s.stable = before
	}
	carried := carry(s.stable.set, set)
	if reflect.DeepEqual(carried, set) {
		s.stable, s.rollout = nil, nil // back to what everybody has, but for pods and weights
		return
	}
	s.stable = part(carried)
	if s.rollout != nil && reflect.DeepEqual(carry(before.set, set), set) {
		return // pods and weights alone, which all groups have: what waits goes on waiting, not anew
	}
	s.rollout = &rollout{number: s.wanted + 1, began: time.Now(), members: map[string]bool{}, reason: "the canary gateways have not been sent it yet"}
	s.enlist(s.rollout)
}

// enlist notes the gateways of canary groups that are connected: each of them has
// to be well for the set to go on. The lock must be held.
func (s *Server) enlist(r *rollout) {
	groups := canaries(s.newest.set)
	for name, n := range s.fleet.nodes {
		if n.gone.IsZero() && slices.Contains(groups, n.Group) {
			r.members[name] = true
		}
	}
}

// gets is the set that a group gets now. The lock must be held.
func (s *Server) gets(group string) *parts {
	if s.stable == nil || !slices.Contains(s.stable.groups, group) || slices.Contains(canaries(s.newest.set), group) {
		return s.newest
	}
	return s.stable
}

// judge looks whether the rollout may go on to the other groups, and lets it.
func (s *Server) judge(now time.Time) {
	s.mu.Lock()
	r := s.rollout
	if r == nil {
		s.mu.Unlock()
		return
	}
	groups, hold := canaries(s.newest.set), holdOf(s.newest.set)
	s.enlist(r)
	members := slices.Sorted(maps.Keys(r.members))
	published := s.published(groups, r.number)
	s.mu.Unlock()

	reason, bad := "the canary gateways have not been sent it yet", false
	if published {
		reason, bad = s.unwell(groups, members)
	}

	s.mu.Lock()
	defer s.mu.Unlock()
	if s.rollout != r {
		return // another one by now
	}
	s.note(r, reason, bad, now, hold)
	if reason == "" && (now.Sub(r.well) >= hold || len(members) == 0) {
		s.promote()
	}
}

// note writes down how the rollout stands. The lock must be held.
func (s *Server) note(r *rollout, reason string, bad bool, now time.Time, hold time.Duration) {
	if bad && (!r.bad || r.reason != reason) {
		s.log.Error("new resources stay with the canary groups", "reason", reason)
	}
	r.bad = bad
	switch {
	case reason != "":
		r.well, r.reason = time.Time{}, reason
	case r.well.IsZero():
		r.well = now
		fallthrough
	default:
		r.reason = fmt.Sprintf("the canary gateways have to be well until %s", r.well.Add(hold).UTC().Format(time.RFC3339))
	}
}

// published tells whether every canary group's line has published a change. The
// lock must be held.
func (s *Server) published(groups []string, number uint64) bool {
	for _, g := range groups {
		if l := s.lines[g]; l == nil || l.live < number {
			return false
		}
	}
	return true
}

// unwell says what keeps the canary gateways from being well, and whether it is
// more than a matter of time.
func (s *Server) unwell(groups, members []string) (reason string, bad bool) {
	here := map[string]bool{}
	for _, g := range s.serve.Gateways() {
		here[g.Node] = true
		if slices.Contains(groups, g.Group) && len(g.Rejected) > 0 {
			return fmt.Sprintf("gateway %s refuses %s", g.Node, strings.Join(slices.Sorted(maps.Keys(g.Rejected)), ", ")), true
		}
	}
	for _, node := range members {
		if !here[node] {
			return fmt.Sprintf("gateway %s has left since", node), true
		}
	}
	for _, name := range groups {
		s.mu.Lock()
		l := s.lines[name]
		var fault error
		if l != nil {
			fault = l.fault
		}
		s.mu.Unlock()
		if fault != nil {
			return fmt.Sprintf("group %s: %v", name, fault), true
		}
		if node, err := s.serve.Group(name).Behind(); err != nil || node != "" {
			return fmt.Sprintf("gateway %s has not accepted it yet", node), false
		}
	}
	return "", false
}

// promote gives the newest set to all groups. The lock must be held.
func (s *Server) promote() {
	s.log.Info("new resources go on to all groups", "after", time.Since(s.rollout.began).Round(time.Millisecond))
	s.stable, s.rollout = nil, nil
	s.wanted++
	s.wakeAll()
	s.progress()
}

// ErrNoRollout is what Promote says when all groups have the newest resources.
var ErrNoRollout = errors.New("no new resources wait in canary groups")

// Promote gives new resources that wait in canary groups to all groups, whatever
// the canary groups say.
func (s *Server) Promote() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.rollout == nil {
		return ErrNoRollout
	}
	s.promote()
	return nil
}

// Rollout says which resources only canary groups have so far; nil: none.
func (s *Server) Rollout() *RolloutState {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.rollout
	if r == nil {
		return nil
	}
	state := &RolloutState{Canary: canaries(s.newest.set), Since: r.began, Held: r.bad, Reason: r.reason, Others: []string{}}
	for _, g := range slices.Sorted(maps.Keys(s.lines)) {
		if !slices.Contains(state.Canary, g) {
			state.Others = append(state.Others, g)
		}
	}
	return state
}

// WaitRollout blocks until all groups have what Apply was given before the call, or
// ctx ends.
func (s *Server) WaitRollout(ctx context.Context) error {
	for {
		s.mu.Lock()
		r, moved := s.rollout, s.moved
		s.mu.Unlock()
		if r == nil {
			return s.WaitLive(ctx)
		}
		select {
		case <-moved:
		case <-ctx.Done():
			state := s.Rollout()
			if state == nil {
				continue
			}
			return fmt.Errorf("wait for new resources to leave the canary groups: %s: %w", state.Reason, ctx.Err())
		}
	}
}

// worldOf is the last published World of a group; that of the default group where
// there is no such group. The lock must be held.
func (s *Server) lineOf(group string) *line {
	if l := s.lines[group]; l != nil {
		return l
	}
	return s.lines[serve.DefaultGroup]
}
