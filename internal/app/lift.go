package app

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// liftLeash is how long a pod keeps more than its share when nobody asks how it goes.
const liftLeash = 5 * time.Second

// liftLive bounds the wait for gateways to take a share. One that is slower than that
// shows in the calls that the pod gets.
const liftLive = 2 * time.Second

// lift is the right to give one pod of a function more of its calls than its share. It
// ends when its holder is silent. It is on no disk: a process that begins gives
// everybody their share.
type lift struct {
	system            *System
	function, address string
	held              *time.Timer
	done              func() // when it has ended

	mu    sync.Mutex
	ended bool
}

// lifts are the functions of which a pod is lifted.
type lifts struct {
	mu   sync.Mutex
	held map[string]bool
}

// beginLift makes a pod one that may get more than its share, which it has at first.
func (s *System) beginLift(function, address string) (*lift, error) {
	s.lifts.mu.Lock()
	defer s.lifts.mu.Unlock()
	if s.lifts.held[function] {
		return nil, fmt.Errorf("another pod of %s, or this one, is being tried with live calls", function)
	}
	if err := s.xds.Lift(function, address, 1); err != nil {
		return nil, err
	}
	if s.lifts.held == nil {
		s.lifts.held = map[string]bool{}
	}
	s.lifts.held[function] = true
	l := &lift{system: s, function: function, address: address}
	l.done = func() {
		s.lifts.mu.Lock()
		defer s.lifts.mu.Unlock()
		delete(s.lifts.held, function)
	}
	l.held = time.AfterFunc(liftLeash, l.forgotten)
	return l, nil
}

var errLiftEnded = errors.New("nobody watched the pod for too long: it has its share again")

// set gives the pod a factor of its share, and waits for gateways to take it.
func (l *lift) set(ctx context.Context, factor float64) error {
	if err := l.change(factor); err != nil {
		return err
	}
	wait, cancel := context.WithTimeout(ctx, liftLive)
	defer cancel()
	if err := l.system.xds.WaitLive(wait); err != nil && ctx.Err() == nil {
		l.system.log.Warn("a pod's share is not with every gateway", "function", l.function, "pod", l.address, "factor", factor, "error", err)
	}
	return ctx.Err()
}

func (l *lift) change(factor float64) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended {
		return errLiftEnded
	}
	l.held.Reset(liftLeash)
	return l.system.xds.Lift(l.function, l.address, factor)
}

// hold says that somebody watches.
func (l *lift) hold() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended {
		return errLiftEnded
	}
	l.held.Reset(liftLeash)
	return nil
}

func (l *lift) forgotten() {
	if l.end() {
		l.system.log.Error("a pod that nobody watched has its share again", "function", l.function, "pod", l.address)
	}
}

// end gives the pod its share; false: it had it.
func (l *lift) end() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended {
		return false
	}
	l.ended = true
	l.held.Stop()
	l.system.xds.EndLift(l.function, l.address)
	l.done()
	return true
}
