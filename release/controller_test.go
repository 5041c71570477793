package release

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/kongdao/kongdao/api"
	"github.com/kongdao/kongdao/internal/testkit"
)

// world is a function under release, whose calls it makes up.
type world struct {
	*Controller
	t      *testing.T
	ledger *Ledger
	now    time.Time
	calls  map[string]Count
	ready  int
	random *rand.Rand
}

func newWorld(t *testing.T, alter ...func(*api.Function)) *world {
	w := &world{t: t, ledger: open(t, t.TempDir()), now: time.Unix(1e9, 0), calls: map[string]Count{}, ready: 1, random: rand.New(rand.NewPCG(5, 6))}
	w.ledger.now = func() time.Time { return w.now }
	f := feed("r1", "r2")
	f.Spec.Release = &api.Release{Revision: "r2", Interval: api.Duration(time.Minute), Steps: []int{5, 50, 100}}
	f.Spec.Release.Latency.Slow = api.Duration(100 * time.Millisecond)
	for _, a := range alter {
		a(f)
	}
	publish(t, w.ledger, f)
	c, err := New(DefaultConfig(), w.ledger, Sources{
		Calls: func(context.Context, string, time.Duration) (map[string]Count, error) {
			all := map[string]Count{}
			for k, v := range w.calls {
				all[k] = v
			}
			return all, nil
		},
		Ready: func(string, string) int { return w.ready },
	}, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	testkit.Must(t, err)
	w.Controller = c
	return w
}

// second is 200 calls, shared by weight, of which these parts fail and are slow.
func (w *world) second(failed, slow map[string]float64) {
	s, _ := w.ledger.State("feed")
	for range 200 {
		revision := "r1"
		if w.random.IntN(100) < s.Weights.Of("r2") {
			revision = "r2"
		}
		c := w.calls[revision]
		c.Calls++
		if w.random.Float64() < failed[revision] {
			c.Failed++
		}
		if w.random.Float64() < slow[revision] {
			c.Slow++
		}
		w.calls[revision] = c
	}
	w.now = w.now.Add(time.Second)
	for _, f := range w.ledger.releasing() {
		testkit.Must(w.t, w.look(context.Background(), f))
	}
}

func (w *world) phase() Phase {
	s, _ := w.State("feed")
	if s.Progress == nil {
		return ""
	}
	return s.Progress.Phase
}

func TestGoodReleaseGoesThrough(t *testing.T) {
	w := newWorld(t)
	w.ready = 0
	w.second(nil, nil)
	weights(t, w.ledger, "r1 100%") // no pod yet
	w.ready = 1
	w.second(nil, nil)
	weights(t, w.ledger, "r1 95%, r2 5%")
	equal := map[string]float64{"r1": 0.02, "r2": 0.02}
	for range 65 {
		w.second(equal, equal)
	}
	weights(t, w.ledger, "r1 50%, r2 50%")
	for range 65 {
		w.second(equal, equal)
	}
	weights(t, w.ledger, "r2 100%")
	if w.phase() != Done {
		t.Errorf("it is %q", w.phase())
	}
}

func TestBadReleaseIsRolledBack(t *testing.T) {
	for name, bad := range map[string]struct{ failed, slow map[string]float64 }{
		"errors":  {failed: map[string]float64{"r2": 0.5}},
		"latency": {slow: map[string]float64{"r1": 0.01, "r2": 0.6}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.second(nil, nil)
			for i := 0; w.phase() == Running; i++ {
				if i == 10 {
					t.Fatal("not rolled back in ten seconds of calls")
				}
				w.second(bad.failed, bad.slow)
			}
			s, _ := w.State("feed")
			t.Logf("%s: %s (%+v)", s.Progress.Phase, s.Progress.Reason, *s.Figures)
			weights(t, w.ledger, "r1 100%")
			for range 200 {
				w.second(nil, nil)
			}
			if w.phase() != RolledBack {
				t.Errorf("then it is %q", w.phase())
			}
			testkit.Must(t, w.ledger.Resume("feed")) // try again
			w.second(nil, nil)
			weights(t, w.ledger, "r1 95%, r2 5%")
		})
	}
}

func TestIncidentOfBothIsNoVerdict(t *testing.T) {
	w := newWorld(t)
	both := map[string]float64{"r1": 0.4, "r2": 0.4}
	for i := range 130 {
		if i%20 < 5 {
			w.second(both, both)
			continue
		}
		w.second(nil, nil)
	}
	if w.phase() != Done {
		t.Errorf("it is %q", w.phase())
	}
}

func TestPauseAbortAndMinCalls(t *testing.T) {
	w := newWorld(t, func(f *api.Function) { f.Spec.Release.MinCalls = 2000 })
	for range 100 {
		w.second(nil, nil) // about 1,000 calls of r2
	}
	weights(t, w.ledger, "r1 95%, r2 5%")
	if s, _ := w.State("feed"); s.Waiting != "2000 calls of r2" || s.Figures == nil || s.Figures.Revision.Calls < 500 {
		t.Errorf("state: %+v", s)
	}
	testkit.Must(t, w.ledger.Pause("feed"))
	for range 200 {
		w.second(nil, nil)
	}
	weights(t, w.ledger, "r1 95%, r2 5%")
	testkit.Must(t, w.ledger.Resume("feed"))
	w.second(nil, nil)
	weights(t, w.ledger, "r1 50%, r2 50%")
	if err := w.ledger.SetWeight("feed", "r2", 7); err == nil {
		t.Error("a weight was set under a running release")
	}
	testkit.Must(t, w.ledger.Abort("feed"))
	w.second(nil, nil)
	weights(t, w.ledger, "r1 100%")
	if w.phase() != Aborted {
		t.Errorf("it is %q", w.phase())
	}
}
