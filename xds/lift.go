package xds

import (
	"fmt"
	"slices"

	"github.com/kongdao/kongdao/xds/model"
)

// LiftState is a pod that gets another share of its function's calls than the others.
type LiftState struct {
	Address string  `json:"address"`
	Zone    string  `json:"zone"`
	Factor  float64 `json:"factor"` // of its share
}

// Lifts stay within this, whoever asks.
const minLift, maxLift = 0.5, 10

// Lift gives a pod factor times its share of its function's ordinary requests, as
// compared with the other pods, until EndLift, and replaces what it was given before.
// The function's limit stays. It holds as long as this process: gateways have even
// shares again when the next one serves them. A function has one lifted pod, which
// nothing else is tried on.
func (s *Server) Lift(function, address string, factor float64) error {
	if !(factor >= minLift && factor <= maxLift) {
		return fmt.Errorf("lift %s: factor %g is not in [%v,%v]", address, factor, minLift, float64(maxLift))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := liftable(s.in, function, address); err != nil {
		return fmt.Errorf("lift %s: %w", address, err)
	}
	lift := model.Lift{Function: function, Address: address, Factor: factor}
	others := slices.DeleteFunc(slices.Clone(s.in.Lifts), func(l model.Lift) bool { return l.Function == function })
	s.in.Lifts = append(others, lift)
	s.wanted++
	s.wakeAll()
	return nil
}

// EndLift gives a pod its share again. A pod that is not lifted stays as it is.
func (s *Server) EndLift(function, address string) {
	s.change(func(in *model.Input) {
		in.Lifts = slices.DeleteFunc(slices.Clone(in.Lifts), func(l model.Lift) bool { return l.Function == function && l.Address == address })
	})
}

func liftable(in model.Input, function, address string) error {
	for _, l := range in.Lifts {
		if l.Function == function && l.Address != address {
			return lifted(in, function)
		}
	}
	for _, p := range in.Pins {
		if p.Function == function {
			return fmt.Errorf("pod %s of %s is out of rotation for a test", p.Address, function)
		}
	}
	f := in.Set.Function(function)
	if f == nil {
		return fmt.Errorf("there is no function %q", function)
	}
	for _, r := range f.Spec.Revisions {
		for _, e := range r.Endpoints {
			if e.Address == address {
				return nil
			}
		}
	}
	return fmt.Errorf("function %s has no such pod", function)
}

// lifted is an error when a pod of the function is.
func lifted(in model.Input, function string) error {
	for _, l := range in.Lifts {
		if l.Function == function {
			return fmt.Errorf("pod %s of %s is being tried with live calls", l.Address, function)
		}
	}
	return nil
}
