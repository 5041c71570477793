package xds

import (
	"cmp"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/kongdao/kongdao/api"
	"github.com/kongdao/kongdao/xds/model"
)

// Who found that something is broken.
const (
	stageModel  = "model"  // what a function says makes no sense
	stageCheck  = "check"  // the protocol's rules, and ours
	stageCanary = "canary" // the canary Envoy
)

// broken is a function or a rule that was refused. It holds until the function is
// written anew.
type broken struct {
	spec        *api.Function
	reason      string
	unmatchable bool
	stage       string
	since       time.Time
}

// Quarantine is a function, or one of its routes, that is answered by 503 because
// its configuration would be refused.
type Quarantine struct {
	Name        string     `json:"name"` // as in the header x-kongdao-quarantined: the function, or function/number of a route
	Function    string     `json:"function"`
	Source      api.Source `json:"source"`      // where it is written
	Reason      string     `json:"reason"`      // who would refuse it says this
	Stage       string     `json:"stage"`       // model, check or canary
	Unmatchable bool       `json:"unmatchable"` // its own conditions are what is wrong: requests pass it by
	Since       time.Time  `json:"since"`       // zero: not known
}

// known is what model.Input has to say of what is broken.
func (p *publisher) known() (reasons map[string]string, unmatchable map[string]bool) {
	reasons, unmatchable = map[string]string{}, map[string]bool{}
	for name, b := range p.broken {
		reasons[name] = b.reason
		if b.unmatchable {
			unmatchable[name] = true
		}
	}
	return reasons, unmatchable
}

// forget gives functions that were written anew another chance.
func (p *publisher) forget(set api.Set) {
	maps.DeleteFunc(p.broken, func(name string, b broken) bool {
		function, _, _ := strings.Cut(name, "/")
		f := set.Function(function)
		return f == nil || f != b.spec && !reflect.DeepEqual(f, b.spec)
	})
}

// blame takes what is refused out of service: the route where it is one, which is
// then not even asked for when it is refused a second time, else its function. It
// is false when there is no function to blame, or nothing more to take from it.
func (p *publisher) blame(world *model.World, x problem) bool {
	f := world.Function(x.Function)
	if f == nil {
		return false
	}
	name := cmp.Or(x.Route, f.Name)
	b, again := p.broken[name]
	if x.Route == "" && again || b.unmatchable {
		return false
	}
	if !again {
		b = broken{spec: f.Spec(), reason: brief(x.Err.Error()), stage: x.stage, since: time.Now()}
	}
	b.unmatchable = again || x.Unmatchable || x.Route != "" && f.Invalid != ""
	p.broken[name] = b
	return true
}

// reasonLimit keeps whole messages of Envoy, which can quote a resource, from the
// answers to callers.
const reasonLimit = 500

func brief(reason string) string {
	if len(reason) > reasonLimit {
		reason = strings.ToValidUTF8(reason[:reasonLimit], "") + "…"
	}
	return reason
}

// quarantined lists what is not served in a World, sorted by name.
func (p *publisher) quarantined(world *model.World) []Quarantine {
	all := []Quarantine{}
	for _, f := range world.Invalid() {
		if _, known := p.broken[f.Name]; !known {
			all = append(all, Quarantine{Name: f.Name, Function: f.Name, Source: f.Source, Reason: f.Invalid, Stage: stageModel})
		}
	}
	for name, b := range p.broken {
		function, _, isRule := strings.Cut(name, "/")
		q := Quarantine{
			Name: name, Function: function, Source: b.spec.Source, Reason: b.reason,
			Stage: b.stage, Unmatchable: b.unmatchable, Since: b.since,
		}
		if f := world.Function(function); isRule && f != nil {
			q.Source = cmp.Or(f.RuleSource(name), q.Source)
		}
		all = append(all, q)
	}
	slices.SortFunc(all, func(a, b Quarantine) int { return cmp.Compare(a.Name, b.Name) })
	return all
}

// report logs what came into quarantine and what left it.
func (p *publisher) report(before, now []Quarantine) {
	same := func(a, b Quarantine) bool { return a.Name == b.Name && a.Reason == b.Reason }
	for _, q := range now {
		if !slices.ContainsFunc(before, func(b Quarantine) bool { return same(q, b) }) {
			p.log.Error("quarantined", "name", q.Name, "source", q.Source.String(), "found_by", q.Stage, "reason", q.Reason)
		}
	}
	for _, q := range before {
		if !slices.ContainsFunc(now, func(b Quarantine) bool { return q.Name == b.Name }) {
			p.log.Info("released from quarantine", "name", q.Name)
		}
	}
}

func (s *Server) canaryState() string {
	switch {
	case s.canary == nil:
		return ""
	case s.canary.Up():
		return "up"
	case s.canary.Missing():
		return "missing"
	default:
		return "away"
	}
}

// quarantinedNow is what is in quarantine in any group, once each. The lock must be
// held.
func (s *Server) quarantinedNow() []Quarantine {
	all := []Quarantine{}
	for _, name := range slices.Sorted(maps.Keys(s.lines)) {
		for _, q := range s.lines[name].quarantined {
			if !slices.ContainsFunc(all, func(have Quarantine) bool { return have.Name == q.Name }) {
				all = append(all, q)
			}
		}
	}
	slices.SortFunc(all, func(a, b Quarantine) int { return cmp.Compare(a.Name, b.Name) })
	return all
}
