package drill_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/kongdao/kongdao/capacity/drill"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func loads(qps, rate float64, a, b, c int) []drill.Load {
	return []drill.Load{{Function: "feed", QPS: qps, SafeRate: rate, Pods: map[string]int{"zb-a": a, "zb-b": b, "zb-c": c}}}
}

func TestCheck(t *testing.T) {
	for name, c := range map[string]struct {
		loads  []drill.Load
		ok     bool
		after  float64
		reason string
	}{
		"the others can take it":        {loads(800, 250, 2, 2, 2), true, 0.8, "800.0/s on 4 pods that can take 1000.0/s: 80 %"},
		"the others cannot":             {loads(1000, 250, 2, 2, 2), false, 1, "100 %, more than 90 %"},
		"exactly at the limit":          {loads(900, 250, 2, 2, 2), true, 0.9, "90 %"},
		"most pods are in the zone":     {loads(500, 250, 6, 1, 0), false, 2, "500.0/s on 1 pods that can take 250.0/s: 200 %"},
		"all pods are in the zone":      {loads(1, 250, 3, 0, 0), false, -1, "no pod is left"},
		"all pods, though no traffic":   {loads(0, 250, 3, 0, 0), false, -1, "no pod is left"},
		"no pod in the zone":            {loads(9000, 250, 0, 1, 1), true, 18, "has no pod in the zone"},
		"unknown rate":                  {loads(10, 0, 1, 1, 1), false, -1, "run kongdao capacity find feed"},
		"unknown rate, but no traffic":  {loads(0, 0, 1, 1, 1), true, -1, "no traffic, 2 pods are left"},
		"neither pods nor traffic":      {loads(0, 0, 0, 0, 0), true, -1, "no pods and no traffic"},
		"traffic without any pod":       {loads(5, 0, 0, 0, 0), false, -1, "no pod is left"},
		"nothing runs at all":           {nil, true, 0, ""},
		"one of two functions does not": {append(loads(1000, 250, 2, 2, 2), loads(1, 250, 2, 2, 2)...), false, 1, "more than 90 %"},
	} {
		t.Run(name, func(t *testing.T) {
			p := drill.Check("zb-a", 0.9, c.loads)
			if p.OK != c.ok || (p.Err() == nil) != c.ok {
				t.Errorf("allowed is %v: %+v", p.OK, p)
			}
			if len(c.loads) == 0 {
				return
			}
			if f := p.Findings[0]; f.After != c.after || !strings.Contains(f.Reason, c.reason) {
				t.Errorf("got %+v", f)
			}
			if !c.ok && (!errors.Is(p.Err(), drill.ErrRefused) || !strings.Contains(p.Err().Error(), "feed: ")) {
				t.Errorf("got %v", p.Err())
			}
		})
	}
}

// fleet is a system whose zone weights can be set, and whose health depends on them.
type fleet struct {
	weights []int
	sick    func(weight int) error // nil: always healthy
	refuse  error
	looks   int
}

func (f *fleet) set(ctx context.Context, _ string, weight int) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if f.refuse != nil && weight != drill.FullWeight {
		return f.refuse
	}
	f.weights = append(f.weights, weight)
	return nil
}

func (f *fleet) health(context.Context) error {
	f.looks++
	if f.sick == nil || len(f.weights) == 0 {
		return nil
	}
	return f.sick(f.weights[len(f.weights)-1])
}

func runner(t *testing.T, f *fleet) *drill.Runner {
	t.Helper()
	r, err := drill.New(drill.DefaultConfig(), f.set, f.health)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func (f *fleet) went(t *testing.T, want ...int) {
	t.Helper()
	if !slices.Equal(f.weights, want) {
		t.Errorf("weights went %v, want %v", f.weights, want)
	}
}

func TestDrillGoesDownAndUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fleet{}
		report, err := runner(t, f).Drill(t.Context(), "zb-a")
		if err != nil || !report.OK || !report.Restored || report.Drained {
			t.Errorf("got %+v, %v", report, err)
		}
		f.went(t, 50, 10, 0, 10, 50, 100)
		if want := 6*5 + 60.0; report.Seconds != want {
			t.Errorf("took %v s, want %v", report.Seconds, want)
		}
		if f.looks < 90 {
			t.Errorf("looked at the health %d times", f.looks)
		}
	})
}

func TestDrainStandsUntilItIsRestored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fleet{}
		r := runner(t, f)
		report, err := r.Drain(t.Context(), "zb-a")
		if err != nil || !report.Drained || report.Restored || time.Until(report.Expires) != time.Hour {
			t.Fatalf("got %+v, %v", report, err)
		}
		f.went(t, 50, 10, 0)
		report, err = r.Restore(t.Context(), "zb-a")
		if err != nil || !report.Restored {
			t.Errorf("got %+v, %v", report, err)
		}
		f.went(t, 50, 10, 0, 10, 50, 100)
	})
}

func TestSickSystemGetsItsZoneBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		overload := errors.New("p99 is 300 ms")
		f := &fleet{sick: func(weight int) error {
			if weight < 50 {
				return overload
			}
			return nil
		}}
		report, err := runner(t, f).Drain(t.Context(), "zb-a")
		if !errors.Is(err, drill.ErrUnhealthy) || !errors.Is(err, overload) {
			t.Errorf("got %v", err)
		}
		if report.OK || report.Drained || !report.Restored || !strings.Contains(report.Error, "at weight 10: unhealthy: p99 is 300 ms") {
			t.Errorf("got %+v", report)
		}
		f.went(t, 50, 10, 100)
	})
}

func TestOneBadLookIsTolerated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fleet{}
		f.sick = func(int) error {
			if f.looks%2 == 0 {
				return errors.New("hiccup")
			}
			return nil
		}
		if _, err := runner(t, f).Drain(t.Context(), "zb-a"); err != nil {
			t.Error(err)
		}
		f.went(t, 50, 10, 0)
	})
}

func TestSickBeforehandChangesNothing(t *testing.T) {
	f := &fleet{}
	r, err := drill.New(drill.DefaultConfig(), f.set, func(context.Context) error { return errors.New("alerts are firing") })
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Drill(t.Context(), "zb-a"); !errors.Is(err, drill.ErrUnhealthy) {
		t.Errorf("got %v", err)
	}
	f.went(t, 100) // setting what is in force does no harm
}

func TestGivingUpRestores(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 12*time.Second) // in the third step
		defer cancel()
		f := &fleet{}
		report, err := runner(t, f).Drill(ctx, "zb-a")
		if !errors.Is(err, context.DeadlineExceeded) || !report.Restored {
			t.Errorf("got %+v, %v", report, err)
		}
		f.went(t, 50, 10, 0, 100)
	})
}

func TestFailingPushIsReported(t *testing.T) {
	f := &fleet{refuse: errors.New("no control plane")}
	report, err := runner(t, f).Drain(t.Context(), "zb-a")
	if !errors.Is(err, f.refuse) || report.OK || !report.Restored {
		t.Errorf("got %+v, %v", report, err)
	}
	r, err := drill.New(drill.DefaultConfig(), func(context.Context, string, int) error { return f.refuse }, f.health)
	if err != nil {
		t.Fatal(err)
	}
	report, err = r.Drain(t.Context(), "zb-a")
	if report.Restored || err == nil || !strings.Contains(err.Error(), "zone zb-a is not restored") {
		t.Errorf("got %+v, %v", report, err)
	}
}

func TestConfigNamesEveryField(t *testing.T) {
	_, err := drill.New(drill.Config{Steps: []int{0, 50}, Settle: -1, Tolerance: -1, Hold: -1}, nil, nil)
	for _, field := range []string{"steps:", "settle:", "interval:", "tolerance:", "hold:", "expiry:", "setWeight and health:"} {
		if err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("%s is missing in %v", field, err)
		}
	}
}

func TestText(t *testing.T) {
	var b strings.Builder
	if err := drill.Check("zb-a", 0.9, loads(1000, 250, 2, 2, 2)).WriteText(&b); err != nil {
		t.Fatal(err)
	}
	report := drill.Report{Zone: "zb-a", Error: "no", Events: []drill.Event{{What: "weight is 50"}}}
	if err := report.WriteText(&b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"draining zb-a: refused", "1000.0/s  1000.0/s  67 %  100 %  NO: ", "taken back: no", "0.0 s  weight is 50"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("%q is missing in\n%s", want, b.String())
		}
	}
}
