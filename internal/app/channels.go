package app

import (
	"slices"

	"github.com/kongdao/kongdao/alerting"
	"github.com/kongdao/kongdao/api"
)

// channels are those of the resources. What one names and is not there is left out and
// named, so that the others still speak.
func (s *System) channels(set api.Set, cfg alerting.Config) []alerting.Channel {
	var all []alerting.Channel
	for _, c := range set.Channels {
		one := alerting.Channel{Name: c.Name, Fallback: c.Spec.Fallback}
		for _, r := range c.Spec.Robots {
			if slices.ContainsFunc(cfg.Robots, func(x alerting.Robot) bool { return x.Name == r }) {
				one.Robots = append(one.Robots, r)
			}
		}
		if len(one.Robots) == 0 {
			s.log.Error("channel left out, none of its robots speaks", "channel", c.Name, "source", c.Source.String())
			continue
		}
		all = append(all, one)
	}
	known := cfg
	known.Channels = all
	for i, c := range all {
		if c.Fallback != "" && !known.Reaches(c.Fallback) {
			s.log.Error("channel has no fallback, there is no channel, robot or receiver with integrations of that name", "channel", c.Name, "fallback", c.Fallback)
			all[i].Fallback = ""
		}
	}
	return all
}

// setRobots takes over changed robots and channels.
func (s *System) setRobots(set api.Set) error {
	text, err := s.cfg.Alerting.Alertmanager()
	if err != nil {
		return err
	}
	cfg := alerting.Config{Alertmanager: text, Robots: s.robots(set)}
	return s.alerting.SetRobots(cfg.Robots, s.channels(set, cfg)...)
}
