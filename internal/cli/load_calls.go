package cli

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/kongdao/kongdao/internal/app"
)

const (
	callsAtOnce   = 10_000 // what the API gives at most
	firstWindow   = 10 * time.Second
	longestWindow = 10 * time.Minute
	leastWindow   = time.Microsecond // calls have no finer times
)

// eachCall gives the calls of a time, oldest first. The API gives the newest of a
// time, so it is asked about stretches with fewer than it gives: a stretch with more
// is halved.
func (c *client) eachCall(ctx context.Context, q url.Values, from, to time.Time, give func(app.Call) bool) error {
	q.Set("limit", strconv.Itoa(callsAtOnce))
	after := from.Truncate(leastWindow).Add(-leastWindow) // the API's since is not in its answer
	window := firstWindow
	for after.Before(to) {
		until := after.Add(window)
		if until.After(to) {
			until = to
		}
		q.Set("since", after.UTC().Format(time.RFC3339Nano))
		q.Set("until", until.UTC().Format(time.RFC3339Nano))
		var list app.CallList
		if err := c.do(ctx, http.MethodGet, "/calls", q, nil, &list); err != nil {
			return err
		}
		if len(list.Calls) == callsAtOnce {
			if window = window / 2; window < leastWindow {
				return errors.New("more than 10000 calls within a microsecond")
			}
			window = window.Truncate(leastWindow)
			continue
		}
		for _, call := range list.Calls {
			if !give(call) {
				return nil
			}
		}
		after = until
		if len(list.Calls) < callsAtOnce/4 {
			window = min(2*window, longestWindow)
		}
	}
	return nil
}
