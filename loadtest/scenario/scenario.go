// Package scenario turns a Scenario resource into a plan that may be carried out:
// every field checked, every host allowed, every cap kept.
//
// Nothing is allowed by default but this machine: a load test is an attack on
// whoever did not ask for it.
package scenario

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/kongdao/kongdao/api"
	"github.com/kongdao/kongdao/loadtest/attack"
	"github.com/kongdao/kongdao/loadtest/flow"
	"github.com/kongdao/kongdao/loadtest/template"
)

// Defaults of what a ScenarioSpec leaves at zero.
const (
	DefaultWorkers = 16
	DefaultTimeout = 10 * time.Second
)

// Plan is a load test that has passed all checks.
type Plan struct {
	Stages     attack.Stages // those that scenarios share; none when each has its own
	Poisson    bool          // arrivals at random instead of evenly spaced, of the shared stages
	Scenarios  []Part        // at least one
	Workers    int
	Timeout    time.Duration
	Thresholds []Threshold
	Series     []Series      // what is sent, apart; in the order of attack.Config.Series
	length     time.Duration // of recorded calls; 0: the stages'
	spec       api.ScenarioSpec
	limits     Limits
	files      Files
	scope      *template.Scope
}

// Part is one scenario of a plan.
type Part struct {
	Name    string        // empty: the only one
	Share   float64       // of the shared stages, 0 to 1; 0: it has its own
	Stages  attack.Stages // its own, or none
	Poisson bool          // of its own stages
	Start   time.Duration // of its own stages
	unit    flow.Unit
}

// Requests is how many it sends for each moment of its plan.
func (p Part) Requests() int {
	if p.unit.Steps {
		return len(p.unit.Requests)
	}
	return 1
}

// Series is one kind of request, which is counted apart.
type Series struct {
	Scenario string
	Target   string // its name, or method and path
	Tags     []string
}

// New checks a scenario and reports everything that is wrong with it, each problem
// naming its field ([Fields] lists them). It may read no files.
func New(spec api.ScenarioSpec, limits Limits) (Plan, error) { return NewIn(spec, limits, Files{}) }

// NewIn is New for a scenario that may read files.
func NewIn(spec api.ScenarioSpec, limits Limits, files Files) (Plan, error) {
	p := Plan{Workers: spec.Workers, Timeout: spec.Timeout.Std(), spec: spec, limits: limits, files: files}
	if p.Workers == 0 {
		p.Workers = DefaultWorkers
	}
	if p.Timeout == 0 {
		p.Timeout = DefaultTimeout
	}
	p.scope = template.NewScope(slices.Sorted(maps.Keys(spec.Data))...)
	c := &compiler{spec: spec, limits: limits, files: files}
	partsErr := p.parts(c)
	p.Series = c.series
	var arrivalsErr error
	p.Poisson, arrivalsErr = poisson("arrivals", spec.Arrivals)
	err := errors.Join(partsErr, arrivalsErr, p.thresholds())
	if p.Workers < 0 {
		err = errors.Join(err, &FieldError{"workers", errors.New("must not be negative")})
	}
	if p.Timeout < 0 {
		err = errors.Join(err, &FieldError{"timeout", errors.New("must not be negative")})
	}
	if e := limits.Validate(); e != nil {
		err = errors.Join(err, fmt.Errorf("limits: %w", e))
	}
	if err == nil {
		err = p.within(limits)
	}
	if err == nil {
		err = p.checkFiles()
	}
	if err != nil {
		return Plan{}, err
	}
	return p, nil
}

func poisson(field, arrivals string) (bool, error) {
	switch arrivals {
	case "", "constant":
		return false, nil
	case "poisson":
		return true, nil
	}
	return false, &FieldError{field, fmt.Errorf(`%q must be "constant" or "poisson"`, arrivals)}
}
