package switchover_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/kongdao/kongdao/api"
	"github.com/kongdao/kongdao/capacity/switchover"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// traffic is what a switch moves: percent, and every value that it had.
type traffic struct {
	percent int
	went    []int
	saved   []switchover.Record
	health  func() error
	fits    func(percent int) bool
	moving  func(percent int) error
}

func (f *traffic) system() switchover.System {
	return switchover.System{
		Check: func(_ context.Context, _ switchover.Record, percent int) (switchover.Check, error) {
			return switchover.Check{Percent: percent, OK: f.fits == nil || f.fits(percent), Figures: []string{"feed: 9/s"}}, nil
		},
		Has: func(switchover.Record) (int, error) { return f.percent, nil },
		Move: func(_ context.Context, _ switchover.Record, percent int, until time.Time) error {
			if f.moving != nil {
				if err := f.moving(percent); err != nil {
					return err
				}
			}
			f.percent, f.went = percent, append(f.went, percent)
			return nil
		},
		Restore: func(_ context.Context, r switchover.Record) error {
			f.percent, f.went = r.Before, append(f.went, r.Before)
			return nil
		},
		Health: func(context.Context) error {
			if f.health == nil {
				return nil
			}
			return f.health()
		},
		Save: func(r switchover.Record) error { f.saved = append(f.saved, r); return nil },
	}
}

func record() switchover.Record {
	minute := api.Duration(time.Minute)
	return switchover.Record{
		Name: "s", State: switchover.Moving, Began: time.Now(), Ends: time.Now().Add(time.Hour), Before: 5,
		Spec: api.TrafficSwitchSpec{Function: "feed", Revision: "r2", Steps: []api.SwitchStep{{Percent: 10, Wait: minute}, {Percent: 50, Wait: minute}, {Percent: 100, Wait: minute}}},
	}
}

func TestDrive(t *testing.T) {
	for name, c := range map[string]struct {
		alter func(f *traffic, r *switchover.Record, abort chan struct{}, stop func())
		state switchover.State
		went  []int
		after time.Duration
	}{
		"to its end date": {func(*traffic, *switchover.Record, chan struct{}, func()) {}, switchover.Expired, []int{10, 50, 100, 5}, time.Hour},
		"aborted at half": {func(f *traffic, _ *switchover.Record, abort chan struct{}, _ func()) {
			f.moving = func(percent int) error {
				if percent == 50 {
					time.AfterFunc(10*time.Second, func() { close(abort) })
				}
				return nil
			}
		}, switchover.Aborted, []int{10, 50, 5}, 70 * time.Second},
		"calls fail": {func(f *traffic, _ *switchover.Record, _ chan struct{}, _ func()) {
			f.health = func() error {
				if f.percent >= 50 {
					return errors.New("feed: 9 of 100 calls failed")
				}
				return nil
			}
		}, switchover.RolledBack, []int{10, 50, 5}, 62 * time.Second},
		"it does not fit any more": {func(f *traffic, _ *switchover.Record, _ chan struct{}, _ func()) {
			f.fits = func(percent int) bool { return percent < 100 }
		}, switchover.RolledBack, []int{10, 50, 5}, 2 * time.Minute},
		"a move fails": {func(f *traffic, _ *switchover.Record, _ chan struct{}, _ func()) {
			f.moving = func(percent int) error {
				if percent == 50 {
					return errors.New("disk full")
				}
				return nil
			}
		}, switchover.RolledBack, []int{10, 5}, time.Minute},
		"somebody else moves it": {func(f *traffic, _ *switchover.Record, _ chan struct{}, _ func()) {
			time.AfterFunc(90*time.Second, func() { f.percent = 33 })
		}, switchover.Overtaken, []int{10, 50}, 90 * time.Second},
		"the process stops": {func(_ *traffic, _ *switchover.Record, _ chan struct{}, stop func()) {
			time.AfterFunc(90*time.Second, stop)
		}, switchover.Moving, []int{10, 50}, 90 * time.Second},
		"the process stops in the middle of a move": {func(f *traffic, _ *switchover.Record, _ chan struct{}, stop func()) {
			f.moving = func(percent int) error {
				if percent != 50 {
					return nil
				}
				f.percent = percent
				stop()
				return context.Canceled
			}
		}, switchover.Moving, []int{10}, time.Minute},
		"taken up in the middle": {func(f *traffic, r *switchover.Record, _ chan struct{}, _ func()) {
			f.percent, r.Step, r.Since = 50, 2, time.Now().Add(-30*time.Second)
		}, switchover.Expired, []int{100, 5}, time.Hour},
		"taken up in the middle of a move that was done": {func(f *traffic, r *switchover.Record, _ chan struct{}, _ func()) {
			f.percent, r.Step, r.Since, r.Going = 50, 1, time.Now(), 50
		}, switchover.Expired, []int{100, 5}, time.Hour},
		"taken up in the middle of a move that was not": {func(f *traffic, r *switchover.Record, _ chan struct{}, _ func()) {
			f.percent, r.Step, r.Since, r.Going = 10, 1, time.Now(), 50
		}, switchover.Expired, []int{50, 100, 5}, time.Hour},
		"taken up in the middle of a move that was done, and left again": {func(f *traffic, r *switchover.Record, _ chan struct{}, stop func()) {
			f.percent, r.Step, r.Since, r.Going = 50, 1, time.Now(), 50
			time.AfterFunc(10*time.Second, stop)
		}, switchover.Moving, nil, 10 * time.Second},
		"taken up at the last step": {func(f *traffic, r *switchover.Record, _ chan struct{}, _ func()) {
			f.percent, r.Step, r.Since, r.State = 100, 3, time.Now(), switchover.Standing
		}, switchover.Expired, []int{5}, time.Hour},
		"taken up after its end": {func(f *traffic, r *switchover.Record, _ chan struct{}, _ func()) {
			f.percent, r.Step, r.Since, r.Ends = 50, 2, time.Now().Add(-2*time.Hour), time.Now().Add(-time.Hour)
		}, switchover.Expired, []int{5}, 0},
		"taken up when somebody else had moved it": {func(f *traffic, r *switchover.Record, _ chan struct{}, _ func()) {
			f.percent, r.Step, r.Since = 70, 2, time.Now()
		}, switchover.Overtaken, nil, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, stop := context.WithCancel(t.Context())
				defer stop()
				f, r, abort, began := &traffic{percent: 5}, record(), make(chan struct{}), time.Now()
				c.alter(f, &r, abort, stop)
				got := switchover.Drive(ctx, f.system(), r, abort)
				if got.State != c.state || !slices.Equal(f.went, c.went) {
					t.Errorf("%s, went %v, want %s, %v: %s", got.State, f.went, c.state, c.went, got.Error)
				}
				if took := time.Since(began); took < c.after || took > c.after+3*time.Second {
					t.Errorf("took %v, want %v", took, c.after)
				}
				if n := len(f.saved); n == 0 || f.saved[n-1].State != got.State || f.saved[n-1].Step != got.Step || f.saved[n-1].Going != got.Going {
					t.Errorf("is %+v, saved %+v", got, f.saved)
				}
			})
		})
	}
}
