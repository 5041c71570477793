package usage

import (
	"context"
	"math"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// serve exposes a text.
func serve(t *testing.T, text string) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; version=0.0.4")
		_, _ = w.Write([]byte(text))
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// TestRealEndpoint: what client_golang exposes is read, over HTTP.
func TestRealEndpoint(t *testing.T) {
	reg := prometheus.NewRegistry()
	reg.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	mux := http.NewServeMux()
	mux.Handle("/metrics", promhttp.HandlerFor(reg, promhttp.HandlerOpts{}))
	s := httptest.NewServer(mux)
	defer s.Close()
	client := s.Client()
	defer client.CloseIdleConnections()
	r, err := Source{URL: s.URL}.read(t.Context(), client)
	if err != nil {
		t.Fatal(err)
	}
	if !(r.CPU >= 0) || !(r.Memory > 1<<20) || !(r.Started > 1e9) || math.Abs(time.Since(r.At).Seconds()) > 30 {
		t.Errorf("%+v", r)
	}
	if r.CPULimit != float64(runtime.GOMAXPROCS(0)) || r.limitFrom != "GOMAXPROCS" {
		t.Errorf("limit %g from %s", r.CPULimit, r.limitFrom)
	}
}

const cadvisor = `
container_cpu_usage_seconds_total{container="",pod="feed-0"} 100 1763000000000
container_cpu_usage_seconds_total{container="POD",pod="feed-0"} 1 1763000000000
container_cpu_usage_seconds_total{container="app",pod="feed-0"} 80 1763000000000
container_cpu_usage_seconds_total{container="sidecar",pod="feed-0"} 19 1763000000000
container_cpu_usage_seconds_total{container="app",pod="feed-1"} 7 1763000000000
container_memory_working_set_bytes{container="app",pod="feed-0"} 3e6
container_memory_working_set_bytes{container="app",pod="feed-1"} 9e6
container_spec_cpu_quota{container="app",pod="feed-0"} 150000
container_spec_cpu_period{container="app",pod="feed-0"} 100000
container_spec_memory_limit_bytes{container="app",pod="feed-0"} 0
container_cpu_cfs_throttled_periods_total{container="app",pod="feed-0"} 5
container_cpu_cfs_periods_total{container="app",pod="feed-0"} 50
`

// TestContainers: of cAdvisor's series those of the pod count, and its own times.
func TestContainers(t *testing.T) {
	client := &http.Client{}
	defer client.CloseIdleConnections()
	match, err := ParseMatch(`pod="feed-0"`)
	if err != nil {
		t.Fatal(err)
	}
	r, err := Source{serve(t, cadvisor), match}.read(t.Context(), client)
	if err != nil || r.CPU != 99 || r.Memory != 3e6 || r.CPULimit != 1.5 || r.limitFrom != "its quota" || !math.IsNaN(r.MemoryLimit) || r.Throttled != 5 || r.At.UnixMilli() != 1763000000000 {
		t.Errorf("%+v, %v", r, err)
	}
	// A pod as a whole is there when its containers are not; of several pods none is.
	whole := "container_cpu_usage_seconds_total{pod=\"a\"} 7\ncontainer_cpu_usage_seconds_total{pod=\"b\"} 8\n"
	if r, err = (Source{serve(t, whole), map[string]string{"pod": "b"}}).read(t.Context(), client); err != nil || r.CPU != 8 {
		t.Errorf("%+v, %v", r, err)
	}
	if _, err = (Source{URL: serve(t, whole)}).read(t.Context(), client); err == nil || !strings.Contains(err.Error(), "2 series of container_cpu_usage_seconds_total: say by labels") {
		t.Errorf("%v", err)
	}
	node := "node_cpu_seconds_total{cpu=\"0\",mode=\"steal\"} 5\nnode_cpu_seconds_total{cpu=\"1\",mode=\"steal\"} 1\nnode_cpu_seconds_total{cpu=\"0\",mode=\"idle\"} 94\n"
	if r, err = (Source{serve(t, node), match}).read(t.Context(), client); err != nil || r.Steal != 6 || r.Machine != 100 {
		t.Errorf("%+v, %v", r, err)
	}
}

// TestBrokenSources are errors that name where, without what is secret in a URL.
func TestBrokenSources(t *testing.T) {
	client := &http.Client{Timeout: 5 * time.Second}
	defer client.CloseIdleConnections()
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	missing := httptest.NewServer(http.NotFoundHandler())
	defer missing.Close()
	for _, c := range []struct{ url, want string }{
		{"ftp://a/metrics", "want a URL"},
		{"http://user:hunter2@%zz/", "not a URL"},
		{strings.Replace(gone.URL, "http://", "http://user:hunter2@", 1) + "/metrics?token=hunter2", "/metrics: dial tcp"},
		{missing.URL + "/x?token=hunter2", "404"},
		{serve(t, "this is { not metrics\n"), "text format parsing error"},
		{serve(t, "up 1\n"), "neither process_cpu_seconds_total nor container_cpu_usage_seconds_total"},
		{serve(t, ""), "neither"},
	} {
		_, err := Source{URL: c.url}.read(t.Context(), client)
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v, want %q", c.url, err, c.want)
		}
	}
	for _, bad := range []string{"feed-0", "=x", "pod=a,b"} {
		if _, err := ParseMatch(bad); err == nil {
			t.Errorf("%q is taken for labels", bad)
		}
	}
}

// fed is a recorder that has read what of says once a second.
func fed(seconds int, of func(second float64) Reading) (*Recorder, time.Time) {
	r, began := NewRecorder(nil), time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)
	for i := range seconds {
		x := of(float64(i))
		x.At = began.Add(time.Duration(i) * time.Second)
		r.readings = append(r.readings, x)
	}
	return r, began
}

// TestBetween: counters are read between readings by a straight line, and what is not
// known is not made up.
func TestBetween(t *testing.T) {
	r, began := fed(60, func(s float64) Reading {
		x := unknown(time.Time{})
		x.CPU, x.Memory = 100+min(s, 30)*0.5+max(0, s-30)*1.5, 1e6+s
		return x
	})
	at := func(s float64) time.Time { return began.Add(time.Duration(s * float64(time.Second))) }
	for _, c := range []struct{ from, to, cores float64 }{{2.3, 9.1, 0.5}, {30, 45, 1.5}, {25, 35, 1}, {55, 63, 1.5}} {
		s, ok := r.Between(at(c.from), at(c.to), 100)
		if !ok || math.Abs(s.CPU-c.cores) > 1e-6 || math.Abs(s.CPUPer-1000*c.cores*(c.to-c.from)/100) > 1e-6 {
			t.Errorf("%+v: %+v", c, s)
		}
	}
	if s, ok := r.Between(at(70), at(80), 1); s.CPU != 0 || !ok {
		t.Errorf("after the last reading: %+v", s)
	}
	if s, ok := NewRecorder(nil).Between(at(0), at(1), 1); ok {
		t.Errorf("without readings: %+v", s)
	}
	r.readings[40].CPU = 3 // started anew
	if s, _ := r.Between(at(35), at(45), 1); s.CPU != 0 {
		t.Errorf("over a restart: %+v", s)
	}
	if s, _ := r.Between(at(2), at(9), 1); s.CPU == 0 {
		t.Errorf("before the restart: %+v", s)
	}
	if sum := r.Summarise(nil, 0, 0, time.Time{}); !sum.Restarted || len(sum.Says()) != 1 {
		t.Errorf("%+v", sum)
	}
}

// TestSummary: CPU at the safe rate and a request's, what gives in first.
func TestSummary(t *testing.T) {
	var loads []Load
	for _, rate := range []float64{50, 100, 150, 200, 240} {
		loads = append(loads, Load{Rate: rate, Seconds: 10, Step: Step{CPU: 0.1 + 0.008*rate}})
	}
	loads = append(loads, Load{Rate: 230, Seconds: 10}) // not known
	for _, c := range []struct {
		limit float64
		want  string
	}{{2, "gives in first"}, {4, "something else gives in first"}, {math.NaN(), ""}, {2.5, "at 81 % of its limit of 2.5 cores"}} {
		requests, used := 0.0, 0.0
		r, _ := fed(30, func(second float64) Reading {
			x := unknown(time.Time{})
			x.CPULimit, x.limitFrom, x.Memory, x.Steal, x.Machine = c.limit, "its quota", 5e6, 0, 0
			x.CPU, x.requests = used, requests
			requests += 50 + 5*second
			used += 0.1 + 0.008*(50+5*second)
			return x
		})
		s := r.Summarise(loads, 225, 245, time.Time{})
		if math.Abs(s.CPU-1.9) > 1e-6 || math.Abs(s.CPUPer-8) > 1e-6 || s.Memory != 5e6 || s.Steal != nil || s.Leak {
			t.Errorf("%+v", s)
		}
		if got := strings.Join(s.Says(), "\n"); !strings.Contains(got, c.want) || c.want == "" && got != "" {
			t.Errorf("limit %g: %q", c.limit, got)
		}
	}
	r, _ := fed(30, func(second float64) Reading { // one rate alone
		x := unknown(time.Time{})
		x.CPU, x.requests = 5+1.5*second, 200*second
		return x
	})
	if s := r.Summarise(nil, 100, 0, time.Time{}); math.Abs(s.CPUPer-7.5) > 1e-6 || math.Abs(s.CPU-0.75) > 1e-6 {
		t.Errorf("%+v", s)
	}
	if s := NewRecorder(nil).Summarise(loads, 1, 1, time.Time{}); s != nil {
		t.Errorf("nothing was read: %+v", s)
	}
}

// TestLeak: growth at a steady load is one, a saw-tooth and growth with the rate are
// none.
func TestLeak(t *testing.T) {
	for _, c := range []struct {
		name   string
		memory func(s float64) float64
		steady float64
		leak   bool
		per    float64
	}{
		{"leak under garbage collection", func(s float64) float64 { return 50e6 + 20e3*s + 5e6*math.Mod(s, 7)/7 }, 60, true, 100e3},
		{"garbage collection alone", func(s float64) float64 { return 50e6 + 5e6*math.Mod(s, 7)/7 }, 60, false, 0},
		{"level after a climb", func(s float64) float64 { return 50e6 + 100e3*min(s, 60) }, 60, false, 0},
		{"climb alone", func(s float64) float64 { return 50e6 + 100e3*s }, 1000, false, 500e3},
		{"too little to mention", func(s float64) float64 { return 50e6 + 100*s }, 60, false, 500},
	} {
		r, began := fed(240, func(s float64) Reading {
			x := unknown(time.Time{})
			x.Memory, x.requests = c.memory(s), 200*s
			return x
		})
		sum := r.Summarise(nil, 0, 0, began.Add(time.Duration(c.steady)*time.Second))
		if sum.Leak != c.leak || math.Abs(sum.MemoryPer-c.per) > 0.1*c.per+20e3 && c.per != 500 {
			t.Errorf("%s: %+v", c.name, sum)
		}
		if sum.Leak && !strings.Contains(sum.Says()[0], "a leak") {
			t.Errorf("%q", sum.Says())
		}
	}
}

// TestRecorder reads until it is told to stop, counts failures, and takes what one
// source lacks from the next.
func TestRecorder(t *testing.T) {
	first, second := serve(t, "process_cpu_seconds_total 5\nprocess_resident_memory_bytes 7e6\ngo_sched_gomaxprocs_threads 8\n"),
		serve(t, "container_cpu_usage_seconds_total 9\ncontainer_spec_cpu_quota 50000\ncontainer_spec_cpu_period 100000\nnode_cpu_seconds_total{mode=\"steal\"} 1\n")
	broken := httptest.NewServer(http.NotFoundHandler())
	defer broken.Close()
	r := NewRecorder([]Source{{URL: broken.URL}, {URL: first}, {URL: second}})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); r.Run(ctx) }()
	cancel()
	<-done
	n, err := r.Failure()
	if err == nil || n == 0 || len(r.readings) == 0 {
		t.Fatalf("%d failures, %v, %d readings", n, err, len(r.readings))
	}
	x := r.readings[len(r.readings)-1]
	if x.CPU != 5 || x.CPULimit != 0.5 || x.limitFrom != "its quota" || x.Steal != 1 {
		t.Errorf("%+v", x)
	}
}

// TestOldFigures: requests are those of the time that figures are of.
func TestOldFigures(t *testing.T) {
	began := time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)
	r := NewRecorder(nil)
	for i := range 10 {
		r.counts = append(r.counts, count{began.Add(time.Duration(i) * time.Second), float64(100 * i)})
	}
	for seconds, want := range map[float64]float64{-3: 0, 0: 0, 2.5: 250, 9: 900, 12: 900} {
		if got := r.requestsAt(began.Add(time.Duration(seconds * 1e9))); math.Abs(got-want) > 1e-6 {
			t.Errorf("at %g s %g, want %g", seconds, got, want)
		}
	}
}

// TestRecorderWaits a second between readings, and ends at once.
func TestRecorderWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := NewRecorder(nil) // nothing to read: it takes no time
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		began := time.Now()
		r.Run(ctx)
		if took := time.Since(began); took != 10*time.Second {
			t.Errorf("it took %v", took)
		}
	})
}

// FuzzMetrics: whatever a pod exposes, reading it ends without a panic.
func FuzzMetrics(f *testing.F) {
	f.Add(cadvisor)
	f.Add("process_cpu_seconds_total NaN\n# TYPE x histogram\nx_bucket{le=\"1\"} 1\n")
	f.Fuzz(func(_ *testing.T, text string) {
		_, _ = Source{Match: map[string]string{"pod": "feed-0"}}.parse(strings.NewReader(text))
	})
}
