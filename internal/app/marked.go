package app

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/danielgtaylor/huma/v2"
)

// Gateways refuse the requests of stress tests for a while after all were stopped: a
// generator that nobody remembers, or that was started elsewhere, is silenced so.
// refuseLive is how long they may take to say that they do.
const refuseLive = 2 * time.Second

// refuseMarked makes all gateways refuse the requests of stress tests until a time,
// or take them again: zero. It is in force whether or not it can be kept, which
// matters to the next process alone.
func (m *moved) refuseMarked(until time.Time) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return errStopping
	}
	m.xds.RefuseMarked(!until.IsZero())
	m.shifts.Marked = until
	m.expireMarked(until)
	return m.file.save(m.shifts)
}

func (m *moved) expireMarked(at time.Time) {
	m.expire("marked", at, func() {
		if !m.markedUntil().Equal(at) { // somebody moved it meanwhile
			return
		}
		m.log.Info("gateways take stress tests again")
		if err := m.refuseMarked(time.Time{}); err != nil && !errors.Is(err, errStopping) {
			m.log.Error("that stress tests are taken again", "error", err) // the file says until when, too
		}
	})
}

// markedUntil is until when stress tests are refused; zero: they are not.
func (m *moved) markedUntil() time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.shifts.Marked
}

// resumeMarked takes up what the process before has left.
func (m *moved) resumeMarked(until, now time.Time) {
	if !until.After(now) {
		return
	}
	m.shifts.Marked = until
	m.xds.RefuseMarked(true)
	m.expireMarked(until)
	m.log.Warn("stress tests are still refused", "until", until)
}

type stopAllInput struct {
	Refuse int `query:"refuse" default:"600" minimum:"0" maximum:"86400" doc:"seconds for which gateways refuse requests of stress tests; 0: they do not"`
}

// stopAllLoad tells all generators to stop and all gateways to refuse what comes
// from those that do not hear it.
func (s *System) stopAllLoad(ctx context.Context, in *stopAllInput) (*struct{}, error) {
	s.loads.stop("")
	if in.Refuse == 0 {
		return nil, nil
	}
	return nil, s.setMarked(ctx, time.Now().Add(time.Duration(in.Refuse)*time.Second))
}

func (s *System) allowLoad(ctx context.Context, _ *struct{}) (*struct{}, error) {
	return nil, s.setMarked(ctx, time.Time{})
}

// setMarked returns when every gateway knows.
func (s *System) setMarked(ctx context.Context, until time.Time) error {
	if err := s.moved.refuseMarked(until); err != nil {
		return huma.Error500InternalServerError("it is in force until the system ends, and no longer: " + err.Error())
	}
	wait, cancel := context.WithTimeout(ctx, refuseLive)
	defer cancel()
	if err := s.xds.WaitLive(wait); err != nil {
		return huma.Error503ServiceUnavailable("not every gateway has taken it in yet: " + err.Error())
	}
	return nil
}

// refusal is why a stress test that begins now has to stop; empty: it has not.
func (m *moved) refusal() string {
	until := m.markedUntil()
	if until.IsZero() {
		return ""
	}
	return fmt.Sprintf("gateways refuse stress tests until %s: kongdao load allow ends that", until.Local().Format(time.TimeOnly))
}
