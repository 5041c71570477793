package gate_test

import (
	"strings"
	"testing"
	"time"

	"github.com/kongdao/kongdao/api"
	"github.com/kongdao/kongdao/capacity/gate"
	"github.com/kongdao/kongdao/capacity/plan"
)

var policy = gate.Policy{MaxAge: 90 * 24 * time.Hour}

// ready passes every check.
func ready() (api.Function, gate.Facts) {
	f := api.Function{Metadata: api.Metadata{Name: "feed", Owner: "@li.na", Source: api.Source{File: "feed.yaml"}}}
	f.Spec.Objective = api.Objective{Latency: api.LatencyObjective{P99: api.Duration(100 * time.Millisecond)}, Success: 99.9}
	f.Spec.Capacity = api.Capacity{PerPodQPS: 240, Measured: &api.Measured{Date: "2026-11-01", Low: 240, High: 270}}
	f.Spec.Access = &api.Access{Public: true}
	f.Spec.HealthCheck.Path = "/healthz"
	f.Spec.Timeout, f.Spec.TryTimeout, f.Spec.Idempotent = api.Duration(time.Second), api.Duration(300*time.Millisecond), true
	f.Spec.Revisions = []api.Revision{{Name: "r12", Image: "feed:1"}, {Name: "r13", Image: "feed:2"}, {Name: "r13b", Image: "feed:2"}, {Name: "r14"}}
	return f, gate.Facts{
		Revision: "r13", Measured: "r13", Pods: map[string]int{"zb-a": 3, "zb-b": 3}, Pod: "10.0.0.1:80",
		Row: plan.Row{Function: "feed", PerZone: 3}, Alerts: []string{"ErrorRate"}, Heard: true,
		Today: time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC),
	}
}

func TestReadyFunctionMayGoLive(t *testing.T) {
	f, x := ready()
	v := gate.Judge(policy, f, x)
	if !v.OK || len(v.Checks) != 13 || v.Revision != "r13" || v.Text() != "" {
		t.Errorf("got %+v", v)
	}
	for name, other := range map[string]func(*api.Function, *gate.Facts){
		"the same image":     func(_ *api.Function, x *gate.Facts) { x.Measured = "r13b" },
		"never repeated":     func(f *api.Function, _ *gate.Facts) { f.Spec.Idempotent, f.Spec.Retries.Off = false, true },
		"repeated sometimes": func(f *api.Function, _ *gate.Facts) { f.Spec.Idempotent, f.Spec.Retries.On = false, []string{"503"} },
		"one try":            func(f *api.Function, _ *gate.Facts) { f.Spec.Retries.Off, f.Spec.TryTimeout = true, 0 },
		"tokens alone":       func(f *api.Function, _ *gate.Facts) { f.Spec.Access = &api.Access{JWT: []api.JWT{{Name: "login"}}} },
		"consumers alone":    func(f *api.Function, _ *gate.Facts) { f.Spec.Access = &api.Access{Consumers: []string{"app"}} },
	} {
		f, x := ready()
		other(&f, &x)
		if v := gate.Judge(policy, f, x); !v.OK {
			t.Errorf("%s: %s", name, v.Text())
		}
	}
}

func TestEachCheckRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		spoil  func(*api.Function, *gate.Facts)
		failed []string
		text   string // reason and mending
	}{
		"never measured": {
			func(f *api.Function, _ *gate.Facts) { f.Spec.Capacity.Measured = nil },
			[]string{gate.CheckCapacity, gate.CheckFresh, gate.CheckRevision, gate.CheckRate},
			"capacity: not measured (kongdao capacity find feed --pod 10.0.0.1:80)",
		},
		"measured long ago": {
			func(f *api.Function, _ *gate.Facts) { f.Spec.Capacity.Measured.Date = "2026-08-01" },
			[]string{gate.CheckFresh},
			"measured 114 days ago, more than 90 (kongdao capacity find feed",
		},
		"measured tomorrow week": {
			func(f *api.Function, _ *gate.Facts) { f.Spec.Capacity.Measured.Date = "2026-11-30" },
			[]string{gate.CheckFresh},
			"is in the future",
		},
		"no date": {
			func(f *api.Function, _ *gate.Facts) { f.Spec.Capacity.Measured.Date = "soon" },
			[]string{gate.CheckFresh},
			"is not YYYY-MM-DD",
		},
		"another revision was measured": {
			func(_ *api.Function, x *gate.Facts) { x.Measured = "r12" },
			[]string{gate.CheckRevision},
			"r12 was measured, not r13",
		},
		"neither has an image": {
			func(_ *api.Function, x *gate.Facts) { x.Measured, x.Revision = "gone", "r14" },
			[]string{gate.CheckRevision},
			"gone was measured, not r14",
		},
		"nobody knows which was measured": {
			func(_ *api.Function, x *gate.Facts) { x.Measured, x.Pod = "", "" },
			[]string{gate.CheckRevision},
			"no call of its run is stored (kongdao capacity find feed)",
		},
		"given more than measured": {
			func(f *api.Function, _ *gate.Facts) { f.Spec.Capacity.PerPodQPS = 300 },
			[]string{gate.CheckRate},
			"more than the measured lower bound of 240.0/s (write spec.capacity.perPodQPS: 240 in feed.yaml)",
		},
		"not limited": {
			func(f *api.Function, _ *gate.Facts) { f.Spec.Capacity.PerPodQPS = 0 },
			[]string{gate.CheckRate},
			"not limited",
		},
		"pods are missing": {
			func(_ *api.Function, x *gate.Facts) { x.Row.Missing = map[string]int{"zb-b": 1, "zb-a": 2} },
			[]string{gate.CheckPlan},
			"missing: zb-a 2 zb-b 1 (start pods: 2 in zb-a 1 in zb-b",
		},
		"no plan": {
			func(_ *api.Function, x *gate.Facts) { x.Row.PerZone, x.Row.Notes = 0, []string{"peak unknown"} },
			[]string{gate.CheckPlan},
			"the plan is unknown; peak unknown",
		},
		"one zone": {
			func(_ *api.Function, x *gate.Facts) { x.Pods["zb-b"] = 0 },
			[]string{gate.CheckZones},
			"r13 has ready pods in zb-a alone (write endpoints of r13 in another zone in feed.yaml)",
		},
		"no pod": {
			func(_ *api.Function, x *gate.Facts) { x.Pods = nil },
			[]string{gate.CheckZones},
			"r13 has no ready pod",
		},
		"no health check": {
			func(f *api.Function, _ *gate.Facts) { f.Spec.HealthCheck.Path = "" },
			[]string{gate.CheckHealth},
			"spec.healthCheck.path",
		},
		"no timeout": {
			func(f *api.Function, _ *gate.Facts) { f.Spec.Timeout = 0 },
			[]string{gate.CheckTimeouts},
			"may hang for 15s",
		},
		"no time for a second try": {
			func(f *api.Function, _ *gate.Facts) { f.Spec.TryTimeout = api.Duration(501 * time.Millisecond) },
			[]string{gate.CheckTimeouts},
			"a try may take 501ms of 1s",
		},
		"a try that may take all": {
			func(f *api.Function, _ *gate.Facts) { f.Spec.TryTimeout = 0 },
			[]string{gate.CheckTimeouts},
			"uses up the whole timeout of 1s",
		},
		"nothing said of retries": {
			func(f *api.Function, _ *gate.Facts) { f.Spec.Idempotent = false },
			[]string{gate.CheckRetries},
			"spec.idempotent: true, or spec.retries",
		},
		"no alert": {
			func(_ *api.Function, x *gate.Facts) { x.Alerts = nil },
			[]string{gate.CheckAlerts},
			"no alert rule looks at its calls",
		},
		"an alert to nobody": {
			func(_ *api.Function, x *gate.Facts) { x.Heard = false },
			[]string{gate.CheckAlerts},
			"ErrorRate: what they say reaches nobody",
		},
		"no owner": {
			func(f *api.Function, _ *gate.Facts) { f.Owner = "" },
			[]string{gate.CheckOwner},
			"write metadata.owner in feed.yaml",
		},
		"no latency promised": {
			func(f *api.Function, _ *gate.Facts) { f.Spec.Objective.Latency = api.LatencyObjective{} },
			[]string{gate.CheckObjective},
			"spec.objective.latency",
		},
		"no success promised": {
			func(f *api.Function, _ *gate.Facts) { f.Spec.Objective.Success = 0 },
			[]string{gate.CheckObjective},
			"spec.objective.success",
		},
		"closed": {
			func(f *api.Function, _ *gate.Facts) { f.Spec.Access = nil },
			[]string{gate.CheckAccess},
			"answers 403",
		},
		"open to nobody": {
			func(f *api.Function, _ *gate.Facts) { f.Spec.Access = &api.Access{} },
			[]string{gate.CheckAccess},
			"nobody may call",
		},
	} {
		t.Run(name, func(t *testing.T) {
			f, x := ready()
			c.spoil(&f, &x)
			v := gate.Judge(policy, f, x)
			var failed []string
			for _, check := range v.Missing() {
				failed = append(failed, check.Name)
				if check.Mend == "" {
					t.Errorf("%s: nothing mends it", check.Name)
				}
			}
			if v.OK || strings.Join(failed, " ") != strings.Join(c.failed, " ") || !strings.Contains(v.Text(), c.text) {
				t.Errorf("failed %v, want %v; %s", failed, c.failed, v.Text())
			}
		})
	}
}

func TestText(t *testing.T) {
	f, x := ready()
	f.Spec.Access = nil
	var b strings.Builder
	if err := gate.WriteText(&b, []gate.Verdict{gate.Judge(policy, f, x)}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"feed r13", "may not go live", "ok capacity", "NO access", "-> write spec.access in feed.yaml"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("%q is missing in\n%s", want, b.String())
		}
	}
}
