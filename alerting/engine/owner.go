package engine

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/prometheus/alertmanager/alert"
	"github.com/prometheus/alertmanager/notify"
	"github.com/prometheus/alertmanager/provider"
	"github.com/prometheus/common/model"

	"github.com/kongdao/kongdao/alerting/dingtalk"
)

// Owners say whose an alert is and where its owner reads. Both funcs may be nil,
// are called from several goroutines, and may answer with nothing.
type Owners struct {
	Team    func(labels model.LabelSet) string // whose alert this is, for the label team
	Channel func(team string) string           // where that team reads
}

// labelTeam is the label that Owners.Team fills in where it is missing.
const labelTeam = model.LabelName("team")

// labelled is the alerts with their owners: whatever way an alert comes in, it
// comes in here.
type labelled struct {
	provider.Alerts
	team func(model.LabelSet) string
}

// Put adds the team to the labels of each alert that does not name one. The labels
// given are left as they are: others may hold them.
func (l labelled) Put(ctx context.Context, alerts ...*alert.Alert) error {
	if l.team == nil {
		return l.Alerts.Put(ctx, alerts...)
	}
	owned := make([]*alert.Alert, len(alerts))
	for i, a := range alerts {
		owned[i] = a
		if labels := l.labels(a.Labels); len(labels) > len(a.Labels) {
			with := *a
			with.Labels = labels
			owned[i] = &with
		}
	}
	return l.Alerts.Put(ctx, owned...)
}

// labels are these with the team, a copy where that changes them.
func (l labelled) labels(set model.LabelSet) model.LabelSet {
	if l.team == nil || set[labelTeam] != "" {
		return set
	}
	team := l.team(set)
	if team == "" {
		return set
	}
	set = set.Clone()
	set[labelTeam] = model.LabelValue(team)
	return set
}

func (e *Engine) owned() labelled { return labelled{e.alerts, e.cfg.Owners.Team} }

// reaches is where alerts of these labels go by a receiver, each place once;
// empty: to no channel.
func (e *Engine) reaches(receiver string, alerts ...model.LabelSet) string {
	robot := robotOf(receiver, e.robots)
	n, ok := e.notifier(receiver, robot, e.robots).(ownerNotifier)
	if !ok || robot == "" {
		return robot
	}
	var places []string
	for _, a := range alerts {
		places = append(places, n.robotFor(string(a[labelTeam])))
	}
	slices.Sort(places)
	return strings.Join(slices.Compact(places), ", ")
}

// sender is what an integration needs of a notifier.
type sender interface {
	notify.Notifier
	notify.ResolvedSender
}

// notifier is the end of the pipeline for a receiver that stands for a robot; a
// robot that is called "owner" is itself.
func (e *Engine) notifier(receiver, robot string, robots []string) sender {
	n := notifier{robot, e.deliver}
	if receiver == receiverOwner && !slices.Contains(robots, receiverOwner) {
		return ownerNotifier{n, e.cfg.Owners.Channel, robots}
	}
	return n
}

// ownerNotifier is the end of the pipeline for the receiver "owner": each alert
// goes where its team reads.
type ownerNotifier struct {
	notifier // of the default robot, for alerts of nobody
	channel  func(team string) string
	known    []string
}

// Notify hands over one group, in as many pieces as it has owners who read in
// different places. All keep the group's key, so they carry one mark.
func (n ownerNotifier) Notify(ctx context.Context, alerts ...*alert.Alert) (retry bool, err error) {
	g, err := groupOf(ctx, alerts)
	if err != nil {
		return false, err
	}
	pieces := map[string]dingtalk.Group{}
	for _, a := range g.Alerts {
		to := n.robotFor(a.Labels[string(labelTeam)])
		piece := pieces[to]
		piece.Key, piece.Labels = g.Key, g.Labels
		piece.Alerts = append(piece.Alerts, a)
		pieces[to] = piece
	}
	for _, to := range slices.Sorted(maps.Keys(pieces)) {
		err = errors.Join(err, n.deliver(to, pieces[to]))
	}
	return true, err
}

func (n ownerNotifier) robotFor(team string) string {
	if team != "" && n.channel != nil {
		if to := n.channel(team); slices.Contains(n.known, to) {
			return to
		}
	}
	return n.robot
}
