package cli

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/kongdao/kongdao/api"
	"github.com/kongdao/kongdao/internal/app"
	"github.com/kongdao/kongdao/registry"
	"github.com/kongdao/kongdao/xds/explain"
	"github.com/kongdao/kongdao/xds/plan"
)

type planFlags struct {
	from, callsFile, group string
	since, until           moment
	calls                  int
	kept                   []string
	failOnChange           bool
}

func (e *env) planCommand() *cobra.Command {
	f := planFlags{since: ago(time.Hour)}
	cmd := &cobra.Command{
		Use:   "plan DIR",
		Short: "what would change if DIR were applied, and for which calls",
		Long: `Plan compares DIR with the resources in force, or with those of --from. First it
prints which resources differ, field by field; secrets as changed, never as such.
Then it replays a sample of stored calls through both and says which of them would
be routed, refused, rewritten or limited differently, grouped by route, with an
example of each.

What calls do not hold, such as headers that are not kept, is tried in every way
that agrees with the call's record; where it decides, the call is counted as one of
which nobody can tell, with what would have to be known. Limits refuse by rates,
which single calls do not show: changed limits are listed, not who meets them.

The sample is spread over the time and over functions and statuses, rare ones
included, and is the same each time. --calls-file takes calls from a file, as
kongdao logs --sample 10000 -o json prints them; with --from too no system needs to
run: all pods are ready then, one gateway takes calls, and nothing is drained.
Without --from pods, drained zones and gateways are those of the running system,
and new pods count as ready.

Exit code 0, also when something changes; with --fail-on-change 3 when a resource or
a call does; 2 when DIR has problems, which are printed as kongdao check does.`,
		Example: `  kongdao plan resources/
  kongdao plan new/ --since 24h --calls 50000 -o json
  kongdao plan new/ --from old/ --calls-file calls.jsonl --fail-on-change`,
		Args: usage(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error { return e.plan(cmd.Context(), args[0], f) },
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return nil, cobra.ShellCompDirectiveFilterDirs
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&f.from, "from", "", "the old resources (default: those in force)")
	fl.StringVar(&f.callsFile, "calls-file", "", "take calls from this file, - for standard input (default: stored ones)")
	fl.StringSliceVar(&f.kept, "kept", nil, "with --calls-file: headers that its calls keep; see collector.headers of kongdao.yaml")
	fl.StringVar(&f.group, "group", "", "as the gateways of this GatewayGroup see it (default: default)")
	fl.Var(&f.since, "since", "how far back, or since when")
	fl.Var(&f.until, "until", "how far back to end, or until when; default: now")
	fl.IntVar(&f.calls, "calls", 10000, "how many stored calls, about")
	fl.BoolVar(&f.failOnChange, "fail-on-change", false, "exit with 3 when anything changes")
	e.tokenFlag(fl)
	return cmd
}

func (e *env) plan(ctx context.Context, dir string, f planFlags) error {
	planned, err := e.planned(ctx, dir, f)
	if err != nil {
		return err
	}
	if err := e.print(planned, func(w io.Writer) { planText(w, planned) }); err != nil {
		return err
	}
	if e.output == "text" && f.from == "" && f.callsFile == "" && planned.Calls.Calls == 0 {
		fmt.Fprintln(e.err, "no call is stored of that time")
	}
	if f.failOnChange && len(planned.Resources)+planned.Calls.Changed > 0 {
		return refused(nil)
	}
	return nil
}

// planned asks the running system for what only it has: the resources in force, with
// the pods that are ready, and stored calls.
func (e *env) planned(ctx context.Context, dir string, f planFlags) (p app.Planned, err error) {
	set, problems := registry.Load(dir)
	if len(problems) > 0 {
		return p, problems
	}
	var calls []app.Call
	if f.callsFile != "" {
		if calls, err = e.readCalls(f.callsFile); err != nil {
			return p, err
		}
	}
	if f.from == "" {
		return e.planLive(ctx, dir, calls, f)
	}
	old, problems := registry.Load(f.from)
	if len(problems) > 0 {
		return p, problems
	}
	o := plan.Options{Kept: f.kept, From: explain.Place{Group: f.group}}
	if f.callsFile == "" {
		sample, err := e.sampled(ctx, f)
		if err != nil {
			return p, err
		}
		calls, o.Kept, o.IPv4Bits, o.IPv6Bits = sample.Calls, sample.Kept, sample.IPv4Bits, sample.IPv6Bits
	}
	if p, err = app.PlanOffline(old, set, calls, o); err != nil {
		return p, invalid(err)
	}
	return p, nil
}

func (e *env) planLive(ctx context.Context, dir string, calls []app.Call, f planFlags) (p app.Planned, err error) {
	c, err := e.connect()
	if err != nil {
		return p, err
	}
	q := app.PlanRequest{Group: f.group, Calls: calls, Kept: f.kept, Sample: f.calls, Since: f.since.at()}
	if f.until != (moment{}) {
		q.Until = f.until.at()
	}
	var problems api.Problems
	if q.Folder, problems = registry.ReadFolder(dir); len(problems) > 0 {
		return p, problems
	}
	if err := c.do(ctx, http.MethodPost, "/plan", nil, q, &p); err != nil {
		return p, err
	}
	if len(p.Problems) > 0 {
		return p, p.Problems
	}
	return p, nil
}

func (e *env) sampled(ctx context.Context, f planFlags) (sample app.Sample, err error) {
	c, err := e.connect()
	if err != nil {
		return sample, err
	}
	q := url.Values{"calls": {strconv.Itoa(f.calls)}, "since": {f.since.at().UTC().Format(time.RFC3339Nano)}}
	if f.until != (moment{}) {
		q.Set("until", f.until.at().UTC().Format(time.RFC3339Nano))
	}
	return sample, c.do(ctx, http.MethodGet, "/calls/sample", q, nil, &sample)
}

func (e *env) readCalls(name string) ([]app.Call, error) {
	in, where := e.in, "standard input"
	if name != "-" {
		file, err := os.Open(name)
		if err != nil {
			return nil, invalid(err)
		}
		defer file.Close()
		in, where = file, name
	}
	calls, err := app.ReadCalls(in)
	if err != nil {
		return nil, invalid(fmt.Errorf("%s:%w", where, err))
	}
	if len(calls) == 0 {
		return nil, invalid(fmt.Errorf("%s: has no call", where))
	}
	return calls, nil
}

func planText(w io.Writer, p app.Planned) {
	fmt.Fprintf(w, "%s\n%s", plan.ResourcesText(p.Resources), p.Calls.Text())
	if len(p.Doubts) > 0 {
		fmt.Fprintf(w, "\n%s\n", strings.Join(p.Doubts, "\n"))
	}
}
