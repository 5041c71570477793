package engine

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"time"
	"unicode/utf8"

	"github.com/prometheus/common/model"

	"github.com/kongdao/kongdao/alerting/dingtalk"
)

const (
	// maxWebhook is the size in bytes of a body; an alert has about one kilobyte.
	maxWebhook = 8 << 20
	// maxWebhookAlerts is more than anybody reads in one message.
	maxWebhookAlerts = 10_000
	// retryAfter is, in seconds, what a sender is told that we cannot take anything
	// from now. Alertmanager goes by a plan of its own.
	retryAfter = "5"
)

// webhook takes groups that another Alertmanager, or Grafana, has made. It answers
// 200 when the group is in the outbox, on disk; 503 when that is not possible now,
// so that the sender tries again; and 4xx when it never will be.
//
// The sender has grouped them and remembers what it told, so nothing is grouped or
// remembered here. Silences and inhibitions hold, as they do for all alerts.
func (e *Engine) webhook(w http.ResponseWriter, r *http.Request) {
	if t, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || t != "application/json" {
		http.Error(w, "content type must be application/json", http.StatusUnsupportedMediaType)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxWebhook))
	if err != nil {
		if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
			http.Error(w, fmt.Sprintf("body is longer than %d bytes", maxWebhook), http.StatusRequestEntityTooLarge)
		} else {
			http.Error(w, "body was cut short", http.StatusBadRequest)
		}
		return
	}
	name := r.PathValue("receiver")
	robot, route, ok := e.addressee(name)
	if !ok {
		http.Error(w, fmt.Sprintf("there is no robot and no receiver %q that goes to one", name), http.StatusNotFound)
		return
	}
	group, err := parseWebhook(body, time.Now())
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	group.Key = "webhook/" + name + ":" + group.Key // of another Alertmanager: not to be confused with ours
	e.muteGroup(r, route, &group)
	if len(group.Alerts) == 0 {
		fmt.Fprintln(w, "all silenced")
		return
	}
	if err := e.deliver(robot, group); err != nil {
		e.log.Error("a group by webhook is not accepted", "receiver", name, "err", err)
		w.Header().Set("Retry-After", retryAfter)
		http.Error(w, "cannot be written down now", http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintln(w, "accepted")
}

// addressee is the robot behind a robot's or a receiver's name.
func (e *Engine) addressee(name string) (robot string, now *routing, ok bool) {
	e.mu.RLock()
	defer e.mu.RUnlock()
	if e.routing == nil {
		return "", nil, false
	}
	robot = robotOf(name, e.robots)
	return robot, e.routing, robot != ""
}

// muteGroup takes alerts out of a group that are silenced or inhibited here.
func (e *Engine) muteGroup(r *http.Request, now *routing, g *dingtalk.Group) {
	kept := g.Alerts[:0]
	for _, a := range g.Alerts {
		set := make(model.LabelSet, len(a.Labels))
		for k, v := range a.Labels {
			set[model.LabelName(k)] = model.LabelValue(v)
		}
		if a.Labels["severity"] != severityNone && !e.silencer.Mutes(r.Context(), set) && !now.inhibitor.Mutes(r.Context(), set) {
			kept = append(kept, a)
		}
	}
	g.Alerts = kept
}

// message is the body that Alertmanager (version 4) and Grafana (version 1) send.
// Fields that are not used here are not looked at: both add some now and then.
type message struct {
	Version         string            `json:"version"`
	GroupKey        string            `json:"groupKey"`
	Status          string            `json:"status"`
	GroupLabels     map[string]string `json:"groupLabels"`
	TruncatedAlerts uint64            `json:"truncatedAlerts"`
	Alerts          []webhookAlert    `json:"alerts"`
}

type webhookAlert struct {
	Status      string            `json:"status"`
	Labels      map[string]string `json:"labels"`
	Annotations map[string]string `json:"annotations"`
	StartsAt    time.Time         `json:"startsAt"`
	EndsAt      time.Time         `json:"endsAt"`
}

const (
	statusFiring   = "firing"
	statusResolved = "resolved"
)

// parseWebhook reads a body strictly: what is not plainly a group of alerts is an
// error that names the field.
func parseWebhook(body []byte, now time.Time) (g dingtalk.Group, err error) {
	if !utf8.Valid(body) {
		return g, errors.New("body is not UTF-8")
	}
	var m message
	if err := json.Unmarshal(body, &m); err != nil {
		return g, fmt.Errorf("body is not a webhook message: %w", err)
	}
	switch {
	case m.Version != "4" && m.Version != "1":
		return g, fmt.Errorf(`version: %q, must be "4" (Alertmanager) or "1" (Grafana)`, m.Version)
	case m.GroupKey == "":
		return g, errors.New("groupKey: must not be empty")
	case m.Status != statusFiring && m.Status != statusResolved:
		return g, fmt.Errorf("status: %q, must be firing or resolved", m.Status)
	case len(m.Alerts) == 0:
		return g, errors.New("alerts: must not be empty")
	case len(m.Alerts) > maxWebhookAlerts:
		return g, fmt.Errorf("alerts: %d, must be at most %d", len(m.Alerts), maxWebhookAlerts)
	}
	g = dingtalk.Group{Key: m.GroupKey, Labels: m.GroupLabels}
	if g.Labels == nil {
		g.Labels = map[string]string{}
	}
	for i, a := range m.Alerts {
		one, err := a.convert(now)
		if err != nil {
			return g, fmt.Errorf("alerts[%d].%w", i, err)
		}
		g.Alerts = append(g.Alerts, one)
	}
	return g, nil
}

func (a webhookAlert) convert(now time.Time) (d dingtalk.Alert, err error) {
	set := make(model.LabelSet, len(a.Labels))
	for k, v := range a.Labels {
		if k == "" {
			return d, errors.New("labels: a name is empty")
		}
		set[model.LabelName(k)] = model.LabelValue(v)
	}
	switch {
	case len(set) == 0:
		return d, errors.New("labels: must not be empty")
	case a.Status != statusFiring && a.Status != statusResolved:
		return d, fmt.Errorf("status: %q, must be firing or resolved", a.Status)
	case a.StartsAt.IsZero():
		return d, errors.New("startsAt: must not be empty")
	}
	d = dingtalk.Alert{Labels: a.Labels, Annotations: a.Annotations, StartsAt: a.StartsAt, Fingerprint: set.Fingerprint().String()}
	if a.Status == statusResolved {
		d.EndsAt = a.EndsAt
		if d.EndsAt.IsZero() || d.EndsAt.After(now) {
			d.EndsAt = now
		}
	}
	return d, nil
}
