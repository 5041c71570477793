package xds

import (
	"crypto/rand"
	"fmt"
	"slices"

	"github.com/kongdao/kongdao/xds/model"
)

// Pin is the right to reach one pod alone: a request to the function's ordinary
// routes with this header goes to the pod, without limit, retry or access check.
// Whoever has the value has the right.
type Pin struct {
	Function string
	Address  string
	Header   string
	Value    string
}

// Pin takes a pod out of its function's ordinary rotation and makes it reachable by
// the header alone; the function's limit follows. It refuses to take the only
// ready pod of a revision, or a pod that is pinned already. The pin holds until Unpin.
func (s *Server) Pin(function, address string) (Pin, error) {
	pin := Pin{Function: function, Address: address, Header: model.PodHeader, Value: rand.Text()}
	s.mu.Lock()
	err := pinnable(s.in, function, address)
	if err == nil {
		s.in.Pins = append(slices.Clip(s.in.Pins), model.Pin{Function: function, Address: address, Token: pin.Value})
		s.wanted++
	}
	s.mu.Unlock()
	if err != nil {
		return Pin{}, err
	}
	s.wake()
	return pin, nil
}

// Repin makes a pin of a process before this one hold again, value included.
// Nothing is checked: a pod that is not there any more is not pinned.
func (s *Server) Repin(pin Pin) {
	s.change(func(in *model.Input) {
		in.Pins = append(slices.Clip(in.Pins), model.Pin{Function: pin.Function, Address: pin.Address, Token: pin.Value})
	})
}

// Unpin gives the pod back to ordinary rotation. A pin that is not there is none.
func (s *Server) Unpin(pin Pin) {
	s.change(func(in *model.Input) {
		in.Pins = slices.DeleteFunc(slices.Clone(in.Pins), func(p model.Pin) bool { return p.Token == pin.Value })
	})
}

func pinnable(in model.Input, function, address string) error {
	if err := lifted(in, function); err != nil {
		return fmt.Errorf("pin %s: %w", address, err)
	}
	f := model.Build(in).Function(function)
	if f == nil {
		return fmt.Errorf("pin %s: there is no function %q", address, function)
	}
	if f.Invalid != "" {
		return fmt.Errorf("pin %s: function %s is not served: %s", address, function, f.Invalid)
	}
	for _, r := range f.Revisions {
		i := slices.IndexFunc(r.Pods, func(p *model.Pod) bool { return p.Address == address })
		if i < 0 {
			continue
		}
		if r.Pods[i].Pinned {
			return fmt.Errorf("pin %s: the pod is pinned already", address)
		}
		others := func(p *model.Pod) bool { return p.Address != address && p.InRotation() && p.Ready }
		if !slices.ContainsFunc(r.Pods, others) {
			return fmt.Errorf("pin %s: no other pod of %s is ready to take its requests", address, r.Cluster())
		}
		return nil
	}
	return fmt.Errorf("pin %s: function %s has no such pod", address, function)
}
