package drill

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// FullWeight is the weight of a zone that takes its full share.
const FullWeight = 100

// Config says how gently a zone is moved.
type Config struct {
	Steps     []int         // weights on the way down, in percent of the zone's share, ending with 0
	Settle    time.Duration // how long each step is watched before the next
	Interval  time.Duration // between two looks at the health
	Tolerance int           // failed looks in a row that are still accepted
	Hold      time.Duration // how long a drill keeps the zone empty
	Expiry    time.Duration // after which a drained zone is to be restored
}

// DefaultConfig goes down by 50 and 10 to 0, watches each step for 5 s, holds a
// drill for a minute and ends a drain after an hour.
func DefaultConfig() Config {
	return Config{
		Steps: []int{50, 10, 0}, Settle: 5 * time.Second, Interval: time.Second, Tolerance: 1,
		Hold: time.Minute, Expiry: time.Hour,
	}
}

// Validate reports every field that is wrong.
func (c Config) Validate() error {
	var errs []error
	check := func(ok bool, message string) {
		if !ok {
			errs = append(errs, errors.New(message))
		}
	}
	falling := slices.IsSortedFunc(c.Steps, func(a, b int) int { return b - a })
	check(len(c.Steps) > 0 && falling && c.Steps[0] <= FullWeight && c.Steps[len(c.Steps)-1] == 0, "steps: must fall from 100 at most to 0")
	check(c.Settle >= 0, "settle: must not be negative")
	check(c.Interval > 0, "interval: must be above 0")
	check(c.Tolerance >= 0, "tolerance: must not be negative")
	check(c.Hold >= 0, "hold: must not be negative")
	check(c.Expiry > 0, "expiry: must be above 0: no drain lasts for ever")
	return errors.Join(errs...)
}

// Runner moves zones. Its functions are called by one goroutine for each zone that
// is being moved.
type Runner struct {
	// Watch is told every event as it happens; nil: nobody.
	Watch func(Event)

	config    Config
	setWeight func(ctx context.Context, zone string, weight int) error
	health    func(ctx context.Context) error
}

// New returns a runner. setWeight gives a zone the weight, 0 to 100 percent of its
// share, and returns when it is in force; setting it again does no harm. health
// returns nil, or what is wrong.
func New(c Config, setWeight func(ctx context.Context, zone string, weight int) error, health func(ctx context.Context) error) (*Runner, error) {
	err := c.Validate()
	if setWeight == nil || health == nil {
		err = errors.Join(err, errors.New("setWeight and health: must be given"))
	}
	if err != nil {
		return nil, err
	}
	return &Runner{config: c, setWeight: setWeight, health: health}, nil
}

// Event is one thing that happened, for the report.
type Event struct {
	At     time.Time `json:"at"`
	Weight int       `json:"weight"` // of the zone, after the event
	What   string    `json:"what"`
}

// Report is the course of a drain or drill.
type Report struct {
	Zone     string    `json:"zone"`
	OK       bool      `json:"ok"`               // carried out as planned
	Drained  bool      `json:"drained"`          // the zone is empty now
	Restored bool      `json:"restored"`         // the zone has its full share again
	Expires  time.Time `json:"expires,omitzero"` // of a drain that stands
	Seconds  float64   `json:"duration_s"`
	Events   []Event   `json:"events"`
	Error    string    `json:"error,omitempty"` // why it was not carried out

	weight int
	began  time.Time
	watch  func(Event)
}

func (r *Runner) begin(zone string) *Report {
	return &Report{Zone: zone, weight: FullWeight, began: time.Now(), watch: r.Watch}
}

func (r *Report) add(format string, args ...any) {
	e := Event{At: time.Now(), Weight: r.weight, What: fmt.Sprintf(format, args...)}
	r.Events = append(r.Events, e)
	if r.watch != nil {
		r.watch(e)
	}
}

func (r *Report) end(err error) (Report, error) {
	r.OK = err == nil
	if err != nil {
		r.Error = err.Error()
	}
	r.Seconds = time.Since(r.began).Seconds()
	return *r, err
}

// ErrUnhealthy is for a drain that was taken back because health failed.
var ErrUnhealthy = errors.New("unhealthy")

// restoreTimeout bounds the way back, which must not depend on a context that has
// ended already.
const restoreTimeout = 30 * time.Second

// Drain empties the zone and leaves it empty until Restore, which whoever keeps
// drains calls when the report's Expires has come. When a step fails, health fails
// or ctx ends, the zone gets its full share back and the error says why.
func (r *Runner) Drain(ctx context.Context, zone string) (Report, error) {
	report := r.begin(zone)
	if err := r.down(ctx, report); err != nil {
		return report.end(r.takeBack(ctx, report, err))
	}
	report.Drained = true
	report.Expires = time.Now().Add(r.config.Expiry)
	return report.end(nil)
}

// Drill empties the zone, holds it empty while health is watched, and restores it,
// whatever happens.
func (r *Runner) Drill(ctx context.Context, zone string) (Report, error) {
	report := r.begin(zone)
	if err := r.down(ctx, report); err != nil {
		return report.end(r.takeBack(ctx, report, err))
	}
	report.add("holding for %v", r.config.Hold)
	if err := r.watch(ctx, r.config.Hold); err != nil {
		return report.end(r.takeBack(ctx, report, err))
	}
	if err := r.up(ctx, report); err != nil {
		return report.end(r.takeBack(ctx, report, err))
	}
	report.Restored = true
	return report.end(nil)
}

// Restore gives a zone its full share back, step by step. When health fails on the
// way it goes on to the full share: that is the state that was planned for.
func (r *Runner) Restore(ctx context.Context, zone string) (Report, error) {
	report := r.begin(zone)
	report.weight = 0
	if err := r.up(ctx, report); err != nil {
		return report.end(r.takeBack(ctx, report, err))
	}
	report.Restored = true
	return report.end(nil)
}

func (r *Runner) down(ctx context.Context, report *Report) error {
	if err := r.health(ctx); err != nil {
		return fmt.Errorf("before the first step: %w: %w", ErrUnhealthy, err)
	}
	for _, weight := range r.config.Steps {
		if err := r.move(ctx, report, weight); err != nil {
			return err
		}
	}
	return nil
}

func (r *Runner) up(ctx context.Context, report *Report) error {
	steps := slices.Clone(r.config.Steps)
	slices.Reverse(steps)
	for _, weight := range append(steps[1:], FullWeight) {
		if err := r.move(ctx, report, weight); err != nil {
			return err
		}
	}
	return nil
}

func (r *Runner) move(ctx context.Context, report *Report, weight int) error {
	if err := r.set(ctx, report, weight); err != nil {
		return err
	}
	if err := r.watch(ctx, r.config.Settle); err != nil {
		return fmt.Errorf("at weight %d: %w", weight, err)
	}
	return nil
}

func (r *Runner) set(ctx context.Context, report *Report, weight int) error {
	if err := r.setWeight(ctx, report.Zone, weight); err != nil {
		return fmt.Errorf("set weight %d: %w", weight, err)
	}
	report.weight = weight
	report.add("weight is %d", weight)
	return nil
}

// watch looks at the health for a while. It looks at least once.
func (r *Runner) watch(ctx context.Context, d time.Duration) error {
	ticker := time.NewTicker(r.config.Interval)
	defer ticker.Stop()
	end := time.Now().Add(d)
	for failed := 0; ; {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return ctx.Err()
		}
		err := r.health(ctx)
		if err == nil {
			failed = 0
		} else if failed++; failed > r.config.Tolerance {
			return fmt.Errorf("%w: %w", ErrUnhealthy, err)
		}
		if failed == 0 && !time.Now().Before(end) {
			return nil
		}
	}
}

// takeBack gives the zone its full share at once, also when ctx has ended, and
// returns cause together with what went wrong on the way back.
func (r *Runner) takeBack(ctx context.Context, report *Report, cause error) error {
	report.add("going back: %v", cause)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), restoreTimeout)
	defer cancel()
	if err := r.set(ctx, report, FullWeight); err != nil {
		report.add("not restored: %v", err)
		return errors.Join(cause, fmt.Errorf("zone %s is not restored: %w", report.Zone, err))
	}
	report.Restored = true
	return cause
}
