package collector

import (
	"time"

	"github.com/kongdao/kongdao/collector/tally"
)

// RevisionCalls counts calls of one revision: all that no limit refused, those that
// ended in 5xx, and those that took longer than a bound.
type RevisionCalls = tally.Revision

// Revisions counts a function's calls of real traffic by revision since the start,
// sampled out or not. A call counts when its block is durable.
func (c *Collector) Revisions(function string, slow time.Duration) map[string]RevisionCalls {
	return c.calls.Revisions(function, slow)
}
