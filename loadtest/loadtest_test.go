package loadtest_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	vegeta "github.com/tsenart/vegeta/v12/lib"
	"go.uber.org/goleak"

	"github.com/kongdao/kongdao/api"
	"github.com/kongdao/kongdao/loadtest"
	"github.com/kongdao/kongdao/loadtest/attack"
	"github.com/kongdao/kongdao/loadtest/report"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func spec(t *testing.T, rate float64, d time.Duration, thresholds ...string) api.ScenarioSpec {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/broken" {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		_, _ = io.WriteString(w, "ok")
	}))
	t.Cleanup(s.Close)
	return api.ScenarioSpec{
		Targets:    []api.Target{{URL: s.URL + "/feed"}},
		Stages:     []api.Stage{{Rate: rate, Duration: api.Duration(d)}},
		Thresholds: thresholds,
	}
}

// The result has the names that programs rely on.
func TestResultContract(t *testing.T) {
	r, err := loadtest.Run(t.Context(), spec(t, 100, time.Second, "p99 < 10s", "success > 99.9%", "max < 1ns"), loadtest.Options{Run: "lt-1", Name: "feed"})
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Run      string
		Offered  float64 `json:"offered_rate"`
		Achieved float64 `json:"achieved_rate"`
		Sent     int
		Late     *int
		Dropped  *int
		Latency  struct{ Mean, P50, P90, P99, Max float64 } `json:"latency_s"`
		Status   map[string]int
		Checks   []struct {
			Expr string
			OK   bool
		} `json:"thresholds"`
	}
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	if got.Run != "lt-1" || got.Sent != 100 || got.Offered != 100 || got.Late == nil || got.Dropped == nil || got.Status["200"] != 100 {
		t.Errorf("got %s", text)
	}
	if got.Achieved < 30 || got.Achieved > 100 {
		t.Errorf("achieved %v, want about 100 on an idle machine and never more than was offered", got.Achieved)
	}
	l := got.Latency
	if l.P50 <= 0 || l.P50 > l.P90 || l.P90 > l.P99 || l.P99 > l.Max || l.Mean <= 0 {
		t.Errorf("latencies %+v", l)
	}
	if len(got.Checks) != 3 || !got.Checks[0].OK || !got.Checks[1].OK || got.Checks[2].OK || got.Checks[2].Expr != "max < 1ns" {
		t.Errorf("thresholds %+v", got.Checks)
	}
	if r.OK() {
		t.Error("a broken threshold passed")
	}
}

func TestFailingServerBreaksSuccess(t *testing.T) {
	s := spec(t, 100, time.Second, "success > 99.9%", "errors <= 50%")
	s.Targets = append(s.Targets, api.Target{URL: strings.Replace(s.Targets[0].URL, "/feed", "/broken", 1)})
	r, err := loadtest.Run(t.Context(), s, loadtest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if r.Status[200] != 50 || r.Status[503] != 50 || r.Thresholds[0].OK || !r.Thresholds[1].OK {
		t.Errorf("status %v, thresholds %+v: targets must be sent in turn", r.Status, r.Thresholds)
	}
}

func TestForeignHostIsRefused(t *testing.T) {
	s := spec(t, 1, time.Second)
	s.Targets[0].URL = "http://example.com/"
	_, err := loadtest.Run(t.Context(), s, loadtest.Options{})
	if !errors.Is(err, loadtest.ErrInvalidScenario) {
		t.Errorf("got %v", err)
	}
}

func TestResultsAreVegetas(t *testing.T) {
	var file bytes.Buffer
	want, err := loadtest.Run(t.Context(), spec(t, 200, time.Second), loadtest.Options{Run: "lt-2", Results: &file})
	if err != nil {
		t.Fatal(err)
	}
	decode := vegeta.DecoderFor(bytes.NewReader(file.Bytes()))
	if decode == nil {
		t.Fatal("vegeta does not know the format")
	}
	var m vegeta.Metrics
	for {
		var r vegeta.Result
		if decode(&r) != nil {
			break
		}
		m.Add(&r)
	}
	m.Close()
	if m.Requests != 200 || m.StatusCodes["200"] != 200 || m.Success != 1 {
		t.Errorf("vegeta counts %d requests, %v", m.Requests, m.StatusCodes)
	}
	got, err := report.Read(&file)
	if err != nil {
		t.Fatal(err)
	}
	if got.Run != "lt-2" || got.Sent != 200 || got.Latency.P99 != want.Latency.P99 || got.Status[200] != 200 {
		t.Errorf("read back %+v, want %+v", got, want)
	}
	if got.AchievedRate < 199 || got.AchievedRate > 201 {
		t.Errorf("read back a rate of %v", got.AchievedRate)
	}
}

func TestStoppedRunIsInvalid(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	n := 0
	r, err := loadtest.Run(ctx, spec(t, 100, time.Minute), loadtest.Options{Observe: func(attack.Observation) bool {
		if n++; n == 20 {
			cancel()
		}
		return false
	}})
	if err != nil {
		t.Fatal(err)
	}
	if r.Valid || r.Stopped != "caller" || !strings.Contains(strings.Join(r.InvalidReasons, "\n"), "stopped after") {
		t.Errorf("got %+v", r)
	}
}

func TestSeenEnoughIsValid(t *testing.T) {
	n := 0
	r, err := loadtest.Run(t.Context(), spec(t, 100, time.Minute), loadtest.Options{Observe: func(attack.Observation) bool { n++; return n >= 20 }})
	if err != nil {
		t.Fatal(err)
	}
	if r.Stopped != "observer" || r.Seconds > 30 {
		t.Errorf("got %+v", r)
	}
}

type flood struct{}

func (flood) Pace(time.Duration, uint64) (time.Duration, bool) { return time.Nanosecond, false }
func (flood) Rate(time.Duration) float64                       { return 1e9 }

func TestOwnPacerKeepsTheCaps(t *testing.T) {
	o := loadtest.Options{Pacer: flood{}}
	o.Limits.MaxRate, o.Limits.MaxTotal, o.Limits.MaxDuration, o.Limits.MaxInFlight = 200, 150, time.Minute, 16
	r, err := loadtest.Run(t.Context(), spec(t, 2, time.Minute), o)
	if err != nil {
		t.Fatal(err)
	}
	if r.Sent != 150 || r.Seconds < 0.7 {
		t.Errorf("sent %d in %v s, want 150 in no less than 0.745 s", r.Sent, r.Seconds)
	}
}

func TestText(t *testing.T) {
	r := report.Result{
		Run: "lt-3", Sent: 10, Status: map[int]uint64{503: 1, 200: 9}, Errors: map[string]uint64{"timeout": 1},
		Thresholds: []report.ThresholdOutcome{{Expr: "p99 < 1ms"}}, InvalidReasons: []string{"no reason"},
	}
	var b bytes.Buffer
	if err := r.WriteText(&b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"200: 9, 503: 1", "timeout: 1", "BROKEN  p99 < 1ms", "INVALID    no reason"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("%q is missing in\n%s", want, b.String())
		}
	}
}
