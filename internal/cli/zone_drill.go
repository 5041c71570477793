package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/kongdao/kongdao/capacity/drill"
	"github.com/kongdao/kongdao/internal/app"
)

func (e *env) zoneDrillCommand() *cobra.Command {
	var o app.DrillOrder
	var step, hold time.Duration
	var page string
	cmd := &cobra.Command{
		Use: "drill ZONE", Short: "lose a zone on purpose: predict, drain, observe, restore, report",
		Long: `Drill asks first whether the pods of the other zones can take over within their
safe rates, now and at the peak (the highest of forecastQPS, the forecast and the busiest
minute of a week), and refuses with the figures otherwise (exit code 3). It predicts
rate, p99 and refusals, drains the zone in steps while production keeps its objectives, holds
it empty, restores it, and reports what was predicted beside what was seen.

The running system carries it out: the zone is restored when an objective breaks,
on Ctrl-C, when this command or its terminal is gone, after a restart in the
middle, and in any case some minutes after the planned end. Reports are kept: see
kongdao zone drills.`,
		Example: "  kongdao zone drill zb-b --dry-run\n  kongdao zone drill zb-b --hold 2m --html drill.html\n  kongdao zone drill zb-b -o json",
		Args:    usage(cobra.ExactArgs(1)), ValidArgsFunction: e.completeZones,
		RunE: func(cmd *cobra.Command, args []string) error {
			o.Zone, o.StepS, o.HoldS = args[0], step.Seconds(), hold.Seconds()
			return e.drill(cmd.Context(), o, page)
		},
	}
	fl := cmd.Flags()
	fl.IntSliceVar(&o.Steps, "steps", []int{50, 10, 0}, "shares on the way down, percent, ending with 0")
	fl.DurationVar(&step, "interval", 1500*time.Millisecond, "how long each step is watched before the next")
	fl.DurationVar(&hold, "hold", time.Minute, "how long the zone stays empty")
	fl.BoolVar(&o.Force, "force", false, "even if the other zones cannot take over, or nobody knows")
	fl.BoolVar(&o.Kill, "kill", false, "kill the zone's pods instead of draining them: only those that the system itself started, as in a test fleet")
	fl.BoolVar(&o.DryRun, "dry-run", false, "pre-check and prediction alone")
	fl.StringVar(&page, "html", "", "write the report as a page to this file, too")
	return cmd
}

// drill orders a drill, follows it to its end and prints its report.
func (e *env) drill(ctx context.Context, o app.DrillOrder, page string) error {
	c, err := e.connect()
	if err != nil {
		return err
	}
	var r drill.Record
	if err := c.do(context.WithoutCancel(ctx), http.MethodPost, "/drills", nil, o, &r); err != nil {
		return err
	}
	if r, err = e.follow(ctx, c, r); err != nil {
		return err
	}
	if err := e.writeDrill(r, page); err != nil {
		return err
	}
	switch r.State {
	case drill.Refused:
		return refused(errors.New("refused: nothing was moved; --force drills all the same"))
	case drill.TakenBack, drill.Interrupted:
		return &exitError{code: exitFailed}
	}
	if o.DryRun && !r.Precheck.OK {
		return refused(nil)
	}
	return nil
}

// drillPoll is how often a drill is looked at.
const drillPoll = 200 * time.Millisecond

// follow prints what happens until the drill has ended. The end of ctx ends the drill,
// which restores the zone, and its report is still waited for.
func (e *env) follow(ctx context.Context, c *client, r drill.Record) (drill.Record, error) {
	tick := time.NewTicker(drillPoll)
	defer tick.Stop()
	asking := context.WithoutCancel(ctx)
	aborted := ctx.Done()
	shown := 0
	for {
		for ; shown < len(r.Events); shown++ {
			fmt.Fprintf(e.err, "%s  %s: %s\n", r.Events[shown].At.Local().Format(time.TimeOnly), r.Zone, r.Events[shown].What)
		}
		if r.State != drill.Running {
			return r, nil
		}
		select {
		case <-tick.C:
		case <-aborted:
			aborted = nil
			fmt.Fprintf(e.err, "giving up: %s is being restored\n", r.Zone)
			if err := c.do(asking, http.MethodDelete, "/drills/"+url.PathEscape(r.ID), nil, nil, nil); err != nil {
				return r, err
			}
		}
		if err := c.do(asking, http.MethodGet, "/drills/"+url.PathEscape(r.ID), nil, nil, &r); err != nil {
			return r, fmt.Errorf("the drill goes on by itself, and restores the zone: %w", err)
		}
	}
}

// writeDrill prints a record, and writes its page where one is asked for.
func (e *env) writeDrill(r drill.Record, page string) error {
	if err := writeTo(page, r.WriteHTML); err != nil {
		return err
	}
	return e.print(r, func(w io.Writer) { _ = r.WriteText(w) })
}

func (e *env) zoneDrillsCommand() *cobra.Command {
	return group("drills", "drills of the past and their reports", e.zoneDrillsListCommand(), e.zoneDrillsShowCommand())
}

func (e *env) zoneDrillsListCommand() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "all drills that are remembered, the newest first", Args: usage(cobra.NoArgs),
		Example: "  kongdao zone drills list -o json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			all, err := e.allDrills(cmd.Context())
			if err != nil {
				return err
			}
			return e.print(all, func(w io.Writer) {
				t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
				fmt.Fprintln(t, "DRILL\tZONE\tBY\tSTATE\tTOOK\tEMPTY AFTER\tFAILED\tWHY")
				for _, r := range all {
					took, empty, failed := "", "", ""
					if !r.Ended.IsZero() {
						took = r.Ended.Sub(r.Began).Round(time.Second).String()
					}
					if r.Seen != nil {
						empty, failed = fmt.Sprintf("%.1f s", max(0, r.Seen.EmptySeconds)), fmt.Sprint(r.Seen.Failed)
					}
					fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", r.ID, r.Zone, r.By, r.State, took, empty, failed, r.Error)
				}
				_ = t.Flush()
			})
		},
	}
}

func (e *env) allDrills(ctx context.Context) ([]drill.Record, error) {
	c, err := e.connect()
	if err != nil {
		return nil, err
	}
	var list app.DrillList
	err = c.do(ctx, http.MethodGet, "/drills", nil, nil, &list)
	return list.Drills, err
}

func (e *env) zoneDrillsShowCommand() *cobra.Command {
	var page string
	cmd := &cobra.Command{
		Use: "show [DRILL]", Short: "the report of a drill; of the last one without a name", Args: usage(cobra.MaximumNArgs(1)),
		Example: "  kongdao zone drills show\n  kongdao zone drills show 20260401-080000-zb-b --html drill.html",
		RunE: func(cmd *cobra.Command, args []string) error {
			all, err := e.allDrills(cmd.Context())
			if err != nil {
				return err
			}
			for _, r := range all {
				if len(args) == 0 || r.ID == args[0] {
					return e.writeDrill(r, page)
				}
			}
			return errors.New("there is no such drill: see kongdao zone drills list")
		},
	}
	cmd.Flags().StringVar(&page, "html", "", "write the report as a page to this file, too")
	return cmd
}
