package demo

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/kongdao/kongdao/alerting/dingtalk/dingtalktest"
	"github.com/kongdao/kongdao/internal/demo/fleet"
)

// messageLimit is how long the demo waits for one message.
const messageLimit = 40 * time.Second

func (w *walk) alert(ctx context.Context, s *Step) error {
	zone := fleet.Zones()[lostZone]
	down, err := w.message(ctx, "ZoneDown", zone, false)
	if err != nil {
		return err
	}
	s.figure("zone loss to message", down.At.Sub(w.loss).Seconds(), "s", "%.1f s: %s", down.At.Sub(w.loss).Seconds(), down.Title)
	refusals, err := w.message(ctx, "CapacityRefusals", fleet.Feed, false)
	if err != nil {
		return err
	}
	s.figure("overload to message", refusals.At.Sub(w.overload).Seconds(), "s", "%.1f s: %s", refusals.At.Sub(w.overload).Seconds(), refusals.Title)
	s.Text = down.Text
	back := time.Now()
	if w.zones[lostZone], err = fleet.Start(ctx, w.o.ZoneCommand, w.zones[lostZone].Spec); err != nil {
		return err
	}
	w.progress("zone %s is back (process %d)", zone, w.zones[lostZone].PID())
	up, err := w.message(ctx, "ZoneDown", zone, true)
	if err != nil {
		return err
	}
	s.figure("zone back to message", up.At.Sub(back).Seconds(), "s", "%.1f s: %s", up.At.Sub(back).Seconds(), up.Title)
	calm, err := w.message(ctx, "CapacityRefusals", fleet.Feed, true)
	if err != nil {
		return err
	}
	s.figure("overload over to message", calm.At.Sub(w.calm).Seconds(), "s", "%.1f s: %s", calm.At.Sub(w.calm).Seconds(), calm.Title)
	s.figure("messages, refused by the robot", float64(len(w.robot.Messages())), "", "%d, %d (signature, size, form and 20 a minute are checked)", len(w.robot.Messages()), len(w.robot.Refusals()))
	s.must(len(w.robot.Refusals()) == 0, "the robot refused %d messages: %v", len(w.robot.Refusals()), w.robot.Refusals())
	return w.keepMessages()
}

// message waits for the robot to get a message about an alert of a zone or function.
func (w *walk) message(ctx context.Context, alert, about string, resolved bool) (dingtalktest.Received, error) {
	ctx, cancel := context.WithTimeout(ctx, messageLimit)
	defer cancel()
	var found dingtalktest.Received
	_, err := w.robot.Wait(ctx, func(all []dingtalktest.Received) bool {
		for _, m := range all {
			isResolved := strings.Contains(m.Title, "已恢复")
			if isResolved == resolved && strings.Contains(m.Text, alert) && strings.Contains(m.Text, about) {
				found = m
				return true
			}
		}
		return false
	})
	if err != nil {
		return found, fmt.Errorf("message %s about %s (resolved: %v) within %v: %w", alert, about, resolved, messageLimit, err)
	}
	return found, nil
}

// keepMessages writes what the robot got to a file.
func (w *walk) keepMessages() error {
	var b strings.Builder
	for _, m := range w.robot.Messages() {
		fmt.Fprintf(&b, "<!-- %s, %d bytes -->\n%s\n\n---\n\n", m.At.Format(time.RFC3339Nano), m.Bytes, m.Text)
	}
	return os.WriteFile(w.messagesFile(), []byte(b.String()), 0o600)
}
