package engine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/alertmanager/alert"
	amconfig "github.com/prometheus/alertmanager/config"
	"github.com/prometheus/alertmanager/config/receiver"
	"github.com/prometheus/alertmanager/notify"
	"github.com/prometheus/common/model"

	"github.com/kongdao/kongdao/alerting/dingtalk"
)

// Integrations are the receivers of a configuration that reach somebody by
// integrations of Alertmanager's own, such as e-mail or a webhook.
func Integrations(alertmanager string) ([]string, error) {
	c, err := amconfig.Load(alertmanager)
	if err != nil {
		return nil, fmt.Errorf("alertmanager: %w", err)
	}
	var names []string
	for _, r := range c.Receivers {
		if hasIntegrations(r) {
			names = append(names, r.Name)
		}
	}
	return names, nil
}

// Notify tells a receiver's own integrations about a group right away, past routes,
// silences and the notification log, once. The bool says whether another try may help:
// one that follows tells those again that were told already.
func (e *Engine) Notify(ctx context.Context, name string, g dingtalk.Group) (again bool, err error) {
	list, err := e.integrations(name)
	if err != nil {
		return false, err
	}
	now := time.Now()
	ctx = notify.WithGroupKey(ctx, g.Key)
	ctx = notify.WithReceiverName(ctx, name)
	ctx = notify.WithGroupLabels(ctx, labelsOf(g.Labels))
	ctx = notify.WithNow(ctx, now)
	ctx = notify.WithNotificationReason(ctx, notify.ReasonFirstNotification)
	var all, firing []*alert.Alert
	for _, a := range g.Alerts {
		x := &alert.Alert{UpdatedAt: now}
		x.Labels, x.Annotations, x.StartsAt, x.EndsAt = labelsOf(a.Labels), labelsOf(a.Annotations), a.StartsAt, a.EndsAt
		all = append(all, x)
		if a.Firing() {
			firing = append(firing, x)
		}
	}
	var errs []error
	for _, i := range list {
		tell := all
		if !i.SendResolved() {
			tell = firing
		}
		if len(tell) == 0 {
			continue
		}
		retry, err := i.Notify(ctx, tell...)
		if err != nil {
			again = again || retry
			errs = append(errs, e.secrets.hideError(fmt.Errorf("%s: %w", i.String(), err)))
		}
	}
	return again, errors.Join(errs...)
}

// integrations of a receiver, without the robot that it stands for.
func (e *Engine) integrations(name string) ([]notify.Integration, error) {
	e.mu.RLock()
	conf := e.conf
	e.mu.RUnlock()
	tmpl, err := e.templates(conf)
	if err != nil {
		return nil, err
	}
	for _, r := range conf.Receivers {
		if r.Name != name || !hasIntegrations(r) {
			continue
		}
		list, err := receiver.BuildReceiverIntegrations(r, tmpl, e.log)
		if err != nil {
			return nil, fmt.Errorf("alertmanager: receiver %q: %w", name, withoutValues(err))
		}
		return list, nil
	}
	return nil, fmt.Errorf("there is no receiver %q with integrations", name)
}

func labelsOf(m map[string]string) model.LabelSet {
	s := make(model.LabelSet, len(m))
	for k, v := range m {
		s[model.LabelName(k)] = model.LabelValue(v)
	}
	return s
}

// Active reports whether the alert with these labels has not ended.
func (e *Engine) Active(labels map[string]string) bool {
	a, err := e.alerts.Get(labelsOf(labels).Fingerprint())
	return err == nil && !a.ResolvedAt(time.Now())
}
