package search

import (
	"errors"
	"fmt"
	"time"

	"github.com/kongdao/kongdao/api"
)

// Objective is what a pod must keep.
type Objective struct {
	Latency []Bound
	Success float64 // share of requests that must succeed, 0 to 1; 0: not asked for
}

// Bound says that a share of the requests ends within a limit.
type Bound struct {
	Quantile float64 // share, such as 0.99
	Limit    time.Duration
}

// String is "p99 ≤ 100ms".
func (b Bound) String() string { return fmt.Sprintf("p%g ≤ %v", 100*b.Quantile, b.Limit) }

// ObjectiveOf takes over a function's objective.
func ObjectiveOf(o api.Objective) Objective {
	out := Objective{Success: o.Success.Ratio()}
	for _, b := range []Bound{{0.50, o.Latency.P50.Std()}, {0.90, o.Latency.P90.Std()}, {0.99, o.Latency.P99.Std()}} {
		if b.Limit > 0 {
			out.Latency = append(out.Latency, b)
		}
	}
	return out
}

// Validate reports every field that is wrong. Without a latency bound there is no
// rate that is too high, only one at which calls fail.
func (o Objective) Validate() error {
	var errs []error
	if len(o.Latency) == 0 {
		errs = append(errs, errors.New("objective.latency: missing: without a bound on latency no rate is too high"))
	}
	for i, b := range o.Latency {
		if b.Quantile <= 0 || b.Quantile >= 1 {
			errs = append(errs, fmt.Errorf("objective.latency[%d].quantile: %g is not between 0 and 1", i, b.Quantile))
		}
		if b.Limit <= 0 {
			errs = append(errs, fmt.Errorf("objective.latency[%d].limit: must be above 0", i))
		}
	}
	if o.Success < 0 || o.Success >= 1 {
		errs = append(errs, fmt.Errorf("objective.success: %g is not in [0,1): nobody can show that no call ever fails", o.Success))
	}
	return errors.Join(errs...)
}

// String is "p99 ≤ 100ms, success ≥ 99.9 %".
func (o Objective) String() string {
	s := ""
	for _, b := range o.Latency {
		s += ", " + b.String()
	}
	if o.Success > 0 {
		s += fmt.Sprintf(", success ≥ %g %%", 100*o.Success)
	}
	if s == "" {
		return "nothing"
	}
	return s[2:]
}

// breaks says whether a request is one of those that the objective allows few of.
func (o Objective) breaks(latency time.Duration, ok bool) bool {
	if !ok {
		return true
	}
	strictest := o.Latency[len(o.Latency)-1] // bounds are in the order of their quantiles
	return latency > strictest.Limit
}

// strictest is the least share of late requests that is allowed.
func (o Objective) strictest() float64 { return 1 - o.Latency[len(o.Latency)-1].Quantile }
