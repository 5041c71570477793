package app

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/kongdao/kongdao/alerting/rule"
	"github.com/kongdao/kongdao/api"
	"github.com/kongdao/kongdao/capacity/gate"
	"github.com/kongdao/kongdao/capacity/plan"
	"github.com/kongdao/kongdao/release"
)

// Values of capacity.gate.
const (
	gateWarns    = "warn"
	gateEnforces = "enforce"
)

type gateInput struct {
	Name     string `path:"name"`
	Revision string `query:"revision" doc:"that is to go live; default: the one that is released, else the last one with traffic"`
	Weight   int    `query:"weight" minimum:"0" maximum:"100" doc:"percent of the calls that it is to get, for which its own pods have to suffice; 0: all pods of the function count"`
}

func (s *System) getGate(ctx context.Context, in *gateInput) (*body[gate.Verdict], error) {
	v, err := s.Gate(ctx, in.Name, in.Revision, in.Weight)
	if errors.Is(err, release.ErrUnknown) {
		return nil, huma.Error404NotFound(err.Error())
	}
	if err != nil {
		return nil, huma.Error503ServiceUnavailable(err.Error())
	}
	return reply(v), nil
}

// Gate says whether a revision may go live, with that percentage of the function's
// calls. An empty revision is the one that is released, else the last one with
// traffic; percent 0 lets the pods of all revisions count for the plan.
func (s *System) Gate(ctx context.Context, name, revision string, percent int) (gate.Verdict, error) {
	f := s.registry.Current().Set.Function(name)
	if f == nil {
		return gate.Verdict{}, fmt.Errorf("function %s: %w", name, release.ErrUnknown)
	}
	if revision == "" {
		revision = s.coming(f)
	}
	if !slices.ContainsFunc(f.Spec.Revisions, func(r api.Revision) bool { return r.Name == revision }) {
		return gate.Verdict{}, fmt.Errorf("function %s: revision %s: %w", name, revision, release.ErrUnknown)
	}
	x := gate.Facts{Revision: revision, Today: time.Now(), Heard: s.heard()}
	x.Pods, x.Pod = s.podsOf(name, revision)
	x.Alerts = s.watching(name)
	var err error
	if x.Row, err = s.rowOf(ctx, f, x.Pods, percent); err != nil {
		return gate.Verdict{}, err
	}
	if m := f.Spec.Capacity.Measured; m != nil {
		if x.Measured, err = s.measuredRevision(ctx, name, *m); err != nil {
			return gate.Verdict{}, err
		}
	}
	return gate.Judge(gate.Policy{MaxAge: s.cfg.Capacity.MaxAge.Std()}, *f, x), nil
}

// coming is the revision that is released, else the last one with traffic.
func (s *System) coming(f *api.Function) string {
	state, ok := s.releases.State(f.Name)
	if f.Spec.Release != nil && (!ok || state.Weights.Of(f.Spec.Release.Revision) < 100) {
		return f.Spec.Release.Revision
	}
	for _, r := range slices.Backward(f.Spec.Revisions) {
		if ok && state.Weights.Of(r.Name) > 0 {
			return r.Name
		}
	}
	return f.Spec.Revisions[len(f.Spec.Revisions)-1].Name
}

// podsOf are the ready pods of a revision by zone, and one of them.
func (s *System) podsOf(function, revision string) (zones map[string]int, one string) {
	zones = map[string]int{}
	w := s.xds.World()
	if w == nil || w.Function(function) == nil {
		return zones, ""
	}
	if r := w.Function(function).Revision(revision); r != nil {
		for _, p := range r.Pods {
			if p.Ready {
				zones[p.Zone]++
				one = p.Address
			}
		}
	}
	return zones, one
}

// watching are the alerts that look at a function's calls.
func (s *System) watching(function string) []string {
	return rule.Watching(s.alertRules(), function)
}

// alertRules are the shipped rules and those of resources.
func (s *System) alertRules() map[string]string {
	all := map[string]string{}
	for name, text := range rule.Pack() {
		all["shipped/"+name] = text
	}
	for _, r := range s.registry.Current().Set.AlertRules {
		maps.Copy(all, textsOf(r))
	}
	return all
}

// heard says whether alerts reach somebody: a robot, or what a configuration of the
// user's own names.
func (s *System) heard() bool {
	return len(s.registry.Current().Set.Robots) > 0 || s.cfg.Alerting.AlertmanagerConfig != ""
}

// rowOf plans one function; above 0 percent, those of its calls for the pods given.
func (s *System) rowOf(ctx context.Context, f *api.Function, pods map[string]int, percent int) (plan.Row, error) {
	p := plan.DefaultPolicy(s.zonesWithPods()...)
	p.Risk = s.cfg.Capacity.Risk
	foreseen, err := s.foresee(ctx, s.cfg.Capacity.Horizon.Std(), nil)
	if ctx.Err() != nil {
		return plan.Row{}, err
	}
	ready := pods
	if percent == 0 {
		ready = s.readyPerZone()[f.Name]
	}
	x := planned(f, p, foreseen, ready)
	x.Unplanned = false
	if percent > 0 {
		x.PeakQPS *= float64(percent) / 100
	}
	made, err := plan.Make(p, []plan.Function{x})
	if err != nil || len(made.Functions) == 0 {
		return plan.Row{Function: f.Name, Notes: []string{fmt.Sprint(err)}}, nil
	}
	return made.Functions[0], nil
}

// measuredRevision is what a measurement says it was, else what the stored calls of
// its run say; empty when neither does.
func (s *System) measuredRevision(ctx context.Context, function string, m api.Measured) (revision string, err error) {
	date, wrong := time.Parse(time.DateOnly, m.Date)
	if m.Revision != "" || m.Run == "" || s.ch == nil || wrong != nil {
		return m.Revision, nil
	}
	const around = 2 * 24 * time.Hour // for time zones, and runs over midnight
	err = s.ch.QueryRow(ctx, `SELECT argMax(revision, n) FROM (SELECT revision, count() AS n FROM calls
		WHERE load_test = ? AND function = ? AND ts > fromUnixTimestamp64Micro(?) AND ts < fromUnixTimestamp64Micro(?) GROUP BY revision)`,
		m.Run, function, date.Add(-around).UnixMicro(), date.Add(around).UnixMicro()).Scan(&revision)
	if err != nil {
		return "", fmt.Errorf("ask which revision was measured: %w", err)
	}
	return revision, nil
}

// gatekeeper answers for releases, which ask again and again.
type gatekeeper struct {
	mu     sync.Mutex
	said   map[string]answered
	warned map[string]bool
}

type answered struct {
	at  time.Time
	why string
}

// gateKept is how long an answer is good for.
const gateKept = 5 * time.Second

// passes says why a revision may not get that percentage of the calls; empty when it
// may. Where the gate only warns, it logs that once.
func (s *System) passes(ctx context.Context, function, revision string, percent int) string {
	mode := s.cfg.Capacity.Gate
	if mode != gateWarns && mode != gateEnforces {
		return ""
	}
	k := &s.gates
	k.mu.Lock()
	defer k.mu.Unlock()
	key := fmt.Sprint(s.registry.Current().Version, " ", function, " ", revision, " ", percent)
	said, ok := k.said[key]
	if !ok || time.Since(said.at) > gateKept {
		said = answered{time.Now(), ""}
		if v, err := s.Gate(ctx, function, revision, percent); err != nil {
			said.why = err.Error()
		} else if !v.OK {
			said.why = "  " + strings.ReplaceAll(v.Text(), "\n", "\n  ")
		}
		if k.said == nil || len(k.said) > 10_000 {
			k.said, k.warned = map[string]answered{}, map[string]bool{}
		}
		k.said[key] = said
	}
	if said.why != "" && mode == gateWarns {
		if !k.warned[key] {
			s.log.Warn("revision gets calls without having passed its gate", "function", function, "revision", revision, "percent", percent, "missing", said.why)
		}
		k.warned[key] = true
		return ""
	}
	return said.why
}

// raises refuses a command that gives a revision more calls than its gate lets it
// have.
func (s *System) raises(ctx context.Context, function string, c ReleaseCommand) error {
	state, ok := s.releases.State(function)
	if c.Action != "weight" || !ok || c.Weight <= state.Weights.Of(c.Revision) {
		return nil
	}
	if why := s.passes(ctx, function, c.Revision, c.Weight); why != "" {
		return fmt.Errorf("function %s: %w: revision %s has not passed its gate for %d%%:\n%s", function, release.ErrConflict, c.Revision, c.Weight, why)
	}
	return nil
}
