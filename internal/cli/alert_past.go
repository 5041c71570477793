package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"
)

// alertRule is a rule as Prometheus' API tells of it.
type alertRule struct {
	Name      string            `json:"name"`
	Query     string            `json:"query"`
	For       float64           `json:"duration"` // seconds
	Labels    map[string]string `json:"labels"`
	Texts     map[string]string `json:"annotations"`
	Health    string            `json:"health"`
	LastError string            `json:"lastError,omitempty"`
	Type      string            `json:"type"`
	Alerts    []rulesAlert      `json:"alerts,omitempty"`
}

// rulesAlert is an alert as its rule sees it.
type rulesAlert struct {
	Labels   map[string]string `json:"labels"`
	Texts    map[string]string `json:"annotations"`
	State    string            `json:"state"` // pending or firing
	ActiveAt time.Time         `json:"activeAt"`
	Value    string            `json:"value"`
}

// alertRules are the rules of that name, all for an empty one. A name may have several.
func (c *client) alertRules(ctx context.Context, name string) ([]alertRule, error) {
	query := url.Values{"type": {"alert"}}
	if name != "" {
		query.Set("rule_name[]", name)
	}
	var answer struct{ Groups []struct{ Rules []alertRule } }
	if err := c.prometheus(ctx, "/rules", query, &answer); err != nil {
		return nil, err
	}
	var all []alertRule
	for _, g := range answer.Groups {
		all = append(all, g.Rules...)
	}
	return all, nil
}

func ruleNames(rules []alertRule) []string {
	var all []string
	for _, r := range rules {
		all = append(all, r.Name)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// spell is a time in which an alert was in one state.
type spell struct {
	State string    `json:"state"` // pending or firing
	From  time.Time `json:"from"`
	Until time.Time `json:"until,omitzero"` // zero: it still is
}

// past is what an alert went through.
type past struct {
	Labels map[string]string `json:"labels"`
	Spells []spell           `json:"spells"`
}

// alertPast reads what alerts with these labels went through, from the series that
// Prometheus' rules write, at most as long ago as samples are kept.
func (c *client) alertPast(ctx context.Context, labels map[string]string, since time.Duration) ([]past, error) {
	var selector []string
	for name, value := range labels {
		selector = append(selector, name+"="+fmt.Sprintf("%q", value))
	}
	slices.Sort(selector)
	now := time.Now()
	query := url.Values{
		"query": {fmt.Sprintf("ALERTS{%s}[%ds]", strings.Join(selector, ","), int(since.Seconds()))},
		"time":  {fmt.Sprintf("%.3f", float64(now.UnixMilli())/1000)},
	}
	var answer struct {
		Result []struct {
			Metric map[string]string
			Values [][2]json.RawMessage // time in seconds, value
		}
	}
	if err := c.prometheus(ctx, "/query", query, &answer); err != nil {
		return nil, err
	}
	found := map[string]*past{}
	for _, r := range answer.Result {
		var at []time.Time
		for _, v := range r.Values {
			var seconds float64
			if err := json.Unmarshal(v[0], &seconds); err != nil {
				return nil, fmt.Errorf("read the past of alerts: %w", err)
			}
			at = append(at, time.UnixMilli(int64(seconds*1000)))
		}
		state := r.Metric["alertstate"]
		delete(r.Metric, "alertstate")
		delete(r.Metric, "__name__")
		key := pairs(r.Metric)
		if found[key] == nil {
			found[key] = &past{Labels: r.Metric}
		}
		found[key].Spells = append(found[key].Spells, spells(state, at, now)...)
	}
	all := []past{}
	for _, p := range found {
		slices.SortFunc(p.Spells, func(a, b spell) int { return a.From.Compare(b.From) })
		all = append(all, *p)
	}
	slices.SortFunc(all, func(a, b past) int { return cmp.Compare(pairs(a.Labels), pairs(b.Labels)) })
	return all, nil
}

// spells are the stretches without a gap in samples that come at even intervals. One
// that reaches to now goes on.
func spells(state string, at []time.Time, now time.Time) (all []spell) {
	if len(at) == 0 {
		return nil
	}
	gap := usual(at)
	from := at[0]
	for i, t := range at {
		if i+1 < len(at) && at[i+1].Sub(t) <= gap {
			continue
		}
		s := spell{State: state, From: from, Until: t}
		if i+1 < len(at) {
			from = at[i+1]
		} else if now.Sub(t) <= gap {
			s.Until = time.Time{}
		}
		all = append(all, s)
	}
	return all
}

// usual is the longest time between two samples of one stretch: two and a half times
// the median, for one may be missing; 15 s where there is one sample only.
func usual(at []time.Time) time.Duration {
	if len(at) < 2 {
		return 15 * time.Second
	}
	apart := make([]time.Duration, 0, len(at)-1)
	for i := range at[1:] {
		apart = append(apart, at[i+1].Sub(at[i]))
	}
	slices.Sort(apart)
	return apart[(len(apart)-1)/2] * 5 / 2
}

// text is one line for each time that the alert began, the newest last.
func (p past) text() string {
	var b strings.Builder
	for i, s := range p.Spells {
		switch follows := i > 0 && s.From.Sub(p.Spells[i-1].Until) < time.Minute && p.Spells[i-1].State == "pending" && s.State == "firing"; {
		case follows:
			b.WriteString(", ")
		case i > 0:
			b.WriteString("\n")
		}
		fmt.Fprintf(&b, "%s from %s", s.State, clock(s.From))
		ends := i+1 == len(p.Spells) || s.State == "firing" || p.Spells[i+1].State == "pending"
		if ends && !s.Until.IsZero() {
			fmt.Fprintf(&b, " to %s", clock(s.Until))
		}
	}
	return b.String()
}
