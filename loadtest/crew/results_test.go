package crew_test

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	vegeta "github.com/tsenart/vegeta/v12/lib"

	"github.com/kongdao/kongdao/loadtest"
	"github.com/kongdao/kongdao/loadtest/attack"
)

// decoded are the single results of a file.
func decoded(t *testing.T, file []byte) (all []vegeta.Result) {
	t.Helper()
	decode := vegeta.DecoderFor(bytes.NewReader(file))
	if decode == nil {
		t.Fatal("vegeta does not know the format")
	}
	for {
		var r vegeta.Result
		if decode(&r) != nil {
			return all
		}
		all = append(all, r)
	}
}

// TestSingleResultsOfAgents: those of all agents make one file that vegeta reads, as if
// one generator had sent the plan.
func TestSingleResultsOfAgents(t *testing.T) {
	t.Parallel()
	s := newTarget(t)
	f := newFleet(t, 3, nil)
	for _, name := range []string{"a", "b", "c"} {
		f.join(t.Context(), name, nil)
	}
	var file bytes.Buffer
	r := f.run(t.Context(), s.spec(1000, 2*time.Second), loadtest.Options{Run: "lt-crew", Results: &file})
	all := decoded(t, file.Bytes())
	if r.Sent != 2000 || len(all) != 2000 {
		t.Fatalf("sent %d, %d single results, %q", r.Sent, len(all), r.InvalidReasons)
	}
	seen := map[uint64]bool{}
	var m vegeta.Metrics
	for i, x := range all {
		seen[x.Seq] = true
		m.Add(&x)
		if x.Attack != "lt-crew" || x.Seq >= 2000 || x.Code != 200 {
			t.Fatalf("result %d: %+v", i, x)
		}
		if due := r.Started.Add(time.Duration(x.Seq) * time.Millisecond); x.Timestamp.Sub(due).Abs() > 500*time.Millisecond {
			t.Fatalf("request %d was due at %v: %v", x.Seq, due, x.Timestamp)
		}
	}
	m.Close()
	if len(seen) != 2000 || m.Rate < 950 || m.Rate > 1050 {
		t.Errorf("%d numbers, %.1f/s", len(seen), m.Rate)
	}
	for range 3 {
		if err := <-f.errs; err != nil {
			t.Error(err)
		}
	}
}

// TestSingleResultsOfAStoppedRun: what was sent until then is in the file.
func TestSingleResultsOfAStoppedRun(t *testing.T) {
	t.Parallel()
	s := newTarget(t)
	f := newFleet(t, 2, nil)
	f.join(t.Context(), "a", nil)
	f.join(t.Context(), "b", nil)
	ctx, stop := context.WithCancel(t.Context())
	var file bytes.Buffer
	r := f.run(ctx, s.spec(500, time.Minute), loadtest.Options{Results: &file, Progress: func(p attack.Progress) {
		if p.Sent > 100 {
			stop()
		}
	}})
	if all := decoded(t, file.Bytes()); r.Stopped != "caller" || uint64(len(all)) != r.Sent || len(all) < 100 {
		t.Errorf("stopped %q, sent %d, %d single results, %q", r.Stopped, r.Sent, len(all), r.InvalidReasons)
	}
	for range 2 {
		<-f.errs
	}
}

// TestAgentsTryFirst: every agent sends its share of the first phase, and none begins
// when that goes wrong.
func TestAgentsTryFirst(t *testing.T) {
	t.Parallel()
	var broken atomic.Bool
	var canaries atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.Header.Get("x-kongdao-load-test"), loadtest.CanaryMark) {
			canaries.Add(1)
		}
		if broken.Load() {
			w.WriteHeader(http.StatusForbidden)
		}
	}))
	t.Cleanup(s.Close)
	target := &target{Server: s}
	for _, bad := range []bool{false, true} {
		broken.Store(bad)
		canaries.Store(0)
		f := newFleet(t, 2, nil)
		f.join(t.Context(), "a", nil)
		f.join(t.Context(), "b", nil)
		r := f.run(t.Context(), target.spec(1000, 200*time.Millisecond), loadtest.Options{Canary: time.Second})
		if c := r.Canary; c == nil || c.OK == bad || c.Sent != 10 || canaries.Load() != 10 || c.Rate != 10 {
			t.Errorf("broken %v: canary %+v, %d arrived", bad, c, canaries.Load())
		}
		if bad != (r.Stopped == "canary") || bad == (r.Sent == 200) || bad && r.Valid {
			t.Errorf("broken %v: stopped %q, sent %d, %q", bad, r.Stopped, r.Sent, r.InvalidReasons)
		}
		for range 2 {
			if err := <-f.errs; (err != nil) != bad {
				t.Errorf("broken %v: %v", bad, err)
			}
		}
	}
}

// TestStopInTheFirstPhase: on all agents, within what a stop may take.
func TestStopInTheFirstPhase(t *testing.T) {
	t.Parallel()
	ctx, stop := context.WithCancel(t.Context())
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		stop()
		<-r.Context().Done() // it is cut
	}))
	t.Cleanup(s.Close)
	f := newFleet(t, 2, nil)
	f.join(t.Context(), "a", nil)
	f.join(t.Context(), "b", nil)
	r := f.run(ctx, (&target{Server: s}).spec(10, time.Second), loadtest.Options{Canary: 5 * time.Minute})
	if r.Stopped != "caller" || r.Valid || r.Sent != 0 || r.Canary == nil || r.Canary.OK {
		t.Errorf("stopped %q, sent %d, %q", r.Stopped, r.Sent, r.InvalidReasons)
	}
	for range 2 {
		<-f.errs
	}
}
