package loadtest_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/kongdao/kongdao/api"
	"github.com/kongdao/kongdao/loadtest"
	"github.com/kongdao/kongdao/loadtest/scenario"
)

// TestBytesAreCapped: the run ends while the answer that is too much still comes,
// whatever sends it, and says so.
func TestBytesAreCapped(t *testing.T) {
	const most = 8 << 20
	left := make(chan struct{}, 100)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() { left <- struct{}{} }()
		for block := make([]byte, 64<<10); r.Context().Err() == nil; { // an answer without an end
			if _, err := w.Write(block); err != nil {
				return
			}
		}
	}))
	defer s.Close()
	spec := api.ScenarioSpec{
		Stages: []api.Stage{{Rate: 1, Duration: api.Duration(50 * time.Second)}}, Workers: 2, MaxAnswer: 1 << 30, Timeout: api.Duration(50 * time.Second),
		Limits: api.ScenarioLimits{MaxBytes: most},
	}
	for name, target := range map[string]api.Target{
		"lean":     {URL: s.URL},
		"net/http": {URL: s.URL, Checks: []api.Check{{Status: 200}}},
	} {
		spec.Targets = []api.Target{target}
		r, err := loadtest.Run(t.Context(), spec, loadtest.Options{})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if r.Stopped != "bytes" || r.Valid || !strings.Contains(strings.Join(r.InvalidReasons, "; "), "above the cap of 8388608 (--max-bytes") {
			t.Errorf("%s: stopped %q, valid %v, %q", name, r.Stopped, r.Valid, r.InvalidReasons)
		}
		if r.BytesWire <= most || r.BytesWire > 2*most || r.Canceled == 0 {
			t.Errorf("%s: %d bytes, %d canceled", name, r.BytesWire, r.Canceled)
		}
		for range r.Sent {
			<-left // it is cut, not left to itself
		}
	}
}

// TestBytesOfBodies: what the plan says it will send is refused before it is sent.
func TestBytesOfBodies(t *testing.T) {
	l := scenario.DefaultLimits()
	l.MaxBytes = 10_000
	_, err := loadtest.Run(t.Context(), api.ScenarioSpec{
		Targets: []api.Target{{Method: "POST", URL: "http://127.0.0.1:1/", Body: strings.Repeat("x", 200)}, {URL: "http://127.0.0.1:1/"}},
		Stages:  []api.Stage{{Rate: 101, Duration: api.Duration(time.Second)}},
	}, loadtest.Options{Limits: l})
	if err == nil || !strings.Contains(err.Error(), "bodies of 10100 bytes are above the cap of 10000") {
		t.Errorf("got %v", err)
	}
}
