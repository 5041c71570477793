package report_test

import (
	"errors"
	"testing"
	"time"

	"github.com/kongdao/kongdao/loadtest/report"
)

// shop is a server at about 60 % of what it can take, whose requests therefore wait
// for each other now and then.
func shop() server { return server{rate: 200, workers: 4, service: 12 * time.Millisecond} }

// Equal runs differ in 5 % of comparisons at most; a tenth more time for every request
// is seen.
func TestCompareFindsWhatIsThereAndNothingElse(t *testing.T) {
	const trials, seconds = 200, 60
	slow := shop()
	slow.service = slow.service * 11 / 10
	alarms, seen, blamed := 0, 0, 0
	for i := range uint64(trials) {
		a := shop().run(2*i, seconds)
		same, err := report.Compare(a, shop().run(2*i+1, seconds), 0)
		if err != nil {
			t.Fatal(err)
		}
		if same.Verdict != report.Nothing {
			alarms++
		}
		worse, err := report.Compare(a, slow.run(2*i+1, seconds), 0)
		if err != nil {
			t.Fatal(err)
		}
		if worse.Verdict == report.Worse && worse.Beyond {
			seen++
		}
		if worse.Verdict == report.Better {
			blamed++
		}
	}
	t.Logf("%d of %d equal runs differ; %d of %d slower ones are seen", alarms, trials, seen, trials)
	if float64(alarms) > 0.05*trials {
		t.Errorf("%d of %d equal runs differ, want 5 %% at most", alarms, trials)
	}
	if float64(seen) < 0.9*trials || blamed > 0 {
		t.Errorf("%d of %d slower runs were seen, %d taken for faster", seen, trials, blamed)
	}
}

// The true percentile lies within its bounds about as often as they say, though
// requests hang together.
func TestBoundsHoldTheTruth(t *testing.T) {
	const trials = 200
	truth := shop().run(999, 20_000).Latency
	held := map[string]int{}
	for i := range uint64(trials) {
		c := shop().run(i, 60).Confidence
		for name, x := range map[string]struct {
			b report.Bounds
			v float64
		}{"mean": {c.Mean, truth.Mean}, "p50": {c.P50, truth.P50}, "p90": {c.P90, truth.P90}, "p99": {c.P99, truth.P99}} {
			if x.b.Low <= x.v && (x.v <= x.b.High || x.b.Open) {
				held[name]++
			}
		}
	}
	t.Logf("of %d: %v", trials, held)
	for _, name := range []string{"mean", "p50", "p90", "p99"} {
		if float64(held[name]) < 0.91*trials {
			t.Errorf("%s: %d of %d intervals hold the truth, want about 95 %%", name, held[name], trials)
		}
	}
}

func TestCompareFailures(t *testing.T) {
	a, b := shop().run(1, 30), shop()
	b.failing = 0.02
	c, err := report.Compare(a, b.run(2, 30), 0.01)
	if err != nil {
		t.Fatal(err)
	}
	d := c.Differences[3]
	if d.Figure != "failures" || !d.Real || d.B < 0.01 || d.B > 0.03 || c.Verdict != report.Worse {
		t.Errorf("%+v", c)
	}
	same, err := report.Compare(a, shop().run(5, 30), 0)
	if err != nil {
		t.Fatal(err)
	}
	if d := same.Differences[3]; d.Real || d.Visible <= 0 || d.Visible > 0.001 {
		t.Errorf("no failures at all: %+v", d)
	}
}

// A change that is real may still be tolerable.
func TestTolerance(t *testing.T) {
	slow := shop()
	slow.service = slow.service * 12 / 10
	a, b := shop().run(1, 60), slow.run(2, 60)
	for tolerance, beyond := range map[float64]bool{0: true, 2: false} {
		c, err := report.Compare(a, b, tolerance)
		if err != nil || c.Verdict != report.Worse || c.Beyond != beyond {
			t.Errorf("tolerance %v: %+v, %v", tolerance, c, err)
		}
	}
}

func TestCompareRefuses(t *testing.T) {
	a, short, broken := shop().run(1, 30), shop().run(1, 5), shop().run(1, 30)
	broken.Valid = false
	for _, b := range []report.Result{short, broken} {
		if _, err := report.Compare(a, b, 0); !errors.Is(err, report.ErrNotComparable) {
			t.Errorf("got %v", err)
		}
	}
	other := shop()
	other.rate = 150
	c, err := report.Compare(a, other.run(3, 30), 0)
	if err != nil || len(c.Warnings) != 1 {
		t.Errorf("%v, %v", c.Warnings, err)
	}
}
