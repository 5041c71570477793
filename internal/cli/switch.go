package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/kongdao/kongdao/api"
	"github.com/kongdao/kongdao/capacity/switchover"
	"github.com/kongdao/kongdao/internal/app"
)

func (e *env) switchCommand() *cobra.Command {
	return group("switch", "staged, reversible moves of traffic between zones or revisions, by plan",
		e.switchPlanCommand(), e.switchApplyCommand(), e.switchAbortCommand(), e.switchStatusCommand())
}

func (e *env) switchPlanCommand() *cobra.Command {
	return &cobra.Command{
		Use: "plan FILE", Short: "would this switch fit, step by step?",
		Long:    "Plan checks the TrafficSwitch in FILE against the traffic and the pods of now, and the peak. Nothing is moved. Exit code 3 when a step does not fit, with the figures.",
		Example: "  kongdao switch plan leave-zb-b.yaml",
		Args:    usage(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			r, err := e.orderSwitch(cmd.Context(), args[0], true)
			if err != nil {
				return err
			}
			if err := e.print(r, func(w io.Writer) { writeSwitch(w, r) }); err != nil {
				return err
			}
			if r.Error != "" {
				return refused(nil)
			}
			return nil
		},
	}
}

func (e *env) switchApplyCommand() *cobra.Command {
	var detach bool
	cmd := &cobra.Command{
		Use: "apply FILE", Short: "carry a switch out, step by step",
		Long: `Apply checks the TrafficSwitch in FILE as plan does, and then takes its steps. Each is
checked again before it is taken and watched afterwards; when production's
objectives, or the plan's gates, break, everything goes back. At the end date
everything goes back, too.

The running system carries it out, and goes on after a restart. Ctrl-C ends the view
alone: kongdao switch abort NAME restores.`,
		Example: "  kongdao switch apply leave-zb-b.yaml\n  kongdao switch apply leave-zb-b.yaml --detach",
		Args:    usage(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			plan, err := e.orderSwitch(cmd.Context(), args[0], true)
			if err != nil {
				return err
			}
			if plan.Error != "" {
				return errors.Join(e.print(plan, func(w io.Writer) { writeSwitch(w, plan) }), refused(nil))
			}
			r, err := e.orderSwitch(cmd.Context(), args[0], false)
			if err != nil {
				return err
			}
			if !detach {
				if r, err = e.followSwitch(cmd.Context(), r); err != nil {
					return err
				}
			}
			if err := e.print(r, func(w io.Writer) { writeSwitch(w, r) }); err != nil {
				return err
			}
			if !r.State.Active() && r.State != switchover.Expired {
				return &exitError{code: exitFailed}
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&detach, "detach", false, "do not wait until all steps are taken")
	return cmd
}

// orderSwitch sends a file, which is checked here first, for its lines.
func (e *env) orderSwitch(ctx context.Context, file string, plan bool) (r switchover.Record, err error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return r, invalid(err)
	}
	set, problems := api.Parse(file, text)
	if len(problems) > 0 {
		return r, problems
	}
	if len(set.TrafficSwitches) != 1 || set.Len() != 1 {
		return r, invalid(fmt.Errorf("%s: want one document of kind TrafficSwitch", file))
	}
	c, err := e.connect()
	if err != nil {
		return r, err
	}
	return r, c.do(ctx, http.MethodPost, "/switches", nil, app.SwitchOrder{File: file, Text: string(text), Plan: plan}, &r)
}

// followSwitch prints what happens until all steps are taken, or the switch is over.
func (e *env) followSwitch(ctx context.Context, r switchover.Record) (switchover.Record, error) {
	c, err := e.connect()
	if err != nil {
		return r, err
	}
	tick := time.NewTicker(drillPoll)
	defer tick.Stop()
	shown := 0
	for {
		for ; shown < len(r.Events); shown++ {
			fmt.Fprintf(e.err, "%s  %s: %s\n", r.Events[shown].At.Local().Format(time.TimeOnly), r.Name, r.Events[shown].What)
		}
		if r.State != switchover.Moving {
			return r, nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			fmt.Fprintf(e.err, "the switch goes on: kongdao switch abort %s restores\n", r.Name)
			return r, nil
		}
		next, err := findSwitch(context.WithoutCancel(ctx), c, r.Name)
		if err != nil {
			return r, err
		}
		r = next
	}
}

func findSwitch(ctx context.Context, c *client, name string) (r switchover.Record, err error) {
	var list app.SwitchList
	if err := c.do(ctx, http.MethodGet, "/switches", nil, nil, &list); err != nil {
		return r, err
	}
	for _, r := range list.Switches {
		if r.Name == name {
			return r, nil
		}
	}
	return r, fmt.Errorf("there is no switch %s: see kongdao switch status", name)
}

func (e *env) switchAbortCommand() *cobra.Command {
	return &cobra.Command{
		Use: "abort NAME", Short: "end a switch and restore everything at once", Args: usage(cobra.ExactArgs(1)),
		Example: "  kongdao switch abort leave-zb-b",
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := e.connect()
			if err != nil {
				return err
			}
			if err := c.do(cmd.Context(), http.MethodDelete, "/switches/"+url.PathEscape(args[0]), nil, nil, nil); err != nil {
				return err
			}
			tick := time.NewTicker(drillPoll)
			defer tick.Stop()
			for {
				r, err := findSwitch(cmd.Context(), c, args[0])
				if err != nil {
					return err
				}
				if !r.State.Active() {
					return e.print(r, func(w io.Writer) { writeSwitch(w, r) })
				}
				select {
				case <-tick.C:
				case <-cmd.Context().Done():
					return cmd.Context().Err()
				}
			}
		},
	}
}

func (e *env) switchStatusCommand() *cobra.Command {
	return &cobra.Command{
		Use: "status [NAME]", Short: "all switches, or one with its course", Args: usage(cobra.MaximumNArgs(1)),
		Example: "  kongdao switch status\n  kongdao switch status leave-zb-b -o json",
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := e.connect()
			if err != nil {
				return err
			}
			if len(args) > 0 {
				r, err := findSwitch(cmd.Context(), c, args[0])
				if err != nil {
					return err
				}
				return e.print(r, func(w io.Writer) { writeSwitch(w, r) })
			}
			var list app.SwitchList
			if err := c.do(cmd.Context(), http.MethodGet, "/switches", nil, nil, &list); err != nil {
				return err
			}
			return e.print(list.Switches, func(w io.Writer) {
				t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
				fmt.Fprintln(t, "SWITCH\tMOVES\tSTATE\tSTEP\tENDS\tWHY")
				for _, r := range list.Switches {
					fmt.Fprintf(t, "%s\t%s\t%s\t%d/%d\t%s\t%s\n", r.Name, switchover.What(r.Spec), r.State, r.Step, len(r.Spec.Steps), r.Ends.Local().Format(time.DateTime), r.Error)
				}
				_ = t.Flush()
			})
		},
	}
}

// writeSwitch writes a switch for people.
func writeSwitch(w io.Writer, r switchover.Record) {
	fmt.Fprintf(w, "switch %s of %s: %s", r.Name, switchover.What(r.Spec), r.State)
	if r.Error != "" {
		fmt.Fprintf(w, ": %s", r.Error)
	}
	fmt.Fprintf(w, "\nends %s, when all is restored\n", r.Ends.Local().Format(time.DateTime))
	for i, step := range r.Spec.Steps {
		mark := " "
		if i < r.Step {
			mark = "✓"
		}
		fmt.Fprintf(w, "%s step %d: %d %%, watched for %v\n", mark, i+1, step.Percent, step.Wait)
		if i < len(r.Checks) {
			for _, f := range r.Checks[i].Figures {
				fmt.Fprintf(w, "      %s\n", f)
			}
		}
	}
	for _, event := range r.Events {
		fmt.Fprintf(w, "%s  %s\n", event.At.Local().Format(time.DateTime), event.What)
	}
}
