package drill

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"time"
)

// Fleet is the system that drills are carried out on.
type Fleet struct {
	// Precheck says whether the other zones can take over, now and at their peak.
	Precheck func(ctx context.Context, zone string) (Precheck, error)
	// Foresee predicts what callers will see.
	Foresee func(ctx context.Context, zone string) ([]Forecast, error)
	// Share is what the zone has of its share, percent.
	Share func(zone string) int
	// SetShare gives a zone that has from (below 0: whatever) a weight, and returns when
	// it is in force; ErrMoved when it has another one.
	// After expiry the zone has its full share again, whatever becomes of the drill.
	SetShare func(ctx context.Context, zone string, from, weight int, expiry time.Duration) error
	// Health returns what is wrong with production's objectives, or nil.
	Health func(ctx context.Context) error
	// Observe reads what happened, when it is all known.
	Observe func(ctx context.Context, r Record) (Seen, error)
	// Alerts are those that fire; nil: nobody knows.
	Alerts func(ctx context.Context) ([]Alert, error)
	// Kill ends the pods of a zone and Revive brings them back and waits until they are
	// ready; nil: they are not ours to end.
	Kill, Revive func(ctx context.Context, zone string) error
	// Save keeps a record. It is called before anything is moved and after every event.
	Save func(Record) error
}

// ErrNotOurs is for pods that this process did not start.
var ErrNotOurs = errors.New("only pods that this process has started can be killed: this is no test fleet")

// ErrMoved means that somebody else has moved the zone meanwhile: the drill ends, and
// what they did stays.
var ErrMoved = errors.New("somebody else has moved the zone")

// alertInterval is how often firing alerts are asked for.
const alertInterval = time.Second

// grace is what a drill may take beyond its plan before the zone is restored without
// it.
const grace = 2 * time.Minute

// Exercise carries a drill out, restores the zone whatever happens, and returns its
// record. The end of ctx ends the drill and restores the zone. The error is nil when
// the drill went as planned; ErrRefused when nothing was moved for want of capacity.
func Exercise(ctx context.Context, f Fleet, o Order) (Record, error) {
	x := &exercise{fleet: f, order: o, record: Record{
		ID: time.Now().UTC().Format("20060102-150405.000") + "-" + o.Zone, Zone: o.Zone, By: o.By, Kill: o.Kill, Forced: o.Force,
		State: Planned, Began: time.Now(), Forecast: []Forecast{}, Events: []Event{}, Alerts: []Outcome{},
	}}
	err := x.run(ctx)
	return x.record, err
}

// exercise is one drill under way. Its record is written by one goroutine.
type exercise struct {
	fleet  Fleet
	order  Order
	record Record
}

func (x *exercise) run(ctx context.Context) error {
	o := x.order
	if err := o.Config.Validate(); err != nil {
		return err
	}
	if err := x.look(ctx); err != nil {
		return err
	}
	if o.Dry {
		return nil
	}
	x.record.State = Running
	if err := x.fleet.Save(x.record); err != nil {
		x.record.State = Planned
		return fmt.Errorf("nothing was moved: %w", err)
	}
	fired := x.watchAlerts(ctx)
	report, err := x.move(ctx)
	x.record.Restored, x.record.State = report.Restored, Done
	x.record.Ended = time.Now()
	if err != nil {
		x.record.State, x.record.Error = TakenBack, err.Error()
	}
	x.finish(ctx, fired())
	return errors.Join(err, x.fleet.Save(x.record))
}

// look fills in what is known before anything moves.
func (x *exercise) look(ctx context.Context) (err error) {
	r, o := &x.record, x.order
	if o.Kill && (x.fleet.Kill == nil || x.fleet.Revive == nil) {
		return x.refuse(fmt.Errorf("%w: %w", ErrRefused, ErrNotOurs))
	}
	if r.Precheck, err = x.fleet.Precheck(ctx, o.Zone); err != nil {
		if !o.Force {
			return err
		}
		r.Notes = append(r.Notes, "pre-check: "+err.Error())
	} else if err := r.Precheck.Err(); err != nil && !o.Force {
		return x.refuse(err)
	}
	if has := x.fleet.Share(o.Zone); has != FullWeight {
		return x.refuse(fmt.Errorf("%w: zone %s has %d %% of its share already, restore it first", ErrRefused, o.Zone, has))
	}
	forecast, err := x.fleet.Foresee(ctx, o.Zone)
	if err != nil {
		r.Notes = append(r.Notes, "prediction: "+err.Error())
	}
	r.Forecast = append(r.Forecast, forecast...)
	return nil
}

// refuse notes a drill that was not begun.
func (x *exercise) refuse(err error) error {
	x.record.State, x.record.Error, x.record.Ended = Refused, err.Error(), time.Now()
	if x.order.Dry {
		return err
	}
	return errors.Join(err, x.fleet.Save(x.record))
}

// move empties the zone and restores it.
func (x *exercise) move(ctx context.Context) (Report, error) {
	share := FullWeight
	set := func(ctx context.Context, zone string, weight int) error {
		x.stamp(weight)
		err := x.fleet.SetShare(ctx, zone, share, weight, x.planned()+grace)
		switch {
		case err == nil:
			share = weight
		case !errors.Is(err, ErrMoved):
			share = -1 // who knows
		}
		return err
	}
	runner, err := New(x.order.Config, set, x.fleet.Health)
	if err != nil {
		return Report{}, err
	}
	runner.Watch = func(e Event) {
		if e.Weight == 0 && x.record.Emptied.IsZero() {
			x.record.Emptied = e.At
		}
		x.note(e)
	}
	if x.order.Kill {
		return x.kill(ctx, runner)
	}
	return runner.Drill(ctx, x.order.Zone)
}

// stamp notes when a step begins.
func (x *exercise) stamp(weight int) {
	r := &x.record
	switch {
	case r.Moved.IsZero():
		r.Moved = time.Now()
	case r.Returned.IsZero() && (!r.Emptied.IsZero() && weight > 0 || weight == FullWeight):
		r.Returned = time.Now()
	}
}

func (x *exercise) note(e Event) {
	x.record.Events = append(x.record.Events, e)
	if err := x.fleet.Save(x.record); err != nil {
		x.record.Notes = append(x.record.Notes, "record: "+err.Error())
	}
}

// kill ends the zone's pods, holds and brings them back, whatever happens.
func (x *exercise) kill(ctx context.Context, runner *Runner) (Report, error) {
	r, zone := runner.begin(x.order.Zone), x.order.Zone
	if err := x.fleet.Health(ctx); err != nil {
		return r.end(fmt.Errorf("before the kill: %w: %w", ErrUnhealthy, err))
	}
	x.record.Moved = time.Now()
	err := x.fleet.Kill(ctx, zone)
	if err == nil {
		r.weight = 0
		r.add("pods of %s are killed", zone)
		err = runner.watch(ctx, x.order.Config.Hold)
	}
	x.record.Returned = time.Now()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), restoreTimeout)
	defer cancel()
	if back := x.fleet.Revive(ctx, zone); back != nil {
		r.add("not restored: %v", back)
		return r.end(errors.Join(err, fmt.Errorf("zone %s is not restored: %w", zone, back)))
	}
	r.Restored, r.weight = true, FullWeight
	r.add("pods of %s are back", zone)
	return r.end(err)
}

// planned is how long a drill takes when all goes well.
func (x *exercise) planned() time.Duration {
	c := x.order.Config
	return time.Duration(2*len(c.Steps)+1)*(c.Settle+c.Interval) + c.Hold + c.Interval
}

// watchAlerts notes which alerts begin to fire, until the func that it returns is
// called.
func (x *exercise) watchAlerts(ctx context.Context) func() []Alert {
	if x.fleet.Alerts == nil {
		return func() []Alert { return nil }
	}
	before, err := x.fleet.Alerts(ctx)
	if err != nil {
		return func() []Alert { return nil }
	}
	watching, stop := context.WithCancel(context.WithoutCancel(ctx))
	var fired []Alert
	var watcher sync.WaitGroup
	watcher.Go(func() {
		tick := time.NewTicker(alertInterval)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
			case <-watching.Done():
				return
			}
			now, err := x.fleet.Alerts(watching)
			if err == nil {
				fired = joinAlerts(fired, now, before)
			}
		}
	})
	return func() []Alert {
		stop()
		watcher.Wait()
		return fired
	}
}

// joinAlerts adds those of now that neither fired nor fire since before.
func joinAlerts(fired, now, before []Alert) []Alert {
	among := func(a Alert, all []Alert) bool {
		for _, b := range all {
			if a.Name == b.Name && maps.Equal(a.Labels, b.Labels) {
				return true
			}
		}
		return false
	}
	for _, a := range now {
		if !among(a, fired) && !among(a, before) {
			fired = append(fired, a)
		}
	}
	return fired
}

// observeTimeout bounds how long a drill that has ended waits for the call log.
const observeTimeout = 20 * time.Second

// finish fills in what was seen, also when ctx has ended.
func (x *exercise) finish(ctx context.Context, fired []Alert) {
	r := &x.record
	if x.fleet.Alerts == nil {
		r.Notes = append(r.Notes, "alerts: this process does not alert")
	}
	r.Alerts = outcomes(r.expected(x.order.Config.Hold), fired)
	if r.Moved.IsZero() {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), observeTimeout)
	defer cancel()
	seen, err := x.fleet.Observe(ctx, *r)
	if err != nil {
		r.Notes = append(r.Notes, "what was seen: "+err.Error())
		return
	}
	r.Seen = &seen
}
