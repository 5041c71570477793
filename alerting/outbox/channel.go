package outbox

import (
	"errors"
	"fmt"
	"slices"
)

// Channel is whom messages are addressed to. A name that no channel has is that of
// a robot: a channel of one, without a fallback of its own.
type Channel struct {
	Name string
	// Robots share the channel's messages: each goes to the robot with the most free
	// places, and those of one matter stay with one robot while it can take them.
	Robots []string
	// Receiver is one of Alertmanager's, in place of robots: it is told each group by
	// itself, without a limit.
	Receiver string
	// Fallback is the channel that is handed what this one cannot deliver; empty:
	// that of the outbox.
	Fallback string
}

// ValidateChannels names every channel that is wrong.
func ValidateChannels(cs []Channel) error {
	var errs []error
	seen := map[string]bool{}
	for _, c := range cs {
		if c.Name == "" || seen[c.Name] {
			errs = append(errs, fmt.Errorf("channels: %q must be the name of one channel alone", c.Name))
		}
		seen[c.Name] = true
		if (len(c.Robots) > 0) == (c.Receiver != "") {
			errs = append(errs, fmt.Errorf("channel %s: must have either robots or a receiver", c.Name))
		}
		if c.Fallback == c.Name {
			errs = append(errs, fmt.Errorf("channel %s: must not be its own fallback", c.Name))
		}
	}
	return errors.Join(errs...)
}

// SetChannels replaces all channels; what waits goes on by the new ones. Channels
// that are wrong change nothing.
func (o *Outbox) SetChannels(cs []Channel) error {
	if err := ValidateChannels(cs); err != nil {
		return err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.cfg.Channels = slices.Clone(cs)
	for _, q := range o.queues {
		q.channel = o.channelOf(q.channel.Name)
		q.signal()
	}
	return nil
}

func (o *Outbox) channelOf(name string) Channel {
	for _, c := range o.cfg.Channels {
		if c.Name == name {
			return c
		}
	}
	return Channel{Name: name, Robots: []string{name}}
}

// fallbackOf is the next channel for what was accepted for c and has been in via
// before; empty: there is none.
func (o *Outbox) fallbackOf(c Channel, via []string) string {
	next := c.Fallback
	if next == "" {
		next = o.cfg.Fallback
	}
	if next == c.Name || slices.Contains(via, next) {
		return ""
	}
	return next
}

// targets are the robots of a channel, or its receiver.
func (c Channel) targets() []string {
	if c.Receiver != "" {
		return []string{c.Receiver}
	}
	return c.Robots
}

// FallbackOf is the channel that is handed what this one cannot deliver; empty: there
// is none.
func (o *Outbox) FallbackOf(channel string) string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.fallbackOf(o.channelOf(channel), nil)
}
