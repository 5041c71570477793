package attack_test

import (
	"context"
	"errors"
	"math"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	vegeta "github.com/tsenart/vegeta/v12/lib"

	"github.com/kongdao/kongdao/loadtest/attack"
)

func serve(t *testing.T, h http.HandlerFunc) vegeta.Targeter {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return vegeta.NewStaticTargeter(vegeta.Target{Method: "GET", URL: s.URL})
}

func config() attack.Config {
	c := attack.DefaultConfig()
	c.Run = "test-run"
	return c
}

func run(t *testing.T, ctx context.Context, c attack.Config, p vegeta.Pacer, tr vegeta.Targeter, h attack.Hooks) attack.Stats {
	t.Helper()
	a, err := attack.New(c, p, tr, h)
	if err != nil {
		t.Fatal(err)
	}
	s, err := a.Run(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// wait is a server's service time; it ends early when the client leaves.
func wait(r *http.Request, d time.Duration) {
	select {
	case <-time.After(d):
	case <-r.Context().Done():
	}
}

func TestConstantRateIsExact(t *testing.T) {
	var got, marked atomic.Int64
	targets := serve(t, func(w http.ResponseWriter, r *http.Request) {
		got.Add(1)
		if r.Header.Get(attack.Header) == "test-run" {
			marked.Add(1)
		}
		_, _ = w.Write([]byte("hello"))
	})
	s := run(t, t.Context(), config(), attack.Constant(200, 2*time.Second), targets, attack.Hooks{})
	if s.Planned != 400 || s.Sent != 400 || s.Dropped != 0 || got.Load() != 400 {
		t.Errorf("planned %d, sent %d, dropped %d, the server got %d; want 400, 400, 0, 400", s.Planned, s.Sent, s.Dropped, got.Load())
	}
	if marked.Load() != 400 {
		t.Errorf("%d of 400 requests carried the mark", marked.Load())
	}
	if s.Status[200] != 400 || s.BytesIn != 2000 || s.Latency.TotalCount() != 400 {
		t.Errorf("status %v, %d bytes, %d latencies", s.Status, s.BytesIn, s.Latency.TotalCount())
	}
	if s.Sending < 1990*time.Millisecond {
		t.Errorf("sent within %v, want 1.995 s or more", s.Sending)
	}
}

// A server that stalls 300 ms of every 1.5 s holds back every request that is
// planned meanwhile. Sixteen workers can only send sixteen of them into the stall;
// a generator that measures from the sending reports a p99 of a few milliseconds.
func TestStallsAreNotHidden(t *testing.T) {
	const cycle, stall = 1500 * time.Millisecond, 300 * time.Millisecond
	began := time.Now()
	left := func(at time.Time) time.Duration { return stall - at.Sub(began)%cycle }
	targets := serve(t, func(_ http.ResponseWriter, r *http.Request) { wait(r, left(time.Now())) })
	var truth []time.Duration
	s := run(t, t.Context(), config(), attack.Constant(300, 4*cycle), targets, attack.Hooks{
		Result: func(r *vegeta.Result) error {
			truth = append(truth, max(0, left(r.Timestamp)))
			return nil
		},
	})
	slices.Sort(truth)
	for _, q := range []float64{90, 99} {
		want := truth[int(math.Ceil(q/100*float64(len(truth))))-1]
		got := attack.Quantile(s.Latency, q)
		// Less than the truth is a hidden stall. More is the work after it, which on a
		// busy machine, as the generator's own lag shows, may take any time.
		quiet := attack.Quantile(s.Lag, 99) < 5*time.Millisecond
		if got < want*97/100 || (quiet && got > want*110/100+5*time.Millisecond) {
			t.Errorf("p%g is %v, the server's schedule says %v", q, got, want)
		}
	}
	if s.Sent != 1800 || s.Dropped != 0 {
		t.Errorf("sent %d, dropped %d; want 1800, 0", s.Sent, s.Dropped)
	}
	if s.Late < 200 {
		t.Errorf("%d late, want the 75 or so of each stall", s.Late)
	}
	// A fifth of the requests wait 150 ms for a worker in the mean.
	if lag := attack.Quantile(s.Lag, 90); lag > 100*time.Millisecond {
		t.Errorf("lag p90 %v: waiting for a worker was taken for the generator's own delay", lag)
	}
}

func TestCancelEndsRequestsInFlight(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	arrived := make(chan struct{}, 16)
	targets := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		arrived <- struct{}{}
		<-r.Context().Done()
	})
	var canceled time.Time
	go func() {
		<-arrived
		<-arrived
		canceled = time.Now()
		cancel()
	}()
	s := run(t, ctx, config(), attack.Constant(50, time.Minute), targets, attack.Hooks{})
	if took := time.Since(canceled); took > time.Second {
		t.Errorf("stopped %v after the context ended", took)
	}
	if s.Stopped != attack.StopCaller || s.Canceled != s.Sent || s.Faults[attack.KindCanceled] != s.Sent || s.Latency.TotalCount() != 0 {
		t.Errorf("stopped %q, sent %d, canceled %d, faults %v", s.Stopped, s.Sent, s.Canceled, s.Faults)
	}
}

func TestObserverStops(t *testing.T) {
	targets := serve(t, func(http.ResponseWriter, *http.Request) {})
	seen := 0
	s := run(t, t.Context(), config(), attack.Constant(500, time.Minute), targets, attack.Hooks{
		Observe: func(o attack.Observation) bool {
			if o.Status != 200 || o.Latency <= 0 {
				t.Errorf("observed %+v", o)
			}
			seen++
			return seen == 50
		},
	})
	if seen != 50 {
		t.Errorf("observed %d, want 50: nothing after the stop", seen)
	}
	if s.Stopped != attack.StopObserver || s.Sent < 50 || s.Sent > 50+16 {
		t.Errorf("stopped %q after %d", s.Stopped, s.Sent)
	}
}

// Requests that hang do not keep a run alive that has seen enough.
func TestObserverStopsHungRequests(t *testing.T) {
	var calls atomic.Int64
	targets := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		if calls.Add(1)%2 == 0 {
			<-r.Context().Done()
		}
	})
	c := config()
	c.Timeout, c.Grace = time.Hour, 50*time.Millisecond
	s := run(t, t.Context(), c, attack.Constant(200, time.Hour), targets, attack.Hooks{
		Observe: func(attack.Observation) bool { return calls.Load() >= 4 },
	})
	if s.Stopped != attack.StopObserver || s.Canceled == 0 || s.Canceled != s.Faults[attack.KindCanceled] {
		t.Errorf("stopped %q, canceled %d, faults %v", s.Stopped, s.Canceled, s.Faults)
	}
}

func TestHungServerDropsInsteadOfQueueing(t *testing.T) {
	targets := serve(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	c := config()
	c.Workers, c.Timeout, c.MaxBehind = 2, 300*time.Millisecond, 200*time.Millisecond
	dropped := 0
	s := run(t, t.Context(), c, attack.Constant(100, time.Second), targets, attack.Hooks{
		Observe: func(o attack.Observation) bool {
			if o.Fault == attack.KindDropped {
				dropped++
			}
			return false
		},
	})
	if s.Sent+s.Dropped != 100 || s.Planned != 100 {
		t.Errorf("sent %d + dropped %d, planned %d; want 100 in all", s.Sent, s.Dropped, s.Planned)
	}
	if s.Dropped < 50 || int(s.Dropped) != dropped {
		t.Errorf("dropped %d, observed %d", s.Dropped, dropped)
	}
	if s.Faults[attack.KindTimeout] != s.Sent {
		t.Errorf("faults %v of %d sent", s.Faults, s.Sent)
	}
}

func TestFaultsHaveKinds(t *testing.T) {
	s := httptest.NewServer(http.NotFoundHandler())
	s.Close() // nobody listens here any more
	dead := vegeta.NewStaticTargeter(vegeta.Target{Method: "GET", URL: s.URL})
	cut := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("content-length", "10")
		_, _ = w.Write([]byte("half"))
	})
	plan := attack.Constant(50, 200*time.Millisecond)
	if got := run(t, t.Context(), config(), plan, dead, attack.Hooks{}); got.Faults[attack.KindRefused] != 10 {
		t.Errorf("a dead server: %v", got.Faults)
	}
	if got := run(t, t.Context(), config(), plan, cut, attack.Hooks{}); got.Faults[attack.KindEOF] != 10 || len(got.Status) != 0 {
		t.Errorf("half an answer: %v, status %v", got.Faults, got.Status)
	}
}

func TestRedirectsAreNotFollowed(t *testing.T) {
	var elsewhere atomic.Int64
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { elsewhere.Add(1) }))
	defer other.Close()
	targets := serve(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, other.URL, http.StatusFound) })
	s := run(t, t.Context(), config(), attack.Constant(50, 200*time.Millisecond), targets, attack.Hooks{})
	if s.Status[302] != 10 || elsewhere.Load() != 0 {
		t.Errorf("status %v, %d requests went elsewhere", s.Status, elsewhere.Load())
	}
}

// dial is a pacer whose rate changes while it is used.
type dial struct{ gap atomic.Int64 }

func (d *dial) Pace(time.Duration, uint64) (time.Duration, bool) {
	return time.Duration(d.gap.Load()), false
}
func (d *dial) Rate(time.Duration) float64 { return 1e9 / float64(d.gap.Load()) }

func TestRateMayChange(t *testing.T) {
	targets := serve(t, func(http.ResponseWriter, *http.Request) {})
	d := &dial{}
	d.gap.Store(int64(10 * time.Millisecond))
	c := config()
	c.Duration = 2 * time.Second
	var once sync.Once
	s := run(t, t.Context(), c, d, targets, attack.Hooks{Observe: func(o attack.Observation) bool {
		if o.Planned >= time.Second {
			once.Do(func() { d.gap.Store(int64(2 * time.Millisecond)) })
		}
		return false
	}})
	if s.Planned < 250 || s.Planned > 610 || s.Sent != s.Planned {
		t.Errorf("planned %d, sent %d; want 100 in the first second and up to 500 in the next", s.Planned, s.Sent)
	}
}

func TestVegetaPacersFit(t *testing.T) {
	targets := serve(t, func(http.ResponseWriter, *http.Request) {})
	c := config()
	c.Duration = time.Second
	for _, p := range []struct {
		pacer vegeta.Pacer
		want  uint64
	}{
		{vegeta.ConstantPacer{Freq: 300, Per: time.Second}, 300},
		{vegeta.LinearPacer{StartAt: vegeta.Rate{Freq: 100, Per: time.Second}, Slope: 200}, 200},
	} {
		s := run(t, t.Context(), c, p.pacer, targets, attack.Hooks{})
		if s.Sent+2 < p.want || s.Sent > p.want+2 {
			t.Errorf("%v: sent %d, want %d", p.pacer, s.Sent, p.want)
		}
	}
}

func TestPacerWithoutSpacingIsRefused(t *testing.T) {
	targets := serve(t, func(_ http.ResponseWriter, r *http.Request) { wait(r, time.Millisecond) })
	c := config()
	c.Duration, c.MaxBehind = time.Second, 20*time.Millisecond
	a, err := attack.New(c, vegeta.ConstantPacer{}, targets, attack.Hooks{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.Run(t.Context()); err == nil {
		t.Error("an infinite rate was accepted")
	}
}

func TestResultErrorStops(t *testing.T) {
	targets := serve(t, func(http.ResponseWriter, *http.Request) {})
	full := errors.New("disk full")
	a, err := attack.New(config(), attack.Constant(100, time.Minute), targets, attack.Hooks{
		Result: func(*vegeta.Result) error { return full },
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.Run(t.Context()); !errors.Is(err, full) {
		t.Errorf("got %v, want %v", err, full)
	}
}

func TestProgress(t *testing.T) {
	targets := serve(t, func(http.ResponseWriter, *http.Request) {})
	var got []attack.Progress
	run(t, t.Context(), config(), attack.Constant(100, 2500*time.Millisecond), targets, attack.Hooks{
		Progress: func(p attack.Progress) { got = append(got, p) },
	})
	if len(got) < 2 || got[1].Sent <= got[0].Sent || got[0].P99 <= 0 || got[0].Rate <= 0 {
		t.Fatalf("got %+v", got)
	}
	if line := got[0].String(); !strings.HasPrefix(line, "1s  ") || !strings.Contains(line, "in flight  p50 ") {
		t.Errorf("got %q", line)
	}
}

func TestConfigValidateNamesEveryField(t *testing.T) {
	_, err := attack.New(attack.Config{Duration: -1, Grace: -1, LateAfter: 0, MaxBehind: -1}, nil, nil, attack.Hooks{})
	for _, field := range []string{"run:", "workers:", "timeout:", "duration:", "lateAfter:", "maxBehind:", "grace:", "pacer:", "targeter:"} {
		if err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("%s is not named in %v", field, err)
		}
	}
}
