package gate_test

import (
	"strings"
	"testing"
	"time"

	"github.com/kongdao/kongdao/api"
	"github.com/kongdao/kongdao/capacity/gate"
	"github.com/kongdao/kongdao/capacity/plan"
)

var today = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func ready() (api.Function, plan.Row) {
	f := api.Function{Metadata: api.Metadata{Name: "feed"}}
	f.Spec.Objective = api.Objective{Latency: api.LatencyObjective{P99: api.Duration(100 * time.Millisecond)}, Success: 99.9}
	f.Spec.Capacity = api.Capacity{PerPodQPS: 240, Measured: &api.Measured{Date: "2026-11-01", Low: 240, High: 270}}
	f.Spec.Access = &api.Access{Public: true}
	return f, plan.Row{Function: "feed", PerZone: 3}
}

func TestReadyFunctionMayGoLive(t *testing.T) {
	f, row := ready()
	v := gate.Judge(gate.DefaultPolicy(), f, row, today)
	if !v.OK || len(v.Checks) != 6 {
		t.Errorf("got %+v", v)
	}
}

func TestEachCheckRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		spoil  func(*api.Function, *plan.Row)
		failed []string
		reason string
	}{
		"never measured": {
			func(f *api.Function, _ *plan.Row) { f.Spec.Capacity.Measured = nil },
			[]string{gate.CheckCapacity, gate.CheckFresh, gate.CheckRate},
			"run kongdao capacity find feed",
		},
		"measured long ago": {
			func(f *api.Function, _ *plan.Row) { f.Spec.Capacity.Measured.Date = "2026-08-01" },
			[]string{gate.CheckFresh},
			"measured 114 days ago, more than 90",
		},
		"measured tomorrow week": {
			func(f *api.Function, _ *plan.Row) { f.Spec.Capacity.Measured.Date = "2026-11-30" },
			[]string{gate.CheckFresh},
			"is in the future",
		},
		"no date": {
			func(f *api.Function, _ *plan.Row) { f.Spec.Capacity.Measured.Date = "soon" },
			[]string{gate.CheckFresh},
			"is not YYYY-MM-DD",
		},
		"given more than measured": {
			func(f *api.Function, _ *plan.Row) { f.Spec.Capacity.PerPodQPS = 300 },
			[]string{gate.CheckRate},
			"more than the measured lower bound of 240.0/s",
		},
		"not limited": {
			func(f *api.Function, _ *plan.Row) { f.Spec.Capacity.PerPodQPS = 0 },
			[]string{gate.CheckRate},
			"not limited",
		},
		"pods are missing": {
			func(_ *api.Function, r *plan.Row) { r.Missing = map[string]int{"zb-b": 1, "zb-a": 2} },
			[]string{gate.CheckPlan},
			"missing: zb-a 2 zb-b 1",
		},
		"no plan": {
			func(_ *api.Function, r *plan.Row) { r.PerZone, r.Notes = 0, []string{"peak unknown"} },
			[]string{gate.CheckPlan},
			"the plan is unknown; peak unknown",
		},
		"no latency promised": {
			func(f *api.Function, _ *plan.Row) { f.Spec.Objective.Latency = api.LatencyObjective{} },
			[]string{gate.CheckObjective},
			"spec.objective.latency",
		},
		"no success promised": {
			func(f *api.Function, _ *plan.Row) { f.Spec.Objective.Success = 0 },
			[]string{gate.CheckObjective},
			"spec.objective.success",
		},
		"closed": {
			func(f *api.Function, _ *plan.Row) { f.Spec.Access = nil },
			[]string{gate.CheckAccess},
			"answers 403",
		},
		"open to nobody": {
			func(f *api.Function, _ *plan.Row) { f.Spec.Access = &api.Access{} },
			[]string{gate.CheckAccess},
			"nobody may call",
		},
	} {
		t.Run(name, func(t *testing.T) {
			f, row := ready()
			c.spoil(&f, &row)
			v := gate.Judge(gate.DefaultPolicy(), f, row, today)
			var failed []string
			reasons := ""
			for _, check := range v.Checks {
				if !check.OK {
					failed = append(failed, check.Name)
					reasons += check.Reason + "\n"
				}
			}
			if v.OK || strings.Join(failed, " ") != strings.Join(c.failed, " ") || !strings.Contains(reasons, c.reason) {
				t.Errorf("failed %v, want %v; reasons: %s", failed, c.failed, reasons)
			}
		})
	}
}

func TestText(t *testing.T) {
	f, row := ready()
	f.Spec.Access = nil
	var b strings.Builder
	if err := gate.WriteText(&b, []gate.Verdict{gate.Judge(gate.DefaultPolicy(), f, row, today)}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"may not go live", "ok capacity", "NO access"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("%q is missing in\n%s", want, b.String())
		}
	}
}
