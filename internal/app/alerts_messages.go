package app

import (
	"time"

	"github.com/kongdao/kongdao/alerting/dingtalk"
)

// lastReleased is the revision that got more of a function's traffic last, for
// messages about the function.
func (s *System) lastReleased(function string, at time.Time) (dingtalk.Release, bool) {
	rise, ok := s.ledger.Risen(function, at)
	return dingtalk.Release{Revision: rise.Revision, At: rise.Time}, ok
}
