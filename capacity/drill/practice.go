package drill

import (
	"context"
	"fmt"
	"time"
)

// Practice carries out drills at times of the week. A run that is blocked is tried
// again until its window ends; then it was missed, which is told, too.
type Practice struct {
	Times  []Weekly
	Where  *time.Location
	Window time.Duration // from its time until a run may begin at the latest
	Every  time.Duration // between two looks at the clock, and two tries

	// Since is when practice began at the latest: runs before it are not missed.
	Since time.Time
	// Last is when a practice run was last begun or given up; zero: never.
	Last func() time.Time
	// Blocked says what is in the way of a run, or nothing.
	Blocked func(ctx context.Context) string
	// Drill carries out a drill of the zone whose turn it is, to its end.
	Drill func(ctx context.Context) (Record, error)
	// Missed is told of a run that did not take place, and why.
	Missed func(due time.Time, why string)
}

// Run practises until ctx ends, and returns nil then.
func (p Practice) Run(ctx context.Context) error {
	tick := time.NewTicker(p.Every)
	defer tick.Stop()
	why, tried := "", time.Time{} // of the run that is due
	for {
		if due := p.due(time.Now()); !due.IsZero() {
			if !due.Equal(tried) {
				why, tried = "the process did not run", due
			}
			if time.Since(due) > p.Window {
				p.Missed(due, why)
			} else if why = p.try(ctx); why == "" {
				tried = time.Time{}
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// due is the time of the run that has neither been carried out nor given up; zero:
// none.
func (p Practice) due(now time.Time) (due time.Time) {
	for _, w := range p.Times {
		if at := w.Last(now, p.Where); at.After(due) {
			due = at
		}
	}
	if due.Before(p.Since) || !p.Last().Before(due) {
		return time.Time{}
	}
	return due
}

// try begins a run unless something is in the way, and says what.
func (p Practice) try(ctx context.Context) string {
	if why := p.Blocked(ctx); why != "" {
		return why
	}
	r, err := p.Drill(ctx)
	if r.Moved.IsZero() && r.State != TakenBack { // nothing was moved: another try may do
		return fmt.Sprint(err)
	}
	return ""
}
