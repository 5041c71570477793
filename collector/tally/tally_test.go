package tally

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	dto "github.com/prometheus/client_model/go"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/kongdao/kongdao/internal/calllog"
)

func TestSeriesAreBounded(t *testing.T) {
	reg := prometheus.NewPedanticRegistry()
	m := NewMetrics(3)
	reg.MustRegister(m)
	tl := New()
	r := calllog.Record{Zone: []byte("z"), Status: 429}
	for range 2 {
		for i := range 10 {
			r.Function = fmt.Appendf(nil, "fn-%d", i)
			r.LimitedBy = calllog.LimitedByCapacity
			tl.Add(&r)
			r.LimitedBy, r.Pod = "", fmt.Appendf(nil, "10.0.0.%d:80", i)
			tl.Add(&r)
			r.LoadTest = []byte("run")
			tl.Add(&r)
			r.LoadTest, r.Pod = nil, nil
		}
		m.Add(tl)
		tl.Reset()
	}
	if err := testutil.GatherAndCompare(reg, strings.NewReader(`
# HELP kongdao_collector_calls_total Calls of real traffic, refused ones included. An empty function: no route matched.
# TYPE kongdao_collector_calls_total counter
kongdao_collector_calls_total{code="429",function="fn-0",revision="",zone="z"} 4
kongdao_collector_calls_total{code="429",function="fn-1",revision="",zone="z"} 4
kongdao_collector_calls_total{code="429",function="fn-2",revision="",zone="z"} 4
kongdao_collector_calls_total{code="other",function="other",revision="other",zone="other"} 28
# HELP kongdao_collector_pod_calls_total Calls of real traffic that a pod answered or failed.
# TYPE kongdao_collector_pod_calls_total counter
kongdao_collector_pod_calls_total{code="429",function="fn-0",pod="10.0.0.0:80",revision="",zone="z"} 2
kongdao_collector_pod_calls_total{code="429",function="fn-1",pod="10.0.0.1:80",revision="",zone="z"} 2
kongdao_collector_pod_calls_total{code="429",function="fn-2",pod="10.0.0.2:80",revision="",zone="z"} 2
kongdao_collector_pod_calls_total{code="other",function="other",pod="other",revision="other",zone="other"} 14
# HELP kongdao_collector_refused_calls_total Calls of real traffic that a limit refused.
# TYPE kongdao_collector_refused_calls_total counter
kongdao_collector_refused_calls_total{function="fn-0",limit="capacity"} 2
kongdao_collector_refused_calls_total{function="fn-1",limit="capacity"} 2
kongdao_collector_refused_calls_total{function="fn-2",limit="capacity"} 2
kongdao_collector_refused_calls_total{function="other",limit="other"} 14
`), "kongdao_collector_calls_total", "kongdao_collector_pod_calls_total", "kongdao_collector_refused_calls_total"); err != nil {
		t.Error(err)
	}
	for name, want := range map[string]int{"load_test_calls_total": 4, "call_duration_seconds": 4, "pod_call_duration_seconds": 4} {
		if n := testutil.CollectAndCount(m, "kongdao_collector_"+name); n != want {
			t.Errorf("%d series of %s, want %d", n, name, want)
		}
	}
	if problems, err := testutil.GatherAndLint(reg); err != nil || len(problems) > 0 {
		t.Errorf("lint: %v %v", problems, err)
	}
}

// TestIdleSeriesGiveWay: pods that are gone make room, busy ones stay, and nothing
// is counted in a series that was taken out.
func TestIdleSeriesGiveWay(t *testing.T) {
	m, tl := NewMetrics(2), New()
	now := time.Unix(1_800_000_000, 0)
	m.now = func() time.Time { return now }
	add := func(functions ...string) {
		for _, f := range functions {
			tl.Add(&calllog.Record{Function: []byte(f), Status: 200})
		}
		m.Add(tl)
		tl.Reset()
	}
	add("a", "b")
	now = now.Add(50 * time.Minute)
	add("a", "c") // no room for c
	now = now.Add(20 * time.Minute)
	add("a", "d", "b") // b was idle: d has its place
	want := map[string]uint64{"a": 3, "d": 1, "other": 2}
	got := map[string]uint64{}
	for s := range m.calls.all() {
		got[s.labels[0]] = s.n
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestAsPrometheusItself compares our histograms, native and classic, with those
// of Prometheus' client for the same calls.
func TestAsPrometheusItself(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	samples := map[string]func() uint32{
		"none":      nil,
		"zero":      func() uint32 { return 0 },
		"ordinary":  func() uint32 { return uint32(math.Exp(r.NormFloat64()*1.5+9) + 1) },
		"any":       r.Uint32,
		"all sizes": func() uint32 { return r.Uint32() >> r.IntN(33) },
		"on bounds": func() uint32 {
			us, _ := longest(classic[r.IntN(len(classic))])
			return us + r.Uint32N(3) - 1
		},
		"powers": func() uint32 { return 500_000>>r.IntN(5)<<r.IntN(10) + r.Uint32N(3) - 1 },
	}
	for name, sample := range samples {
		theirs := prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "kongdao_collector_call_duration_seconds", Buckets: classic[:], NativeHistogramBucketFactor: 1.1,
		})
		m, tl := NewMetrics(10), New()
		for range 20_000 {
			us := uint32(7)
			if sample != nil {
				us = sample()
			}
			theirs.Observe(float64(us) / 1e6)
			tl.Add(&calllog.Record{DurationUS: us, Status: 200})
		}
		m.Add(tl)
		var want, got dto.Metric
		if err := theirs.Write(&want); err != nil {
			t.Fatal(err)
		}
		for s := range m.duration.all() {
			got.Histogram = s.histogram(m.grid, classic[:])
		}
		want.Histogram.CreatedTimestamp, got.Histogram.CreatedTimestamp = nil, nil
		sum := got.Histogram.GetSampleSum() // ours is exact, theirs adds up roundings
		if math.Abs(sum-want.Histogram.GetSampleSum()) > 1e-6*sum {
			t.Errorf("%s: sum %v, want %v", name, sum, want.Histogram.GetSampleSum())
		}
		want.Histogram.SampleSum = got.Histogram.SampleSum
		if diff := cmp.Diff(&want, &got, protocmp.Transform()); diff != "" {
			t.Errorf("%s (-theirs +ours):\n%s", name, diff)
		}
	}
}

func TestCells(t *testing.T) {
	g := newGrid()
	for range 1_000_000 {
		us := rand.Uint32() >> rand.IntN(33)
		if c := g.cell(us); g.upper[c] < us || c > 0 && g.upper[c-1] >= us {
			t.Fatalf("%d is in cell %d, up to %d", us, c, g.upper[c])
		}
	}
	if last := g.upper[len(g.upper)-1]; last != math.MaxUint32 {
		t.Errorf("the last cell ends at %d", last)
	}
}

func TestNoTwoKindsAreOne(t *testing.T) {
	tl := New()
	for _, r := range []calllog.Record{
		{},
		{Function: []byte("ab")},
		{Function: []byte("a"), Revision: []byte("b")},
		{Revision: []byte("ab")},
		{Zone: []byte("ab")},
		{Pod: []byte("ab")},
		{LimitedBy: "ab"},
		{LoadTest: []byte("x")},
		{Status: 1},
		{Status: 256},
		{Function: []byte("a\xff")},
		{Function: []byte("\x00\x00")},
	} {
		tl.Add(&r)
	}
	if len(tl.kinds) != 12 {
		t.Errorf("%d kinds, want 12", len(tl.kinds))
	}
}

func TestCountingAllocatesNothing(t *testing.T) {
	m, tl := NewMetrics(1000), New()
	calls := calls(2000)
	round := func() {
		for i := range calls {
			tl.Add(&calls[i])
		}
		m.Add(tl)
		tl.Reset()
	}
	round()
	if n := testing.AllocsPerRun(20, round); n > 0 {
		t.Errorf("%v allocations for %d calls", n, len(calls))
	}
}

func TestKindsAreBounded(t *testing.T) {
	tl := New()
	for i := range maxKinds + 1 {
		tl.Add(&calllog.Record{Pod: fmt.Appendf(nil, "pod-%d", i)})
	}
	tl.Reset()
	if len(tl.kinds) != 0 || len(tl.byKey) != 0 || tl.Calls() != 0 {
		t.Errorf("%d kinds are kept", len(tl.kinds))
	}
}

func calls(n int) []calllog.Record {
	r := rand.New(rand.NewPCG(1, 2))
	all := make([]calllog.Record, n)
	for i := range all {
		all[i] = calllog.Record{
			Function: fmt.Appendf(nil, "fn-%d", r.IntN(100)), Revision: []byte("r12"), Zone: []byte("zb-a"),
			Pod: fmt.Appendf(nil, "10.0.0.%d:9000", r.IntN(5)), Status: 200, DurationUS: uint32(math.Exp(r.NormFloat64() + 9)),
		}
	}
	return all
}

func BenchmarkCount(b *testing.B) {
	m, tl := NewMetrics(2000), New()
	calls := calls(10_000)
	b.ReportAllocs()
	for b.Loop() {
		for i := range calls {
			tl.Add(&calls[i])
		}
		m.Add(tl)
		tl.Reset()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(calls)), "ns/call")
}
