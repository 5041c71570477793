package engine

import (
	"context"
	"time"

	"github.com/prometheus/alertmanager/alert"
	"github.com/prometheus/alertmanager/notify"
	"github.com/prometheus/common/model"

	"github.com/kongdao/kongdao/alerting/dingtalk"
)

// Deliver takes responsibility for telling a robot about a group. After nil the
// engine regards it as told.
type Deliver func(robot string, g dingtalk.Group) error

// notifier is the end of Alertmanager's pipeline for one robot.
type notifier struct {
	robot   string
	deliver Deliver
}

// SendResolved says that ended alerts are wanted too.
func (notifier) SendResolved() bool { return true }

// Notify hands over one group. A failure may pass, such as a full disk.
func (n notifier) Notify(ctx context.Context, alerts ...*alert.Alert) (retry bool, err error) {
	g, err := groupOf(ctx, alerts)
	if err != nil || len(g.Alerts) == 0 {
		return false, err
	}
	return true, n.deliver(n.robot, g)
}

// groupOf is what Alertmanager hands over, without alerts that nobody is told.
func groupOf(ctx context.Context, alerts []*alert.Alert) (dingtalk.Group, error) {
	key, err := notify.ExtractGroupKey(ctx)
	if err != nil {
		return dingtalk.Group{}, err
	}
	labels, _ := notify.GroupLabels(ctx)
	now, ok := notify.Now(ctx)
	if !ok {
		now = time.Now()
	}
	g := dingtalk.Group{Key: key.String(), Labels: textsOf(labels)}
	for _, a := range alerts {
		if a.Labels["severity"] != severityNone {
			g.Alerts = append(g.Alerts, convert(a, now))
		}
	}
	return g, nil
}

// severityNone is of alerts that say that nothing is wrong, such as Watchdog: they
// are for machines that miss them, and people in a chat are not told.
const severityNone = "none"

func convert(a *alert.Alert, now time.Time) dingtalk.Alert {
	d := dingtalk.Alert{
		Labels: textsOf(a.Labels), Annotations: textsOf(a.Annotations),
		StartsAt: a.StartsAt, Fingerprint: a.Fingerprint().String(),
	}
	if a.ResolvedAt(now) {
		d.EndsAt = a.EndsAt
	}
	return d
}

func textsOf(s model.LabelSet) map[string]string {
	m := make(map[string]string, len(s))
	for k, v := range s {
		m[string(k)] = string(v)
	}
	return m
}
