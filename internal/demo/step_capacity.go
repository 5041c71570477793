package demo

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/kongdao/kongdao/capacity/plan"
	"github.com/kongdao/kongdao/capacity/search"
	"github.com/kongdao/kongdao/internal/app"
	"github.com/kongdao/kongdao/internal/demo/fleet"
	"github.com/kongdao/kongdao/loadtest"
	"github.com/kongdao/kongdao/loadtest/scenario"
)

// The search of the demo: it is told nothing of the pod but not to try beyond 400/s.
const (
	searchBudget = 40 * time.Second
	searchStart  = 60
	searchMost   = 400
)

func (w *walk) measure(ctx context.Context, s *Step) error {
	pin, err := w.system.Pin(ctx, fleet.Feed, "", 5*time.Minute)
	if err != nil {
		return err
	}
	defer w.system.Unpin(pin.ID)
	w.progress("pod %s takes the test alone; users are served by the other five", pin.Address)
	before := w.users.Counts()
	r, err := w.find(ctx, pin)
	if err != nil {
		return err
	}
	after := w.users.Counts()
	s.figure("safe rate of one pod", r.Safe, "requests/s", "%.0f/s, interval %.0f to %s/s, objective %s", r.Safe, r.Safe, upper(r.High), r.Objective)
	s.figure("broke the objective on the way", float64(r.Broke), "requests", "%d of %d requests in %.0f s under load, at most %.0f/s tried", r.Broke, r.Requests, r.Load, r.Peak)
	for _, text := range r.Warnings {
		s.figure("not known", 0, "", "%s", text)
	}
	failed := after.Failed - before.Failed
	s.figure("users meanwhile", float64(after.Sent-before.Sent), "calls", "%d calls, %d failed, %d refused", after.Sent-before.Sent, failed, after.Refused-before.Refused)
	s.must(r.Safe > 0, "no safe rate was found")
	s.must(r.High == 0 || r.High >= r.Safe, "the interval is empty")
	s.must(failed == 0, "%d calls of users failed", failed)
	s.Details = stepsTable(r.Steps)
	if r.Safe == 0 {
		return errors.New("without a safe rate there is nothing to plan with")
	}
	w.feed.PerPod, w.feed.Low, w.feed.High, w.feed.Date = r.Safe, r.Safe, r.High, w.began
	return nil
}

func (w *walk) find(ctx context.Context, pin app.Pin) (search.Result, error) {
	w.feed.Run = loadtest.NewRunID()
	f, err := w.system.Function(fleet.Feed)
	if err != nil {
		return search.Result{}, err
	}
	return app.FindCapacity(ctx, app.Find{
		Gateway: w.system.Addresses().Gateway, Function: f, Pin: pin, Run: w.feed.Run,
		Start: searchStart, MaxRate: searchMost, Budget: searchBudget, Limits: scenario.DefaultLimits(),
		Report: func(r search.StepResult) { w.progress("%s", r) },
	})
}

// upper is the upper bound of an interval; a search may end without one.
func upper(high float64) string {
	if high == 0 {
		return "?"
	}
	return fmt.Sprintf("%.0f", high)
}

func stepsTable(steps []search.StepResult) *Table {
	t := Table{Head: []string{"step", "rate/s", "seconds", "requests", "late or failed", "kept"}}
	for _, s := range steps {
		kind := "climb"
		if s.Proof {
			kind = "prove"
		}
		t.Rows = append(t.Rows, []string{
			kind, fmt.Sprintf("%.1f", s.Rate), fmt.Sprintf("%.1f", s.Seconds),
			fmt.Sprint(s.Requests), fmt.Sprint(s.Broke), map[bool]string{true: "yes", false: "no"}[s.Kept],
		})
	}
	return &t
}

// The forecast: 10 million calls a day in one domain, whose busiest moment is five
// times the mean.
const (
	callsPerDay = 10e6
	peakFactor  = 5.0
)

func (w *walk) plan(ctx context.Context, s *Step) error {
	w.feed.Forecast = plan.Peak(callsPerDay, peakFactor)
	if err := w.writeResources(); err != nil {
		return err
	}
	// The measured rate is in force once the limit has followed it.
	want := pods * w.feed.PerPod
	if err := until(ctx, 10*time.Second, func() (bool, error) { return math.Abs(w.limit()-want) < 1, w.system.Problems().Err() }); err != nil {
		return fmt.Errorf("limit of %d pods × %.0f/s in force: %w, it is %.0f/s", pods, w.feed.PerPod, err, w.limit())
	}
	p, err := w.system.Plan(ctx, app.CapacityQuestion{Policy: plan.DefaultPolicy(fleet.Zones()...)})
	if err != nil {
		return err
	}
	s.figure("forecast peak", w.feed.Forecast, "requests/s", "%.0f/s: %.0f million calls a day × peak factor %g", w.feed.Forecast, callsPerDay/1e6, float64(peakFactor))
	s.figure("planned for", p.Utilisation, "", "%.0f %% of the safe rate, %d of %d zones lost", p.Utilisation*100, p.LostZones, len(p.Zones))
	t := Table{Head: []string{"function", "peak/s", "safe/s a pod", "pods needed", "a zone", "have a zone", "missing", "survives the loss of"}}
	for _, r := range p.Functions {
		t.Rows = append(t.Rows, []string{
			r.Function, fmt.Sprintf("%.0f", r.PeakQPS), fmt.Sprintf("%.0f", r.SafeRate), fmt.Sprint(r.Needed), fmt.Sprint(r.PerZone),
			zoneCounts(p.Zones, r.Have), zoneCounts(p.Zones, r.Missing), survives(r.Survives),
		})
		s.must(r.Needed > 0, "no plan for %s: %v", r.Function, r.Notes)
	}
	s.Table = &t
	s.must(len(p.Functions) > 0, "nothing was planned")
	return nil
}

// survives says how many zones may be lost at the forecast peak.
func survives(zones int) string {
	switch zones {
	case -1, 0:
		return "no zone"
	case 1:
		return "any zone"
	}
	return fmt.Sprintf("any %d zones", zones)
}

func zoneCounts(zones []string, counts map[string]int) string {
	text := ""
	for i, z := range zones {
		if i > 0 {
			text += " "
		}
		text += fmt.Sprintf("%s:%d", z, counts[z])
	}
	return text
}

// limit is the feed's limit in force, requests a second.
func (w *walk) limit() float64 {
	for _, f := range w.system.State().Functions {
		if f.Name == fleet.Feed {
			return f.Limit
		}
	}
	return 0
}
