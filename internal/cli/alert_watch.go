package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/alertmanager/api/v2/models"
)

// watchAlertsEvery is how often --watch asks; rules are evaluated every few seconds.
const watchAlertsEvery = time.Second

// alertChange is what has become of an alert.
type alertChange struct {
	At     time.Time             `json:"at"`
	Change string                `json:"change"` // its state now, or "ended"
	Alert  *models.GettableAlert `json:"alert"`
}

// watchAlerts prints the alerts there are, then each change, until ctx ends. A system
// that is away for a while, as during a restart, is waited for.
func (e *env) watchAlerts(ctx context.Context, get func(context.Context) (models.GettableAlerts, error)) error {
	alerts, err := get(ctx)
	if err != nil {
		return err
	}
	known := map[string]*models.GettableAlert{}
	if err := e.writeChanges(changes(known, alerts)); err != nil {
		return err
	}
	fmt.Fprintf(e.err, "watching, %s now; Ctrl-C ends\n", firing(len(alerts)))
	tick := time.NewTicker(watchAlertsEvery)
	defer tick.Stop()
	away := false
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		alerts, err := get(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil && !away:
			fmt.Fprintf(e.err, "%v; trying again\n", err)
		case err == nil && away:
			fmt.Fprintf(e.err, "watching again, %s now\n", firing(len(alerts)))
		}
		if away = err != nil; away {
			continue
		}
		news := changes(known, alerts)
		if err := e.writeChanges(news); err != nil {
			return err
		}
		if len(news) > 0 {
			fmt.Fprintf(e.err, "%s now\n", firing(len(alerts)))
		}
	}
}

func firing(n int) string {
	if n == 1 {
		return "1 alert fires"
	}
	return fmt.Sprintf("%d alerts fire", n)
}

// changes brings known up to date and says what is different, ends first.
func changes(known map[string]*models.GettableAlert, alerts models.GettableAlerts) (all []alertChange) {
	now, there := time.Now(), map[string]bool{}
	for _, a := range alerts {
		there[*a.Fingerprint] = true
		if old := known[*a.Fingerprint]; old == nil || stateOf(old) != stateOf(a) {
			all = append(all, alertChange{now, stateOf(a), a})
		}
		known[*a.Fingerprint] = a
	}
	var ended []alertChange
	for id, a := range known {
		if !there[id] {
			ended = append(ended, alertChange{now, "ended", a})
			delete(known, id)
		}
	}
	slices.SortFunc(ended, func(a, b alertChange) int { return strings.Compare(*a.Alert.Fingerprint, *b.Alert.Fingerprint) })
	return append(ended, all...)
}

func (e *env) writeChanges(all []alertChange) error {
	for _, c := range all {
		if e.output == "json" {
			if err := json.NewEncoder(e.out).Encode(c); err != nil {
				return err
			}
			continue
		}
		a := c.Alert
		line := fmt.Sprintf("%s  %-9s  %s  %s", clock(c.At), c.Change, a.Labels["alertname"], pairs(a.Labels, "alertname"))
		if s := a.Annotations["summary"]; s != "" && c.Change != "ended" {
			line += "  " + s
		}
		if _, err := fmt.Fprintln(e.out, strings.TrimRight(line, " ")); err != nil {
			return err
		}
	}
	return nil
}
