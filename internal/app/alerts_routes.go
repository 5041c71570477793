package app

import (
	"context"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/kongdao/kongdao/alerting/dingtalk"
)

func (s *System) alertRoutes(h huma.API) {
	huma.Get(h, "/api/v1/alerts/routes", s.getAlertRoutes)
	huma.Get(h, "/api/v1/alerts/groups", s.getAlertGroups)
	huma.Get(h, "/api/v1/robots", s.listRobots)
}

// AlertRoute is a route of Alertmanager's configuration that an alert takes.
type AlertRoute struct {
	Route    string `json:"route" doc:"matchers from the root on"`
	Receiver string `json:"receiver"`
	Channel  string `json:"channel,omitempty" doc:"channel or robot that the receiver stands for; empty: none"`
	Mark     string `json:"mark" doc:"of the messages about its group, such as #A3F2"`

	GroupBy        []string          `json:"group_by" doc:"labels; ... is all of them"`
	GroupLabels    map[string]string `json:"group_labels"`
	GroupWait      string            `json:"group_wait"`
	GroupInterval  string            `json:"group_interval"`
	RepeatInterval string            `json:"repeat_interval"`
	Mute           []string          `json:"mute_time_intervals,omitempty"`
	Active         []string          `json:"active_time_intervals,omitempty"`
}

// AlertRoutes is what becomes of an alert with certain labels.
type AlertRoutes struct {
	Labels      map[string]string `json:"labels"`
	Routes      []AlertRoute      `json:"routes"`
	SilencedBy  []string          `json:"silenced_by" doc:"IDs of silences that hold now"`
	InhibitedBy []string          `json:"inhibited_by" doc:"fingerprints of alerts that fire now"`
}

func (s *System) getAlertRoutes(ctx context.Context, in *struct {
	Label []string `query:"label,explode" required:"true" doc:"name=value"`
},
) (*body[AlertRoutes], error) {
	labels := make(map[string]string, len(in.Label))
	for _, l := range in.Label {
		name, value, ok := strings.Cut(l, "=")
		if !ok || name == "" {
			return nil, huma.Error422UnprocessableEntity("label " + l + ": want name=value")
		}
		labels[name] = value
	}
	out := AlertRoutes{Labels: labels, SilencedBy: []string{}, InhibitedBy: []string{}}
	for _, w := range s.alerting.Ways(labels) {
		out.Routes = append(out.Routes, AlertRoute{
			Route: w.Route, Receiver: w.Receiver, Channel: w.Channel, Mark: dingtalk.Group{Key: w.Key}.ID(),
			GroupBy: append([]string{}, w.GroupBy...), GroupLabels: w.GroupLabels,
			GroupWait: brief(w.GroupWait), GroupInterval: brief(w.GroupInterval), RepeatInterval: brief(w.RepeatInterval),
			Mute: w.Mute, Active: w.Active,
		})
	}
	silences, alerts := s.alerting.Muted(ctx, labels)
	out.SilencedBy, out.InhibitedBy = append(out.SilencedBy, silences...), append(out.InhibitedBy, alerts...)
	return reply(out), nil
}

// brief is a duration without zero units: 4h, not 4h0m0s.
func brief(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

// AlertGroup is a group of alerts that fire, as one message tells of them.
type AlertGroup struct {
	Mark         string            `json:"mark" doc:"of its messages, such as #A3F2"`
	Route        string            `json:"route"`
	Receiver     string            `json:"receiver"`
	Channel      string            `json:"channel,omitempty"`
	Labels       map[string]string `json:"labels" doc:"that its alerts have in common"`
	Fingerprints []string          `json:"fingerprints" doc:"of its alerts"`
	MutedBy      []string          `json:"muted_by" doc:"time intervals that keep it from being told now"`
}

// AlertGroups is the answer to GET /alerts/groups.
type AlertGroups struct {
	Groups []AlertGroup `json:"groups"`
}

func (s *System) getAlertGroups(ctx context.Context, _ *struct{}) (*body[AlertGroups], error) {
	groups, err := s.alerting.Groups(ctx)
	if err != nil {
		return nil, huma.Error503ServiceUnavailable(err.Error())
	}
	out := AlertGroups{Groups: []AlertGroup{}}
	for _, g := range groups {
		out.Groups = append(out.Groups, AlertGroup{
			Mark: dingtalk.Group{Key: g.Key}.ID(), Route: g.Route, Receiver: g.Receiver, Channel: g.Channel,
			Labels: g.Labels, Fingerprints: g.Fingerprints, MutedBy: append([]string{}, g.MutedBy...),
		})
	}
	return reply(out), nil
}

// RobotList is the answer to GET /robots.
type RobotList struct {
	Robots []string `json:"robots" doc:"names, in their order"`
}

func (s *System) listRobots(context.Context, *struct{}) (*body[RobotList], error) {
	return reply(RobotList{Robots: s.alerting.Robots()}), nil
}
