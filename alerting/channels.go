package alerting

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/kongdao/kongdao/alerting/claim"
	"github.com/kongdao/kongdao/alerting/dingtalk"
	"github.com/kongdao/kongdao/alerting/engine"
	"github.com/kongdao/kongdao/alerting/outbox"
)

// Channel is whom messages are addressed to: several robots that share them, and who
// is handed what they cannot deliver. Its Fallback is a channel, a robot, or a
// receiver with integrations of Alertmanager's configuration. Each robot is a channel
// of its own name besides.
type Channel = outbox.Channel

// undelivered is the alert about a channel that delivers nothing, named by the label
// channel. It is sent through another one.
const undelivered = "NotificationUndelivered"

// resolveChannels are the channels as the outbox knows them: receivers that stand in for
// others are channels, too.
func resolveChannels(channels []Channel, fallback string, steps []string, robots []Robot, receivers []string) ([]Channel, error) {
	known := map[string]bool{}
	for _, r := range robots {
		known[r.Name] = true
	}
	var errs []error
	for _, c := range channels {
		if known[c.Name] && !slices.Equal(c.Robots, []string{c.Name}) {
			errs = append(errs, fmt.Errorf("channel %s: there is a robot of that name", c.Name))
		}
		for _, r := range c.Robots {
			if !slices.ContainsFunc(robots, func(x Robot) bool { return x.Name == r }) {
				errs = append(errs, fmt.Errorf("channel %s: there is no robot %q", c.Name, r))
			}
		}
	}
	all := slices.Clone(channels)
	for _, c := range channels {
		known[c.Name] = true
	}
	add := func(who, name string) {
		switch {
		case name == "" || known[name]:
		case slices.Contains(receivers, name):
			known[name] = true
			all = append(all, Channel{Name: name, Receiver: name})
		default:
			errs = append(errs, fmt.Errorf("%s: there is no channel or robot %q, nor a receiver of that name with integrations", who, name))
		}
	}
	for _, c := range channels {
		add("fallback of channel "+c.Name, c.Fallback)
	}
	add("fallback", fallback)
	for i, to := range steps {
		if to != claim.Next {
			add(fmt.Sprintf("escalation.to[%d]", i), to)
		}
	}
	errs = append(errs, outbox.ValidateChannels(all))
	return all, errors.Join(errs...)
}

func (c Config) channels() ([]Channel, error) {
	receivers, _ := engine.Integrations(c.engine().Alertmanager) // what is wrong with it is said elsewhere
	return resolveChannels(c.Channels, c.Fallback, c.Escalation.To, c.Robots, receivers)
}

// addressees are the names that Alertmanager's receivers may have, channels before
// robots: the first one is the default.
func addressees(channels []Channel, robots []Robot) []string {
	var ns []string
	for _, c := range channels {
		ns = append(ns, c.Name)
	}
	slices.Sort(ns)
	return slices.Compact(append(ns, names(robots)...))
}

// put is what Alertmanager's pipeline ends in.
func (a *Alerter) put(channel string, g dingtalk.Group) error {
	if to := a.outbox.FallbackOf(channel); to != "" && aboutChannel(g, channel) {
		channel = to
	}
	return a.told(channel, g)
}

// aboutChannel reports whether g says that nothing comes through the channel.
func aboutChannel(g dingtalk.Group, channel string) bool {
	return slices.ContainsFunc(g.Alerts, func(x dingtalk.Alert) bool {
		return x.Labels["alertname"] == undelivered && x.Labels["channel"] == channel
	})
}

// notify tells a receiver of Alertmanager's configuration about a group.
func (a *Alerter) notify(ctx context.Context, receiver string, g dingtalk.Group) error {
	again, err := a.engine.Notify(ctx, receiver, g)
	if err == nil {
		return nil
	}
	kind := dingtalk.Permanent
	if again {
		kind = dingtalk.Transient
	}
	return &dingtalk.SendError{Robot: receiver, Kind: kind, Message: err.Error()}
}

// Reaches reports whether name is a channel, a robot, or a receiver with integrations.
func (c Config) Reaches(name string) bool {
	if slices.ContainsFunc(c.Channels, func(x Channel) bool { return x.Name == name }) || slices.Contains(names(c.Robots), name) {
		return true
	}
	receivers, _ := engine.Integrations(c.engine().Alertmanager)
	return slices.Contains(receivers, name)
}
