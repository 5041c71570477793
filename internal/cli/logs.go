package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/kongdao/kongdao/internal/app"
)

// followEvery is how often logs -f asks for new calls.
const followEvery = 500 * time.Millisecond

// followOverlap is how far back each question of logs -f reaches: calls are stored
// in the order in which they end, not begin.
const followOverlap = 30 * time.Second

type logsFlags struct {
	follow                          bool
	since                           time.Duration
	status, revision, zone, request string
	slowest, loadTest               bool
	limit                           int
}

func (e *env) logsCommand() *cobra.Command {
	var f logsFlags
	cmd := &cobra.Command{
		Use:     "logs FN",
		Short:   "the calls of a function",
		Long:    "Logs prints stored calls, oldest first, without any SQL. With -f it goes on with new ones; with -o json it prints one call a line.",
		Example: "  kongdao logs recommend-feed --status 5xx --since 1h\n  kongdao logs recommend-feed -f\n  kongdao logs recommend-feed --slowest --limit 10",
		Args:    usage(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := e.connect()
			if err != nil {
				return err
			}
			q := f.query(args[0])
			calls, err := c.calls(cmd.Context(), q)
			if err != nil {
				return err
			}
			if len(calls) == 0 && !f.follow {
				fmt.Fprintf(e.err, "no such call of %s in the last %v\n", args[0], f.since)
			}
			e.printCalls(calls)
			if !f.follow {
				return nil
			}
			return e.followCalls(cmd.Context(), c, q, calls)
		},
		ValidArgsFunction: e.completeFunctions,
	}
	fl := cmd.Flags()
	fl.BoolVarP(&f.follow, "follow", "f", false, "go on with new calls until Ctrl-C")
	fl.DurationVar(&f.since, "since", 15*time.Minute, "how far back")
	fl.StringVar(&f.status, "status", "", "such as 429 or 5xx")
	fl.StringVar(&f.revision, "revision", "", "of this revision")
	fl.StringVar(&f.zone, "zone", "", "answered by this zone")
	fl.StringVar(&f.request, "request-id", "", "this call alone")
	fl.BoolVar(&f.slowest, "slowest", false, "the slowest instead of the newest")
	fl.BoolVar(&f.loadTest, "load-test", false, "calls of load tests, too")
	fl.IntVar(&f.limit, "limit", 50, "calls at most")
	return cmd
}

func (f logsFlags) query(function string) url.Values {
	q := url.Values{
		"function": {function},
		"since":    {time.Now().Add(-f.since).UTC().Format(time.RFC3339Nano)},
		"limit":    {strconv.Itoa(f.limit)},
	}
	for name, value := range map[string]string{"status": f.status, "revision": f.revision, "zone": f.zone, "request_id": f.request} {
		if value != "" {
			q.Set(name, value)
		}
	}
	if f.slowest {
		q.Set("slowest", "true")
	}
	if f.loadTest {
		q.Set("load_test", "true")
	}
	return q
}

func (c *client) calls(ctx context.Context, q url.Values) ([]app.Call, error) {
	var list app.CallList
	err := c.do(ctx, http.MethodGet, "/calls", q, nil, &list)
	return list.Calls, err
}

// followCalls prints new calls until ctx ends. Questions overlap, because a long
// call is stored after shorter ones that began later; seen drops the doubles.
func (e *env) followCalls(ctx context.Context, c *client, q url.Values, printed []app.Call) error {
	seen := map[string]time.Time{}
	for _, call := range printed {
		seen[call.RequestID] = call.TS
	}
	q.Set("limit", "10000")
	q.Del("slowest")
	tick := time.NewTicker(followEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		horizon := time.Now().Add(-followOverlap)
		q.Set("since", horizon.UTC().Format(time.RFC3339Nano))
		calls, err := c.calls(ctx, q)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		e.printCalls(unseen(calls, seen))
		for id, ts := range seen {
			if ts.Before(horizon) {
				delete(seen, id)
			}
		}
	}
}

func unseen(calls []app.Call, seen map[string]time.Time) []app.Call {
	var fresh []app.Call
	for _, call := range calls {
		if _, old := seen[call.RequestID]; !old {
			seen[call.RequestID] = call.TS
			fresh = append(fresh, call)
		}
	}
	return fresh
}

func (e *env) printCalls(calls []app.Call) {
	enc := json.NewEncoder(e.out)
	for _, c := range calls {
		if e.output == "json" {
			_ = enc.Encode(c)
			continue
		}
		writeCall(e.out, c)
	}
}

func writeCall(w io.Writer, c app.Call) {
	note := c.Flags
	if c.LimitedBy != "" {
		note += " limited by " + c.LimitedBy
	}
	fmt.Fprintf(w, "%s  %d  %8.1fms  %-6s %-32s  %s %s %s  %s %s\n", c.TS.Local().Format("15:04:05.000"), c.Status,
		float64(c.DurationUS)/1000, c.Method, c.Path, c.Revision, c.Zone, c.Pod, c.RequestID, note)
}
