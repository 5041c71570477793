package api

import (
	"fmt"
	"time"
)

// KindTrafficSwitch is the kind of a plan that moves traffic in stages. In a tree of
// resources it does nothing: kongdao switch apply carries it out.
const KindTrafficSwitch = "TrafficSwitch"

// TrafficSwitch moves traffic away from a zone, or to a revision, in steps that are
// watched, until an end date.
type TrafficSwitch struct {
	Metadata `yaml:"metadata" json:"metadata"`
	Spec     TrafficSwitchSpec `yaml:"spec" json:"spec"`
}

// TrafficSwitchSpec is the plan. Either Zone is given, or Function and Revision.
type TrafficSwitchSpec struct {
	Zone     string `yaml:"zone" json:"zone,omitempty"`         // whose traffic moves to the other zones
	Function string `yaml:"function" json:"function,omitempty"` // whose traffic moves to Revision
	Revision string `yaml:"revision" json:"revision,omitempty"`

	Steps []SwitchStep `yaml:"steps" json:"steps"`
	Gates SwitchGates  `yaml:"gates" json:"gates"`

	// The end, at which everything is restored: exactly one of the two.
	Until string   `yaml:"until" json:"until,omitempty" want:"a time such as 2026-12-01T00:00:00+08:00"`
	For   Duration `yaml:"for" json:"for,omitempty"` // from the moment it is applied
}

// SwitchStep is one stage.
type SwitchStep struct {
	Percent int      `yaml:"percent" json:"percent" want:"a whole number from 1 to 100"` // of the zone's share that has moved away, or of the function's traffic that the revision has
	Wait    Duration `yaml:"wait" json:"wait"`                                           // how long it is watched before the next one
}

// SwitchGates say when a switch goes back. Without them the functions' own objectives
// count.
type SwitchGates struct {
	Functions []string `yaml:"functions" json:"functions,omitempty"` // whose calls are watched; empty: the function, or all
	Success   Percent  `yaml:"success" json:"success,omitempty"`     // share of calls that do not end in 5xx; 0: as each function's objective says
	P99       Duration `yaml:"p99" json:"p99,omitempty"`             // 0: as each function's objective says
}

// MaxSwitch is the longest time until a switch's end: what is longer belongs into
// resources.
const MaxSwitch = 90 * 24 * time.Hour

// End is when a switch that is applied now is over.
func (s TrafficSwitchSpec) End(now time.Time) (time.Time, error) {
	if s.Until == "" {
		return now.Add(s.For.Std()), nil
	}
	return time.Parse(time.RFC3339, s.Until)
}

func (*TrafficSwitch) kind() string      { return KindTrafficSwitch }
func (s *TrafficSwitch) addTo(set *Set)  { set.TrafficSwitches = append(set.TrafficSwitches, s) }
func (s *TrafficSwitch) check(r *report) { r.metadata(&s.Metadata); s.Spec.check(r) }

func (s TrafficSwitchSpec) check(r *report) {
	switch {
	case s.Zone == "" && s.Function == "" && s.Revision == "":
		r.add("spec", "moves nothing, want zone: zb-a, or function: feed and revision: r2")
	case s.Zone != "" && (s.Function != "" || s.Revision != ""):
		r.add("spec.zone", "stands beside a function or revision, want one or the other")
	case s.Zone == "" && s.Function == "":
		r.add("spec.function", "is missing, want the function that the revision belongs to")
	case s.Zone == "" && s.Revision == "":
		r.add("spec.revision", "is missing, want the revision that traffic moves to")
	}
	s.checkSteps(r)
	if s.Gates.P99 < 0 {
		r.add("spec.gates.p99", "is %v, want a duration above 0", s.Gates.P99)
	}
	switch end, err := s.End(time.Time{}); {
	case s.Until == "" && s.For == 0:
		r.add("spec.until", "is missing, want an end such as 2026-12-01T00:00:00+08:00, or for: 48h")
	case s.Until != "" && s.For != 0:
		r.add("spec.for", "stands beside until, want one or the other")
	case s.For < 0 || s.For.Std() > MaxSwitch:
		r.add("spec.for", "is %v, want a duration up to %v", s.For, MaxSwitch)
	case err != nil || s.Until != "" && end.IsZero():
		r.add("spec.until", "is %s, want a time such as 2026-12-01T00:00:00+08:00", quote(s.Until))
	}
}

func (s TrafficSwitchSpec) checkSteps(r *report) {
	if len(s.Steps) == 0 {
		r.add("spec.steps", "is missing, want at least one, such as {percent: 50, wait: 5m}")
	}
	last := 0
	for i, step := range s.Steps {
		at := fmt.Sprintf("spec.steps[%d]", i)
		switch {
		case step.Percent < 1 || step.Percent > 100:
			r.add(at+".percent", "is %d, want a whole number from 1 to 100", step.Percent)
		case step.Percent <= last:
			r.add(at+".percent", "is %d after %d, want steps that rise", step.Percent, last)
		}
		if last = max(last, step.Percent); step.Wait < 0 {
			r.add(at+".wait", "is %v, want a duration such as 5m", step.Wait)
		}
	}
}
