package cli

import (
	"fmt"

	"github.com/kongdao/kongdao/capacity/search"
)

// stoppedSearch is a search that had to end before it knew: why, and how far it was.
func stoppedSearch(why string, r search.Result) error {
	kept := 0.0
	for _, s := range r.Steps {
		if s.Kept {
			kept = max(kept, s.Rate)
		}
	}
	text := fmt.Sprintf("the search was stopped: %s; the pod is given back; until then %d steps, %d requests in %.1f s under load, of which %d broke the objective, at most %.1f/s tried",
		why, len(r.Steps), r.Requests, r.Load, r.Broke, r.Peak)
	if kept > 0 {
		text += fmt.Sprintf(", kept up to %.1f/s", kept)
	}
	return refused(fmt.Errorf("%s: that is no safe rate", text))
}
