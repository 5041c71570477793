package alerting

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/kongdao/kongdao/alerting/dingtalk"
	"github.com/kongdao/kongdao/alerting/ledger"
)

// Again is the group of a message that was not delivered, as it is to be told now:
// what has ended since is told as ended, now.
func (a *Alerter) Again(e ledger.Event, now time.Time) (g dingtalk.Group, err error) {
	if err := json.Unmarshal(e.Content, &g); err != nil {
		return g, fmt.Errorf("read message %s-%d: %w", e.Matter, e.Sequence, err)
	}
	for i, x := range g.Alerts {
		if x.Firing() && !a.engine.Active(x.Labels) {
			g.Alerts[i].EndsAt = now
		}
	}
	return g, nil
}

// Put accepts a group for a channel, past routes and silences; see [outbox.Outbox.Put].
func (a *Alerter) Put(channel string, g dingtalk.Group) error { return a.outbox.Put(channel, g) }

// Pending are the messages that wait, as the ledger names them, and the name of the
// outbox that they wait in.
func (a *Alerter) Pending() (messages []string, outbox string) { return a.outbox.Pending() }
