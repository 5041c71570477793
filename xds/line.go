package xds

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"google.golang.org/protobuf/types/known/anypb"

	"github.com/kongdao/kongdao/xds/model"
	"github.com/kongdao/kongdao/xds/serve"
)

// line brings changes to one group of gateways. Each has a goroutine of its own, so
// that a group that lags keeps no other waiting.
type line struct {
	group   string
	publish publisher // of the goroutine alone
	kick    chan struct{}
	stop    func()

	// Under Server.mu.
	live  uint64       // last change that was published, or failed to be
	fault error        // why the last publishing failed; nil: it did not
	world *model.World // the last one that was published; nil before

	quarantined []Quarantine

	ready   map[string]bool // that is published next, of the goroutine alone
	touched map[string]bool // addresses whose readiness changed since then; nil: all
}

func (s *Server) newLine(group string) *line {
	return &line{
		group: group, kick: make(chan struct{}, 1), stop: func() {},
		publish: publisher{
			config: s.config, group: group, canary: s.canary, tamper: &s.tamper, serve: s.serve.Group(group), log: s.log.With("group", group),
			gone: map[string]time.Time{}, broken: map[string]broken{}, behind: map[string]bool{}, postponed: map[string]bool{},
			bridged: map[string]*anypb.Any{}, viewed: map[string]map[string]*anypb.Any{}, direct: s.newDirect(group),
		},
	}
}

func (l *line) wake() {
	select {
	case l.kick <- struct{}{}:
	default:
	}
}

// regroup starts lines of groups that are new, and ends those of groups that are
// gone.
func (s *Server) regroup(ctx context.Context, workers *sync.WaitGroup) {
	s.mu.Lock()
	var names []string
	if s.newest != nil {
		names = s.newest.groups
	}
	var ended []*line
	for name, l := range s.lines {
		if name != serve.DefaultGroup && !slices.Contains(names, name) {
			ended = append(ended, l)
			delete(s.lines, name)
		}
	}
	var begun []*line
	for _, name := range names {
		if s.lines[name] == nil {
			s.lines[name] = s.newLine(name)
			begun = append(begun, s.lines[name])
		}
	}
	if len(begun)+len(ended) > 0 {
		s.progress()
	}
	s.mu.Unlock()
	for _, l := range ended {
		l.stop()
	}
	for _, l := range begun {
		s.startLine(ctx, l, workers)
		l.wake()
	}
	s.serve.SetGroups(names)
}

// startLine runs a line until its stop or the end of ctx.
func (s *Server) startLine(ctx context.Context, l *line, workers *sync.WaitGroup) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	workers.Go(func() {
		defer close(done)
		defer cancel()
		s.follow(ctx, l)
	})
	l.stop = func() { cancel(); <-done }
}

// follow publishes the wanted state of a group whenever it changed, and removes
// what is past its grace.
func (s *Server) follow(ctx context.Context, l *line) {
	grace := time.NewTimer(time.Hour)
	defer grace.Stop()
	tick := time.NewTicker(250 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-l.kick:
			s.publishOnce(ctx, l)
		case now := <-tick.C:
			l.publish.tidy(now)
			if s.waiting(l) || l.publish.untried(now) {
				s.publishOnce(ctx, l)
			}
		case <-grace.C:
			l.publish.sweep(time.Now())
		}
		if next, ok := l.publish.nextSweep(); ok {
			grace.Reset(time.Until(next))
		}
	}
}

func (s *Server) publishOnce(ctx context.Context, l *line) {
	s.mu.Lock()
	if s.newest == nil {
		s.mu.Unlock()
		return
	}
	in, number, applied := s.input(l), s.wanted, s.applied
	early := l.world == nil && s.tooEarly(in, time.Since(applied))
	s.mu.Unlock()
	if early {
		s.untake(l, in.Touched)
		return
	}
	world, err := l.publish.publish(ctx, in)
	if err != nil {
		s.untake(l, in.Touched)
		// A mistake in the translator, or a setting that no gateway can take; the
		// gateways keep what they have.
		s.log.Error("changes not published", "group", l.group, "error", err)
	} else if len(l.publish.postponed) == 0 {
		l.publish.serve.Mark(number)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if l.fault = err; world != nil {
		l.world, l.quarantined = world, l.publish.listed
	}
	if err != nil || len(l.publish.postponed) == 0 {
		l.live = number // else the canary wakes the line when it has decided
	}
	s.progress()
}

// progress tells those that wait that a line moved on. The lock must be held.
func (s *Server) progress() {
	close(s.moved)
	s.moved = make(chan struct{})
}

// takeReady brings a line's own copy of the readiness of pods up to date, and tells
// of which it may be another one since the last time. The server's lock must be held.
func (l *line) takeReady(now map[string]bool) (ready, touched map[string]bool) {
	if touched = l.touched; touched == nil {
		l.ready = maps.Clone(now)
	}
	for address := range touched {
		if is, known := now[address]; known {
			l.ready[address] = is
		}
	}
	l.touched = map[string]bool{}
	return l.ready, touched
}

// untake notes that what was taken was not published.
func (s *Server) untake(l *line, touched map[string]bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if touched == nil {
		l.touched = nil
	}
	l.touch(touched)
}

// touch notes that the readiness of pods may be another one. The server's lock must
// be held.
func (l *line) touch(addresses map[string]bool) {
	if l.touched == nil {
		return // of all, already
	}
	for address := range addresses {
		l.touched[address] = true
	}
}

// waiting tells whether the first update has not been tried yet.
func (s *Server) waiting(l *line) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.applied.IsZero() && l.world == nil && l.live < s.wanted
}

// canaryWait is how long the first update waits for the canary Envoy. What is bad
// in it was mostly bad before a restart, and is worse for gateways that start with
// it: they have nothing to keep.
const canaryWait = 5 * time.Second

// tooEarly tells whether the first update has to wait for readiness, or for the
// canary Envoy.
func (s *Server) tooEarly(in model.Input, waited time.Duration) bool {
	if s.canary != nil && waited < canaryWait && !s.canary.Up() && !s.canary.Missing() {
		return true
	}
	if waited >= s.config.FirstReadiness.Std() {
		return false
	}
	for _, f := range in.Set.Functions {
		for _, r := range f.Spec.Revisions {
			for _, e := range r.Endpoints {
				if _, known := in.Ready[e.Address]; !known {
					return true
				}
			}
		}
	}
	return false
}

// reached tells whether every line has published a change, and what failed.
func (s *Server) reached(want uint64) (bool, error) {
	if len(s.lines) == 0 {
		return false, nil
	}
	var faults []error
	for _, l := range s.lines {
		if l.live < want {
			return false, nil
		}
		if l.fault != nil {
			faults = append(faults, fmt.Errorf("publish changes: group %s: %w", l.group, l.fault))
		}
	}
	return true, errors.Join(faults...)
}

// WaitPublished blocks until there is a World for the gateways: the first Apply took
// effect.
func (s *Server) WaitPublished(ctx context.Context) error {
	for {
		s.mu.Lock()
		there, moved := len(s.worlds()) > 0, s.moved
		s.mu.Unlock()
		if there {
			return nil
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return fmt.Errorf("wait for the first configuration: %w", ctx.Err())
		}
	}
}
