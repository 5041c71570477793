package xds

import (
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/kongdao/kongdao/xds/loads"
	"github.com/kongdao/kongdao/xds/model"
	"github.com/kongdao/kongdao/xds/serve"
	"github.com/kongdao/kongdao/xds/share"
)

// shares divides the limits of functions over their gateways by what these admit.
// Every method needs Server.mu.
type shares struct {
	uses    map[string]map[string]*share.Use // of functions that were called, by function and node
	weights map[string]*weight               // of functions whose limit is not shared evenly, by name
	worlds  []*model.World                   // that the reports asked for are of
	looked  time.Time                        // when balance looked last
}

// weight is how a limit is divided when it is not evenly. What takes from one
// gateway and gives to another goes out in two steps: first what is taken, and when
// those that it was taken from have it, what is given. So the parts in force never
// add up to more than the limit.
type weight struct {
	parts   map[string]float64 // as published, by node
	target  map[string]float64 // that parts are on their way to; nil: they are there
	lowered uint64             // number of the change that took
	since   time.Time          // when parts were as they are; reports for earlier times do not count
	calm    time.Time          // since when even parts would do; zero: they would not
}

const (
	balanceEvery = 500 * time.Millisecond
	// calmFor is how long even parts must do before a limit is shared evenly again.
	calmFor = 30 * time.Second
	// enough is how many requests a part must have had time for to be judged by them.
	enough = 10
	// underWay is added to when a change went out: reports for a time before it say
	// nothing about new parts.
	underWay = 200 * time.Millisecond
)

func newShares() shares {
	return shares{uses: map[string]map[string]*share.Use{}, weights: map[string]*weight{}}
}

// loaded takes in what a gateway sent.
func (s *Server) loaded(r loads.Report) {
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	sums := map[string]share.Sum{}
	for name, l := range r.Clusters {
		function, revision, _ := strings.Cut(name, "/")
		have := sums[function]
		have.Admitted += float64(l.Requests) * s.priceOf(function, revision)
		have.Refused = float64(r.Refused[function])
		have.Took = max(have.Took, l.Took)
		sums[function] = have
	}
	for function, have := range sums {
		uses := s.shares.uses[function]
		if uses == nil && have.Admitted+have.Refused == 0 {
			continue
		}
		if uses == nil {
			uses = map[string]*share.Use{}
			s.shares.uses[function] = uses
		}
		if uses[r.Node] == nil {
			uses[r.Node] = &share.Use{}
		}
		uses[r.Node].Add(now, have)
	}
}

// priceOf is what a request to a revision costs, in ordinary requests: those that
// only a match sends to it may cost more.
func (s *Server) priceOf(function, revision string) float64 {
	f := s.servedFunction(function)
	if f == nil || f.Cost == 0 {
		return 1
	}
	for _, share := range f.Split {
		if share.Revision.Name == revision {
			return 1
		}
	}
	if r := f.Revision(revision); r != nil && r.Cost > 0 {
		return float64(r.Cost) / float64(f.Cost)
	}
	return 1
}

// servedFunction is a function as it was published last; nil: there is none.
func (s *Server) servedFunction(name string) *model.Function {
	for _, l := range s.lines {
		if l.world == nil {
			continue
		}
		if f := l.world.Function(name); f != nil {
			return f
		}
	}
	return nil
}

// balance moves parts from gateways that have room to such as are short.
func (s *Server) balance(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	changed := s.raise(now)
	if now.Sub(s.shares.looked) >= balanceEvery {
		s.shares.looked = now
		s.ask()
		for function := range s.shares.uses {
			if s.config.ShareByLoad && s.rebalance(function, now) {
				changed = true
			}
		}
	}
	if changed {
		s.wanted++
		s.wakeAll()
	}
}

// ask asks gateways to report on what has a limit.
func (s *Server) ask() {
	worlds := s.worlds()
	if slices.Equal(worlds, s.shares.worlds) {
		return
	}
	s.shares.worlds = worlds
	var clusters []string
	for _, f := range functionsOf(worlds) {
		if f.Limit <= 0 || f.Invalid != "" {
			continue
		}
		for _, r := range f.Revisions {
			if r != f.Shadow { // what stress tests take there is nothing of the limit
				clusters = append(clusters, r.Cluster())
			}
		}
	}
	s.loads.Want(clusters)
	for name := range s.shares.uses {
		if s.servedFunction(name) == nil {
			delete(s.shares.uses, name)
			delete(s.shares.weights, name)
		}
	}
}

// raise gives what was taken before, once those that it was taken from have it.
func (s *Server) raise(now time.Time) (changed bool) {
	for function, w := range s.shares.weights {
		if w.target == nil || !s.lowered(w) {
			continue
		}
		w.parts, w.target, w.since, changed = w.target, nil, now.Add(underWay), true
		if w.even() {
			delete(s.shares.weights, function)
		}
	}
	return changed
}

// lowered tells whether every gateway that admits less now knows it.
func (s *Server) lowered(w *weight) bool {
	for node, part := range w.target {
		if part <= w.parts[node] && !s.serve.Has(node, w.lowered) {
			return false
		}
	}
	return true
}

func (w *weight) even() bool {
	for _, part := range w.parts {
		for _, other := range w.parts {
			if math.Abs(part-other) > 1e-9 {
				return false
			}
		}
	}
	return true
}

// rebalance looks at one function, and tells whether its parts change.
func (s *Server) rebalance(function string, now time.Time) bool {
	f := s.servedFunction(function)
	w := s.shares.weights[function]
	if f == nil || f.Limit <= 0 {
		delete(s.shares.weights, function)
		return w != nil
	}
	if w != nil && w.target != nil {
		return false
	}
	if len(s.fleet.nodes) < 2 || w == nil && !s.pressed(f) {
		return false
	}
	nodes, budget := s.sharing(function, w)
	if len(nodes) < 2 {
		return false
	}
	gateways := s.observed(f, nodes, w, budget, now)
	if gateways == nil {
		return false
	}
	parts, ok := share.Divide(gateways, budget)
	if !ok {
		if w == nil || !w.calmed(share.Fits(gateways, budget), now) {
			return false
		}
		parts = slices.Repeat([]float64{budget / float64(len(nodes))}, len(nodes))
	}
	s.move(function, nodes, gateways, parts, now)
	return true
}

// pressed tells whether some gateway was asked for about an even part of a limit of
// late. Most functions never are, and need no closer look.
func (s *Server) pressed(f *model.Function) bool {
	even := f.Limit * f.Part("")
	for _, u := range s.shares.uses[f.Name] {
		if last, _ := u.Last(0, time.Time{}); last.Demand() > share.Room/2*even {
			return true
		}
	}
	return false
}

// calmed tells whether even parts have been enough for long.
func (w *weight) calmed(fits bool, now time.Time) bool {
	if !fits {
		w.calm = time.Time{}
		return false
	}
	if w.calm.IsZero() {
		w.calm = now
	}
	return now.Sub(w.calm) >= calmFor
}

// move takes now, and says what is to be given.
func (s *Server) move(function string, nodes []string, before []share.Gateway, parts []float64, now time.Time) {
	w := &weight{parts: map[string]float64{}, target: map[string]float64{}, lowered: s.wanted + 1, since: now}
	if old := s.shares.weights[function]; old != nil {
		maps.Copy(w.parts, old.parts) // gateways that left keep theirs
		maps.Copy(w.target, old.parts)
	}
	even := 1 / float64(max(s.fleetOf(function).Gateways, 1))
	for name, n := range s.fleet.nodes {
		if _, there := w.parts[name]; !there && s.serves(n.Group, function) {
			w.parts[name], w.target[name] = even, even
		}
	}
	for i, node := range nodes {
		w.parts[node], w.target[node] = math.Min(before[i].Part, parts[i]), parts[i]
	}
	s.shares.weights[function] = w
}

// sharing are the connected gateways that share a function's limit, sorted, and how
// much of it they have together: gateways that left within the grace keep theirs.
func (s *Server) sharing(function string, w *weight) (nodes []string, budget float64) {
	fleet := s.fleetOf(function)
	even := 1 / float64(max(fleet.Gateways, 1))
	for name, n := range s.fleet.nodes {
		if !s.serves(n.Group, function) {
			continue
		}
		part := even
		if w != nil {
			part = w.parts[name]
		}
		if n.gone.IsZero() {
			nodes = append(nodes, name)
			budget += part
		}
	}
	slices.Sort(nodes)
	return nodes, budget
}

// serves tells whether the gateways of a group serve a function.
func (s *Server) serves(group, function string) bool {
	if len(s.newest.specs) == 0 {
		return true
	}
	return slices.Contains(s.newest.shared[function], group)
}

// fleetOf are the gateways of a function when they share evenly.
func (s *Server) fleetOf(function string) *model.Fleet {
	if len(s.newest.specs) == 0 {
		return s.fleet.of(serve.DefaultGroup)
	}
	return s.fleet.of(s.newest.shared[function]...)
}

// observed is what is known of gateways; nil when that is not enough to judge.
func (s *Server) observed(f *model.Function, nodes []string, w *weight, budget float64, now time.Time) []share.Gateway {
	uses, since := s.shares.uses[f.Name], time.Time{}
	if w != nil {
		since = w.since
	}
	interval := s.loads.Interval()
	all := make([]share.Gateway, len(nodes))
	for i, node := range nodes {
		u := uses[node]
		if u == nil || now.Sub(u.Newest()) > 2*interval+time.Second {
			return nil
		}
		part := budget / float64(len(nodes))
		if w != nil {
			part = w.parts[node]
		}
		need := time.Duration(enough / (f.Limit * part) * float64(time.Second))
		short, ok := u.Last(max(2*interval-interval/4, need), since)
		if !ok {
			return nil
		}
		long, _ := u.Last(5*interval, since) // slower to take than to give
		all[i] = share.Gateway{Part: part, Demand: max(short.Demand(), long.Demand()) / f.Limit}
	}
	return all
}

// resettle divides anew after gateways came or went: what they had in proportion.
func (s *Server) resettle(now time.Time) {
	for function, w := range s.shares.weights {
		fleet := s.fleetOf(function)
		var nodes []string
		for name, n := range s.fleet.nodes {
			if s.serves(n.Group, function) {
				nodes = append(nodes, name)
			}
		}
		if len(nodes) < 2 {
			delete(s.shares.weights, function)
			continue
		}
		budget := float64(len(nodes)) / float64(max(fleet.Gateways, 1))
		s.shares.weights[function] = &weight{parts: share.Rejoin(w.parts, nodes, budget), since: now.Add(underWay)}
	}
	for _, uses := range s.shares.uses {
		for node := range uses {
			if _, there := s.fleet.nodes[node]; !there {
				delete(uses, node)
			}
		}
	}
}

// weighted are the limits that are not shared evenly, as the gateways of a group
// are to see them.
func (s *Server) weighted(group string) map[string]*model.Fleet {
	if len(s.shares.weights) == 0 || s.newest == nil {
		return nil
	}
	all := make(map[string]*model.Fleet, len(s.shares.weights))
	for function, w := range s.shares.weights {
		if s.serves(group, function) {
			all[function] = s.weightedFleet(function, group, w)
		}
	}
	return all
}

func (s *Server) weightedFleet(function, group string, w *weight) *model.Fleet {
	f := &model.Fleet{Gateways: s.fleetOf(function).Gateways, Zones: map[string]float64{}, Parts: map[string]float64{}}
	sum := 0.0
	for _, part := range w.parts {
		sum += part
	}
	for name, part := range w.parts {
		n := s.fleet.nodes[name]
		if n.Zone != "" {
			f.Zones[n.Zone] += part / sum
		}
		if n.Group == group {
			f.Parts[name] = part
		}
	}
	return f
}
