package scenario

import (
	"errors"
	"fmt"
	"time"

	vegeta "github.com/tsenart/vegeta/v12/lib"

	"github.com/kongdao/kongdao/api"
	"github.com/kongdao/kongdao/loadtest/attack"
	"github.com/kongdao/kongdao/loadtest/flow"
)

func joined(errs []error) error { return errors.Join(errs...) }

// parts compiles what is sent, and the plans.
func (p *Plan) parts(c *compiler) error {
	subs, at := p.spec.Scenarios, func(i int) string { return fmt.Sprintf("scenarios[%d].", i) }
	if len(subs) == 0 {
		subs, at = []api.SubScenario{{Targets: p.spec.Targets, Steps: p.spec.Steps}}, func(int) string { return "" }
	}
	var errs []error
	if len(p.spec.Scenarios) > 0 && len(p.spec.Targets)+len(p.spec.Steps) > 0 {
		errs = append(errs, &FieldError{"scenarios", errors.New("stand beside targets or steps, want one of them")})
	}
	weights, shared := 0.0, false
	for i, s := range subs {
		part, err := p.part(c, at(i), s)
		errs = append(errs, err)
		if len(s.Stages) == 0 {
			part.Share = max(s.Weight, 0)
			if s.Weight == 0 {
				part.Share = 1
			}
			weights, shared = weights+part.Share, true
		}
		p.Scenarios = append(p.Scenarios, part)
	}
	for i := range p.Scenarios {
		if p.Scenarios[i].Share > 0 {
			p.Scenarios[i].Share /= weights
		}
	}
	if shared {
		var err error
		p.Stages, err = stages("stages", p.spec.Stages)
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

func (p *Plan) part(c *compiler, at string, s api.SubScenario) (Part, error) {
	out := Part{Name: s.Name, Start: s.Start.Std()}
	scope := p.scope.Fork()
	out.unit = flow.Unit{Steps: len(s.Steps) > 0, Scope: scope}
	var errs []error
	var err error
	if len(s.Steps) > 0 && len(s.Targets) > 0 {
		errs = append(errs, &FieldError{at + "steps", errors.New("stand beside targets, want one of them")})
	}
	if out.unit.Steps {
		out.unit.Requests, err = c.requests(at+"steps", s.Name, s.Steps, scope, true)
	} else {
		out.unit.Requests, err = c.requests(at+"targets", s.Name, s.Targets, scope, false)
	}
	errs = append(errs, err)
	if len(s.Stages) > 0 {
		out.Stages, err = stages(at+"stages", s.Stages)
		errs = append(errs, err)
		arrivals := s.Arrivals
		if arrivals == "" {
			arrivals = p.spec.Arrivals
		}
		out.Poisson, err = poisson(at+"arrivals", arrivals)
		errs = append(errs, err)
	}
	return out, errors.Join(errs...)
}

// streams are the parts that share the whole's stages, if there are any, and then
// each other one.
func (p Plan) streams() [][]Part {
	var shared []Part
	var out [][]Part
	for _, s := range p.Scenarios {
		if s.Share > 0 {
			shared = append(shared, s)
		}
	}
	if len(shared) > 0 {
		out = append(out, shared)
	}
	for _, s := range p.Scenarios {
		if s.Share == 0 {
			out = append(out, []Part{s})
		}
	}
	return out
}

// Duration is the length of the plan.
func (p Plan) Duration() time.Duration {
	d := max(p.length, p.Stages.Duration())
	for _, s := range p.Scenarios {
		d = max(d, s.Start+s.Stages.Duration())
	}
	return d
}

// Total is how many requests there are, steps included; of Poisson arrivals the mean.
func (p Plan) Total() uint64 {
	total := 0.0
	for _, s := range p.Scenarios {
		moments := float64(s.Stages.Total())
		if s.Share > 0 {
			moments = s.Share * float64(p.Stages.Total())
		}
		total += moments * float64(s.Requests())
	}
	return uint64(total + 0.5)
}

// Rate is the planned rate of requests after elapsed, steps included.
func (p Plan) Rate(elapsed time.Duration) float64 {
	sum := 0.0
	for _, s := range p.Scenarios {
		sum += s.rate(p.Stages, elapsed) * float64(s.Requests())
	}
	return sum
}

func (p Part) rate(shared attack.Stages, elapsed time.Duration) float64 {
	switch {
	case p.Share > 0:
		return p.Share * shared.Rate(elapsed)
	case elapsed < p.Start:
		return 0
	}
	return p.Stages.Rate(elapsed - p.Start)
}

// MaxRate bounds the rate of requests at any moment: it is reached when the peaks of
// all scenarios fall together.
func (p Plan) MaxRate() float64 {
	sum := 0.0
	for _, s := range p.Scenarios {
		highest := s.Stages.MaxRate()
		if s.Share > 0 {
			highest = s.Share * p.Stages.MaxRate()
		}
		sum += highest * float64(s.Requests())
	}
	return sum
}

// MaxBytes is what a run of the whole plan may receive and send.
func (p Plan) MaxBytes() uint64 {
	if own := uint64(max(0, p.spec.Limits.MaxBytes)); own > 0 {
		return min(own, p.limits.Bytes())
	}
	return p.limits.Bytes()
}

// bodies is how many bytes of bodies the plan will send for certain; those with
// templates are as long as their data.
func (p Plan) bodies() uint64 {
	total := 0.0
	for _, s := range p.Scenarios {
		moments := float64(s.Stages.Total())
		if s.Share > 0 {
			moments = s.Share * float64(p.Stages.Total())
		}
		length := 0
		for _, r := range s.unit.Requests {
			if text, static := r.Body.Static(); static {
				length += len(text)
			}
		}
		if !s.unit.Steps {
			moments /= float64(len(s.unit.Requests))
		}
		total += moments * float64(length)
	}
	return uint64(total)
}

// Pacer is the plan's source of planned times, for one run. The seed matters to
// Poisson arrivals alone.
func (p Plan) Pacer(seed uint64) vegeta.Pacer {
	var streams []attack.Stream
	for i, parts := range p.streams() {
		s := attack.Stream{Pacer: pacer(p.Stages, p.Poisson, seed), End: p.Stages.Duration()}
		if own := parts[0]; own.Share == 0 {
			s = attack.Stream{Pacer: pacer(own.Stages, own.Poisson, seed+uint64(i)), After: own.Start, End: own.Stages.Duration()}
		}
		streams = append(streams, s)
	}
	if len(streams) == 1 && streams[0].After == 0 {
		return streams[0].Pacer
	}
	return attack.Merge(streams...)
}

func pacer(s attack.Stages, poisson bool, seed uint64) vegeta.Pacer {
	if poisson {
		return attack.NewPoisson(s, seed)
	}
	return s
}

func (p Plan) within(l Limits) error {
	var errs []error
	above := func(field, format string, args ...any) {
		errs = append(errs, &FieldError{field, fmt.Errorf(format, args...)})
	}
	if r := p.MaxRate(); r > l.MaxRate {
		above("stages", "rate %g/s is above the cap of %g/s", r, l.MaxRate)
	}
	if n := p.Total(); n > l.MaxTotal {
		above("stages", "%d requests are above the cap of %d", n, l.MaxTotal)
	}
	if d := p.Duration(); d > l.MaxDuration {
		above("stages", "%v is above the cap of %v", d, l.MaxDuration)
	}
	if n := p.bodies(); n > p.MaxBytes() {
		above("stages", "bodies of %d bytes are above the cap of %d received and sent", n, p.MaxBytes())
	}
	if p.Workers > l.MaxInFlight {
		above("workers", "%d is above the cap of %d in flight", p.Workers, l.MaxInFlight)
	}
	return errors.Join(errs...)
}
