package app_test

import (
	"bufio"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kongdao/kongdao/internal/app"
)

// watch reads the events of a stress test's watch.
func (c caller) watch(t *testing.T, run string) (first string, stop func() app.LoadStop) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+c.system.Addresses().API+"/api/v1/load-active/"+run+"/watch", nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = res.Body.Close() })
	lines := bufio.NewScanner(res.Body)
	next := func() (event, data string) {
		for lines.Scan() {
			if name, ok := strings.CutPrefix(lines.Text(), "event: "); ok {
				event = name
			}
			if text, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
				return event, text
			}
		}
		return "", ""
	}
	first, _ = next()
	return first, func() (s app.LoadStop) {
		for {
			event, data := next()
			switch event {
			case "beat":
			case "stop":
				if err := json.Unmarshal([]byte(data), &s); err != nil {
					t.Fatal(err)
				}
				return s
			default:
				t.Fatalf("the stream ended with %q", event)
			}
		}
	}
}

// TestProductionStopsAStressTest: when production's calls fail, and on command.
func TestProductionStopsAStressTest(t *testing.T) {
	t.Parallel()
	var failing atomic.Bool
	var since atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// A stress test that breaks its own calls is not production's trouble.
		if failing.Load() || r.Header.Get("x-kongdao-load-test") != "" {
			w.WriteHeader(http.StatusInternalServerError)
		}
	}))
	t.Cleanup(s.Close)
	address := strings.TrimPrefix(s.URL, "http://")
	cfg := testConfig(t)
	cfg.Envoy.Canary = false
	write(t, cfg.ResourcesDir, "feed.yaml", strings.Replace(patient(address, "127.0.0.1:1", "127.0.0.1:2"), "spec:\n", "spec:\n  retries: {attempts: 0}\n", 1))
	c := caller{t: t, system: start(t, cfg), client: &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: deadline}}
	c.eventually("calls are answered", func() bool { _, status := c.call(); return status == http.StatusOK })
	_, end := c.traffic(t, 100)
	first, stop := c.watch(t, "lt-1")
	broken := 0
	c.eventually("the test has broken its own calls", func() bool {
		if _, status := c.call("x-kongdao-load-test", "lt-1"); status == http.StatusInternalServerError {
			broken++
		}
		return broken == 30
	})
	if first != "beat" {
		t.Fatalf("begins with %q", first)
	}
	if status := c.api(http.MethodDelete, "/load-active/lt-2", nil, nil); status != http.StatusNotFound {
		t.Errorf("a run that is not there: status %d", status)
	}
	var list app.ActiveLoadList
	if c.api(http.MethodGet, "/load-active", nil, &list); len(list.Runs) != 1 || list.Runs[0].Run != "lt-1" {
		t.Errorf("under way: %+v", list)
	}
	c.eventually("the test's calls are stored", func() bool {
		var calls app.CallList
		c.api(http.MethodGet, "/calls?load_run=lt-1&status=5xx", nil, &calls)
		return len(calls.Calls) == broken
	})
	var health app.CallHealth
	if c.api(http.MethodGet, "/calls/health", nil, &health); health.Failed > 0 || health.Calls == 0 {
		t.Errorf("production's health: %+v", health)
	}
	time.AfterFunc(500*time.Millisecond, func() { since.Store(time.Now().UnixNano()); failing.Store(true) })
	if got := stop(); !strings.HasPrefix(got.Reason, "production: feed: ") || !failing.Load() {
		t.Errorf("stopped: %+v", got)
	}
	t.Logf("stopped %.2f s after the first failure", float64(time.Now().UnixNano()-since.Load())/1e9)
	failing.Store(false)
	end()
	c.eventually("the run has ended", func() bool {
		c.api(http.MethodGet, "/load-active", nil, &list)
		return len(list.Runs) == 0
	})
	_, stop = c.watch(t, "lt-3")
	_, other := c.watch(t, "lt-4")
	if status := c.api(http.MethodDelete, "/load-active", nil, nil); status != http.StatusNoContent {
		t.Errorf("status %d", status)
	}
	for _, stop := range []func() app.LoadStop{stop, other} {
		if got := stop(); !strings.Contains(got.Reason, "by command") {
			t.Errorf("stopped: %+v", got)
		}
	}
	c.refuses(t)
}

// refuses looks at what load stop --all leaves behind: no generator gets through,
// and none begins.
func (c caller) refuses(t *testing.T) {
	t.Helper()
	marked := func() int { _, status := c.call("x-kongdao-load-test", "forgotten"); return status }
	if status := marked(); status != http.StatusTooManyRequests {
		t.Errorf("a forgotten generator gets %d", status)
	}
	if _, status := c.call(); status != http.StatusOK {
		t.Errorf("production gets %d", status)
	}
	var list app.ActiveLoadList
	if c.api(http.MethodGet, "/load-active", nil, &list); list.Refused == nil || time.Until(*list.Refused) > 10*time.Minute {
		t.Errorf("refused until %v", list.Refused)
	}
	_, stop := c.watch(t, "lt-5")
	if got := stop(); !strings.Contains(got.Reason, "kongdao load allow") {
		t.Errorf("a test that begins: %+v", got)
	}
	if status := c.api(http.MethodDelete, "/load-refused", nil, nil); status != http.StatusNoContent {
		t.Errorf("load allow: %d", status)
	}
	if status := marked(); status != http.StatusInternalServerError { // the pod's
		t.Errorf("after load allow: %d", status)
	}
	if status := c.api(http.MethodDelete, "/load-active?refuse=1", nil, nil); status != http.StatusNoContent {
		t.Errorf("status %d", status)
	}
	c.eventually("it ends by itself", func() bool { return marked() == http.StatusInternalServerError })
	if c.api(http.MethodDelete, "/load-active?refuse=0", nil, nil); marked() != http.StatusInternalServerError {
		t.Error("refused, though that was not wanted")
	}
}
