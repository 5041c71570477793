package alerting

import (
	"context"
	"maps"
	"slices"

	"github.com/kongdao/kongdao/alerting/engine"
)

// Ways are the routes that an alert with these labels takes; nothing is sent.
func (a *Alerter) Ways(labels map[string]string) []engine.Way { return a.engine.Ways(labels) }

// Muted says what keeps an alert with these labels from being told now: the IDs of
// silences and the fingerprints of alerts that inhibit it.
func (a *Alerter) Muted(ctx context.Context, labels map[string]string) (silences, alerts []string) {
	return a.engine.Muted(ctx, labels)
}

// Groups are the groups of alerts that fire, each with the key that its messages'
// mark is made of.
func (a *Alerter) Groups(ctx context.Context) ([]engine.Gathered, error) {
	return a.engine.Groups(ctx)
}

// Robots are the names of the robots there are now, in their order.
func (a *Alerter) Robots() []string {
	a.mu.RLock()
	defer a.mu.RUnlock()
	all := slices.AppendSeq(make([]string, 0, len(a.clients)), maps.Keys(a.clients))
	slices.Sort(all)
	return all
}
