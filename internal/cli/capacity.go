package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/kongdao/kongdao/api"
	"github.com/kongdao/kongdao/capacity/apply"
	"github.com/kongdao/kongdao/internal/app"
	"github.com/kongdao/kongdao/loadtest"
	"github.com/kongdao/kongdao/loadtest/scenario"
)

func (e *env) capacityCommand() *cobra.Command {
	return group("capacity", "a pod's safe rate, pods per zone, and whether a function may go live",
		e.capacityFindCommand(), e.capacityListCommand(), e.capacityShowCommand(), e.capacityPlanCommand(), e.capacityGateCommand(), e.capacityApplyCommand(), e.capacityWatchCommand())
}

type findFlags struct {
	pod, path      string
	config         string
	start, maxRate float64
	budget         time.Duration
	cold           bool
	metrics        []string
	metricsPod     string
	live           liveFlags
}

func (e *env) capacityFindCommand() *cobra.Command {
	var f findFlags
	cmd := &cobra.Command{
		Use:   "find FN",
		Short: "measure what one pod can take within its objective",
		Long: `Find takes one pod out of rotation, loads it through the gateway in steps until
its objective breaks, and answers with an interval whose lower bound is the safe
rate. Users are served by the other pods meanwhile. Ctrl-C gives the pod back, and
says what was found until then; that is not kept.

Production comes first: when an objective of a function breaks, by calls that are
not the search's, or on kongdao load stop, the search is silent within a second,
gives the pod back, says how far it was, and exits with 3.

It begins near what an earlier search of this revision, or of one with the same image,
has found, and far below what one of another has.

With --metrics it says what the pod used: the pod's own endpoint for Prometheus, the
kubelet's cAdvisor or a Prometheus server's /federate (--metrics-pod says which pod's
series count there), a node exporter for steal time. Default: capacity.metrics of the
running system. Metrics that cannot be read are a warning.

With --live it makes no request: one pod gets more and more of the function's own
calls, in steps, until its objective breaks, production's does, or it has --max-share
times its share. Whatever breaks, it has its share again within a second.`,
		Example: "  kongdao capacity find recommend-feed\n  kongdao capacity find recommend-feed --budget 1m --max-rate 800 -o json\n  kongdao capacity find recommend-feed --pod 10.0.0.7:8080 --metrics http://10.0.0.7:9090/metrics\n  kongdao capacity find recommend-feed --live --max-share 2.5",
		Args:    usage(cobra.ExactArgs(1)), ValidArgsFunction: e.completeFunctions,
		RunE: func(cmd *cobra.Command, args []string) error {
			limits, err := e.limits(cmd, f.config, nil)
			if err != nil {
				return err
			}
			find := e.find
			if f.live.on {
				find = e.findLive
			}
			r, err := find(cmd.Context(), args[0], f, limits)
			if errors.Is(err, context.Canceled) && len(r.Steps) > 0 {
				return errors.Join(e.print(r, func(w io.Writer) { _ = r.WriteText(w) }), fmt.Errorf("the search was stopped: %w", err))
			}
			if err != nil {
				return err
			}
			return e.print(r, func(w io.Writer) {
				_ = r.WriteText(w)
				fmt.Fprintf(w, "apply it with kongdao capacity apply %s --run %s\n", r.Function, r.Run)
			})
		},
	}
	fl := cmd.Flags()
	fl.StringVarP(&f.config, "config", "c", "", "configuration file, whose bounds of stress tests hold")
	fl.StringVar(&f.pod, "pod", "", "address of the pod (default: the first that is ready)")
	fl.StringVar(&f.path, "path", "", "path to call (default: the function's first route)")
	fl.Float64Var(&f.start, "start", 0, "first rate, requests a second (default: from the last measurement, else a tenth of --max-rate)")
	fl.Float64Var(&f.maxRate, "max-rate", 1000, "never tried beyond, requests a second")
	fl.BoolVar(&f.cold, "cold", false, "do not begin near what was found before")
	fl.StringArrayVar(&f.metrics, "metrics", nil, "read the pod's CPU and memory from this `URL`, repeatable")
	fl.StringVar(&f.metricsPod, "metrics-pod", "", "labels of the pod's series, such as pod=feed-0,namespace=shop")
	fl.DurationVar(&f.budget, "budget", 5*time.Minute, "time under load")
	f.live.add(fl)
	maxBytesFlag(cmd)
	return cmd
}

// find holds a lease on a pod for the time of the search.
func (e *env) find(ctx context.Context, name string, f findFlags, limits scenario.Limits) (r apply.Found, err error) {
	c, err := e.connect()
	if err != nil {
		return r, err
	}
	var fn app.Function
	if err := c.do(ctx, http.MethodGet, "/functions/"+url.PathEscape(name), nil, nil, &fn); err != nil {
		return r, err
	}
	if _, err := app.ConcretePath(fn.Function.Spec.Routes[0], f.path); err != nil {
		return r, invalid(err)
	}
	if _, err := app.MetricsSources(f.metrics, f.metricsPod); err != nil {
		return r, invalid(err)
	}
	r = apply.Found{Function: name, Run: loadtest.NewRunID(), Started: time.Now().UTC()}
	loaded, watch := e.watchLoad(ctx, r.Run, "capacity/"+name) // before the pod is taken: not while production is broken
	defer watch.stop()
	lease := app.PinRequest{Function: name, Address: f.pod, Seconds: int((2*f.budget + time.Minute).Seconds())}
	var pin app.Pin
	if err := c.do(ctx, http.MethodPost, "/pins", nil, lease, &pin); err != nil {
		return r, err
	}
	defer func() {
		release, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		_ = c.do(release, http.MethodDelete, "/pins/"+pin.ID, nil, nil, nil) // else the lease ends by itself
	}()
	fmt.Fprintf(e.err, "pod %s is out of rotation for the test\n", pin.Address)
	r.Pod = pin.Address
	r.Revision, r.Image = revisionOf(fn.Function, pin.Address)
	find := app.Find{
		Gateway: c.addresses.Gateway, Function: fn.Function, Pin: pin, Path: f.path, Run: r.Run,
		Start: f.start, MaxRate: f.maxRate, Budget: f.budget, Limits: limits,
	}
	if find.Mark, err = e.loadMark(ctx); err != nil {
		return r, err
	}
	if err := e.begin(ctx, c, &find, r.Revision, f); err != nil {
		return r, err
	}
	view := e.newFindView(find.Config())
	find.Report, find.Tick = view.step, view.tick
	r.Result, err = app.FindCapacity(loaded, find)
	view.end()
	if why := watch.reason(); why != "" {
		return r, stoppedSearch(why, r.Result)
	}
	if err != nil {
		return r, err
	}
	if err := c.do(ctx, http.MethodPost, "/capacity/found", nil, r, nil); err != nil {
		fmt.Fprintf(e.err, "the result is not kept: %v\n", err)
	}
	return r, nil
}

// begin asks what is known before the search.
func (e *env) begin(ctx context.Context, c *client, find *app.Find, revision string, f findFlags) error {
	var b app.Begin
	query := url.Values{"revision": {revision}, "pod": {find.Pin.Address}}
	if err := c.do(ctx, http.MethodGet, "/capacity/begin/"+url.PathEscape(find.Function.Name), query, nil, &b); err != nil {
		return err
	}
	metrics := f.metrics
	if len(metrics) == 0 {
		metrics = b.Metrics
	}
	var err error
	if find.Metrics, err = app.MetricsSources(metrics, f.metricsPod); err != nil {
		return invalid(err)
	}
	if f.cold || f.start > 0 {
		return nil
	}
	find.Begin = b
	if text := b.Text(find.Config().First()); text != "" {
		fmt.Fprintln(e.err, text)
	}
	return nil
}

// revisionOf is the revision that has a pod, and its image; empty for a pod of none.
func revisionOf(f *api.Function, pod string) (name, image string) {
	for _, r := range f.Spec.Revisions {
		if slices.ContainsFunc(r.Endpoints, func(p api.Endpoint) bool { return p.Address == pod }) {
			return r.Name, r.Image
		}
	}
	return "", ""
}
