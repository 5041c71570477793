package predict

import (
	"errors"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/kongdao/kongdao/capacity/podtest"
)

// between are n rates from a to b.
func between(a, b float64, n int) (all []float64) {
	for i := range n {
		all = append(all, a+(b-a)*float64(i)/float64(n-1))
	}
	return all
}

var laws = map[string]podtest.Law{
	"M/M/1":               {Workers: 1, Service: podtest.Exponential(0.004)},
	"M/M/4":               {Workers: 4, Service: podtest.Exponential(0.013)},
	"M/M/16":              {Workers: 16, Service: podtest.Exponential(0.05)},
	"M/G/4 lognormal":     {Workers: 4, Service: podtest.Lognormal(0.0133, 1)},
	"M/G/1 little varied": {Workers: 1, Service: podtest.Lognormal(0.005, 0.3)},
	"M/D/2":               {Workers: 2, Service: podtest.Fixed(0.01)},
	"M/G/8 heavy":         {Workers: 8, Service: podtest.Lognormal(0.03, 1.5)},
}

// trial is the past of six pods, one hour of a day's slope, a zone of two that is
// lost, and what was predicted and came.
func trial(r *rand.Rand, law podtest.Law, inTurn bool, steady float64) (e Estimate, seen float64) {
	mean := 0.0
	for range 20000 {
		mean += law.Service(r) / 20000
	}
	full := float64(law.Workers) / mean
	f := podtest.Fleet{Law: law, Pods: 6, InTurn: inTurn}
	dealers := 0
	if inTurn {
		dealers = 1
	}
	curve, err := Fit(past(f, r, between(0.55*steady*full, steady*full, 40)...), dealers, 0)
	if err != nil {
		panic(err)
	}
	left := podtest.Fleet{Law: law, Pods: 4, InTurn: inTurn}
	after := 1.5 * steady * full
	return curve.At(after, 4), quantile(left.Run(r, after, 200_000), 0.99)
}

// TestLossOfAZone: the p99 after the loss, of queues whose law is known, from a past
// that never had that load.
func TestLossOfAZone(t *testing.T) {
	var errs []float64
	outside := 0
	for i, name := range slices.Sorted(maps.Keys(laws)) {
		inTurn := i%2 == 0
		law := laws[name]
		e, seen := trial(rand.New(rand.NewPCG(0, 7)), law, inTurn, 0.5)
		off := e.P99.Seconds()/seen - 1
		t.Logf("%-20s in turn %-5v load 50 %% → 75 %%: predicted %6.1f ms (%5.1f to %5.1f), seen %6.1f ms: %+.0f %%",
			name, inTurn, e.P99.Seconds()*1e3, e.Low.Seconds()*1e3, e.High.Seconds()*1e3, seen*1e3, 100*off)
		if e.How != Extrapolated {
			t.Errorf("%s: %+v", name, e)
		}
		errs = append(errs, math.Abs(off))
		if seen < e.Low.Seconds() || e.High > 0 && seen > e.High.Seconds() {
			outside++
		}
	}
	slices.Sort(errs)
	t.Logf("error of %d: median %.1f %%, p90 %.1f %%, largest %.1f %%; outside of the interval %d", len(errs), 100*quantile(errs, 0.5), 100*quantile(errs, 0.9), 100*errs[len(errs)-1], outside)
	if quantile(errs, 0.5) > 0.1 || quantile(errs, 0.9) > 0.2 || outside > 1 {
		t.Error("want half within 10 %, nine of ten within 20 %, and the truth in the interval")
	}
}

// TestWhatWasSeenCounts: within the rates of the past the answer is the past.
func TestWhatWasSeenCounts(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	f := podtest.Fleet{Law: laws["M/M/4"], Pods: 6}
	curve, err := Fit(past(f, r, between(60, 260, 60)...), 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	last := 0.0
	for rate := 60.0; rate < 260; rate += 20 {
		e := curve.At(rate, 6)
		if e.How != Seen || e.P99.Seconds() < last {
			t.Errorf("at %v/s: %+v, after %v", rate, e, last)
		}
		last = e.P99.Seconds()
	}
	seen := quantile(f.Run(r, 220, 400_000), 0.99)
	if e := curve.At(220, 6); math.Abs(e.P99.Seconds()/seen-1) > 0.15 || e.Low.Seconds() > seen || e.High.Seconds() < seen {
		t.Errorf("got %+v, want %v", e, seen)
	}
	if e := curve.At(1000, 4); e.How != Saturated || e.P99 != 0 {
		t.Errorf("beyond what pods can do: %+v", e)
	}
}

func TestTooLittleIsKnown(t *testing.T) {
	for name, samples := range map[string][]Sample{
		"nothing":     nil,
		"a few calls": {{Rate: 1, Pods: 2, Calls: 100, Quantiles: Levels()}},
		"nonsense":    {{Rate: 1, Pods: 2, Calls: 1e6, Quantiles: []float64{1}}, {Rate: math.NaN(), Calls: 1e6, Quantiles: Levels()}},
	} {
		if _, err := Fit(samples, 0, 0); !errors.Is(err, ErrTooFew) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if e := (Curve{}).At(10, 2); e.How != Unknown {
		t.Errorf("got %+v", e)
	}
}

// TestRefused compares the formula with a bucket that fills steadily and is asked by
// chance.
func TestRefused(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 3))
	for _, c := range []struct{ offered, limit, burst float64 }{
		{500, 1000, 20},
		{950, 1000, 20},
		{1000, 1000, 20},
		{1100, 1000, 20},
		{2000, 1000, 20},
		{290, 300, 9},
		{500, 300, 9},
		{950, 1000, 5},
		{1000, 1000, 4},
		{1100, 1000, 3},
		{290, 300, 1},
		{9500, 10_000, 200},
		{100, 0, 1},
		{0, 5, 1},
	} {
		got, want := Refused(c.offered, c.limit, c.burst), bucket(r, c.offered, c.limit, c.burst)
		if math.Abs(got-want) > 0.06*want+0.0005 {
			t.Errorf("%v/s at a limit of %v/s: %.4f refused, want %.4f", c.offered, c.limit, got, want)
		}
	}
}

func bucket(r *rand.Rand, offered, limit, burst float64) float64 {
	if limit == 0 || offered == 0 {
		return 0
	}
	const calls = 400_000
	tokens, refused := burst, 0.0
	for range calls {
		if tokens = min(burst, tokens+r.ExpFloat64()/offered*limit); tokens < 1 {
			refused++
		} else {
			tokens--
		}
	}
	return refused / calls
}

// TestMoreLoadIsNeverFaster: more load is never faster, more pods are never slower.
func TestMoreLoadIsNeverFaster(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 5))
	for _, places := range []int{1, 3, 12} {
		f := podtest.Fleet{Law: podtest.Law{Workers: places, Service: podtest.Lognormal(0.01, 0.8)}, Pods: 6}
		full := float64(places) / 0.01
		curve, err := Fit(past(f, r, between(0.2*full, 0.45*full, 30)...), 2, 0)
		if err != nil {
			t.Fatal(err)
		}
		last := Estimate{}
		for part := 0.1; part < 1.2; part += 0.1 {
			e := curve.At(part*full, 6)
			if e.P99 != 0 && e.P99 < last.P99*97/100 || last.How == Saturated && e.How != Saturated {
				t.Errorf("%d places at %.1f: %+v after %+v", places, part, e, last)
			}
			last = e
		}
	}
}

// TestBunches: a bucket that refuses more than chance explains is less deep than it
// seems, and what it refuses at another limit follows from that.
func TestBunches(t *testing.T) {
	if got := Depth(550, 1000, 20, 0); got != 20 {
		t.Errorf("nothing refused: depth %v", got)
	}
	if got := Depth(1200, 1000, 20, 0.3); got != 20 {
		t.Errorf("above the limit: depth %v", got)
	}
	for _, depth := range []float64{2.5, 5, 12} {
		refused := Refused(550, 1000, depth)
		if got := Depth(550, 1000, 20, refused); math.Abs(got-depth) > 0.01 {
			t.Errorf("depth %v, want %v", got, depth)
		}
	}
	if got := Depth(100, 1000, 20, 0.9); math.Abs(got-1) > 0.01 {
		t.Errorf("more than any depth explains: %v", got)
	}
}

// TestShortPast: from eighty seconds in which next to nothing queued, nine of ten
// predictions are near what a minute then shows, whose p99 is off by chance, too.
func TestShortPast(t *testing.T) {
	const trials = 10
	six := podtest.Fleet{Law: podtest.Slow(), Pods: 6, InTurn: true}
	four := podtest.Fleet{Law: podtest.Slow(), Pods: 4, InTurn: true}
	var errs []float64
	for n := range uint64(trials) {
		r := rand.New(rand.NewPCG(n, 5))
		curve, err := Fit(past(six, r, between(12, 20, 8)...), 1, 0)
		if err != nil {
			t.Fatal(err)
		}
		e, seen := curve.At(30, 4), quantile(four.Run(r, 30, 60*30*4), 0.99)
		errs = append(errs, math.Abs(e.P99.Seconds()/seen-1))
	}
	slices.Sort(errs)
	t.Logf("error of %d: median %.1f %%, p90 %.1f %%", trials, 100*quantile(errs, 0.5), 100*errs[trials*9/10-1])
	if errs[trials*9/10-1] > 0.2 {
		t.Errorf("errors are %.2f", errs)
	}
}
