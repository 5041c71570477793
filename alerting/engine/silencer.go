package engine

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"

	"github.com/prometheus/alertmanager/alert"
	"github.com/prometheus/alertmanager/eventrecorder"
	"github.com/prometheus/alertmanager/marker"
	"github.com/prometheus/alertmanager/notify"
	"github.com/prometheus/alertmanager/pkg/labels"
	"github.com/prometheus/alertmanager/silence"
	pb "github.com/prometheus/alertmanager/silence/silencepb"
	"github.com/prometheus/common/model"
)

// silencer is Alertmanager's, asked only about alerts that a silence can match. It
// compares each alert that it sees for the first time with each silence: after a
// restart with 50,000 alerts and 1,000 silences, fifty million times.
type silencer struct {
	*silence.Silencer
	silences *silence.Silences

	mu      sync.RWMutex // guards all below
	version int
	equal   map[label][]labels.Matchers // by one label that they ask for
	others  []labels.Matchers           // that ask for no value by name
	unclear bool                        // there is one that cannot be judged
}

type label struct {
	name  model.LabelName
	value model.LabelValue
}

func newSilencer(s *silence.Silences, log *slog.Logger) *silencer {
	return &silencer{Silencer: silence.NewSilencer(s, log, eventrecorder.NopRecorder()), silences: s, version: -1}
}

// Mutes reports whether a silence holds for an alert, as Alertmanager's does.
func (s *silencer) Mutes(ctx context.Context, set model.LabelSet) bool {
	if s.possible(ctx, set) {
		return s.Silencer.Mutes(ctx, set)
	}
	if m, ok := marker.FromContext(ctx); ok {
		m.SetSilenced(set.Fingerprint(), nil)
	}
	return false
}

// possible is false when no silence that is active or pending matches set. What
// expired since the version changed still counts.
func (s *silencer) possible(ctx context.Context, set model.LabelSet) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.version != s.silences.Version() {
		s.mu.RUnlock()
		s.index(ctx)
		s.mu.RLock()
	}
	if s.unclear {
		return true
	}
	matches := func(m labels.Matchers) bool { return m.Matches(set) }
	for n, v := range set {
		if slices.ContainsFunc(s.equal[label{n, v}], matches) {
			return true
		}
	}
	return slices.ContainsFunc(s.others, matches)
}

func (s *silencer) index(ctx context.Context) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.version == s.silences.Version() {
		return // somebody else was faster
	}
	found, version, err := s.silences.Query(ctx, silence.QState(silence.SilenceStateActive, silence.SilenceStatePending))
	s.version, s.equal, s.others, s.unclear = version, map[label][]labels.Matchers{}, nil, err != nil
	times := map[label]int{}
	var all []labels.Matchers
	for _, f := range found {
		s.unclear = s.unclear || len(f.MatcherSets) == 0
		for _, set := range f.MatcherSets {
			m, err := compile(set)
			s.unclear = s.unclear || err != nil
			all = append(all, m)
			for _, l := range asked(m) {
				times[l]++
			}
		}
	}
	for _, m := range all {
		s.add(m, times)
	}
}

// add files m under the rarest label that it asks for.
func (s *silencer) add(m labels.Matchers, times map[label]int) {
	asks := asked(m)
	if len(asks) == 0 {
		s.others = append(s.others, m)
		return
	}
	l := slices.MinFunc(asks, func(a, b label) int { return times[a] - times[b] })
	s.equal[l] = append(s.equal[l], m)
}

// asked are the labels without which m does not match.
func asked(m labels.Matchers) (ls []label) {
	for _, one := range m {
		if one.Type == labels.MatchEqual && one.Value != "" {
			ls = append(ls, label{model.LabelName(one.Name), model.LabelValue(one.Value)})
		}
	}
	return ls
}

func compile(set *pb.MatcherSet) (labels.Matchers, error) {
	var all labels.Matchers
	for _, m := range set.Matchers {
		t := labels.MatchEqual
		switch m.Type {
		case pb.Matcher_NOT_EQUAL:
			t = labels.MatchNotEqual
		case pb.Matcher_REGEXP:
			t = labels.MatchRegexp
		case pb.Matcher_NOT_REGEXP:
			t = labels.MatchNotRegexp
		}
		c, err := labels.NewMatcher(t, m.Name, m.Pattern)
		if err != nil {
			return nil, fmt.Errorf("matcher of a silence: %w", err)
		}
		all = append(all, c)
	}
	return all, nil
}

// silenceStage is the place of the silencer among the stages that Alertmanager's
// pipeline has for each receiver: after settling, inhibition and two of times.
const silenceStage = 4

// speedUp puts s in front of the stage that silences, for all receivers. That stage
// takes no other type than Alertmanager's, and counts what it silences.
func (s *silencer) speedUp(all notify.RoutingStage) {
	for _, stage := range all {
		m, ok := stage.(notify.MultiStage)
		if !ok || len(m) <= silenceStage {
			continue // another version of Alertmanager: slower, not wrong
		}
		mute, ok := m[silenceStage].(*notify.MuteStage)
		if !ok {
			continue
		}
		m[silenceStage] = notify.StageFunc(func(ctx context.Context, l *slog.Logger, alerts ...*alert.Alert) (context.Context, []*alert.Alert, error) {
			return s.exec(ctx, l, mute, alerts)
		})
	}
}

func (s *silencer) exec(ctx context.Context, l *slog.Logger, mute *notify.MuteStage, alerts []*alert.Alert) (context.Context, []*alert.Alert, error) {
	marks, marked := marker.FromContext(ctx)
	var ask []*alert.Alert
	for _, a := range alerts {
		if s.possible(ctx, a.Labels) {
			ask = append(ask, a)
		} else if marked {
			marks.SetSilenced(a.Fingerprint(), nil)
		}
	}
	if len(ask) == 0 {
		return ctx, alerts, nil
	}
	ctx, left, err := mute.Exec(ctx, l, ask...)
	if err != nil || len(left) == len(ask) {
		return ctx, alerts, err
	}
	// left is ask without some, and ask is alerts without some, in order.
	var out []*alert.Alert
	for _, a := range alerts {
		switch {
		case len(ask) == 0 || a != ask[0]:
			out = append(out, a)
		case len(left) > 0 && a == left[0]:
			out, ask, left = append(out, a), ask[1:], left[1:]
		default:
			ask = ask[1:]
		}
	}
	return ctx, out, nil
}
