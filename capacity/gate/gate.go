// Package gate answers whether a function may go live: its capacity was measured
// and recently, every zone has the pods that its plan asks for, and it says what
// it promises and who may call it.
//
// It is pure: the day and all facts are arguments. Nothing unknown passes.
package gate

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/kongdao/kongdao/api"
	"github.com/kongdao/kongdao/capacity/plan"
)

// Policy is what the gate asks for.
type Policy struct {
	MaxAge time.Duration // of a measured capacity
}

// DefaultPolicy lets a measurement count for 90 days: code and machines change.
func DefaultPolicy() Policy { return Policy{MaxAge: 90 * 24 * time.Hour} }

// Names of the checks.
const (
	CheckCapacity  = "capacity"  // measured
	CheckFresh     = "fresh"     // measured recently
	CheckRate      = "rate"      // pods are given no more than was measured
	CheckPlan      = "plan"      // every zone has its pods
	CheckObjective = "objective" // declared
	CheckAccess    = "access"    // declared
)

// Check is one question and its answer.
type Check struct {
	Name   string `json:"name"`
	OK     bool   `json:"ok"`
	Reason string `json:"reason"` // what was found; where it is not OK, what to do
}

// Verdict is the answer for one function.
type Verdict struct {
	Function string  `json:"function"`
	OK       bool    `json:"ok"`
	Checks   []Check `json:"checks"`
}

// Judge answers for a function, given its row of the plan, on the given day.
func Judge(p Policy, f api.Function, row plan.Row, today time.Time) Verdict {
	v := Verdict{Function: f.Name}
	v.Checks = append(capacity(p, f, today), rate(f), planned(row), objective(f.Spec.Objective), access(f.Spec.Access))
	v.OK = !slices.ContainsFunc(v.Checks, func(c Check) bool { return !c.OK })
	return v
}

func pass(name, format string, args ...any) Check {
	return Check{Name: name, OK: true, Reason: fmt.Sprintf(format, args...)}
}

func refuse(name, format string, args ...any) Check {
	return Check{Name: name, Reason: fmt.Sprintf(format, args...)}
}

// capacity answers CheckCapacity and CheckFresh.
func capacity(p Policy, f api.Function, today time.Time) []Check {
	m := f.Spec.Capacity.Measured
	find := "run kongdao capacity find " + f.Name
	if m == nil || m.Low <= 0 {
		return []Check{refuse(CheckCapacity, "not measured: %s", find), refuse(CheckFresh, "not measured: %s", find)}
	}
	measured := pass(CheckCapacity, "measured: %.1f to %.1f/s a pod", m.Low, m.High)
	date, err := time.Parse(time.DateOnly, m.Date)
	if err != nil {
		return []Check{measured, refuse(CheckFresh, "date %q is not YYYY-MM-DD: %s", m.Date, find)}
	}
	age := today.Sub(date)
	days := int(age.Hours() / 24)
	switch {
	case age < -24*time.Hour: // a day's grace for time zones
		return []Check{measured, refuse(CheckFresh, "date %s is in the future: %s", m.Date, find)}
	case age > p.MaxAge:
		return []Check{measured, refuse(CheckFresh, "measured %d days ago, more than %d: %s", days, int(p.MaxAge.Hours()/24), find)}
	}
	return []Check{measured, pass(CheckFresh, "measured %d days ago", max(0, days))}
}

// rate: what a pod is given must have been measured.
func rate(f api.Function) Check {
	c := f.Spec.Capacity
	switch given := c.Rate(); {
	case given <= 0:
		return refuse(CheckRate, "pods are not limited: set spec.capacity.perPodQPS to the safe rate")
	case c.Measured == nil || c.Measured.Low <= 0:
		return refuse(CheckRate, "pods are given %.1f/s, of which nothing is measured", given)
	case given > c.Measured.Low:
		return refuse(CheckRate, "pods are given %.1f/s, more than the measured lower bound of %.1f/s", given, c.Measured.Low)
	default:
		return pass(CheckRate, "pods are given %.1f/s", given)
	}
}

func planned(r plan.Row) Check {
	if r.PerZone == 0 {
		reason := "the plan is unknown"
		for _, note := range r.Notes {
			reason += "; " + note
		}
		return refuse(CheckPlan, "%s", reason)
	}
	var zones []string
	for zone := range r.Missing {
		zones = append(zones, zone)
	}
	slices.Sort(zones)
	if len(zones) == 0 {
		return pass(CheckPlan, "%d pods in every zone", r.PerZone)
	}
	reason := fmt.Sprintf("needs %d pods in every zone; missing:", r.PerZone)
	for _, zone := range zones {
		reason += fmt.Sprintf(" %s %d", zone, r.Missing[zone])
	}
	return refuse(CheckPlan, "%s", reason)
}

func objective(o api.Objective) Check {
	l := o.Latency
	if l.P50 == 0 && l.P90 == 0 && l.P99 == 0 {
		return refuse(CheckObjective, "no latency promised: set spec.objective.latency")
	}
	if o.Success == 0 {
		return refuse(CheckObjective, "no share of successes promised: set spec.objective.success")
	}
	return pass(CheckObjective, "declared")
}

func access(a *api.Access) Check {
	if a == nil || (!a.Public && len(a.Consumers) == 0) {
		return refuse(CheckAccess, "nobody may call: set spec.access, the gateway answers 403 without it")
	}
	if a.Public {
		return pass(CheckAccess, "public")
	}
	return pass(CheckAccess, "%d consumers", len(a.Consumers))
}

// WriteText writes verdicts for people.
func WriteText(w io.Writer, verdicts []Verdict) error {
	var b bytes.Buffer
	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, v := range verdicts {
		word := "may go live"
		if !v.OK {
			word = "may not go live"
		}
		fmt.Fprintf(t, "%s\t%s\t\n", v.Function, word)
		for _, c := range v.Checks {
			mark := "ok"
			if !c.OK {
				mark = "NO"
			}
			fmt.Fprintf(t, "  %s %s\t%s\t\n", mark, c.Name, c.Reason)
		}
	}
	if err := t.Flush(); err != nil {
		return fmt.Errorf("format verdicts: %w", err)
	}
	_, err := w.Write(b.Bytes())
	return err
}
