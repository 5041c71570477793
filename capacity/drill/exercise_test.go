package drill_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kongdao/kongdao/capacity/drill"
)

// zones is a system of zones with loads, whose shares can be set.
type zones struct {
	loads   []drill.Load
	share   map[string]int
	least   map[string]int // the lowest share that each ever had
	health  func() error
	saved   []drill.Record
	failing error // of Save
	killed  bool
}

func newZones(loads []drill.Load) *zones {
	return &zones{loads: loads, share: map[string]int{}, least: map[string]int{}}
}

func (z *zones) of(zone string) int {
	if w, ok := z.share[zone]; ok {
		return w
	}
	return drill.FullWeight
}

func (z *zones) fleet() drill.Fleet {
	return drill.Fleet{
		Precheck: func(_ context.Context, zone string) (drill.Precheck, error) {
			return drill.Check(zone, 0.9, z.loads), nil
		},
		Foresee: func(_ context.Context, zone string) ([]drill.Forecast, error) {
			return drill.Foresee(zone, z.loads), nil
		},
		Share: z.of,
		SetShare: func(ctx context.Context, zone string, from, weight int, expiry time.Duration) error {
			if err := ctx.Err(); err != nil {
				return err
			}
			if from >= 0 && z.of(zone) != from {
				return drill.ErrMoved
			}
			if weight < drill.FullWeight && expiry <= 0 {
				return errors.New("a drain that never expires")
			}
			if len(z.saved) == 0 {
				return errors.New("moved before it was written down")
			}
			z.share[zone] = weight
			if least, ok := z.least[zone]; !ok || weight < least {
				z.least[zone] = weight
			}
			return nil
		},
		Health: func(context.Context) error {
			if z.health == nil {
				return nil
			}
			return z.health()
		},
		Observe: func(_ context.Context, r drill.Record) (drill.Seen, error) {
			return drill.Seen{Calls: 10, EmptySeconds: r.Emptied.Sub(r.Moved).Seconds()}, nil
		},
		Save: func(r drill.Record) error { z.saved = append(z.saved, r); return z.failing },
	}
}

func order(zone string) drill.Order {
	c := drill.DefaultConfig()
	c.Settle, c.Interval = 1500*time.Millisecond, 250*time.Millisecond
	return drill.Order{Zone: zone, By: "command", Config: c}
}

func TestExercise(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := newZones(loads(800, 250, 2, 2, 2))
		r, err := drill.Exercise(t.Context(), z.fleet(), order("zb-a"))
		if err != nil || r.State != drill.Done || !r.Restored || z.of("zb-a") != 100 || z.least["zb-a"] != 0 {
			t.Fatalf("got %+v, %v", r, err)
		}
		if got := r.Emptied.Sub(r.Moved); got > 5*time.Second {
			t.Errorf("empty after %v", got)
		}
		if got := r.Returned.Sub(r.Emptied); got < time.Minute {
			t.Errorf("held for %v", got)
		}
		if last := z.saved[len(z.saved)-1]; last.State != drill.Done || last.Seen == nil || z.saved[0].State != drill.Running || len(z.saved[0].Events) > 0 {
			t.Errorf("saved %+v", z.saved)
		}
		f := r.Forecast[0]
		if f.Before != 800.0/6 || f.After != 200 || f.Zones[0].After != 0 || f.Zones[1].After != 400 {
			t.Errorf("forecast %+v", f)
		}
	})
}

func TestExerciseIsTakenBack(t *testing.T) {
	for name, c := range map[string]struct {
		alter func(z *zones, o *drill.Order, cancel func())
		state drill.State
		want  string
		least int // share of the zone
	}{
		"an objective breaks on the way": {func(z *zones, _ *drill.Order, _ func()) {
			z.health = func() error {
				if z.of("zb-a") < 50 {
					return errors.New("feed: 9 of 100 calls failed")
				}
				return nil
			}
		}, drill.TakenBack, "9 of 100 calls failed", 10},
		"it is broken before": {func(z *zones, _ *drill.Order, _ func()) {
			z.health = func() error { return errors.New("broken") }
		}, drill.TakenBack, "before the first step: unhealthy", 100},
		"somebody gives up": {func(z *zones, _ *drill.Order, cancel func()) {
			z.health = func() error {
				if z.of("zb-a") == 0 {
					cancel()
				}
				return nil
			}
		}, drill.TakenBack, "context canceled", 0},
		"somebody else moves the zone": {func(z *zones, _ *drill.Order, _ func()) {
			z.health = func() error {
				if z.of("zb-a") == 50 {
					z.share["zb-a"] = 70
				}
				return nil
			}
		}, drill.TakenBack, "somebody else", 50},
		"the zone is drained already": {func(z *zones, _ *drill.Order, _ func()) { z.share["zb-a"] = 20 }, drill.Refused, "has 20 % of its share already", 100},
		"the others cannot":           {func(z *zones, _ *drill.Order, _ func()) { z.loads[0].QPS = 2000 }, drill.Refused, "200 %", 100},
		"the others cannot at the peak": {func(z *zones, _ *drill.Order, _ func()) {
			z.loads[0].Peak, z.loads[0].From = 1001, "declared"
		}, drill.Refused, "1001.0/s at its peak (declared) on 4 pods", 100},
		"pods that are not ours":      {func(_ *zones, o *drill.Order, _ func()) { o.Kill = true }, drill.Refused, "no test fleet", 100},
		"nothing can be written down": {func(z *zones, _ *drill.Order, _ func()) { z.failing = errors.New("disk full") }, drill.Planned, "disk full", 100},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				z, o := newZones(loads(800, 250, 2, 2, 2)), order("zb-a")
				c.alter(z, &o, cancel)
				had := z.of("zb-a")
				r, err := drill.Exercise(ctx, z.fleet(), o)
				if r.State != c.state || err == nil || !strings.Contains(err.Error(), c.want) {
					t.Errorf("%s, %v", r.State, err)
				}
				if name == "somebody else moves the zone" {
					had = 70 // is theirs
				}
				if got := z.of("zb-a"); got != had {
					t.Errorf("the zone is left with %d %%", got)
				}
				if least, ok := z.least["zb-a"]; ok && least != c.least || !ok && c.least != 100 {
					t.Errorf("the zone went down to %d %%, want %d %%", least, c.least)
				}
			})
		})
	}
}

func TestDryRunMovesNothing(t *testing.T) {
	z, o := newZones(loads(800, 250, 2, 2, 2)), order("zb-a")
	o.Dry = true
	r, err := drill.Exercise(t.Context(), z.fleet(), o)
	if err != nil || r.State != drill.Planned || len(r.Forecast) != 1 || len(z.saved) > 0 || len(z.share) > 0 {
		t.Errorf("got %+v, %v", r, err)
	}
}

func TestKilledPodsComeBack(t *testing.T) {
	for _, sick := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			z, o := newZones(loads(800, 250, 2, 2, 2)), order("zb-a")
			o.Kill = true
			f := z.fleet()
			f.Kill = func(context.Context, string) error { z.killed = true; return nil }
			f.Revive = func(context.Context, string) error { z.killed = false; return nil }
			down := drill.Alert{Name: "ZoneDown", Labels: map[string]string{"zone": "zb-a", "severity": "page"}}
			f.Alerts = func(context.Context) ([]drill.Alert, error) {
				old := drill.Alert{Name: "PodsDown", Labels: map[string]string{"function": "old"}}
				if z.killed {
					return []drill.Alert{old, down}, nil
				}
				return []drill.Alert{old}, nil
			}
			z.health = func() error {
				if sick && z.killed {
					return errors.New("broken")
				}
				return nil
			}
			r, err := drill.Exercise(t.Context(), f, o)
			if z.killed || !r.Restored || (err != nil) != sick || len(z.share) > 0 {
				t.Errorf("got %+v, %v", r, err)
			}
			if !sick && (len(r.Alerts) != 1 || !r.Alerts[0].Expected || !r.Alerts[0].Fired) {
				t.Errorf("alerts: %+v", r.Alerts)
			}
		})
	}
}

// TestUnsafeDrillsAreRefused draws fleets: no drill ever leaves a function with less
// than it needs, now or at its peak, and those that would are refused, all of them.
func TestUnsafeDrillsAreRefused(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	unsafe, safe := 0, 0
	for range 3000 {
		z := newZones(someLoads(r))
		zone := fmt.Sprintf("z%d", r.IntN(4))
		enough := true
		for _, l := range z.loads {
			enough = enough && suffices(l, zone)
		}
		synctest.Test(t, func(t *testing.T) {
			rec, err := drill.Exercise(t.Context(), z.fleet(), order(zone))
			_, moved := z.least[zone]
			switch {
			case !enough && (moved || rec.State != drill.Refused || !errors.Is(err, drill.ErrRefused)):
				t.Fatalf("unsafe: %s, %v\n%+v", rec.State, err, z.loads)
			case rec.State == drill.Done && z.of(zone) != 100:
				t.Fatalf("not restored: %+v", rec)
			}
			if rec.State == drill.Done {
				safe++
			}
		})
		if !enough {
			unsafe++
		}
	}
	if unsafe < 500 || safe < 500 {
		t.Errorf("drew %d unsafe fleets and %d safe ones", unsafe, safe)
	}
}

func someLoads(r *rand.Rand) (all []drill.Load) {
	for i := range 1 + r.IntN(3) {
		l := drill.Load{Function: fmt.Sprint("f", i), Pods: map[string]int{}, SafeRate: float64(r.IntN(20) * 25), From: "declared"}
		for z := range 4 {
			if n := r.IntN(6); n > 0 {
				l.Pods[fmt.Sprintf("z%d", z)] = n
			}
		}
		l.QPS = float64(r.IntN(3)) * r.Float64() * 800
		if r.IntN(2) == 0 {
			l.Peak = l.QPS * (1 + r.Float64())
		}
		all = append(all, l)
	}
	return all
}

// suffices is what a drill promises, said in another way.
func suffices(l drill.Load, zone string) bool {
	left := 0
	for z, n := range l.Pods {
		if z != zone {
			left += n
		}
	}
	if l.Pods[zone] == 0 {
		return l.QPS == 0 || left > 0
	}
	if left == 0 {
		return false
	}
	carries := float64(left) * l.SafeRate
	return l.QPS <= 0.9*carries && l.Peak <= carries
}
