package scenario

import (
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/kongdao/kongdao/api"
	"github.com/kongdao/kongdao/loadtest/attack"
)

// stages turns shapes into stretches of straight lines and swings.
func stages(field string, in []api.Stage) (attack.Stages, error) {
	var out attack.Stages
	var errs []error
	for i, s := range in {
		parts, err := shape(s)
		if err != nil {
			errs = append(errs, &FieldError{fmt.Sprintf("%s[%d]", field, i), err})
			continue
		}
		if err := checkParts(parts); err != nil {
			errs = append(errs, &FieldError{fmt.Sprintf("%s[%d]", field, i) + err.Field, err.Err})
		}
		out = append(out, parts...)
	}
	if len(errs) == 0 {
		if err := out.Validate(); err != nil {
			errs = append(errs, err)
		}
	}
	return out, errors.Join(errs...)
}

// checkParts names the field of the stage that the parts come from.
func checkParts(parts attack.Stages) *FieldError {
	if parts.Duration() <= 0 {
		return &FieldError{".duration", errors.New("must be above 0")}
	}
	for _, p := range parts {
		for _, rate := range []float64{p.From, p.To} {
			if rate < 0 || math.IsNaN(rate) || math.IsInf(rate, 0) {
				return &FieldError{"", fmt.Errorf("rate %v must be a number, 0 or above", rate)}
			}
		}
	}
	return nil
}

var errShapes = errors.New("give one shape: rate, or from and to, or one of steps, spike, sine and soak")

func shape(s api.Stage) (attack.Stages, error) {
	ramp := s.From != 0 || s.To != 0
	if ramp && s.Rate != 0 {
		return nil, errors.New("give rate, or from and to, not both")
	}
	var parts []attack.Stages
	if s.Steps != nil {
		parts = append(parts, steps(*s.Steps, s.Duration.Std()))
	}
	if s.Spike != nil {
		parts = append(parts, spike(*s.Spike, s.Duration.Std()))
	}
	if s.Sine != nil {
		parts = append(parts, sine(*s.Sine, s.Duration.Std()))
	}
	if s.Soak != nil {
		parts = append(parts, soak(*s.Soak, s.Duration.Std()))
	}
	switch {
	case len(parts) > 1 || len(parts) == 1 && (ramp || s.Rate != 0):
		return nil, errShapes
	case len(parts) == 1:
		return parts[0], nil
	case !ramp:
		s.From, s.To = s.Rate, s.Rate
	}
	return attack.Stages{{From: s.From, To: s.To, Duration: s.Duration.Std()}}, nil
}

// steps are Count stretches of d/Count; what does not divide goes to the last.
func steps(s api.Steps, d time.Duration) attack.Stages {
	if s.Count < 2 || s.Count > 1000 {
		return nil
	}
	var out attack.Stages
	each := d / time.Duration(s.Count)
	for i := range s.Count {
		rate := s.From + (s.To-s.From)*float64(i)/float64(s.Count-1)
		out = append(out, attack.Stage{From: rate, To: rate, Duration: each})
	}
	out[s.Count-1].Duration += d - each*time.Duration(s.Count)
	return out
}

// spike is in the middle of d.
func spike(s api.Spike, d time.Duration) attack.Stages {
	rise, hold := s.Rise.Std(), s.Hold.Std()
	rest := d - 2*rise - hold
	if rest < 0 {
		return nil
	}
	before := rest / 2
	return whole(
		attack.Stage{From: s.Base, To: s.Base, Duration: before},
		attack.Stage{From: s.Base, To: s.Peak, Duration: rise},
		attack.Stage{From: s.Peak, To: s.Peak, Duration: hold},
		attack.Stage{From: s.Peak, To: s.Base, Duration: rise},
		attack.Stage{From: s.Base, To: s.Base, Duration: rest - before},
	)
}

func sine(s api.Sine, d time.Duration) attack.Stages {
	phase := map[string]float64{"peak": math.Pi / 2, "falling": math.Pi, "trough": -math.Pi / 2}[s.Start]
	return attack.Stages{{
		From: s.Mean, To: s.Mean, Duration: d,
		Swing: attack.Swing{Amplitude: s.Amplitude, Period: s.Period.Std(), Phase: phase},
	}}
}

func soak(s api.Soak, d time.Duration) attack.Stages {
	ramp := s.Ramp.Std()
	if ramp == 0 {
		ramp = min(d/20, time.Minute)
	}
	if 2*ramp > d {
		return nil
	}
	return whole(
		attack.Stage{To: s.Rate, Duration: ramp},
		attack.Stage{From: s.Rate, To: s.Rate, Duration: d - 2*ramp},
		attack.Stage{From: s.Rate, Duration: ramp},
	)
}

// whole leaves out stretches of no length.
func whole(all ...attack.Stage) attack.Stages {
	var out attack.Stages
	for _, s := range all {
		if s.Duration > 0 {
			out = append(out, s)
		}
	}
	return out
}
