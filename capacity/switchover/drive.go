package switchover

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// System is where traffic is moved. Percentages are of what the plan moves: a zone's
// share that has gone elsewhere, a function's traffic that the revision has.
type System struct {
	// Check says whether a step may be taken now, with its figures.
	Check func(ctx context.Context, r Record, percent int) (Check, error)
	// Has is what has been moved now.
	Has func(r Record) (int, error)
	// Move changes it, and returns when it is in force; what is moved comes back by
	// itself soon after until, where the system can do that.
	Move func(ctx context.Context, r Record, percent int, until time.Time) error
	// Restore brings back what was before.
	Restore func(ctx context.Context, r Record) error
	// Health returns what is wrong with the calls that the plan watches, or nil.
	Health func(ctx context.Context) error
	// Save writes a record down. Without that nothing moves.
	Save func(Record) error
}

// How a switch is watched.
const (
	interval  = time.Second
	tolerance = 1 // looks in a row that may be bad
	restoring = 30 * time.Second
)

// Drive takes a switch from wherever it stands to its end, and returns how that was.
// The end of ctx leaves it as it is, to be driven on later; abort restores at once.
func Drive(ctx context.Context, s System, r Record, abort <-chan struct{}) Record {
	d := &driver{System: s, r: r, abort: abort}
	err := d.run(ctx)
	switch {
	case errors.Is(err, errLeft):
	case errors.Is(err, ErrMoved):
		d.end(Overtaken, err)
	default:
		d.back(ctx, err)
	}
	return d.r
}

// Why a driver stops.
var (
	errLeft    = errors.New("the process is stopping")
	errAborted = errors.New("by command")
	errExpired = errors.New("the end date has come")
)

type driver struct {
	System
	r     Record
	abort <-chan struct{}
}

func (d *driver) run(ctx context.Context) error {
	if err := d.takeUp(); err != nil {
		return err
	}
	for {
		if d.r.State == Standing {
			return d.watch(ctx, d.r.Ends, false)
		}
		if d.r.Step > 0 {
			wait := d.r.Spec.Steps[d.r.Step-1].Wait.Std()
			if err := d.watch(ctx, d.r.Since.Add(wait), true); err != nil {
				return err
			}
		}
		if d.r.Step == len(d.r.Spec.Steps) {
			d.r.State = Standing
			d.note("all steps taken; until %s", d.r.Ends.Format(time.RFC3339))
			continue
		}
		if err := d.next(ctx); err != nil {
			return err
		}
	}
}

// takeUp compares what a record says with what is: a move may have been under way
// when the process ended, and somebody else may have moved the traffic since.
func (d *driver) takeUp() error {
	if !time.Now().Before(d.r.Ends) {
		return errExpired
	}
	has, err := d.Has(d.r)
	if err != nil {
		return err
	}
	switch {
	case d.r.Going != 0 && has == d.r.Going: // it was done
		d.took(d.r.Going)
	case has == d.r.percent():
		d.r.Going = 0
	default:
		return fmt.Errorf("%w: it is at %d %%, not %d %%", ErrMoved, has, d.r.percent())
	}
	return nil
}

// next checks and takes one step.
func (d *driver) next(ctx context.Context) error {
	to := d.r.Spec.Steps[d.r.Step].Percent
	check, err := d.Check(ctx, d.r, to)
	switch {
	case ctx.Err() != nil:
		return errLeft
	case err != nil:
		return fmt.Errorf("%w: before %d %%: %w", ErrGate, to, err)
	case !check.OK:
		return fmt.Errorf("%w: before %d %%: %s", ErrGate, to, check.Figures)
	}
	if err := d.mine(); err != nil {
		return err
	}
	d.r.Going = to
	if err := d.Save(d.r); err != nil {
		d.r.Going = 0
		return fmt.Errorf("write it down: %w", err)
	}
	if err := d.Move(ctx, d.r, to, d.r.Ends); err != nil && ctx.Err() != nil {
		return errLeft // who takes it up sees how far it came
	} else if err != nil {
		return fmt.Errorf("move to %d %%: %w", to, err)
	}
	d.took(to)
	return nil
}

// took notes that a step was taken.
func (d *driver) took(to int) {
	d.r.Step, d.r.Since, d.r.Going = d.r.Step+1, time.Now(), 0
	d.note("%d %% moved", to)
}

// mine tells whether the traffic is still where this switch has moved it.
func (d *driver) mine() error {
	has, err := d.Has(d.r)
	if err != nil {
		return err
	}
	if has != d.r.percent() {
		return fmt.Errorf("%w: it is at %d %%, not %d %%", ErrMoved, has, d.r.percent())
	}
	return nil
}

// watch waits until a time, and looks meanwhile.
func (d *driver) watch(ctx context.Context, until time.Time, gated bool) error {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for bad := 0; ; {
		select {
		case <-ctx.Done():
			return errLeft
		case <-d.abort:
			return errAborted
		case <-tick.C:
		}
		if !time.Now().Before(d.r.Ends) {
			return errExpired
		}
		if err := d.mine(); err != nil {
			return err
		}
		err := error(nil)
		if gated {
			err = d.Health(ctx)
		}
		if err == nil {
			bad = 0
		} else if bad++; bad > tolerance && ctx.Err() == nil {
			return fmt.Errorf("%w: at %d %%: %w", ErrGate, d.r.percent(), err)
		}
		if bad == 0 && !time.Now().Before(until) {
			return nil
		}
	}
}

// back restores what was before.
func (d *driver) back(ctx context.Context, why error) {
	state := RolledBack
	switch {
	case errors.Is(why, errAborted):
		state = Aborted
	case errors.Is(why, errExpired):
		state = Expired
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), restoring)
	defer cancel()
	if d.r.Step > 0 || d.r.Going != 0 {
		if has, err := d.Has(d.r); err == nil && has != d.r.percent() && has != d.r.Going && has != d.r.Before {
			d.end(Overtaken, fmt.Errorf("%w: it is at %d %%, and stays there: %w", ErrMoved, has, why))
			return
		}
		if err := d.Restore(ctx, d.r); err != nil {
			why = errors.Join(why, fmt.Errorf("not restored: %w", err))
		} else {
			d.note("restored")
		}
	}
	d.end(state, why)
}

func (d *driver) end(state State, why error) {
	d.r.State, d.r.Ended, d.r.Error = state, time.Now(), why.Error()
	d.note("%s: %v", state, why)
}

// note adds an event and writes the record down.
func (d *driver) note(format string, args ...any) {
	percent := d.r.percent()
	if !d.r.State.Active() {
		percent = d.r.Before
	}
	d.r.Events = append(d.r.Events, Event{At: time.Now(), Percent: percent, What: fmt.Sprintf(format, args...)})
	if err := d.Save(d.r); err != nil && d.r.Error == "" {
		d.r.Error = "write it down: " + err.Error()
	}
}
