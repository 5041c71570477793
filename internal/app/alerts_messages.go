package app

import (
	"time"

	"github.com/kongdao/kongdao/alerting/dingtalk"
	"github.com/kongdao/kongdao/dashboards"
)

// lastReleased is the revision that got more of a function's traffic last, for
// messages about the function.
func (s *System) lastReleased(function string, at time.Time) (dingtalk.Release, bool) {
	rise, ok := s.ledger.Risen(function, at)
	return dingtalk.Release{Revision: rise.Revision, At: rise.Time}, ok
}

// dashboardOf is where to look at what an alert is about.
func (s *System) dashboardOf(labels map[string]string, from, to time.Time) string {
	return dashboards.Link(s.cfg.Alerting.GrafanaURL, labels["function"], labels["zone"], from, to)
}
