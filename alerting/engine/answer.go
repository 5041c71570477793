package engine

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/alertmanager/silence"
	"github.com/prometheus/alertmanager/silence/silencepb"
	"github.com/prometheus/common/model"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/kongdao/kongdao/alerting/dingtalk"
)

// Silence keeps the alerts of a group from being told until then, and returns the
// silence's ID. The same silence of the same person is made once.
func (e *Engine) Silence(ctx context.Context, g dingtalk.Group, by, comment string, until time.Time) (string, error) {
	labels := matching(g)
	if len(labels) == 0 {
		return "", errors.New("silence: the alerts have no label in common, so a silence would keep back everything")
	}
	set := &silencepb.MatcherSet{}
	for _, name := range slices.Sorted(maps.Keys(labels)) {
		set.Matchers = append(set.Matchers, &silencepb.Matcher{Type: silencepb.Matcher_EQUAL, Name: name, Pattern: labels[name]})
	}
	s := &silencepb.Silence{
		MatcherSets: []*silencepb.MatcherSet{set}, StartsAt: timestamppb.Now(), EndsAt: timestamppb.New(until),
		CreatedBy: by, Comment: comment,
	}
	if id := e.sameSilence(ctx, s); id != "" {
		return id, nil
	}
	if err := e.silences.Set(ctx, s); err != nil {
		return "", fmt.Errorf("silence: %w", err)
	}
	return s.Id, nil
}

// matching are the labels that tell a group's alerts from others: those it was
// grouped by, or, without any, those that all of its alerts share.
func matching(g dingtalk.Group) map[string]string {
	labels := maps.Clone(g.Labels)
	maps.DeleteFunc(labels, func(_, v string) bool { return v == "" })
	if len(labels) > 0 || len(g.Alerts) == 0 {
		return labels
	}
	labels = maps.Clone(g.Alerts[0].Labels)
	for _, a := range g.Alerts[1:] {
		maps.DeleteFunc(labels, func(k, v string) bool { return a.Labels[k] != v })
	}
	return labels
}

// sameSilence is the active silence that says the same, or nothing.
func (e *Engine) sameSilence(ctx context.Context, want *silencepb.Silence) string {
	active, _, err := e.silences.Query(ctx, silence.QState(silence.SilenceStateActive))
	if err != nil {
		return ""
	}
	for _, s := range active {
		if s.CreatedBy == want.CreatedBy && s.EndsAt.AsTime().Equal(want.EndsAt.AsTime()) && matchers(s) == matchers(want) {
			return s.Id
		}
	}
	return ""
}

func matchers(s *silencepb.Silence) string {
	var b strings.Builder
	for _, set := range s.MatcherSets {
		for _, m := range set.Matchers {
			fmt.Fprintf(&b, "%d %q %q\n", m.Type, m.Name, m.Pattern)
		}
	}
	return b.String()
}

// Fires reports whether any of the group's alerts fires and is not silenced.
func (e *Engine) Fires(g dingtalk.Group) bool {
	for _, a := range g.Alerts {
		fp, err := model.FingerprintFromString(a.Fingerprint)
		if err != nil {
			continue
		}
		known, err := e.alerts.Get(fp)
		if err == nil && !known.Resolved() && !e.silencer.Mutes(context.Background(), known.Labels) {
			return true
		}
	}
	return false
}
