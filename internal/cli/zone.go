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
	"github.com/kongdao/kongdao/xds"
)

func (e *env) zoneCommand() *cobra.Command {
	return group("zone", "zones: share of traffic, drain, restore, drill",
		e.zoneListCommand(), e.zoneDrainCommand(), e.zoneRestoreCommand(), e.zoneDrillCommand(), e.zoneDrillsCommand())
}

func (e *env) zoneListCommand() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "all zones", Example: "  kongdao zone list", Args: usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := e.connect()
			if err != nil {
				return err
			}
			var state xds.State
			if err := c.do(cmd.Context(), http.MethodGet, "/state", nil, nil, &state); err != nil {
				return err
			}
			return e.print(state.Zones, func(w io.Writer) {
				t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
				fmt.Fprintln(t, "ZONE\tPRIORITY\tSHARE\tREADY\tUNTIL")
				for _, z := range state.Zones {
					fmt.Fprintf(t, "%s\t%d\t%d%%\t%d/%d\t%s\n", z.Name, z.Priority, z.Weight, z.Ready, z.Pods, until(z))
				}
				_ = t.Flush()
			})
		},
	}
}

// until says when a zone that was moved has its share again.
func until(z xds.ZoneState) string {
	switch {
	case z.Until != nil:
		return z.Until.Local().Format(time.DateTime)
	case z.Weight == 0:
		return "restored by hand"
	}
	return ""
}

type drillFlags struct {
	config   drill.Config
	force    bool
	restores bool
}

func (f *drillFlags) add(cmd *cobra.Command) {
	f.pace(cmd, "shares on the way down, percent, ending with 0")
	cmd.Flags().BoolVar(&f.force, "force", false, "even if the other zones cannot take over, or nobody knows")
}

// pace adds the flags of what moves in steps.
func (f *drillFlags) pace(cmd *cobra.Command, steps string) {
	f.config = drill.DefaultConfig()
	fl := cmd.Flags()
	fl.IntSliceVar(&f.config.Steps, "steps", f.config.Steps, steps)
	fl.DurationVar(&f.config.Settle, "interval", f.config.Settle, "how long each step is watched before the next")
	fl.DurationVar(&f.config.Settle, "settle", f.config.Settle, "the same as --interval")
	_ = fl.MarkHidden("settle") // a name of before
}

func (e *env) zoneDrainCommand() *cobra.Command {
	var f drillFlags
	cmd := &cobra.Command{
		Use: "drain ZONE", Short: "move all traffic out of a zone, step by step",
		Long: `Drain first asks whether the pods of the other zones can take the traffic of
the last minute within their safe rate, and refuses with the figures otherwise
(exit code 3). Then it lowers the zone's share step by step while calls do not
fail; when they do, or on Ctrl-C, the zone gets its share back. A drain expires,
outlives the control plane that keeps it, and ends where somebody else moves the
zone meanwhile, as kongdao zone restore does.`,
		Example: "  kongdao zone drain zb-b\n  kongdao zone drain zb-b --for 30m --steps 50,0 --interval 10s",
		Args:    usage(cobra.ExactArgs(1)), ValidArgsFunction: e.completeZones,
		RunE: func(cmd *cobra.Command, args []string) error {
			return e.shift(cmd.Context(), args[0], f, (*drill.Runner).Drain)
		},
	}
	f.add(cmd)
	cmd.Flags().DurationVar(&f.config.Expiry, "for", f.config.Expiry, "after which the zone is restored by itself")
	cmd.Flags().DurationVar(&f.config.Expiry, "expiry", f.config.Expiry, "the same as --for")
	_ = cmd.Flags().MarkHidden("expiry") // a name of before
	return cmd
}

func (e *env) zoneRestoreCommand() *cobra.Command {
	f := drillFlags{force: true, restores: true}
	cmd := &cobra.Command{
		Use: "restore ZONE", Short: "give a zone its traffic back",
		Long:    "Restore gives a zone its full share back, from what it has now, whatever moves it at the moment; --steps 0 does it at once.",
		Example: "  kongdao zone restore zb-b\n  kongdao zone restore zb-b --steps 0",
		Args:    usage(cobra.ExactArgs(1)), ValidArgsFunction: e.completeZones,
		RunE: func(cmd *cobra.Command, args []string) error {
			return e.shift(cmd.Context(), args[0], f, (*drill.Runner).Restore)
		},
	}
	f.pace(cmd, "shares on the way up, percent, in falling order, ending with 0; those that the zone has already are left out")
	return cmd
}

// shift asks first, unless it is told not to, and then moves the zone.
func (e *env) shift(ctx context.Context, zone string, f drillFlags, move func(*drill.Runner, context.Context, string) (drill.Report, error)) error {
	c, err := e.connect()
	if err != nil {
		return err
	}
	if !f.force {
		if err := e.precheck(ctx, c, zone); err != nil {
			return err
		}
	}
	steps, err := f.plan(ctx, c, zone)
	if err != nil {
		return err
	}
	set := func(ctx context.Context, zone string, weight int) error {
		fmt.Fprintf(e.err, "%s  %s gets %d%% of its share\n", time.Now().Format(time.TimeOnly), zone, weight)
		return steps.to(ctx, weight)
	}
	fine := func(ctx context.Context) error {
		err := c.callsAreFine(ctx)
		if f.force && errors.Is(err, errUnknown) {
			return nil
		}
		return err
	}
	runner, err := drill.New(f.config, set, fine)
	if err != nil {
		return invalid(err)
	}
	report, err := move(runner, ctx, zone)
	return errors.Join(e.print(report, func(w io.Writer) { _ = report.WriteText(w) }), err)
}

func (e *env) precheck(ctx context.Context, c *client, zone string) error {
	var check drill.Precheck
	if err := c.do(ctx, http.MethodGet, "/zones/"+url.PathEscape(zone)+"/precheck", nil, nil, &check); err != nil {
		return err
	}
	if check.OK {
		return nil
	}
	if err := e.print(check, func(w io.Writer) { _ = check.WriteText(w) }); err != nil {
		return err
	}
	return refused(errors.New("refused: the other zones cannot take over; --force drains all the same"))
}

// errUnknown is for calls of which nobody can say how they went.
var errUnknown = errors.New("how calls go is not known")

// callsAreFine says what is wrong with the calls of the last seconds, if anything.
func (c *client) callsAreFine(ctx context.Context) error {
	var h app.CallHealth
	if err := c.do(ctx, http.MethodGet, "/calls/health", nil, nil, &h); err != nil {
		return fmt.Errorf("%w: %w", errUnknown, err)
	}
	if h.Failed >= 3 && h.Failed*100 > h.Calls {
		return fmt.Errorf("%d of %d calls in 10 s ended in 5xx", h.Failed, h.Calls)
	}
	return nil
}

func (e *env) completeZones(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	c, err := e.connect()
	if err != nil || len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var state xds.State
	if c.do(cmd.Context(), http.MethodGet, "/state", nil, nil, &state) != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var names []string
	for _, z := range state.Zones {
		names = append(names, z.Name)
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}
