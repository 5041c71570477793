package engine

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/prometheus/alertmanager/alert"
	"github.com/prometheus/alertmanager/dispatch"
	"github.com/prometheus/alertmanager/marker"
	"github.com/prometheus/common/model"
)

// Way is a route of the configuration that alerts with certain labels take, and
// what comes of them there.
type Way struct {
	Route          string // the route's matchers after those of the routes above it
	Key            string // of the group that they are put into
	Receiver       string
	Channel        string // that the receiver stands for; empty: none
	GroupBy        []string
	GroupLabels    map[string]string
	GroupWait      time.Duration // before the first message of a group
	GroupInterval  time.Duration // between messages of a group that changes
	RepeatInterval time.Duration // between messages of one that does not
	Mute, Active   []string      // names of time intervals
}

// Ways are the routes that an alert with these labels takes, by Alertmanager's own
// code, in the order of the configuration. There is at least one.
func (e *Engine) Ways(labels map[string]string) []Way {
	e.mu.RLock()
	defer e.mu.RUnlock()
	set := e.owned().labels(labelsOf(labels))
	var all []Way
	for _, r := range dispatch.NewRoute(e.conf.Route, nil).Match(set) {
		o := r.RouteOpts
		w := Way{
			Route: r.Key(), Receiver: o.Receiver, Channel: e.reaches(o.Receiver, set),
			GroupWait: o.GroupWait, GroupInterval: o.GroupInterval, RepeatInterval: o.RepeatInterval,
			Mute: o.MuteTimeIntervals, Active: o.ActiveTimeIntervals,
		}
		group := model.LabelSet{}
		for name, value := range set {
			if _, ok := o.GroupBy[name]; ok || o.GroupByAll {
				group[name] = value
			}
		}
		for _, name := range slices.Sorted(maps.Keys(o.GroupBy)) {
			w.GroupBy = append(w.GroupBy, string(name))
		}
		if o.GroupByAll {
			w.GroupBy = []string{"..."} // as the configuration writes it
		}
		w.GroupLabels, w.Key = textsOf(group), r.Key()+":"+group.String()
		all = append(all, w)
	}
	return all
}

// Muted says what keeps an alert with these labels from being told now: the IDs of
// silences and the fingerprints of alerts that inhibit it.
func (e *Engine) Muted(ctx context.Context, labels map[string]string) (silences, alerts []string) {
	e.mu.RLock()
	defer e.mu.RUnlock()
	set, m := e.owned().labels(labelsOf(labels)), marker.NewAlertMarker()
	ctx = marker.WithContext(ctx, m)
	e.silencer.Mutes(ctx, set)
	if e.routing != nil {
		e.routing.inhibitor.Mutes(ctx, set)
	}
	status := m.Status(set.Fingerprint())
	return status.SilencedBy, status.InhibitedBy
}

// Gathered is a group of alerts as it is now.
type Gathered struct {
	Key, Route, Receiver string
	Channel              string // that the receiver stands for; empty: none
	Labels               map[string]string
	Fingerprints         []string // of its alerts, in their order
	MutedBy              []string // names of time intervals that are not over
}

// Groups are all groups that hold an alert that fires.
func (e *Engine) Groups(ctx context.Context) ([]Gathered, error) {
	e.mu.RLock()
	defer e.mu.RUnlock()
	if e.routing == nil {
		return nil, errors.New("not running")
	}
	firing := func(a *alert.Alert, now time.Time) bool { return !a.ResolvedAt(now) }
	groups, _, err := e.routing.dispatcher.Groups(ctx, func(*dispatch.Route) bool { return true }, firing)
	if err != nil {
		return nil, err
	}
	all := make([]Gathered, 0, len(groups))
	for _, g := range groups {
		by := g.Labels.String()
		out := Gathered{
			Key: g.GroupKey, Route: g.GroupKey[:max(0, len(g.GroupKey)-len(by)-1)],
			Receiver: g.Receiver, Labels: textsOf(g.Labels),
		}
		var labels []model.LabelSet
		for _, a := range g.Alerts {
			labels = append(labels, a.Labels)
			out.Fingerprints = append(out.Fingerprints, a.Fingerprint().String())
		}
		out.Channel = e.reaches(g.Receiver, labels...)
		out.MutedBy, _ = e.groups.Muted(g.RouteID, g.GroupKey)
		all = append(all, out)
	}
	return all, nil
}
