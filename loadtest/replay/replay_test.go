package replay_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/kongdao/kongdao/loadtest"
	"github.com/kongdao/kongdao/loadtest/replay"
	"github.com/kongdao/kongdao/loadtest/report"
	"github.com/kongdao/kongdao/loadtest/scenario"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

func source(calls ...replay.Call) replay.Source {
	return func(_ context.Context, give func(replay.Call) bool) error {
		for _, c := range calls {
			if !give(c) {
				break
			}
		}
		return nil
	}
}

func call(after time.Duration, method, path string) replay.Call {
	return replay.Call{Time: noon.Add(after), Method: method, Host: "shop.test", Path: path, Header: http.Header{"X-Kept": {"1"}}}
}

func config(t *testing.T, target string, speed float64) replay.Config {
	t.Helper()
	u, err := url.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	return replay.Config{Target: u, Speed: speed, MaxRate: 1000}
}

// times are the planned ones.
func times(t *testing.T, c replay.Config, s replay.Source) ([]time.Duration, replay.Told) {
	t.Helper()
	r, err := replay.New(t.Context(), c, s)
	if err != nil {
		t.Fatal(err)
	}
	var out []time.Duration
	var at time.Duration
	for {
		wait, stop := r.Pace(at, uint64(len(out)))
		if stop {
			break
		}
		at += wait
		out = append(out, at)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	return out, r.Told()
}

func TestTimesAreThoseOfTheRecord(t *testing.T) {
	s := source(call(0, "GET", "/a"), call(time.Second, "GET", "/b"), call(1500*time.Millisecond, "HEAD", "/c"), call(4*time.Second, "GET", "/d"))
	for speed, want := range map[float64]string{1: "[0s 1s 1.5s 4s]", 2: "[0s 500ms 750ms 2s]", 20: "[0s 50ms 75ms 200ms]"} {
		if got, _ := times(t, config(t, "http://x", speed), s); fmt.Sprint(got) != want {
			t.Errorf("speed %v: %v, want %s", speed, got, want)
		}
	}
	c := config(t, "http://x", 1)
	c.From, c.Longest = noon.Add(-time.Second), 3*time.Second
	if got, _ := times(t, c, s); fmt.Sprint(got) != "[1s 2s 2.5s]" {
		t.Errorf("from a second before, for three: %v", got)
	}
}

func TestToldIsWhatBecameOfTheRecord(t *testing.T) {
	heavy := call(time.Second, "GET", "/b")
	heavy.Weight = 4
	s := source(call(0, "GET", "/a"), heavy, call(500*time.Millisecond, "GET", "/late"), call(1600*time.Millisecond, "POST", "/c"), call(2*time.Second, "", "/d"), call(2*time.Second, "GET", ""))
	got, told := times(t, config(t, "http://x", 1), s)
	if fmt.Sprint(got) != "[0s 1s 1s]" {
		t.Errorf("times %v", got)
	}
	if told.Read != 6 || told.Stood != 9 || told.Sent != 3 || told.Backward != 1 || fmt.Sprint(told.LeftOut) != "map[method POST:1 no HTTP request:1 no path:1]" {
		t.Errorf("%+v", told)
	}
	if !told.First.Equal(noon) || !told.Last.Equal(noon.Add(2*time.Second)) {
		t.Errorf("from %v to %v", told.First, told.Last)
	}
	c := config(t, "http://x", 1)
	c.Weights, c.Methods = true, []string{"GET", "POST"}
	if got, _ := times(t, c, source(call(0, "GET", "/a"), heavy, call(1600*time.Millisecond, "POST", "/c"))); fmt.Sprint(got) != "[0s 1s 1.25s 1.5s 1.6s 1.75s]" {
		t.Errorf("with weights %v", got)
	}
}

// seen is a server's memory.
type seen struct {
	mu  sync.Mutex
	got []string
}

func (s *seen) ServeHTTP(_ http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.got = append(s.got, fmt.Sprintf("%s %s %s %s %t", r.Method, r.Host, r.URL.RequestURI(), r.Header.Get("x-kept"), r.Header.Get("x-kongdao-load-test") != ""))
}

func run(t *testing.T, c replay.Config, s replay.Source, w loadtest.Replayed) (report.Result, replay.Told, error) {
	t.Helper()
	r, err := replay.New(t.Context(), c, s)
	if err != nil {
		t.Fatal(err)
	}
	result, err := loadtest.Replay(t.Context(), r, c.Target.String(), w, loadtest.Options{Name: "replay", Limits: scenario.DefaultLimits()})
	return result, r.Told(), err
}

func TestCallsAreSentAgain(t *testing.T) {
	server := &seen{}
	h := httptest.NewServer(server)
	defer h.Close()
	var calls []replay.Call
	for i := range 100 {
		calls = append(calls, call(time.Duration(i)*100*time.Millisecond, "GET", fmt.Sprintf("/items/%d?q=%%20", i)))
	}
	r, told, err := run(t, config(t, h.URL, 20), source(calls...), loadtest.Replayed{Thresholds: []string{"success > 99.9%", "sent >= 101"}})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(server.got)
	if len(server.got) != 100 || server.got[0] != "GET shop.test /items/0?q=%20 1 true" || r.Status[200] != 100 || told.Sent != 100 {
		t.Errorf("%d requests, %q; status %v", len(server.got), server.got[0], r.Status)
	}
	if r.Seconds < 0.49 || !r.Thresholds[0].OK || r.Thresholds[1].OK {
		t.Errorf("%v s, thresholds %+v", r.Seconds, r.Thresholds)
	}
}

func TestRefusals(t *testing.T) {
	h := httptest.NewServer(&seen{})
	defer h.Close()
	var burst []replay.Call
	for range 50 {
		burst = append(burst, call(0, "GET", "/"))
	}
	c := config(t, h.URL, 1)
	c.MaxRate = 20
	if _, _, err := run(t, c, source(burst...), loadtest.Replayed{}); err == nil || !strings.Contains(err.Error(), "more than 20 calls within a second of the replay, at 2026-01-02T12:00:00Z") {
		t.Errorf("above the cap: %v", err)
	}
	if _, _, err := run(t, config(t, "http://example.com", 1), source(burst...), loadtest.Replayed{}); !errors.Is(err, loadtest.ErrInvalidScenario) {
		t.Errorf("another host: %v", err)
	}
	broken := errors.New("the disk is gone")
	failing := func(context.Context, func(replay.Call) bool) error { return broken }
	if _, _, err := run(t, config(t, h.URL, 1), failing, loadtest.Replayed{}); !errors.Is(err, broken) {
		t.Errorf("a source that fails: %v", err)
	}
	for _, speed := range []float64{0, -1, 21} {
		if _, err := replay.New(t.Context(), config(t, h.URL, speed), source()); err == nil || !strings.Contains(err.Error(), "speed:") {
			t.Errorf("speed %v: %v", speed, err)
		}
	}
	if err := (replay.Config{}).Validate(); err == nil || !strings.Contains(err.Error(), "target:") || !strings.Contains(err.Error(), "maxRate:") {
		t.Errorf("got %v", err)
	}
}

// A source that has no more to give for now holds nothing up that is to end.
func TestStopsWhileTheSourceWaits(t *testing.T) {
	h := httptest.NewServer(&seen{})
	defer h.Close()
	waiting := make(chan struct{})
	s := func(ctx context.Context, give func(replay.Call) bool) error {
		give(call(0, "GET", "/"))
		close(waiting)
		<-ctx.Done()
		return ctx.Err()
	}
	ctx, cancel := context.WithCancel(t.Context())
	r, err := replay.New(t.Context(), config(t, h.URL, 1), s)
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		<-waiting
		cancel()
	}()
	if _, err := loadtest.Replay(ctx, r, h.URL, loadtest.Replayed{}, loadtest.Options{Limits: scenario.DefaultLimits()}); err != nil {
		t.Error(err)
	}
}
