package cli

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/kongdao/kongdao/capacity/plan"
	"github.com/kongdao/kongdao/internal/app"
)

type capacityPlanFlags struct {
	plan.Policy
	horizon    string
	events     []string
	prometheus string
}

// planOutputs are the forms of a plan, beside those that every command has.
var planOutputs = []string{"text", "json", "patch", "hpa", "keda"}

func (e *env) capacityPlanCommand() *cobra.Command {
	f := capacityPlanFlags{Policy: plan.DefaultPolicy()}
	f.LostZones = 1 // of the zones that the system will find
	cmd := &cobra.Command{
		Use:   "plan",
		Short: "pods per zone for the forecast peak, with zones lost",
		Long: `Plan says for every function with a forecast or a rate per pod how many pods
each zone needs, and what is missing. The peak is what the function's file declares
or what is forecast from stored calls, whichever is more.
Exit code 3 when pods are missing.

-o patch prints the part of resources that the forecast changes, -o hpa and -o keda
manifests for Kubernetes whose least number of replicas is the plan.`,
		Example: `  kongdao capacity plan
  kongdao capacity plan --growth 0.2 --lost-zones 2 --risk 0.001 -o json
  kongdao capacity plan --without zb-a --event 11.11=8x
  kongdao capacity plan --horizon 30d -o keda --prometheus http://prometheus.monitoring:9090`,
		Args: usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error { return e.capacityPlan(cmd, f) },
		// In the place of the root's, for there are more outputs.
		PersistentPreRunE: func(*cobra.Command, []string) error {
			if !slices.Contains(planOutputs, e.output) {
				return invalid(fmt.Errorf("-o %s: want one of %s", e.output, strings.Join(planOutputs, ", ")))
			}
			return nil
		},
	}
	fl := cmd.Flags()
	fl.Float64Var(&f.Growth, "growth", f.Growth, "expected increase of the peak, such as 0.2")
	fl.IntVar(&f.LostZones, "lost-zones", f.LostZones, "zones that may be lost at the same time")
	fl.Float64Var(&f.Utilisation, "utilisation", f.Utilisation, "share of the safe rate to plan with")
	fl.Float64Var(&f.Risk, "risk", 0, "that the busiest hour is above the forecast peak, such as 0.01 (default: as configured)")
	fl.StringVar(&f.horizon, "horizon", "", "how far to forecast, such as 14d (default: as configured)")
	fl.StringSliceVar(&f.Without, "without", nil, "zones to think away, such as zb-a")
	fl.StringArrayVar(&f.events, "event", nil, "event to think of at the peak, such as 11.11=8x; may be repeated, the largest counts")
	fl.Float64Var(&f.PodHour, "price", 0, "of a pod for an hour (default: as configured)")
	fl.StringVar(&f.prometheus, "prometheus", "http://prometheus:9090", "URL that -o keda writes for the collector's metrics")
	return cmd
}

func (e *env) capacityPlan(cmd *cobra.Command, f capacityPlanFlags) error {
	for _, text := range f.events {
		if _, err := plan.ParseWhatIf(text); err != nil {
			return invalid(fmt.Errorf("--%w", err))
		}
	}
	if _, err := app.ParseHorizon(f.horizon); err != nil {
		return invalid(fmt.Errorf("--%w", err))
	}
	c, err := e.connect()
	if err != nil {
		return err
	}
	var p plan.Plan
	if err := c.do(cmd.Context(), http.MethodGet, "/capacity/plan", f.query(), nil, &p); err != nil {
		return err
	}
	if err := e.printPlan(p, f.prometheus); err != nil {
		return err
	}
	if !p.OK() {
		return refused(nil)
	}
	return nil
}

func (f capacityPlanFlags) query() url.Values {
	q := url.Values{
		"growth": {fmt.Sprint(f.Growth)}, "lost_zones": {strconv.Itoa(f.LostZones)}, "utilisation": {fmt.Sprint(f.Utilisation)},
		"without": f.Without, "event": f.events,
	}
	for name, v := range map[string]float64{"risk": f.Risk, "price": f.PodHour} {
		if v != 0 {
			q.Set(name, fmt.Sprint(v))
		}
	}
	if f.horizon != "" {
		q.Set("horizon", f.horizon)
	}
	return q
}

func (e *env) printPlan(p plan.Plan, prometheus string) error {
	switch e.output {
	case "patch":
		return p.WritePatch(e.out)
	case "hpa":
		return p.WriteHPA(e.out)
	case "keda":
		return p.WriteKEDA(e.out, prometheus)
	}
	return e.print(p, func(w io.Writer) { _ = p.WriteText(w) })
}
