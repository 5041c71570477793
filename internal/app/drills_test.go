package app_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kongdao/kongdao/api"
	"github.com/kongdao/kongdao/capacity/drill"
	"github.com/kongdao/kongdao/capacity/kept"
	"github.com/kongdao/kongdao/internal/app"
	"github.com/kongdao/kongdao/internal/config"
	"github.com/kongdao/kongdao/internal/testkit"
)

// patient is the function with an objective that a busy machine keeps.
func patient(a, b, c string) string {
	return strings.Replace(feed(a, b, c), "p99: 100ms", "p99: 30s", 1)
}

// traffic calls the function at a steady rate until stop, and counts failures.
func (c caller) traffic(t *testing.T, rate int) (failed *atomic.Int64, stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	failed = &atomic.Int64{}
	var calls sync.WaitGroup
	calls.Go(func() {
		tick := time.NewTicker(time.Second / time.Duration(rate))
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
			calls.Go(func() {
				req, _ := http.NewRequest(http.MethodGet, "http://"+c.system.Addresses().Gateway+"/feed", nil)
				req.Host = "api.example.com"
				res, err := c.client.Do(req)
				if err != nil || res.StatusCode != http.StatusOK {
					failed.Add(1)
				}
				if err == nil {
					_ = res.Body.Close()
				}
			})
		}
	})
	stop = sync.OnceFunc(func() { cancel(); calls.Wait() })
	t.Cleanup(stop)
	return failed, stop
}

func (c caller) drill(t *testing.T, o app.DrillOrder) drill.Record {
	t.Helper()
	var r drill.Record
	if status := c.api(http.MethodPost, "/drills", o, &r); status != http.StatusOK {
		t.Fatalf("status %d", status)
	}
	c.eventually("the drill has ended", func() bool {
		c.api(http.MethodGet, "/drills/"+r.ID, nil, &r)
		return r.State != drill.Running
	})
	return r
}

func (c caller) share(zone string) int {
	for _, z := range c.system.State().Zones {
		if z.Name == zone {
			return z.Shift
		}
	}
	return -1
}

// TestDrill goes through drills on a real Envoy and a real ClickHouse under load: one
// that is carried out, one that is refused, one that is given up, and what is left of
// one whose process was killed.
func TestDrill(t *testing.T) {
	t.Parallel()
	cfg := testConfig(t)
	leaveBehind(t, cfg, "zb-c")
	write(t, cfg.ResourcesDir, "feed.yaml", patient(pod(t, "a"), pod(t, "b"), pod(t, "c")))
	transport := &http.Transport{MaxIdleConnsPerHost: 64}
	c := caller{t: t, system: start(t, cfg), client: &http.Client{Transport: transport, Timeout: deadline}}
	t.Cleanup(transport.CloseIdleConnections)
	t.Run("interrupted", c.interrupted)
	c.eventually("all pods counted for the limit", func() bool { return c.limit() == 3000 })
	failed, stop := c.traffic(t, 100)
	t.Run("carried out", c.carriedOut)
	t.Run("given up", c.givenUp)
	t.Run("killed pods that are not ours", func(t *testing.T) {
		r := c.drill(t, app.DrillOrder{Zone: "zb-b", Kill: true})
		if r.State != drill.Refused || !strings.Contains(r.Error, "no test fleet") {
			t.Errorf("got %s: %s", r.State, r.Error)
		}
	})
	stop()
	if n := failed.Load(); n > 0 {
		t.Errorf("%d calls failed", n)
	}
	t.Run("not written down", func(t *testing.T) {
		defer fullDisk(t, filepath.Join(cfg.DataDir, "drills"))()
		if status := c.api(http.MethodPost, "/drills", app.DrillOrder{Zone: "zb-b"}, nil); status != http.StatusServiceUnavailable || c.share("zb-b") != 100 {
			t.Errorf("status %d, the zone has %d %%", status, c.share("zb-b"))
		}
	})
	t.Run("refused", func(t *testing.T) { c.refused(t, cfg) })
	var list app.DrillList
	c.api(http.MethodGet, "/drills", nil, &list)
	states := map[drill.State]int{}
	for _, r := range list.Drills {
		states[r.State]++
	}
	if states[drill.Done] != 1 || states[drill.TakenBack] != 1 || states[drill.Refused] < 2 || states[drill.Interrupted] != 1 {
		t.Errorf("history: %v", states)
	}
}

// fullDisk makes a folder one that takes nothing, until back.
func fullDisk(t *testing.T, dir string) (back func()) {
	t.Helper()
	testkit.Must(t, os.Rename(dir, dir+".aside"))
	testkit.Must(t, os.WriteFile(dir, nil, 0o600))
	return func() {
		testkit.Must(t, os.Remove(dir))
		testkit.Must(t, os.Rename(dir+".aside", dir))
	}
}

// leaveBehind is what a process leaves that was killed in the middle of a drill.
func leaveBehind(t *testing.T, cfg config.Config, zone string) {
	t.Helper()
	id := "20200101-000000-" + zone
	h := kept.Folder[drill.Record]{Dir: filepath.Join(cfg.DataDir, "drills")}
	testkit.Must(t, h.Save(id, drill.Record{ID: id, Zone: zone, State: drill.Running, Began: time.Now()}))
	dir := filepath.Join(cfg.DataDir, "gateway")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	app.WriteShift(t, filepath.Join(dir, "shifts"), zone, 10)
}

func (c caller) interrupted(t *testing.T) {
	var r drill.Record
	if status := c.api(http.MethodGet, "/drills/20200101-000000-zb-c", nil, &r); status != http.StatusOK {
		t.Fatal(status)
	}
	if r.State != drill.Interrupted || !r.Restored || c.share("zb-c") != 100 {
		t.Errorf("got %+v, the zone has %d %%", r, c.share("zb-c"))
	}
}

func (c caller) carriedOut(t *testing.T) {
	c.t = t
	c.eventually("its traffic is known", func() bool {
		var check drill.Precheck
		c.api(http.MethodGet, "/zones/zb-b/precheck", nil, &check)
		return len(check.Findings) == 1 && check.Findings[0].QPS > 5
	})
	r := c.drill(t, app.DrillOrder{Zone: "zb-b", StepS: 0.3, HoldS: 2})
	if r.State != drill.Done || !r.Restored || c.share("zb-b") != 100 || r.Seen == nil {
		t.Fatalf("got %+v, the zone has %d %%", r, c.share("zb-b"))
	}
	if r.Seen.Failed != 0 || r.Seen.Calls == 0 || r.Seen.EmptySeconds < 0 || len(r.Seen.Functions) != 1 {
		t.Errorf("seen: %+v", r.Seen)
	}
	for _, z := range r.Seen.Functions[0].Zones {
		if z.Zone == "zb-b" {
			t.Errorf("calls in the empty zone: %+v", z)
		}
	}
	if len(r.Forecast) != 1 || r.Forecast[0].Limit != 2000 || r.Precheck.Findings[0].Peak != 2000 {
		t.Errorf("forecast %+v, pre-check %+v", r.Forecast, r.Precheck)
	}
	for _, o := range r.Alerts {
		if o.Expected {
			t.Errorf("alert %+v", o)
		}
	}
	var text, page strings.Builder
	if err := r.WriteText(&text); err != nil {
		t.Error(err)
	}
	if err := r.WriteHTML(&page); err != nil {
		t.Error(err)
	}
	for _, want := range []string{"drill of zb-b: done", "feed", "weight is 0", "0 failed"} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("no %q in:\n%s", want, &text)
		}
	}
	t.Logf("\n%s", &text)
}

// givenUp ends a drill while the zone is empty.
func (c caller) givenUp(t *testing.T) {
	c.t = t
	var r drill.Record
	if status := c.api(http.MethodPost, "/drills", app.DrillOrder{Zone: "zb-a", StepS: 0.3, HoldS: 600}, &r); status != http.StatusOK {
		t.Fatal(status)
	}
	if status := c.api(http.MethodPost, "/drills", app.DrillOrder{Zone: "zb-b"}, nil); status != http.StatusConflict {
		t.Errorf("a second drill: status %d", status)
	}
	c.eventually("the zone is empty", func() bool { return c.share("zb-a") == 0 })
	c.api(http.MethodDelete, "/drills/"+r.ID, nil, nil)
	c.eventually("the drill has ended", func() bool {
		c.api(http.MethodGet, "/drills/"+r.ID, nil, &r)
		return r.State != drill.Running
	})
	if r.State != drill.TakenBack || !r.Restored || c.share("zb-a") != 100 {
		t.Errorf("got %+v", r)
	}
}

// refused asks for drills for which the peak is too high: with another zone in part, and
// with all of it.
func (c caller) refused(t *testing.T, cfg config.Config) {
	c.t = t
	move := func(weight int) {
		if status := c.api(http.MethodPut, "/zones/zb-a", app.ZoneShift{Weight: weight, Force: true}, nil); status != http.StatusNoContent {
			t.Fatalf("status %d", status)
		}
	}
	move(30)
	r := c.drill(t, app.DrillOrder{Zone: "zb-b"})
	if r.State != drill.Refused || !strings.Contains(r.Error, "on 1 pods that can take 1000.0/s") {
		t.Errorf("got %s: %s", r.State, r.Error)
	}
	move(drill.FullWeight)
	text, err := os.ReadFile(filepath.Join(cfg.ResourcesDir, "feed.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	write(t, cfg.ResourcesDir, "feed.yaml", strings.Replace(string(text), "forecastQPS: 2000", "forecastQPS: 2001", 1))
	r = drill.Record{}
	c.eventually("the peak is too high", func() bool {
		c.api(http.MethodPost, "/drills", app.DrillOrder{Zone: "zb-b", DryRun: true}, &r)
		return r.State == drill.Refused
	})
	r = c.drill(t, app.DrillOrder{Zone: "zb-b"})
	if r.State != drill.Refused || !strings.Contains(r.Error, "2001.0/s at its peak (declared as forecastQPS) on 2 pods that can take 2000.0/s") || c.share("zb-b") != 100 {
		t.Errorf("got %s: %s", r.State, r.Error)
	}
	if i := slices.IndexFunc(r.Events, func(drill.Event) bool { return true }); i >= 0 {
		text, _ := json.Marshal(r.Events)
		t.Errorf("something was moved: %s", text)
	}
}

// TestPractice: a drill that nobody orders, and what is told of it.
func TestPractice(t *testing.T) {
	t.Parallel()
	cfg := testConfig(t)
	cfg.Practice.Times, cfg.Practice.Hold, cfg.Practice.Zones = []string{"daily 00:00"}, api.Duration(time.Second), []string{"zb-c"}
	cfg.Practice.Window, cfg.Capacity.TimeZone = api.Duration(24*time.Hour), "UTC"
	write(t, cfg.ResourcesDir, "feed.yaml", patient(pod(t, "a"), pod(t, "b"), pod(t, "c")))
	dir := filepath.Join(cfg.DataDir, "drills") // practice was asked for days ago
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, dir, "since", time.Now().Add(-72*time.Hour).UTC().Format(time.RFC3339))
	c := caller{t: t, system: start(t, cfg), client: &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: deadline}}
	var list app.DrillList
	c.eventually("practice", func() bool {
		c.api(http.MethodGet, "/drills", nil, &list)
		return len(list.Drills) == 1 && list.Drills[0].State == drill.Done
	})
	if r := list.Drills[0]; r.By != "practice" || r.Zone != "zb-c" || c.share("zb-c") != 100 {
		t.Errorf("got %+v", r)
	}
	for _, want := range []string{`kongdao_practice_runs_total{result="done"} 1`, `kongdao_practice_age_seconds{zone="zb-c"}`, "kongdao_practice_remind_seconds 2.592e+06", `kongdao_drills_total{result="done"} 1`} {
		c.eventually(want, func() bool {
			var metrics string
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+c.system.Addresses().Metrics+"/metrics", nil)
			if err != nil {
				t.Fatal(err)
			}
			c.do(req, &metrics)
			return strings.Contains(metrics, want)
		})
	}
}

// TestKilledZone kills a zone's pods, which are the test's own, under load.
func TestKilledZone(t *testing.T) {
	t.Parallel()
	var dead atomic.Bool
	mortal := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if dead.Load() {
			if conn, _, err := w.(http.Hijacker).Hijack(); err == nil {
				_ = conn.Close()
			}
		}
	}))
	t.Cleanup(mortal.Close)
	cfg := testConfig(t)
	cfg.Envoy.Canary = false
	function := patient(pod(t, "a"), strings.TrimPrefix(mortal.URL, "http://"), pod(t, "c"))
	write(t, cfg.ResourcesDir, "feed.yaml", strings.Replace(function, "spec:\n", "spec:\n  healthCheck: {path: /healthz}\n  idempotent: true\n", 1))
	transport := &http.Transport{MaxIdleConnsPerHost: 64}
	c := caller{t: t, system: start(t, cfg), client: &http.Client{Transport: transport, Timeout: deadline}}
	t.Cleanup(transport.CloseIdleConnections)
	c.system.UseTestFleet(app.TestFleet{
		Kill:   func(context.Context, string) error { dead.Store(true); return nil },
		Revive: func(context.Context, string) error { dead.Store(false); return nil },
	})
	c.eventually("all pods counted for the limit", func() bool { return c.limit() == 3000 })
	failed, stop := c.traffic(t, 100)
	r := c.drill(t, app.DrillOrder{Zone: "zb-b", Kill: true, HoldS: 3})
	stop()
	if r.State != drill.Done || !r.Restored || dead.Load() || c.limit() != 3000 || r.Seen == nil {
		t.Fatalf("limit %v: %+v", c.limit(), r)
	}
	if r.Seen.Failed > 0 || failed.Load() > 0 || r.Seen.Calls == 0 {
		t.Errorf("%d calls failed: %+v", failed.Load(), r.Seen)
	}
}
