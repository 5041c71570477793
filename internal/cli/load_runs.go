package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/kongdao/kongdao/internal/app"
	"github.com/kongdao/kongdao/loadtest/report"
)

// storeTimeout bounds what a finished run waits for the system.
const storeTimeout = 20 * time.Second

// store gives a result to the running system. A stress test needs none: what keeps
// the result from being stored is said, and no error.
func (e *env) store(ctx context.Context, r report.Result) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeTimeout) // a run that was stopped is stored, too
	defer cancel()
	c, err := e.connect()
	if err == nil {
		err = c.do(ctx, http.MethodPost, "/load-runs", nil, r, nil)
	}
	switch {
	case errors.Is(err, app.ErrNotRunning):
		fmt.Fprintf(e.err, "run %s is not stored: no system runs on %s\n", r.Run, e.data)
	case err != nil:
		fmt.Fprintf(e.err, "run %s is not stored: %v\n", r.Run, err)
	}
}

func (e *env) loadListCommand() *cobra.Command {
	var since time.Duration
	var scenario string
	var limit int
	cmd := &cobra.Command{
		Use: "list", Short: "list the stress tests that the running system has stored",
		Example: "  kongdao load list --since 24h --scenario feed-300",
		Args:    usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := e.connect()
			if err != nil {
				return err
			}
			q := url.Values{"limit": {strconv.Itoa(limit)}, "since": {time.Now().Add(-since).UTC().Format(time.RFC3339)}}
			if scenario != "" {
				q.Set("scenario", scenario)
			}
			var list app.LoadRunList
			if err := c.do(cmd.Context(), http.MethodGet, "/load-runs", q, nil, &list); err != nil {
				return err
			}
			return e.print(list, func(w io.Writer) { writeRuns(w, list.Runs) })
		},
	}
	cmd.Flags().DurationVar(&since, "since", 30*24*time.Hour, "runs that ended within this time")
	cmd.Flags().StringVar(&scenario, "scenario", "", "runs of this scenario alone")
	cmd.Flags().IntVar(&limit, "limit", 100, "the newest, at most so many")
	return cmd
}

func writeRuns(w io.Writer, runs []app.LoadRun) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "STARTED\tRUN\tSCENARIO\tFUNCTION\tRATE\tP50\tP99\tSUCCESS\tVERDICT\tCALLS AT THE GATEWAY")
	for _, r := range runs {
		function := r.Function
		if function == "" {
			function = "-"
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%.1f/s\t%.1f ms\t%.1f ms\t%.3f %%\t%s\t%d\n", r.Started.Local().Format("2006-01-02 15:04:05"),
			r.Run, r.Scenario, function, r.Rate, 1000*r.P50, 1000*r.P99, 100*r.Success, runVerdict(r), r.Calls.Calls)
	}
	_ = t.Flush() // to standard output
}

func runVerdict(r app.LoadRun) string {
	switch {
	case !r.Valid:
		return "invalid"
	case !r.OK:
		return "broken"
	}
	return "ok"
}

func (e *env) loadShowCommand() *cobra.Command {
	var also outputs
	cmd := &cobra.Command{
		Use: "show RUN", Short: "show a stored stress test beside the calls it made",
		Example: "  kongdao load show lt-0123456789ab --html run.html",
		Args:    usage(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			d, err := e.storedRun(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if err := also.write(d.Result); err != nil {
				return err
			}
			return e.print(d, func(w io.Writer) {
				_ = d.Result.WriteText(w)
				if d.Calls.Calls > 0 {
					fmt.Fprintf(w, "at the gateway  %d calls of %s, p50 %.1f ms  p90 %.1f ms  p99 %.1f ms, %d failed, %d refused; kongdao logs --load-run %s\n", d.Calls.Calls, d.Function,
						d.Calls.P50US/1000, d.Calls.P90US/1000, d.Calls.P99US/1000, d.Calls.Errors, d.Calls.Refused, d.Run)
				}
			})
		},
	}
	also.flags(cmd)
	return cmd
}

func (e *env) storedRun(ctx context.Context, run string) (d app.LoadRunDetail, err error) {
	c, err := e.connect()
	if err != nil {
		return d, err
	}
	return d, c.do(ctx, http.MethodGet, "/load-runs/"+url.PathEscape(run), nil, nil, &d)
}
