package api

import (
	"fmt"
	"slices"
)

// KindChannel is the kind of several robots that share messages.
const KindChannel = "Channel"

// Channel is whom alerts are addressed to: several robots that share the messages,
// and who is handed what they cannot deliver. Receivers of Alertmanager's
// configuration and teams name it. Every robot is a channel of its own name besides.
type Channel struct {
	Metadata `yaml:"metadata" json:"metadata"`
	Spec     ChannelSpec `yaml:"spec" json:"spec"`
}

// ChannelSpec is who speaks in a channel.
type ChannelSpec struct {
	Robots   []string `yaml:"robots" json:"robots"`               // each has its own limit of messages a minute; those of one matter stay with one robot while it can take them
	Fallback string   `yaml:"fallback" json:"fallback,omitempty"` // a Channel, a Robot, or a receiver with integrations of Alertmanager's configuration; empty: alerting.fallback
}

func (*Channel) kind() string   { return KindChannel }
func (c *Channel) addTo(s *Set) { s.Channels = append(s.Channels, c) }
func (c *Channel) check(r *report) {
	r.metadata(&c.Metadata)
	if len(c.Spec.Robots) == 0 {
		r.add("spec.robots", "is missing, want the names of one or more robots")
	}
	for i, name := range c.Spec.Robots {
		if slices.Contains(c.Spec.Robots[:i], name) {
			r.add(fmt.Sprintf("spec.robots[%d]", i), "is %s, which is listed before: want each robot once", quote(name))
		}
	}
	if c.Spec.Fallback != "" && c.Spec.Fallback == c.Name {
		r.add("spec.fallback", "is the channel itself, want another one")
	}
}

// channels checks which robots channels name, and that no robot has a channel's name.
func (v validation) channels(s Set) {
	robots := directoryOf(s.Robots, KindRobot, s.Broken)
	for _, c := range s.Channels {
		for i, name := range c.Spec.Robots {
			v.mustExist(c, fmt.Sprintf("spec.robots[%d]", i), name, robots, KindRobot)
		}
		for _, rb := range s.Robots {
			if rb.Name == c.Name {
				where := v.report(rb).at("metadata.name")
				v.report(c).contradict(where, "metadata.name", "is %s, the name of the Robot at %s, which is a channel of that name: want a name of its own", quote(c.Name), where)
			}
		}
	}
}
