package gate

import (
	"fmt"
	"slices"
	"time"

	"github.com/kongdao/kongdao/api"
	"github.com/kongdao/kongdao/capacity/plan"
)

// find is the command that measures a pod of the revision.
func find(f api.Function, x Facts) string {
	text := "kongdao capacity find " + f.Name
	if x.Pod != "" {
		text += " --pod " + x.Pod
	}
	return text
}

// measured answers CheckCapacity, CheckFresh and CheckRevision.
func measured(p Policy, f api.Function, x Facts) []Check {
	m, mend := f.Spec.Capacity.Measured, find(f, x)
	if m == nil || m.Low <= 0 {
		return []Check{
			refuse(CheckCapacity, mend, "not measured"), refuse(CheckFresh, mend, "not measured"), refuse(CheckRevision, mend, "not measured"),
		}
	}
	return []Check{pass(CheckCapacity, "measured: %.1f to %.1f/s a pod", m.Low, m.High), fresh(p, *m, x.Today, mend), revision(f, x, mend)}
}

func fresh(p Policy, m api.Measured, today time.Time, mend string) Check {
	date, err := time.Parse(time.DateOnly, m.Date)
	if err != nil {
		return refuse(CheckFresh, mend, "date %q is not YYYY-MM-DD", m.Date)
	}
	age := today.Sub(date)
	days := int(age.Hours() / 24)
	switch {
	case age < -24*time.Hour: // a day's grace for time zones
		return refuse(CheckFresh, mend, "date %s is in the future", m.Date)
	case age > p.MaxAge:
		return refuse(CheckFresh, mend, "measured %d days ago, more than %d", days, int(p.MaxAge.Hours()/24))
	}
	return pass(CheckFresh, "measured %d days ago", max(0, days))
}

// revision wants the measured one, or one of the same image under another name.
func revision(f api.Function, x Facts, mend string) Check {
	switch {
	case x.Measured == "":
		return refuse(CheckRevision, mend, "it is not known which revision was measured: spec.capacity.measured names none, and no call of its run is stored")
	case x.Measured == x.Revision:
		return pass(CheckRevision, "%s was measured", x.Revision)
	case image(f, x.Measured) != "" && image(f, x.Measured) == image(f, x.Revision):
		return pass(CheckRevision, "%s was measured, which runs the same image", x.Measured)
	}
	return refuse(CheckRevision, mend, "%s was measured, not %s", x.Measured, x.Revision)
}

func image(f api.Function, name string) string {
	i := slices.IndexFunc(f.Spec.Revisions, func(r api.Revision) bool { return r.Name == name })
	if i < 0 {
		return ""
	}
	return f.Spec.Revisions[i].Image
}

// rate: what a pod is given must have been measured.
func rate(f api.Function) Check {
	c := f.Spec.Capacity
	switch given := c.Rate(); {
	case given <= 0:
		return refuse(CheckRate, write(f, "spec.capacity.perPodQPS, the safe rate"), "pods are not limited")
	case c.Measured == nil || c.Measured.Low <= 0:
		return refuse(CheckRate, find(f, Facts{}), "pods are given %.1f/s, of which nothing is measured", given)
	case given > c.Measured.Low:
		return refuse(CheckRate, write(f, fmt.Sprintf("spec.capacity.perPodQPS: %g", c.Measured.Low)),
			"pods are given %.1f/s, more than the measured lower bound of %.1f/s", given, c.Measured.Low)
	default:
		return pass(CheckRate, "pods are given %.1f/s", given)
	}
}

func planned(f api.Function, r plan.Row) Check {
	if r.PerZone == 0 {
		reason := "the plan is unknown"
		for _, note := range r.Notes {
			reason += "; " + note
		}
		return refuse(CheckPlan, write(f, "spec.capacity.forecastQPS and perPodQPS"), "%s", reason)
	}
	var zones []string
	for zone := range r.Missing {
		zones = append(zones, zone)
	}
	slices.Sort(zones)
	if len(zones) == 0 {
		return pass(CheckPlan, "%d pods in every zone", r.PerZone)
	}
	reason, more := fmt.Sprintf("needs %d pods in every zone; missing:", r.PerZone), "start pods:"
	for _, zone := range zones {
		reason += fmt.Sprintf(" %s %d", zone, r.Missing[zone])
		more += fmt.Sprintf(" %d in %s", r.Missing[zone], zone)
	}
	return refuse(CheckPlan, more+"; kongdao capacity plan -o keda writes how", "%s", reason)
}
