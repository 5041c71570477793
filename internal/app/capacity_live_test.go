package app_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kongdao/kongdao/capacity/search"
	"github.com/kongdao/kongdao/internal/app"
)

// liveEvents reads a live search's events until it ends; leave ends the connection as
// the end of the command's process does.
func (c caller) liveEvents(run, query string) (next func(name string, into any) bool, leave context.CancelFunc, status int) {
	c.t.Helper()
	ctx, leave := context.WithCancel(c.t.Context())
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+c.system.Addresses().API+"/api/v1/capacity/live/feed?run="+run+query, nil)
	if err != nil {
		c.t.Fatal(err)
	}
	res, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { leave(); _ = res.Body.Close() })
	lines, event := bufio.NewScanner(res.Body), ""
	next = func(name string, into any) bool {
		for lines.Scan() {
			if n, ok := strings.CutPrefix(lines.Text(), "event: "); ok {
				event = n
			}
			data, ok := strings.CutPrefix(lines.Text(), "data: ")
			if !ok || event == "beat" {
				continue
			}
			if event != name {
				c.t.Logf("%s %s, not %s", event, data, name)
				continue
			}
			if err := json.Unmarshal([]byte(data), into); err != nil {
				c.t.Fatal(err)
			}
			return true
		}
		return false
	}
	return next, leave, res.StatusCode
}

// factor is that of the function's lifted pod; 0: none is.
func (c caller) factor() float64 {
	for _, f := range c.system.State().Functions {
		for _, l := range f.Lifted {
			return l.Factor
		}
	}
	return 0
}

// fleetOfFour is a function with four pods that answer at once; those that fail do so in
// one of three calls.
func fleetOfFour(t testing.TB) (text string, failing *[4]atomic.Bool) {
	failing = &[4]atomic.Bool{}
	var pods []string
	for i := range 4 {
		var n atomic.Int64
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/healthz" && failing[i].Load() && n.Add(1)%3 == 0 {
				w.WriteHeader(http.StatusInternalServerError)
			}
		}))
		t.Cleanup(s.Close)
		pods = append(pods, fmt.Sprintf("{address: %q, zone: zb-%c}", strings.TrimPrefix(s.URL, "http://"), 'a'+i%2))
	}
	return liveFunction(pods, "10s"), failing
}

func liveFunction(pods []string, p99 string) string {
	return fmt.Sprintf(`apiVersion: kongdao.io/v1
kind: Function
metadata: {name: feed}
spec:
  routes: [{hosts: [api.example.com], path: /feed, methods: [GET]}]
  revisions: [{name: r1, endpoints: [%s]}]
  healthCheck: {path: /healthz}
  retries: {attempts: 0}
  objective: {latency: {p99: %s}, success: 99%%}
  access: {public: true}
`, strings.Join(pods, ", "), p99)
}

// TestLiveSearchGivesTheShareBack: when the pod's calls fail, when whoever asked has
// left, when a zone is moved, and on command; nothing else is tried beside it, and no
// call is the search's own.
func TestLiveSearchGivesTheShareBack(t *testing.T) {
	t.Parallel()
	cfg := testConfig(t)
	cfg.Envoy.Canary = false
	text, failing := fleetOfFour(t)
	write(t, cfg.ResourcesDir, "feed.yaml", text)
	c := caller{t: t, system: start(t, cfg), client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 100}, Timeout: deadline}}
	defer c.client.CloseIdleConnections()
	c.eventually("calls are answered", func() bool { _, status := c.call(); return status == http.StatusOK })
	if _, _, status := c.liveEvents("lt-0", "&others=4"); status != http.StatusConflict {
		t.Errorf("with too few pods: status %d", status)
	}
	_, end := c.traffic(t, 200)
	defer end()

	next, leave, status := c.liveEvents("lt-1", "&seconds=60")
	var begun app.LiveBegun
	if status != http.StatusOK || !next("begun", &begun) {
		t.Fatalf("status %d", status)
	}
	if share := begun.Rate / begun.Traffic; share < 0.2 || share > 0.3 || begun.Highest < 1.5*begun.Rate {
		t.Errorf("%+v", begun)
	}
	var step search.StepResult
	c.eventually("a pod has more than its share", func() bool { return c.factor() > 1.1 })
	if !next("step", &step) || !step.Kept {
		t.Errorf("the first step: %+v", step)
	}
	if status := c.api(http.MethodPost, "/pins", app.PinRequest{Function: "feed"}, nil); status != http.StatusConflict {
		t.Errorf("a pin beside it: status %d", status)
	}
	if _, _, status := c.liveEvents("lt-2", ""); status != http.StatusConflict {
		t.Errorf("a second search: status %d", status)
	}
	failing[0].Store(true) // the first that is ready
	began := time.Now()
	c.eventually("it has its share again", func() bool { return c.factor() == 1 })
	t.Logf("back %.2f s after the first failed call", time.Since(began).Seconds())
	for step.Broke == 0 && next("step", &step) {
	}
	if step.Kept || step.Broke == 0 {
		t.Errorf("the step that broke: %+v", step)
	}
	failing[0].Store(false)
	leave()
	c.eventually("nobody watches, so it has its share", func() bool { return c.factor() == 0 })

	c.eventually("it is no run any more", func() bool {
		var list app.ActiveLoadList
		c.api(http.MethodGet, "/load-active", nil, &list)
		return len(list.Runs) == 0
	})
	var failed app.LiveFailed
	next, _, _ = c.liveEvents("lt-3", "")
	if c.api(http.MethodDelete, "/load-active/lt-3", nil, nil); !next("failed", &failed) || !failed.Stopped {
		t.Errorf("stopped by command: %+v", failed)
	}
	if f := c.factor(); f != 0 {
		t.Errorf("a factor of %v after that", f)
	}
	next, _, _ = c.liveEvents("lt-4", "")
	if status := c.api(http.MethodPut, "/zones/zb-b", app.ZoneShift{Weight: 50, Force: true}, nil); status != http.StatusNoContent {
		t.Errorf("status %d", status)
	}
	if !next("failed", &failed) || !failed.NotNow || !strings.Contains(failed.Reason, "zb-b") {
		t.Errorf("a zone is moved: %+v", failed)
	}
	var marked uint64
	if err := c.system.ClickHouse().QueryRow(t.Context(), "SELECT countIf(load_test != '') FROM calls").Scan(&marked); err != nil || marked > 0 {
		t.Errorf("%d calls are a test's, %v", marked, err)
	}
}
