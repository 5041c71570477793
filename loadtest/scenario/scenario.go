// Package scenario turns a Scenario resource into a plan that may be carried out:
// every field checked, every host allowed, every cap kept.
//
// Nothing is allowed by default but this machine: a load test is an attack on
// whoever did not ask for it.
package scenario

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	vegeta "github.com/tsenart/vegeta/v12/lib"

	"github.com/kongdao/kongdao/api"
	"github.com/kongdao/kongdao/loadtest/attack"
)

// Defaults of what a ScenarioSpec leaves at zero.
const (
	DefaultWorkers = 16
	DefaultTimeout = 10 * time.Second
)

// Plan is a load test that has passed all checks.
type Plan struct {
	Targets    []vegeta.Target
	Stages     attack.Stages
	Poisson    bool // arrivals at random instead of evenly spaced
	Workers    int
	Timeout    time.Duration
	Thresholds []Threshold
}

// New checks a scenario and reports everything that is wrong with it, each
// problem naming its field.
func New(spec api.ScenarioSpec, limits Limits) (Plan, error) {
	p := Plan{Workers: spec.Workers, Timeout: spec.Timeout.Std()}
	if p.Workers == 0 {
		p.Workers = DefaultWorkers
	}
	if p.Timeout == 0 {
		p.Timeout = DefaultTimeout
	}
	var stagesErr, targetsErr, thresholdsErr, arrivalsErr error
	p.Stages, stagesErr = stages(spec.Stages)
	p.Targets, targetsErr = targets(spec.Targets, limits)
	p.Thresholds, thresholdsErr = thresholds(spec.Thresholds)
	p.Poisson, arrivalsErr = poisson(spec.Arrivals)
	err := errors.Join(targetsErr, stagesErr, arrivalsErr, thresholdsErr)
	if p.Workers < 0 {
		err = errors.Join(err, errors.New("workers: must not be negative"))
	}
	if p.Timeout < 0 {
		err = errors.Join(err, errors.New("timeout: must not be negative"))
	}
	if e := limits.Validate(); e != nil {
		err = errors.Join(err, fmt.Errorf("limits: %w", e))
	}
	if err != nil {
		return Plan{}, err
	}
	return p, p.within(limits)
}

// Pacer is the plan's source of planned times, for one run. The seed matters to
// Poisson arrivals alone.
func (p Plan) Pacer(seed uint64) vegeta.Pacer {
	if p.Poisson {
		return attack.NewPoisson(p.Stages, seed)
	}
	return p.Stages
}

// Targeter hands out the targets in turn.
func (p Plan) Targeter() vegeta.Targeter { return vegeta.NewStaticTargeter(p.Targets...) }

func (p Plan) within(l Limits) error {
	var errs []error
	if r := p.Stages.MaxRate(); r > l.MaxRate {
		errs = append(errs, fmt.Errorf("stages: rate %g/s is above the cap of %g/s", r, l.MaxRate))
	}
	if n := p.Stages.Total(); n > l.MaxTotal {
		errs = append(errs, fmt.Errorf("stages: %d requests are above the cap of %d", n, l.MaxTotal))
	}
	if d := p.Stages.Duration(); d > l.MaxDuration {
		errs = append(errs, fmt.Errorf("stages: %v is above the cap of %v", d, l.MaxDuration))
	}
	if p.Workers > l.MaxInFlight {
		errs = append(errs, fmt.Errorf("workers: %d is above the cap of %d in flight", p.Workers, l.MaxInFlight))
	}
	return errors.Join(errs...)
}

func stages(in []api.Stage) (attack.Stages, error) {
	var out attack.Stages
	var errs []error
	for i, s := range in {
		ramp := s.From != 0 || s.To != 0
		if ramp && s.Rate != 0 {
			errs = append(errs, fmt.Errorf("stages[%d]: give rate, or from and to, not both", i))
		}
		if !ramp {
			s.From, s.To = s.Rate, s.Rate
		}
		out = append(out, attack.Stage{From: s.From, To: s.To, Duration: s.Duration.Std()})
	}
	return out, errors.Join(append(errs, out.Validate())...)
}

func targets(in []api.Target, l Limits) ([]vegeta.Target, error) {
	var out []vegeta.Target
	var errs []error
	if len(in) == 0 {
		errs = append(errs, errors.New("targets: must not be empty"))
	}
	for i, t := range in {
		target, err := targetOf(t, l)
		if err != nil {
			errs = append(errs, fmt.Errorf("targets[%d]%w", i, err))
		}
		out = append(out, target)
	}
	return out, errors.Join(errs...)
}

// targetOf returns errors that begin with ".field: " or ": ".
func targetOf(t api.Target, l Limits) (vegeta.Target, error) {
	out := vegeta.Target{Method: t.Method, URL: t.URL, Body: []byte(t.Body), Header: http.Header{}}
	if out.Method == "" {
		out.Method = http.MethodGet
	}
	for k, v := range t.Header {
		out.Header.Set(k, v)
	}
	u, err := url.Parse(t.URL)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return out, fmt.Errorf(".url: %q is not an http or https address", t.URL)
	}
	if !l.Allows(u.Host) {
		return out, fmt.Errorf(".url: host %s is not on the list of hosts that may be load-tested", u.Host)
	}
	if _, err := out.Request(); err != nil {
		return out, fmt.Errorf(": %w", err)
	}
	return out, nil
}

func thresholds(in []string) ([]Threshold, error) {
	var out []Threshold
	var errs []error
	for i, text := range in {
		t, err := ParseThreshold(text)
		if err != nil {
			errs = append(errs, fmt.Errorf("thresholds[%d]: %w", i, err))
			continue
		}
		out = append(out, t)
	}
	return out, errors.Join(errs...)
}

func poisson(arrivals string) (bool, error) {
	switch arrivals {
	case "", "constant":
		return false, nil
	case "poisson":
		return true, nil
	}
	return false, fmt.Errorf(`arrivals: %q must be "constant" or "poisson"`, arrivals)
}
