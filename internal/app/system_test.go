package app_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kongdao/kongdao/api"
	"github.com/kongdao/kongdao/capacity/podtest"
	"github.com/kongdao/kongdao/deploy/embedded/embeddedtest"
	"github.com/kongdao/kongdao/internal/app"
	"github.com/kongdao/kongdao/internal/config"
	"github.com/kongdao/kongdao/registry"
	"github.com/kongdao/kongdao/xds/envoy"
	"github.com/kongdao/kongdao/xds/explain"
)

func TestMain(m *testing.M) {
	if podtest.IsChild() {
		os.Exit(podtest.RunChild())
	}
	embeddedtest.Main(m)
}

// deadline bounds what a loaded machine may take; nothing is judged by time.
const deadline = time.Minute

// pod is a function's pod that says its name.
func pod(t testing.TB, name string) string {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, name) }))
	t.Cleanup(s.Close)
	return strings.TrimPrefix(s.URL, "http://")
}

func testConfig(t testing.TB) config.Config {
	t.Helper()
	cfg := config.Default()
	cfg.DataDir, cfg.ResourcesDir = t.TempDir(), t.TempDir()
	cfg.Listen.Gateway, cfg.Listen.API = "127.0.0.1:0", "127.0.0.1:0"
	cfg.Envoy.Concurrency = 1
	return cfg
}

func start(t testing.TB, cfg config.Config, parts ...app.Part) *app.System {
	t.Helper()
	s, err := app.Start(t.Context(), cfg, slog.New(slog.DiscardHandler), parts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
		if _, err := app.ReadAddresses(cfg.DataDir); !errors.Is(err, app.ErrNotRunning) {
			t.Errorf("after the stop the addresses are still there: %v", err)
		}
	})
	return s
}

func write(t testing.TB, dir, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func feed(a, b, c string) string {
	return fmt.Sprintf(`apiVersion: kongdao.io/v1
kind: Function
metadata: {name: feed, tenant: recommend}
spec:
  routes: [{hosts: [api.example.com], path: /feed, methods: [GET]}]
  revisions:
    - name: r1
      endpoints: [{address: %q, zone: zb-a}, {address: %q, zone: zb-b}, {address: %q, zone: zb-c}]
  objective: {latency: {p99: 100ms}, success: 99.9%%}
  capacity: {perPodQPS: 1000, forecastQPS: 2000}
  access: {public: true}
`, a, b, c)
}

// caller speaks to a system's API and to its gateway.
type caller struct {
	t      testing.TB
	system *app.System
	client *http.Client
}

func (c caller) api(method, path string, in, out any) int {
	c.t.Helper()
	b, err := json.Marshal(in)
	if err != nil {
		c.t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(c.t.Context(), method, "http://"+c.system.Addresses().API+"/api/v1"+path, bytes.NewReader(b))
	if err != nil {
		c.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	return c.do(req, out)
}

func (c caller) do(req *http.Request, out any) int {
	c.t.Helper()
	res, err := c.client.Do(req)
	if err != nil {
		c.t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	if s, ok := out.(*string); ok {
		*s = string(text)
	} else if out != nil {
		if err := json.Unmarshal(text, out); err != nil {
			c.t.Fatalf("%s: %v", text, err)
		}
	}
	return res.StatusCode
}

// call sends a request to the function and returns which pod answered.
func (c caller) call(headers ...string) (pod string, status int) {
	c.t.Helper()
	req, err := http.NewRequestWithContext(c.t.Context(), http.MethodGet, "http://"+c.system.Addresses().Gateway+"/feed", nil)
	if err != nil {
		c.t.Fatal(err)
	}
	req.Host = "api.example.com"
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	status = c.do(req, &pod)
	return pod, status
}

// answering are the pods that answer some ordinary calls in a row.
func (c caller) answering() map[string]bool {
	c.t.Helper()
	pods := map[string]bool{}
	for range 12 {
		name, status := c.call()
		if status != http.StatusOK {
			c.t.Fatalf("status %d: %s", status, name)
		}
		pods[name] = true
	}
	return pods
}

func (c caller) eventually(what string, yes func() bool) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), deadline)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !yes() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			c.t.Fatalf("not within %v: %s", deadline, what)
		}
	}
}

func (c caller) limit() float64 {
	for _, f := range c.system.State().Functions {
		if f.Name == "feed" {
			return f.Limit
		}
	}
	return -1
}

// TestTheSystem goes once through what the API offers, on a real Envoy and a real
// ClickHouse.
func TestTheSystem(t *testing.T) {
	cfg := testConfig(t)
	a, b, z := pod(t, "a"), pod(t, "b"), pod(t, "c")
	write(t, cfg.ResourcesDir, "feed.yaml", feed(a, b, z))
	c := caller{t: t, system: start(t, cfg), client: &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: deadline}}
	c.eventually("all pods counted for the limit", func() bool { return c.limit() == 3000 })
	if err := c.system.WaitLive(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Run("calls are spread and stored", c.spreadAndStored)
	t.Run("explain", c.explains)
	t.Run("a folder before it is applied", func(t *testing.T) { c.previews(t, feed(a, b, z)) })
	t.Run("a pinned pod", func(t *testing.T) { c.pins(t, a) })
	t.Run("a drained zone", c.drains)
	t.Run("plan and gate", c.plans)
	t.Run("a bad file changes nothing", func(t *testing.T) { c.badFile(t, cfg) })
	t.Run("openapi", func(t *testing.T) {
		var doc struct {
			OpenAPI string         `json:"openapi"`
			Paths   map[string]any `json:"paths"`
		}
		if code := c.api("GET", "/openapi.json", nil, &doc); code != 200 || doc.OpenAPI[:3] != "3.1" || len(doc.Paths) < 12 {
			t.Errorf("status %d, version %s, %d paths", code, doc.OpenAPI, len(doc.Paths))
		}
	})
}

func (c caller) spreadAndStored(t *testing.T) {
	c.t = t
	if got := c.answering(); len(got) != 3 {
		t.Errorf("pods that answer: %v", got)
	}
	var list app.CallList
	c.eventually("12 calls stored", func() bool {
		code := c.api("GET", "/calls?function=feed&status=2xx", nil, &list)
		return code == 200 && len(list.Calls) >= 12
	})
	if len(list.Calls) != 12 || list.Calls[0].Route != "feed/0" || list.Calls[0].Zone == "" {
		t.Errorf("%d calls, the first %+v", len(list.Calls), list.Calls[0])
	}
	var one app.CallList
	c.eventually("a call found by its id", func() bool { // which is stored a moment after the call
		c.api("GET", "/calls?request_id="+list.Calls[3].RequestID, nil, &one)
		return len(one.Calls) > 0
	})
	if len(one.Calls) != 1 || one.Calls[0].RequestID != list.Calls[3].RequestID {
		t.Errorf("by request id: %+v", one)
	}
	if code := c.api("GET", "/calls?status=9xx", nil, nil); code != http.StatusUnprocessableEntity {
		t.Errorf("a wrong status is answered %d", code)
	}
}

func (c caller) explains(t *testing.T) {
	c.t = t
	var answer explain.Answer
	if code := c.api("GET", "/explain?method=GET&url="+url.QueryEscape("http://api.example.com/feed"), nil, &answer); code != 200 {
		t.Fatalf("status %d", code)
	}
	if answer.Function != "feed" || answer.Limits[0].RequestsPerSecond != 3000 || !strings.HasSuffix(answer.Source, "feed.yaml:5") {
		t.Errorf("%+v", answer)
	}
	c.eventually("the gateway reports what of the limit is in use", func() bool {
		c.api("GET", "/explain?method=GET&url="+url.QueryEscape("http://api.example.com/feed"), nil, &answer)
		g := answer.Limits[0].Gateways
		return len(g) == 1 && g[0].RequestsPerSecond == 3000 && g[0].Known
	})
	c.api("GET", "/explain?method=GET&url="+url.QueryEscape("http://api.example.com/other"), nil, &answer)
	if answer.Status != 404 {
		t.Errorf("unknown path: %+v", answer)
	}
}

// previews asks about folders while the system serves another one.
func (c caller) previews(t *testing.T, text string) {
	c.t = t
	folder := func(old, now string) registry.Folder {
		return registry.Folder{Texts: map[string]string{"next/feed.yaml": strings.ReplaceAll(text, old, now)}}
	}
	var answer app.Explained
	q := app.ExplainRequest{Method: "GET", URL: "http://api.example.com/feed", Folder: folder("perPodQPS: 1000", "perPodQPS: 100")}
	if code := c.api("POST", "/explain", q, &answer); code != 200 || answer.Answer.Source != "next/feed.yaml:5" || answer.Answer.Limits[0].RequestsPerSecond != 300 {
		t.Errorf("status %d: %+v", code, answer)
	}
	q.Folder = folder("endpoints: [", `endpoints: [{address: "127.0.0.1:1", zone: zb-c}, `)
	if code := c.api("POST", "/explain", q, &answer); code != 200 || len(answer.Answer.Endpoints) != 4 || answer.Answer.Revisions[0].Ready != 4 {
		t.Errorf("with a pod that nobody knows: status %d: %+v", code, answer)
	}
	var planned app.Planned
	p := app.PlanRequest{Folder: folder("methods: [GET]", "methods: [PUT]")}
	if code := c.api("POST", "/plan", p, &planned); code != 200 || planned.Calls.Calls < 12 || planned.Calls.Changed != planned.Calls.Calls || len(planned.Resources) != 1 {
		t.Errorf("status %d: %+v", code, planned)
	}
	p.Calls = []app.Call{{Method: "PUT", Host: "api.example.com", Path: "/feed", Status: 404}}
	if code := c.api("POST", "/plan", p, &planned); code != 200 || planned.Calls.Calls != 1 || planned.Calls.Groups[0].New.Route != "feed/0" {
		t.Errorf("status %d: %+v", code, planned)
	}
	p.Folder = folder("perPodQPS: 1000", "perPodQPS: many")
	if code := c.api("POST", "/plan", p, &planned); code != 200 || len(planned.Problems) != 1 {
		t.Errorf("status %d: %+v", code, planned)
	}
	p.Folder, p.Group = folder("", ""), "nobody"
	if code := c.api("POST", "/plan", p, nil); code != http.StatusNotFound {
		t.Errorf("a group that is not there: status %d", code)
	}
	if c.limit() != 3000 {
		t.Errorf("the limit in force is %v", c.limit())
	}
}

func (c caller) pins(t *testing.T, address string) {
	c.t = t
	var pin app.Pin
	if code := c.api("POST", "/pins", app.PinRequest{Function: "feed", Address: address}, &pin); code != 200 {
		t.Fatalf("status %d", code)
	}
	if got := c.answering(); got["a"] || len(got) != 2 {
		t.Errorf("while a is pinned ordinary calls reach %v", got)
	}
	if name, _ := c.call(pin.Header, pin.Value); name != "a" {
		t.Errorf("the token reaches %q", name)
	}
	if name, status := c.call(pin.Header, "guess"); status == 200 && name == "a" {
		t.Error("a guessed token reaches the pinned pod")
	}
	if got := c.limit(); got != 2000 {
		t.Errorf("limit with one of three pods pinned: %v", got)
	}
	if code := c.api("DELETE", "/pins/"+pin.ID, nil, nil); code != http.StatusNoContent {
		t.Errorf("release: status %d", code)
	}
	c.eventually("the pod is back", func() bool { return c.limit() == 3000 })
	if code := c.api("POST", "/pins", app.PinRequest{Function: "nothing"}, nil); code != http.StatusConflict {
		t.Errorf("a pin on no function: status %d", code)
	}
}

func (c caller) drains(t *testing.T) {
	c.t = t
	if code := c.api("PUT", "/zones/zb-b", app.ZoneShift{Weight: 0}, nil); code != http.StatusNoContent {
		t.Fatalf("status %d", code)
	}
	if got := c.answering(); got["b"] {
		t.Errorf("the drained zone still answers: %v", got)
	}
	if code := c.api("PUT", "/zones/nowhere", app.ZoneShift{Weight: 0}, nil); code != http.StatusNotFound {
		t.Errorf("an unknown zone: status %d", code)
	}
	c.api("PUT", "/zones/zb-b", app.ZoneShift{Weight: 100}, nil)
	if got := c.answering(); !got["b"] {
		t.Errorf("the restored zone does not answer: %v", got)
	}
}

func (c caller) plans(t *testing.T) {
	c.t = t
	var plan struct {
		LostZones int `json:"lost_zones"`
		Functions []struct {
			PerZone int `json:"needed_per_zone"`
		} `json:"functions"`
	}
	if code := c.api("GET", "/capacity/plan", nil, &plan); code != 200 {
		t.Fatalf("status %d", code)
	}
	if plan.LostZones != 1 || len(plan.Functions) != 1 || plan.Functions[0].PerZone != 2 { // ⌈2000/(1000·0.7)⌉ = 3 pods in 2 zones
		t.Errorf("%+v", plan)
	}
	if code := c.api("GET", "/capacity/plan?without=zb-b&lost_zones=0&event=11.11%3D8x&risk=0.01&horizon=7d&price=0.5", nil, &plan); code != 200 ||
		len(plan.Functions) != 1 || plan.Functions[0].PerZone != 12 { // ⌈16000/(1000·0.7)⌉ = 23 pods in the two zones that are left
		t.Errorf("status %d, %+v", code, plan)
	}
	for _, q := range []string{"event=x", "horizon=1s", "without=nowhere", "lost_zones=3", "risk=0.6"} {
		if code := c.api("GET", "/capacity/plan?"+q, nil, nil); code != http.StatusUnprocessableEntity {
			t.Errorf("%s: status %d", q, code)
		}
	}
	var verdict struct {
		OK bool `json:"ok"`
	}
	if code := c.api("GET", "/capacity/gate/feed", nil, &verdict); code != 200 || verdict.OK {
		t.Errorf("status %d, a function that was never measured may go live: %v", code, verdict.OK)
	}
}

func (c caller) badFile(t *testing.T, cfg config.Config) {
	c.t = t
	write(t, cfg.ResourcesDir, "bad.yaml", "apiVersion: kongdao.io/v1\nkind: Function\nmetadata: {name: bad}\nspec: {rutes: []}\n")
	var r app.Resources
	c.eventually("the bad file is named", func() bool {
		c.api("GET", "/resources", nil, &r)
		return len(r.Problems) > 0
	})
	if !slices.ContainsFunc(r.Problems, func(p api.Problem) bool { return p.Line == 4 && p.Field == "spec.rutes" }) {
		t.Errorf("%v", r.Problems)
	}
	if _, status := c.call(); status != 200 {
		t.Errorf("status %d", status)
	}
}

func TestDataDirectoryBelongsToOne(t *testing.T) {
	cfg := testConfig(t)
	start(t, cfg)
	_, err := app.Start(t.Context(), cfg, slog.New(slog.DiscardHandler))
	if !errors.Is(err, app.ErrDataInUse) || !strings.Contains(err.Error(), fmt.Sprint(os.Getpid())) {
		t.Errorf("a second system on the directory: %v", err)
	}
}

func TestStartThatFailsLeavesNothing(t *testing.T) {
	cfg := testConfig(t)
	cfg.Envoy.Path = "/nonexistent/envoy"
	if _, err := app.Start(t.Context(), cfg, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), "/nonexistent/envoy") {
		t.Errorf("without Envoy: %v", err)
	}
	cfg.Envoy.Path = ""
	start(t, cfg) // the directory and all ports are free again
}

// TestCallsByLogStream takes calls from Envoy's access log service instead of its
// file; the rows are the same.
func TestCallsByLogStream(t *testing.T) {
	cfg := testConfig(t)
	cfg.Collector.Source = "als"
	write(t, cfg.ResourcesDir, "feed.yaml", feed(pod(t, "a"), pod(t, "b"), pod(t, "c")))
	c := caller{t: t, system: start(t, cfg), client: &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: deadline}}
	c.eventually("all pods counted for the limit", func() bool { return c.limit() == 3000 })
	if err := c.system.WaitLive(t.Context()); err != nil {
		t.Fatal(err)
	}
	c.answering()
	var list app.CallList
	c.eventually("12 calls stored", func() bool {
		c.api("GET", "/calls?function=feed", nil, &list)
		return len(list.Calls) >= 12
	})
	first := list.Calls[0]
	if len(list.Calls) != 12 || first.Function != "feed" || first.Revision != "r1" || first.Zone == "" || first.Gateway != cfg.Envoy.Node || first.Status != 200 {
		t.Errorf("%d calls, the first %+v", len(list.Calls), first)
	}
}

// TestPartsApart runs control plane, gateway and collector as three systems that
// know each other by address alone, as on three machines.
func TestPartsApart(t *testing.T) {
	cfg := testConfig(t)
	cfg.Collector.Source = "als"
	cfg.Listen.Gateway, cfg.Listen.XDS, cfg.Listen.ALS = freeAddress(t), freeAddress(t), freeAddress(t)
	write(t, cfg.ResourcesDir, "feed.yaml", feed(pod(t, "a"), pod(t, "b"), pod(t, "c")))
	part := func(parts ...app.Part) *app.System {
		own := cfg
		own.DataDir = t.TempDir()
		return start(t, own, parts...)
	}
	control := part(app.PartXDS)
	store := part(app.PartCollector, app.PartAPI)
	edge := part(app.PartGateway)
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: deadline}
	if err := control.WaitLive(t.Context()); err != nil {
		t.Fatal(err)
	}
	if name, status := (caller{t: t, system: edge, client: client}).call(); status != http.StatusOK {
		t.Fatalf("status %d: %s", status, name)
	}
	c := caller{t: t, system: store, client: client}
	var list app.CallList
	c.eventually("the call is stored", func() bool {
		c.api("GET", "/calls?function=feed", nil, &list)
		return len(list.Calls) == 1
	})
	if a := store.Addresses(); a.Gateway != "" || a.XDS != "" || a.ALS != cfg.Listen.ALS {
		t.Errorf("addresses of the collector's system: %+v", a)
	}
}

func freeAddress(t *testing.T) string {
	t.Helper()
	port, err := envoy.FreePort("127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("127.0.0.1:%d", port)
}
