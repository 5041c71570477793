package app

import (
	"context"
	"errors"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/kongdao/kongdao/api"
	"github.com/kongdao/kongdao/capacity/apply"
	"github.com/kongdao/kongdao/capacity/search"
	"github.com/kongdao/kongdao/capacity/usage"
	"github.com/kongdao/kongdao/loadtest/scenario"
)

// pod is a real HTTP server with what one exposes: each call takes 10 ms of its CPU,
// as it says, and 2 KiB for ever.
func pod(t *testing.T) (address string, calls *atomic.Int64) {
	t.Helper()
	calls = new(atomic.Int64)
	reg := prometheus.NewRegistry()
	expose := func(name string, of func() float64) {
		reg.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name}, of))
	}
	expose("process_cpu_seconds_total", func() float64 { return 3 + 0.010*float64(calls.Load()) })
	expose("process_resident_memory_bytes", func() float64 { return 50e6 + 2048*float64(calls.Load()) })
	expose("go_sched_gomaxprocs_threads", func() float64 { return 4 })
	mux := http.NewServeMux()
	mux.Handle("/metrics", promhttp.HandlerFor(reg, promhttp.HandlerOpts{}))
	mux.HandleFunc("/feed", func(http.ResponseWriter, *http.Request) { calls.Add(1) })
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return strings.TrimPrefix(s.URL, "http://"), calls
}

func searchOf(address string, metrics ...usage.Source) Find {
	f := &api.Function{}
	f.Name = "feed"
	f.Spec.Routes = []api.Route{{Path: "/feed"}, {Path: "/other"}}
	f.Spec.Objective.Latency.P99 = api.Duration(3 * time.Second) // no slow machine breaks it
	return Find{
		Gateway: address, Function: f, Pin: Pin{Address: address, Header: "x-pin", Value: "v"}, Run: "lt-test",
		Start: 20, MaxRate: 60, Budget: 20 * time.Second, Limits: scenario.DefaultLimits(), Metrics: metrics,
	}
}

// TestFindSaysWhatThePodUsed: CPU of each step and of a request, memory and what it
// grows by, over HTTP, once a second.
func TestFindSaysWhatThePodUsed(t *testing.T) {
	t.Parallel()
	address, calls := pod(t)
	var ticks atomic.Int64
	f := searchOf(address, usage.Source{URL: "http://" + address})
	f.Tick = func(p FindProgress) {
		if p.Rate >= f.Start && p.For > 0 {
			ticks.Add(1)
		}
	}
	r, err := FindCapacity(t.Context(), f)
	if err != nil {
		t.Fatal(err)
	}
	if calls.Load() < int64(r.Requests) || ticks.Load() == 0 {
		t.Errorf("%d calls of %d, %d ticks", calls.Load(), r.Requests, ticks.Load())
	}
	p := r.Pod
	if p == nil || p.Readings < 5 || p.CPULimit != 4 || p.LimitFrom != "GOMAXPROCS" || p.Restarted {
		t.Fatalf("%+v, warnings %v", p, r.Warnings)
	}
	// Readings are where a call may just be under way, and a busy machine sends late.
	if math.Abs(p.CPUPer-10) > 3 || math.Abs(p.CPU-0.010*r.Safe) > 0.3*0.010*r.Safe {
		t.Errorf("a call takes 10 ms: %+v at %g/s", p, r.Safe)
	}
	if want := 50e6 + 2048*float64(calls.Load()); math.Abs(p.Memory-want) > 0.1*(want-50e6) {
		t.Errorf("memory %g, want about %g", p.Memory, want)
	}
	if math.Abs(p.MemoryPer-2048e3) > 0.2*2048e3 {
		t.Errorf("a thousand calls keep %g bytes, want 2,048,000", p.MemoryPer)
	}
	known := 0
	for _, s := range r.Steps {
		if s.Pod != nil && s.Pod.CPU > 0 && s.Pod.Memory > 50e6 {
			known++
		}
	}
	if 2*known < len(r.Steps) {
		t.Errorf("of %d steps %d say what was used: %+v", len(r.Steps), known, r.Steps)
	}
	notes := map[string]bool{}
	for _, n := range r.Notes {
		notes[n.About] = n.Known
		if n.About == "mix of calls" && !strings.Contains(n.Text, "GET /feed alone was called, one of 2 routes") {
			t.Errorf("%s", n)
		}
		if n.About == "generator" && !strings.Contains(n.Text, "on the pod's own machine") {
			t.Errorf("%s", n)
		}
	}
	for _, about := range []string{"cold caches", "arrivals", "mix of calls", "generator"} {
		if known, there := notes[about]; !there || !known && about != "cold caches" {
			t.Errorf("%s: %v", about, r.Notes)
		}
	}
	if known, there := notes["shared node"]; !there || known {
		t.Errorf("nothing was read of the machine: %v", r.Notes)
	}
}

// TestStoppedFindSaysWhatItFound, and metrics that cannot be read are a warning.
func TestStoppedFindSaysWhatItFound(t *testing.T) {
	t.Parallel()
	address, _ := pod(t)
	f := searchOf(address, usage.Source{URL: "http://" + address + "/nothing-here"})
	f.Function.Spec.Concurrency = 7
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	f.Report = func(search.StepResult) { cancel() }
	r, err := FindCapacity(ctx, f)
	if !errors.Is(err, context.Canceled) || len(r.Steps) != 1 || r.Safe <= 0 || r.Safe > r.Steps[0].Rate {
		t.Fatalf("%+v, %v", r, err)
	}
	text := strings.Join(r.Warnings, "\n")
	if !strings.Contains(text, "ended early, after ") || !strings.Contains(text, "nothing is known of the pod's CPU and memory: read metrics: http://"+address+"/nothing-here answers 404") {
		t.Errorf("warnings: %s", text)
	}
	if r.Pod != nil || r.Scaling == nil || !strings.Contains(r.Scaling.Better, "limited to 7 at once") || !strings.Contains(r.Scaling.None, "want 6") {
		t.Errorf("%+v %+v", r.Pod, r.Scaling)
	}
}

// TestBegin: the last search of the same revision or image counts, any other is a hint.
func TestBegin(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	f := &api.Function{}
	f.Name = "feed"
	f.Spec.Objective.Latency.P99 = api.Duration(100 * time.Millisecond)
	f.Spec.Revisions = []api.Revision{{Name: "r1", Image: "feed:1"}, {Name: "r2", Image: "feed:2"}, {Name: "r3", Image: "feed:2"}, {Name: "r4"}}
	found := func(revision, image string, safe, days float64) apply.Found {
		x := apply.Found{Function: "feed", Run: "lt-" + revision, Revision: revision, Image: image, Started: now.Add(-time.Duration(days * 24 * float64(time.Hour)))}
		x.Safe, x.Objective = safe, search.ObjectiveOf(f.Spec.Objective).String()
		return x
	}
	other, strict := found("r2", "feed:2", 999, 0), found("r2", "feed:2", 100, 1)
	other.Function, strict.Objective = "cart", "p99 ≤ 5ms"
	const age = 90 * 24 * time.Hour
	for _, c := range []struct {
		name           string
		all            []apply.Found
		revision       string
		earlier, start float64
		hint           string
	}{
		{"nothing", []apply.Found{other}, "r2", 0, 0, ""},
		{"the same revision", []apply.Found{found("r2", "feed:2", 243, 3)}, "r2", 243, 0, ""},
		{"a rebuilt revision of the same image", []apply.Found{found("r2", "feed:2", 243, 3)}, "r3", 243, 0, ""},
		{"another image", []apply.Found{found("r1", "feed:1", 200, 3)}, "r2", 0, 60, "another image, that of revision r1"},
		{"the image of the revision has changed", []apply.Found{found("r1", "feed:0", 200, 3)}, "r1", 0, 60, "another image"},
		{"a newer one of another image", []apply.Found{found("r1", "feed:1", 200, 1), found("r2", "feed:2", 243, 3)}, "r2", 243, 0, ""},
		{"kept before images were", []apply.Found{found("r2", "", 243, 3)}, "r2", 243, 0, ""},
		{"no images", []apply.Found{found("r9", "", 100, 3)}, "r4", 0, 30, "of revision r9"},
		{"too old", []apply.Found{found("r2", "feed:2", 243, 100)}, "r2", 0, 72.9, "older than 90 days"},
		{"another objective", []apply.Found{strict}, "r2", 0, 30, "p99 ≤ 5ms"},
		{"found nothing", []apply.Found{found("r2", "feed:2", 0, 1), found("r2", "feed:2", 50, 2)}, "r2", 50, 0, ""},
	} {
		b := beginOf(c.all, f, c.revision, age, now)
		if b.Earlier != c.earlier || math.Abs(b.Start-c.start) > 1e-9 || !strings.Contains(b.Hint, c.hint) || (b.Hint == "") != (c.hint == "") {
			t.Errorf("%s: %+v", c.name, b)
		}
	}
	b := beginOf([]apply.Found{found("r2", "feed:2", 243, 3)}, f, "r2", age, now)
	c := Find{Function: f, Begin: b, MaxRate: 1000, Budget: time.Minute}.Config()
	if got := b.Text(c.First()); got != "starting at 146/s: 0.6 of 243/s, run lt-r2, 3 days ago; --cold to ignore" {
		t.Errorf("%s", got)
	}
	if got := (Begin{}).Text(100); got != "" {
		t.Errorf("%s", got)
	}
	f.Spec.Capacity.Measured = &api.Measured{Date: "2026-11-22", Low: 300, Run: "lt-m", Revision: "r2"}
	if b := beginOf(nil, f, "r2", age, now); b.Earlier != 300 || b.Run != "lt-m" || days(b.Age) != "1 day" {
		t.Errorf("what the resource says: %+v", b)
	}
	if b := beginOf(nil, f, "r1", age, now); b.Earlier != 0 || b.Start != 90 {
		t.Errorf("of another revision: %+v", b)
	}
}

// TestMetricsPlaces: the pod's address is filled in.
func TestMetricsPlaces(t *testing.T) {
	t.Parallel()
	all := []string{"http://{host}:9090/metrics", "http://node:9100/metrics"}
	for pod, want := range map[string]string{"10.0.0.7:8080": "http://10.0.0.7:9090/metrics", "[::1]:80": "http://[::1]:9090/metrics"} {
		if got := metricsOf(all, pod); len(got) != 2 || got[0] != want || got[1] != all[1] {
			t.Errorf("%s: %v", pod, got)
		}
	}
	if got := metricsOf(all, ""); len(got) != 1 {
		t.Errorf("%v", got)
	}
	if _, err := MetricsSources([]string{"x"}, ""); err == nil {
		t.Error("x is no URL")
	}
	if _, err := MetricsSources(nil, "pod"); err == nil || !strings.Contains(err.Error(), "--metrics-pod") {
		t.Errorf("%v", err)
	}
}
