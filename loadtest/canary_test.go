package loadtest_test

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	vegeta "github.com/tsenart/vegeta/v12/lib"

	"github.com/kongdao/kongdao/api"
	"github.com/kongdao/kongdao/loadtest"
	"github.com/kongdao/kongdao/loadtest/attack"
	"github.com/kongdao/kongdao/loadtest/scenario"
)

// tried is a server that counts requests by their mark.
type tried struct {
	*httptest.Server
	mu    sync.Mutex
	marks map[string]int
	paths map[string]int
}

func newTried(t *testing.T, answer http.HandlerFunc) *tried {
	s := &tried{marks: map[string]int{}, paths: map[string]int{}}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		s.marks[r.Header.Get(attack.Header)]++
		s.paths[r.URL.Path]++
		s.mu.Unlock()
		answer(w, r)
	}))
	t.Cleanup(s.Close)
	return s
}

// phase is enough for ten requests at a hundredth of 2,000/s.
const phase = 500 * time.Millisecond

func (s *tried) spec(thresholds ...string) api.ScenarioSpec {
	return api.ScenarioSpec{
		Targets: []api.Target{{URL: s.URL + "/feed"}}, Stages: []api.Stage{{Rate: 2000, Duration: api.Duration(100 * time.Millisecond)}},
		Thresholds: thresholds, Workers: 64,
	}
}

func status(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
}

// TestCanaryRefuses: a run whose first requests go wrong does not begin, and says what
// was answered.
func TestCanaryRefuses(t *testing.T) {
	t.Parallel()
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := "http://" + closed.Addr().String()
	_ = closed.Close()
	n := 0
	for name, c := range map[string]struct {
		answer     http.HandlerFunc
		url        string
		thresholds []string
		want       []string
	}{
		"no such path": {status(http.StatusNotFound), "", nil, []string{"none of 10 requests was answered well: status 404: 10", "--canary-phase 0"}},
		"no key":       {status(http.StatusUnauthorized), "", nil, []string{"status 401: 10"}},
		"nobody there": {status(http.StatusOK), nobody, nil, []string{"none of 10 requests", "errors refused: 10", "connection refused"}},
		"some failures": {func(w http.ResponseWriter, _ *http.Request) {
			if n++; n%2 == 0 { // the canary is the only caller, with requests far apart
				w.WriteHeader(http.StatusBadGateway)
			}
		}, "", []string{"success > 99.9%"}, []string{"success > 99.9% is broken already: 5 of 10 requests, 0.1 % may; status 200: 5, 502: 5"}},
		"slow": {func(http.ResponseWriter, *http.Request) {
			<-time.After(30 * time.Millisecond)
		}, "", []string{"p99 < 10ms"}, []string{"p99 < 10ms is broken already: 10 of 10 requests, 1 % may"}},
	} {
		s := newTried(t, c.answer)
		spec := s.spec(c.thresholds...)
		d, sent := phase, 10
		if name == "slow" { // ten more: those of fresh connections do not count
			d, sent = 2*phase, 20
		}
		if c.url != "" {
			spec.Targets[0].URL = c.url
		}
		r, err := loadtest.Run(t.Context(), spec, loadtest.Options{Run: "lt-1", Canary: d})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if r.Valid || r.OK() || r.Stopped != "canary" || r.Sent != 0 || r.Run != "lt-1" || r.Started.IsZero() {
			t.Errorf("%s: %+v", name, r)
		}
		if c := r.Canary; c == nil || c.OK || c.Sent != uint64(sent) || c.Rate != 20 {
			t.Errorf("%s: canary %+v", name, c)
		}
		for _, want := range c.want {
			if got := strings.Join(r.InvalidReasons, "; "); !strings.Contains(got, want) {
				t.Errorf("%s: %q has no %q", name, got, want)
			}
		}
		if len(s.marks) > 1 || len(s.marks) == 1 && s.marks["lt-1-canary"] != sent {
			t.Errorf("%s: marks %v", name, s.marks)
		}
	}
}

// TestCanaryKeeps: its requests are in no figure of the run.
func TestCanaryKeeps(t *testing.T) {
	t.Parallel()
	s := newTried(t, status(http.StatusOK))
	var file bytes.Buffer
	observed := 0
	r, err := loadtest.Run(t.Context(), s.spec("success > 99.9%", "p99 < 10s"), loadtest.Options{
		Run: "lt-2", Canary: phase, Results: &file, Observe: func(attack.Observation) bool { observed++; return false },
	})
	if err != nil {
		t.Fatal(err)
	}
	if r.Sent != 200 || observed != 200 || s.marks["lt-2"] != 200 || s.marks["lt-2-canary"] != 10 || r.Stopped != "" {
		t.Errorf("sent %d, observed %d, marks %v, stopped %q", r.Sent, observed, s.marks, r.Stopped)
	}
	if c := r.Canary; c == nil || !c.OK || c.Sent != 10 || c.Status[200] != 10 || c.Latency.Max <= 0 {
		t.Errorf("canary %+v", c)
	}
	n := 0
	for decode := vegeta.DecoderFor(bytes.NewReader(file.Bytes())); ; n++ {
		var x vegeta.Result
		if decode(&x) != nil {
			break
		}
	}
	if n != 200 {
		t.Errorf("%d single results", n)
	}
}

// TestCanaryTriesEverything: the requests of all scenarios, and no row of a data file
// that the run will use.
func TestCanaryTriesEverything(t *testing.T) {
	t.Parallel()
	s := newTried(t, status(http.StatusOK))
	dir := t.TempDir()
	rows := func(n int) {
		text := "id\n"
		for i := range n {
			text += fmt.Sprintf("%d\n", i)
		}
		if err := os.WriteFile(filepath.Join(dir, "ids.csv"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	spec := api.ScenarioSpec{
		Data: map[string]api.Feed{"ids": {File: "ids.csv", Order: "unique"}},
		Scenarios: []api.SubScenario{
			{Name: "read", Targets: []api.Target{{URL: s.URL + "/read"}}, Stages: []api.Stage{{Rate: 900, Duration: api.Duration(100 * time.Millisecond)}}},
			{Name: "buy", Targets: []api.Target{{URL: s.URL + "/buy/{{.ids.id}}"}}, Stages: []api.Stage{{Rate: 100, Duration: api.Duration(100 * time.Millisecond)}}},
		},
	}
	run := func() (canary uint64) {
		r, err := loadtest.Run(t.Context(), spec, loadtest.Options{Canary: phase, Files: scenario.Files{Dir: dir}})
		if err != nil || r.Stopped != "" || r.Sent != 100 || r.Canary == nil {
			t.Fatalf("%v: %+v", err, r)
		}
		return r.Canary.Sent
	}
	rows(13) // ten for the run
	if n := run(); n != 5 || s.paths["/read"] != 90+3 || s.paths["/buy/10"] != 1 || s.paths["/buy/11"] != 1 {
		t.Errorf("canary sent %d: %v", n, s.paths)
	}
	for i := range 10 {
		if n := s.paths[fmt.Sprintf("/buy/%d", i)]; n != 1 {
			t.Errorf("row %d was used %d times", i, n)
		}
	}
	rows(10) // none for it
	if n := run(); n != 1 {
		t.Errorf("canary sent %d without a row", n)
	}
}

func TestCanaryByDefault(t *testing.T) {
	t.Parallel()
	l := scenario.DefaultLimits()
	l.Hosts = []string{"shop.example"}
	for _, c := range []struct {
		url    string
		canary api.ScenarioCanary
		given  time.Duration
		want   time.Duration
	}{
		{"http://127.0.0.1:1/", api.ScenarioCanary{}, loadtest.CanaryAuto, 0},
		{"http://[::1]:1/", api.ScenarioCanary{}, loadtest.CanaryAuto, 0},
		{"http://localhost/", api.ScenarioCanary{}, loadtest.CanaryAuto, 0},
		{"http://shop.example/", api.ScenarioCanary{}, loadtest.CanaryAuto, 5 * time.Second},
		{"http://shop.example/", api.ScenarioCanary{Off: true}, loadtest.CanaryAuto, 0},
		{"http://127.0.0.1:1/", api.ScenarioCanary{Phase: api.Duration(time.Second)}, loadtest.CanaryAuto, time.Second},
		{"http://shop.example/", api.ScenarioCanary{}, 0, 0},
		{"http://127.0.0.1:1/", api.ScenarioCanary{Off: true}, time.Minute, time.Minute},
	} {
		spec := api.ScenarioSpec{Targets: []api.Target{{URL: c.url}}, Stages: []api.Stage{{Rate: 1, Duration: api.Duration(time.Second)}}, Canary: c.canary}
		if got, err := loadtest.CanaryPhase(spec, loadtest.Options{Limits: l, Canary: c.given}); err != nil || got != c.want {
			t.Errorf("%s %+v, given %v: %v, want %v; %v", c.url, c.canary, c.given, got, c.want, err)
		}
	}
}
