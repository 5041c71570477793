package xds

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/kongdao/kongdao/api"
	"github.com/kongdao/kongdao/xds/explain"
	"github.com/kongdao/kongdao/xds/model"
	"github.com/kongdao/kongdao/xds/serve"
	"github.com/kongdao/kongdao/xds/translate"
)

// Offline is the World of a group as resources alone make it: all pods are ready, one
// gateway takes calls, nothing is drained or in quarantine. Where the set has no
// such group that is an error. A consumer whose keys cannot be resolved is let in nowhere
// and is named in doubts; the World is complete but for that.
func Offline(set api.Set, group string, resolve ResolveSecret) (w *model.World, doubts string, err error) {
	p := part(set)
	if group == "" {
		group = serve.DefaultGroup
	}
	if !slices.Contains(p.groups, group) {
		return nil, "", fmt.Errorf("there is no group %s", group)
	}
	c, unresolved := (&Server{resolve: resolve}).credentials(set)
	in := model.Input{Ready: map[string]bool{}, Keys: c.keys, Files: c.files}
	assumeReady(in.Ready, set)
	alone := newFleet(DefaultConfig())
	return model.Build(p.of(group, &alone, in)), textOf(unresolved), nil
}

func textOf(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// assumeReady makes pods ready that nobody knows anything of.
func assumeReady(ready map[string]bool, set api.Set) {
	for _, f := range set.Functions {
		for _, r := range f.Spec.Revisions {
			for _, e := range r.Endpoints {
				if _, known := ready[e.Address]; !known {
					ready[e.Address] = true
				}
			}
		}
	}
}

// Layout is how gateways of this configuration are laid out, but for their addresses.
func (c Config) Layout() explain.Layout {
	return explain.Layout{Shard: translate.Config{Shards: c.Shards}.ShardName}
}

// Layout is how gateways are laid out, and where they take calls.
func (s *Server) Layout() explain.Layout {
	l := s.config.Layout()
	l.Plain, l.TLS = s.config.Gateway, s.config.TLS.Gateway
	return l
}

// Preview is the World that a group would have with another set at this moment: with
// the pods that are ready now, the zones that are drained, and the gateways that are
// connected. Pods that are in no set yet count as ready. Nothing is published, and
// nothing is tried on a canary; what is in quarantine and stays as it is remains
// there. It returns what [Offline] does.
func (s *Server) Preview(set api.Set, group string) (w *model.World, doubts string, err error) {
	if group == "" {
		group = serve.DefaultGroup
	}
	c, unresolved := s.credentials(set)
	p := part(set)
	if !slices.Contains(p.groups, group) {
		return nil, "", fmt.Errorf("there is no group %s", group)
	}
	s.mu.Lock()
	in := s.in
	in.Ready, in.ZoneWeights = maps.Clone(in.Ready), maps.Clone(in.ZoneWeights)
	in.Pins, in.Lifts = slices.Clone(in.Pins), slices.Clone(in.Lifts)
	in.Keys, in.Files = c.keys, c.files
	in.Touched, in.Weighted = nil, s.weighted(group)
	in = p.of(group, &s.fleet, in)
	l := s.lineOf(group)
	in.Previous = l.world
	in.Broken, in.Unmatchable = remaining(l.quarantined, l.world, in.Set)
	s.mu.Unlock()
	assumeReady(in.Ready, set)
	return model.Build(in), textOf(unresolved), nil
}

// remaining is what stays in quarantine with another set.
func remaining(all []Quarantine, w *model.World, set api.Set) (reasons map[string]string, unmatchable map[string]bool) {
	reasons, unmatchable = map[string]string{}, map[string]bool{}
	if w == nil {
		return reasons, unmatchable
	}
	for _, q := range all {
		name, _, _ := strings.Cut(q.Name, "/")
		was, is := w.Function(name), set.Function(name)
		if q.Stage == stageModel || was == nil || is == nil || !model.SameSpec(was.Spec(), is) {
			continue
		}
		reasons[q.Name] = q.Reason
		if q.Unmatchable {
			unmatchable[q.Name] = true
		}
	}
	return reasons, unmatchable
}
