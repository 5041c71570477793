package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/kongdao/kongdao/capacity/watch"
	"github.com/kongdao/kongdao/internal/app"
)

// followWatchEvery is how often --follow asks; a look takes place once a minute.
const followWatchEvery = 5 * time.Second

func (e *env) capacityWatchCommand() *cobra.Command {
	follow := false
	cmd := &cobra.Command{
		Use: "watch [FN]", Short: "what a pod can take, by ordinary calls alone",
		Long: `Watch says of each revision what one pod can take within its objective, from the
calls of the last three hours, load tests left out: where pods had that rate what was
seen, else by queueing models that agree with latency by load. And it says whether a
revision takes longer than the one before at the same load, before a peak shows it.

With --follow it goes on, once for each new look, until Ctrl-C; with -o json a line each.`,
		Example: "  kongdao capacity watch\n  kongdao capacity watch recommend-feed --follow -o json",
		Args:    usage(cobra.MaximumNArgs(1)), ValidArgsFunction: e.completeFunctions,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := e.connect()
			if err != nil {
				return err
			}
			query := url.Values{}
			if len(args) > 0 {
				query.Set("function", args[0])
			}
			if follow {
				return e.followWatch(cmd.Context(), c, query)
			}
			var w app.Watched
			if err := c.do(cmd.Context(), http.MethodGet, "/capacity/watch", query, nil, &w); err != nil {
				return err
			}
			return e.print(w, func(out io.Writer) { watchText(out, e.err, w) })
		},
	}
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "go on with each new look until Ctrl-C")
	return cmd
}

func (e *env) followWatch(ctx context.Context, c *client, query url.Values) error {
	tick := time.NewTicker(followWatchEvery)
	defer tick.Stop()
	var last app.Watched
	for first := true; ; first = false {
		var w app.Watched
		if err := c.do(ctx, http.MethodGet, "/capacity/watch", query, nil, &w); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		if first || !w.At.Equal(last.At) || w.Error != last.Error {
			if e.output == "json" {
				if err := json.NewEncoder(e.out).Encode(w); err != nil {
					return err
				}
			} else {
				watchText(e.out, e.err, w)
			}
		}
		last = w
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

func watchText(out, notes io.Writer, w app.Watched) {
	if w.Error != "" {
		fmt.Fprintln(notes, w.Error)
	}
	if w.At.IsZero() {
		fmt.Fprintln(notes, "nothing was looked at yet: the first look comes a minute after the start")
		return
	}
	fmt.Fprintf(notes, "as of %s\n", clock(w.At))
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "FUNCTION\tREVISION\tSAFE RATE\tINTERVAL\tHIGHEST SEEN\tHOW\tAGAINST THE ONE BEFORE")
	for _, f := range w.Functions {
		for _, r := range f.Revisions {
			safe, interval, how := "-", "-", r.Estimate.Why
			if r.Estimate.Known {
				safe, interval = fmt.Sprintf("%.1f/s", r.Estimate.Safe), fmt.Sprintf("%.1f to %.1f/s", r.Estimate.Low, r.Estimate.High)
				how = string(r.Estimate.How)
			}
			fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%.1f/s\t%s\t%s\n", f.Function, r.Revision, safe, interval, r.Estimate.Highest, how, against(r.Change))
		}
	}
	_ = t.Flush()
}

func against(c *watch.Change) string {
	switch {
	case c == nil:
		return "-"
	case !c.Known:
		return c.Why
	}
	text := fmt.Sprintf("%.2f times as long as %s (%.2f to %.2f)", c.Slower, c.Before, c.Low, c.High)
	if c.Worse {
		text = "WORSE: " + text
	}
	return text
}
