package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/kongdao/kongdao/api"
	"github.com/kongdao/kongdao/capacity/drill"
	"github.com/kongdao/kongdao/capacity/kept"
	"github.com/kongdao/kongdao/capacity/objective"
	"github.com/kongdao/kongdao/capacity/switchover"
	"github.com/kongdao/kongdao/release"
)

// switches carries switches of traffic out. Those under way are driven on after a
// restart.
type switches struct {
	system *System
	log    *slog.Logger
	folder kept.Folder[switchover.Record]
	ctx    context.Context // ends when the system stops
	stop   func()

	mu      sync.Mutex
	records map[string]switchover.Record
	aborts  map[string]chan struct{} // of those that are driven
	all     sync.WaitGroup
}

// newSwitches reads those of before; resume drives them on.
func (s *System) newSwitches() *switches {
	w := &switches{
		system: s, log: s.log.With("part", "switches"), folder: kept.Folder[switchover.Record]{Dir: s.dir.sub("switches")},
		records: map[string]switchover.Record{}, aborts: map[string]chan struct{}{},
	}
	ctx, cancel := context.WithCancel(context.Background())
	w.ctx = ctx
	w.stop = func() {
		w.mu.Lock() // nobody begins meanwhile
		cancel()
		w.mu.Unlock()
		w.all.Wait()
	}
	all, err := w.folder.List()
	if err != nil {
		w.log.Error("switches of before", "error", err)
	}
	for _, r := range all {
		w.records[r.Name] = r
	}
	return w
}

// resume drives on what was under way. Resources have to be in force.
func (w *switches) resume() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, r := range w.records {
		if r.State.Active() {
			w.log.Info("switch goes on", "switch", r.Name, "step", r.Step, "ends", r.Ends)
			w.drive(r)
		}
	}
}

// drive runs a switch to its end. The lock is held.
func (w *switches) drive(r switchover.Record) {
	abort := make(chan struct{})
	w.aborts[r.Name] = abort
	w.all.Go(func() {
		ended := switchover.Drive(w.ctx, w.fleetFor(r.Spec), r, abort)
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.aborts[r.Name] == abort { // else it has been begun anew
			delete(w.aborts, r.Name)
			w.records[r.Name] = ended // also where it could not be written down
		}
		w.log.Info("switch", "switch", r.Name, "state", string(ended.State), "step", ended.Step, "error", ended.Error)
	})
}

// save writes a record down, and then knows it.
func (w *switches) save(r switchover.Record) error {
	if err := w.folder.Save(r.Name, r); err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.records[r.Name] = r
	return nil
}

// list are all that are known, those under way first, then the newest.
func (w *switches) list() []switchover.Record {
	w.mu.Lock()
	defer w.mu.Unlock()
	all := slices.Collect(maps.Values(w.records))
	slices.SortFunc(all, func(a, b switchover.Record) int {
		if a.State.Active() != b.State.Active() {
			if a.State.Active() {
				return -1
			}
			return 1
		}
		return b.Began.Compare(a.Began)
	})
	return all
}

// abort ends a switch; it restores everything at once.
func (w *switches) abort(name string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, known := w.records[name]; !known {
		return fmt.Errorf("switch %s: %w", name, fs.ErrNotExist)
	}
	if abort, driven := w.aborts[name]; driven {
		select {
		case <-abort:
		default:
			close(abort)
		}
	}
	return nil
}

// plan looks at a switch as if it were applied now.
func (w *switches) plan(ctx context.Context, t *api.TrafficSwitch) (switchover.Record, error) {
	now := time.Now()
	r := switchover.Record{Name: t.Name, Spec: t.Spec, State: switchover.Planned, Began: now, Events: []switchover.Event{}}
	var err error
	if r.Ends, err = t.Spec.End(now); err != nil {
		return r, err
	}
	if r.Ends.Before(now) || r.Ends.Sub(now) > api.MaxSwitch {
		return r, fmt.Errorf("%w: it would end at %s, which is over or more than %v away", switchover.ErrRefused, r.Ends.Format(time.RFC3339), api.MaxSwitch)
	}
	if err := w.stands(&r); err != nil {
		return r, err
	}
	for _, step := range t.Spec.Steps {
		check, err := w.check(ctx, r, step.Percent)
		if err != nil {
			return r, err
		}
		r.Checks = append(r.Checks, check)
	}
	return r, r.Err()
}

// stands fills in where the traffic is now, and refuses what cannot be begun there.
func (w *switches) stands(r *switchover.Record) error {
	refuse := func(format string, args ...any) error {
		return fmt.Errorf("%w: "+format, append([]any{switchover.ErrRefused}, args...)...)
	}
	if zone := r.Spec.Zone; zone != "" && !w.system.knownZone(zone) {
		return refuse("there is no zone %s", zone)
	}
	if f := r.Spec.Function; f != "" {
		spec := w.system.registry.Current().Set.Function(f)
		if spec == nil || !slices.ContainsFunc(spec.Spec.Revisions, func(x api.Revision) bool { return x.Name == r.Spec.Revision }) {
			return refuse("there is no revision %s of a function %s", r.Spec.Revision, f)
		}
		state, _ := w.system.ledger.State(f)
		r.Reset = state.Override == nil
		if p := state.Progress; p != nil && (p.Phase == release.Running || p.Phase == release.Paused) {
			return refuse("the release of %s is under way", p.Revision)
		}
	}
	var err error
	if r.Before, err = w.has(*r); err != nil {
		return err
	}
	if r.Spec.Zone != "" && r.Before != 0 {
		return refuse("zone %s has %d %% of its share already, restore it first", r.Spec.Zone, 100-r.Before)
	}
	if first := r.Spec.Steps[0].Percent; first <= r.Before {
		return refuse("%s has %d %% already, and the first step is %d %%", r.Spec.Revision, r.Before, first)
	}
	return nil
}

// apply begins a switch.
func (w *switches) apply(ctx context.Context, t *api.TrafficSwitch) (switchover.Record, error) {
	r, err := w.plan(ctx, t)
	if err != nil {
		return r, err
	}
	if zone := w.system.drills.zone(); zone != "" {
		return r, fmt.Errorf("%w: a drill of zone %s is under way", switchover.ErrRefused, zone)
	}
	w.mu.Lock()
	for _, other := range w.records {
		if other.State.Active() && (other.Name == r.Name || switchover.What(other.Spec) == switchover.What(r.Spec)) {
			w.mu.Unlock()
			return r, fmt.Errorf("%w: the switch %s of %s is under way: kongdao switch abort %s ends it", switchover.ErrRefused, other.Name, switchover.What(other.Spec), other.Name)
		}
	}
	if w.ctx.Err() != nil {
		w.mu.Unlock()
		return r, errStopping
	}
	r.State = switchover.Moving
	w.records[r.Name] = r // nobody else begins it
	w.all.Add(1)          // stop waits for what is begun here
	defer w.all.Done()
	w.mu.Unlock()
	if err := w.save(r); err != nil {
		w.mu.Lock()
		delete(w.records, r.Name)
		w.mu.Unlock()
		return r, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.drive(r)
	return r, nil
}

// fleetFor is this system as a switch sees it.
func (w *switches) fleetFor(spec api.TrafficSwitchSpec) switchover.System {
	watched := spec.Gates.Functions
	if len(watched) == 0 && spec.Function != "" {
		watched = []string{spec.Function}
	}
	health := w.system.newProduction(2*healthWindow, watched...)
	health.bound = func(f *api.Function) objective.Bound {
		b := boundOf(f)
		if success := spec.Gates.Success.Ratio(); success > 0 {
			b.Failed = 1 - success
		}
		if p99 := spec.Gates.P99.Std(); p99 > 0 {
			b.Latency, b.Slow = p99, 0.01
		}
		return b
	}
	return switchover.System{
		Check: w.check, Has: w.has, Health: health.look, Save: w.save,
		Move: func(ctx context.Context, r switchover.Record, percent int, until time.Time) error {
			return w.move(ctx, r, percent, until)
		},
		Restore: w.restore,
	}
}

// has is what of the traffic has been moved, percent.
func (w *switches) has(r switchover.Record) (int, error) {
	if r.Spec.Zone != "" {
		return 100 - w.system.shareOf(r.Spec.Zone), nil
	}
	state, ok := w.system.ledger.State(r.Spec.Function)
	if !ok {
		return 0, fmt.Errorf("there is no function %s any more", r.Spec.Function)
	}
	return state.Weights.Of(r.Spec.Revision), nil
}

// expiryGrace is what a zone waits for its switch to restore it.
const expiryGrace = time.Minute

func (w *switches) move(ctx context.Context, r switchover.Record, percent int, until time.Time) error {
	if r.Spec.Zone == "" {
		return w.system.ledger.SetWeight(r.Spec.Function, r.Spec.Revision, percent)
	}
	now, err := w.has(r)
	if err != nil {
		return err
	}
	err = w.system.moved.set(r.Spec.Zone, 100-now, 100-percent, time.Until(until)+expiryGrace)
	if errors.As(err, new(movedError)) {
		return fmt.Errorf("%w: %w", switchover.ErrMoved, err)
	} else if err != nil {
		return err
	}
	return w.system.xds.WaitLive(ctx)
}

func (w *switches) restore(ctx context.Context, r switchover.Record) error {
	switch {
	case r.Spec.Zone != "":
		if err := w.system.moved.set(r.Spec.Zone, -1, drill.FullWeight, 0); err != nil {
			return err
		}
		return w.system.xds.WaitLive(ctx)
	case r.Reset:
		return w.system.ledger.Reset(r.Spec.Function)
	}
	return w.system.ledger.SetWeight(r.Spec.Function, r.Spec.Revision, r.Before)
}

// check says whether the traffic fits where it goes.
func (w *switches) check(ctx context.Context, r switchover.Record, percent int) (switchover.Check, error) {
	c := switchover.Check{Percent: percent, OK: true, Figures: []string{}}
	loads, err := w.system.loadsNow(ctx, r.Spec.Zone)
	if err != nil {
		return c, err
	}
	p := drill.CheckPart(r.Spec.Zone, 100-percent, maxAfterLoss, loads)
	if r.Spec.Zone == "" {
		p = w.checkRevision(r, percent, loads)
	}
	c.OK = p.OK
	for _, f := range p.Findings {
		if f.QPS > 0 || f.Peak > 0 || !f.OK {
			c.Figures = append(c.Figures, strings.TrimSpace(mark(f.OK)+" "+f.Function+": "+f.Reason))
		}
	}
	return c, nil
}

func mark(ok bool) string {
	if ok {
		return ""
	}
	return "NO"
}

// checkRevision is the same for the part of a function's traffic that a revision gets:
// as if its pods were all there is.
func (w *switches) checkRevision(r switchover.Record, percent int, loads []drill.Load) drill.Precheck {
	var own []drill.Load
	for _, l := range loads {
		if l.Function != r.Spec.Function {
			continue
		}
		l.QPS, l.Peak, l.Pods = l.QPS*float64(percent)/100, l.Peak*float64(percent)/100, map[string]int{}
		for _, f := range w.system.xds.State().Functions {
			for _, p := range f.Pods {
				if f.Name == l.Function && p.Revision == r.Spec.Revision {
					l.Pods[p.Zone] += p.Ready
				}
			}
		}
		// A zone that is not there, with a pod that counts nothing: what is left carries it.
		l.Pods[nowhere] = 1
		own = append(own, l)
	}
	return drill.Check(nowhere, maxAfterLoss, own)
}

const nowhere = ""
