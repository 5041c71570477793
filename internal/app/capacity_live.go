package app

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/kongdao/kongdao/api"
	"github.com/kongdao/kongdao/capacity/apply"
	"github.com/kongdao/kongdao/capacity/live"
	"github.com/kongdao/kongdao/capacity/search"
	"github.com/kongdao/kongdao/collector"
	"github.com/kongdao/kongdao/internal/calllog"
	"github.com/kongdao/kongdao/release"
	"github.com/kongdao/kongdao/xds/model"
)

// LiveOrder asks for the safe rate of a pod by its function's own calls.
type LiveOrder struct {
	Function string
	Pod      string // empty: the first that is ready
	Run      string // id of the result
	Budget   time.Duration
	Share    float64 // highest factor of the pod's share
	MaxRate  float64 // never given beyond, calls a second; 0: no bound
	Others   int     // ready pods of the revision beside it, at least
}

// liveSearch is one that is under way.
type liveSearch struct {
	system     *System
	order      LiveOrder
	function   *api.Function
	revision   string
	lift       *lift
	tail       *collector.Tail
	production *production

	looked time.Time // at what is in the way, last
}

// newLive checks an order, and takes the pod. The caller calls end.
func (s *System) newLive(ctx context.Context, o LiveOrder) (*liveSearch, error) {
	if s.collector == nil {
		return nil, errors.New("calls are collected by another process: a live search needs them in this one")
	}
	f, err := s.Function(o.Function)
	if err != nil {
		return nil, err
	}
	if o.Pod == "" {
		if o.Pod, err = s.readyPod(o.Function); err != nil {
			return nil, err
		}
	}
	x := &liveSearch{system: s, order: o, function: f}
	if x.revision, err = x.stands(); err != nil {
		return nil, err
	}
	if err := s.inTheWay(o.Function); err != nil {
		return nil, err
	}
	if err := x.config().Validate(); err != nil {
		return nil, err
	}
	if x.lift, err = s.beginLift(o.Function, o.Pod); err != nil {
		return nil, err
	}
	revision := x.revision
	x.tail = s.collector.Subscribe(ctx, func(r *calllog.Record) bool {
		return string(r.Function) == o.Function && string(r.Revision) == revision &&
			len(r.Pod) > 0 && len(r.LoadTest) == 0 && r.LimitedBy == ""
	})
	x.production = s.newProduction(loadWindow, o.Function)
	return x, nil
}

func (x *liveSearch) config() live.Config {
	return live.Config{
		Pod: x.order.Pod, Objective: search.ObjectiveOf(x.function.Spec.Objective), Budget: x.order.Budget,
		MaxFactor: x.order.Share, MaxRate: x.order.MaxRate, Lag: live.DefaultLag,
	}
}

// find searches, and keeps what it found.
func (x *liveSearch) find(ctx context.Context, to live.Reports) (apply.Found, error) {
	defer x.end(ctx)
	f := apply.Found{Function: x.order.Function, Revision: x.revision, Pod: x.order.Pod, Run: x.order.Run, Started: time.Now().UTC()}
	for _, r := range x.function.Spec.Revisions {
		if r.Name == x.revision {
			f.Image = r.Image
		}
	}
	sys := live.System{Lift: x.lift.set, Calls: x.calls, Production: x.production.look, Clear: x.clear}
	var err error
	if f.Result, err = live.Find(ctx, x.config(), sys, to); err != nil {
		return f, err
	}
	x.end(ctx)
	if _, err := x.system.postFound(ctx, &body[apply.Found]{f}); err != nil {
		f.Warnings = append(f.Warnings, "the result is not kept: "+err.Error())
	}
	return f, nil
}

// end gives the pod its share, and waits for gateways to take it.
func (x *liveSearch) end(ctx context.Context) {
	if !x.lift.end() {
		return
	}
	wait, cancel := context.WithTimeout(context.WithoutCancel(ctx), liftLive)
	defer cancel()
	if err := x.system.xds.WaitLive(wait); err != nil {
		x.system.log.Warn("a pod's share is not with every gateway", "function", x.order.Function, "pod", x.order.Pod, "error", err)
	}
}

// calls waits for calls of the pod's revision.
func (x *liveSearch) calls(ctx context.Context) ([]live.Call, int64, error) {
	if err := x.lift.hold(); err != nil {
		return nil, 0, err
	}
	all, missed, err := x.tail.Next(ctx)
	if err != nil {
		return nil, 0, nil // there were none
	}
	out := make([]live.Call, len(all))
	for i := range all {
		c := &all[i]
		out[i] = live.Call{
			At: c.Time, Gateway: c.Gateway, Pod: c.Pod, Latency: time.Duration(c.DurationUS) * time.Microsecond,
			OK: c.Status < 500, Tries: int(c.Attempts), Weight: int(c.SampleWeight),
		}
	}
	return out, missed, nil
}

// clearEvery is how often is looked at what may be in the way.
const clearEvery = 200 * time.Millisecond

func (x *liveSearch) clear() error {
	if time.Since(x.looked) < clearEvery {
		return nil
	}
	x.looked = time.Now()
	if _, err := x.stands(); err != nil {
		return err
	}
	if err := x.system.loads.others(x.order.Run); err != nil {
		return err
	}
	return x.system.inTheWay(x.order.Function)
}

// others is an error when a run is under way that is not this one.
func (l *activeLoads) others(run string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for other := range l.runs {
		if other != run {
			return fmt.Errorf("the stress test %s is under way", other)
		}
	}
	return nil
}

// stands finds the pod's revision; the pod has to take calls, and others beside it.
func (x *liveSearch) stands() (revision string, err error) {
	w := x.system.xds.World()
	if w == nil || w.Function(x.order.Function) == nil {
		return "", errors.New("there is no function " + x.order.Function)
	}
	f := w.Function(x.order.Function)
	if f.Invalid != "" {
		return "", fmt.Errorf("function %s is not served: %s", f.Name, f.Invalid)
	}
	for _, r := range f.Revisions {
		takes := func(p *model.Pod) bool { return p.Address == x.order.Pod && p.InRotation() && p.Ready }
		if !slices.ContainsFunc(r.Pods, takes) {
			continue
		}
		others := 0
		for _, p := range r.Pods {
			if p.Address != x.order.Pod && p.InRotation() && p.Ready {
				others++
			}
		}
		if others < x.order.Others {
			return "", fmt.Errorf("%d other pods of %s are ready, %d have to be", others, r.Cluster(), x.order.Others)
		}
		return r.Name, nil
	}
	return "", fmt.Errorf("pod %s of %s is not ready, or not in rotation", x.order.Pod, f.Name)
}

// inTheWay is what changes where a function's calls go, or tries something else on its
// pods.
func (s *System) inTheWay(function string) error {
	if state, ok := s.ledger.State(function); ok && state.Progress != nil {
		if p := state.Progress.Phase; p == release.Running || p == release.Paused {
			return fmt.Errorf("the release of %s is under way", state.Progress.Revision)
		}
	}
	if zone := s.drills.zone(); zone != "" {
		return fmt.Errorf("a drill of zone %s is under way", zone)
	}
	if why := s.busyZones(); why != "" {
		return errors.New(why)
	}
	for _, r := range s.switches.list() {
		if r.State.Active() && (r.Spec.Function == function || r.Spec.Zone != "") {
			return fmt.Errorf("the switch %s is under way", r.Name)
		}
	}
	return nil
}
