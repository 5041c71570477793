package collector

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/kongdao/kongdao/internal/calllog"
)

// block holds calls 0 to n-1.
func block(t testing.TB, n int) *calllog.Block {
	t.Helper()
	b := calllog.NewBlock()
	var r calllog.Record
	for i := range n {
		must(t, calllog.ParseText([]byte(line(i)), &r))
		b.Append(&r)
	}
	return b
}

func subscriber() *Collector { return &Collector{tails: tails{open: map[*Tail]struct{}{}}} }

func TestTailChoosesAndCopies(t *testing.T) {
	c := subscriber()
	ctx, cancel := context.WithCancel(context.Background())
	tail := c.Subscribe(ctx, func(r *calllog.Record) bool {
		return string(r.Function) == "fn-4" && r.Status >= 500 && len(r.LoadTest) == 0
	})
	b := block(t, 100)
	c.tails.publish(b)
	b.Reset() // what was published must not change with it
	calls, dropped, err := tail.Next(ctx)
	must(t, err)
	for i := range 100 {
		if function(i) != "fn-4" || status(i) < 500 || loadTest(i) != "-" {
			continue
		}
		call := calls[0]
		calls = calls[1:]
		text, err := json.Marshal(call)
		must(t, err)
		if call.Function != "fn-4" || call.Path != fmt.Sprintf("/p?n=%d", i) || call.Time.UnixMicro() != begin+int64(i)*1000 ||
			!strings.Contains(string(text), `"client_ip":"127.0.0.1"`) {
			t.Fatalf("call %d: %s", i, text)
		}
	}
	if len(calls) != 0 || dropped != 0 {
		t.Fatalf("%d calls too many, %d dropped", len(calls), dropped)
	}
	cancel()
	if _, _, err := tail.Next(ctx); !errors.Is(err, context.Canceled) {
		t.Fatalf("after the end: %v", err)
	}
	c.tails.publish(block(t, 1)) // nobody listens
}

func TestSlowTailDropsAndCounts(t *testing.T) {
	c := subscriber()
	tail := c.Subscribe(t.Context(), nil)
	b := block(t, 1000)
	for range tailBuffer/1000 + 2 {
		c.tails.publish(b)
	}
	calls, dropped, err := tail.Next(t.Context())
	must(t, err)
	if dropped != 2000 || len(calls) != tailBuffer {
		t.Fatalf("%d dropped, %d kept", dropped, len(calls))
	}
	c.tails.publish(b) // there is room again
	if calls, dropped, err = tail.Next(t.Context()); err != nil || dropped != 0 || len(calls) != 1000 {
		t.Fatalf("%d dropped, %d kept, %v", dropped, len(calls), err)
	}
}

func TestSeriesAreBounded(t *testing.T) {
	reg := prometheus.NewPedanticRegistry()
	m, err := newCallMetrics(reg, 3)
	must(t, err)
	r := calllog.Record{SampleWeight: 2, Zone: []byte("z"), Status: 429}
	for i := range 10 {
		r.Function = fmt.Appendf(nil, "fn-%d", i)
		r.LimitedBy = calllog.LimitedByCapacity
		m.count(&r)
		r.LimitedBy = ""
		m.count(&r)
		r.LoadTest = []byte("run")
		m.count(&r)
		r.LoadTest = nil
	}
	must(t, testutil.GatherAndCompare(reg, strings.NewReader(`
# HELP kongdao_collector_calls_total Calls of real traffic, refused ones included. An empty function: no route matched.
# TYPE kongdao_collector_calls_total counter
kongdao_collector_calls_total{code="429",function="fn-0",revision="",zone="z"} 4
kongdao_collector_calls_total{code="429",function="fn-1",revision="",zone="z"} 4
kongdao_collector_calls_total{code="429",function="fn-2",revision="",zone="z"} 4
kongdao_collector_calls_total{code="other",function="other",revision="other",zone="other"} 28
# HELP kongdao_collector_refused_calls_total Calls of real traffic that a limit refused.
# TYPE kongdao_collector_refused_calls_total counter
kongdao_collector_refused_calls_total{function="fn-0",limit="capacity"} 2
kongdao_collector_refused_calls_total{function="fn-1",limit="capacity"} 2
kongdao_collector_refused_calls_total{function="fn-2",limit="capacity"} 2
kongdao_collector_refused_calls_total{function="other",limit="other"} 14
`), "kongdao_collector_calls_total", "kongdao_collector_refused_calls_total"))
	if n := testutil.CollectAndCount(m.duration); n != 4 {
		t.Errorf("%d histograms, want 4", n)
	}
	if n := testutil.CollectAndCount(m.loadTest); n != 4 {
		t.Errorf("%d counters of load tests, want 4", n)
	}
	problems, err := testutil.GatherAndLint(reg)
	if err != nil || len(problems) > 0 {
		t.Errorf("lint: %v %v", problems, err)
	}
}

func TestCountAllocatesNothing(t *testing.T) {
	m, err := newCallMetrics(nil, 100)
	must(t, err)
	b := block(t, 200)
	b.Each(m.count)
	// Each allocates a little for itself; the 200 calls add nothing.
	if n := testing.AllocsPerRun(20, func() { b.Each(m.count) }); n > 5 {
		t.Errorf("%v allocations for 200 calls", n)
	}
}
