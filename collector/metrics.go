package collector

import (
	"errors"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/kongdao/kongdao/internal/calllog"
)

// other stands for the names of calls that are beyond the bound on series.
const other = "other"

// callMetrics counts calls when their block is durable, so that a call counts once
// however often its line is read or its block is sent. Calls of load tests are in
// a counter of their own and nowhere else.
//
// Names come from the gateway's own routes, so they are few; still, no more than
// max label combinations are made of any metric, and calls beyond are counted
// under the function "other". It is used by one goroutine at a time.
type callMetrics struct {
	max int

	calls    *prometheus.CounterVec
	loadTest *prometheus.CounterVec
	duration *prometheus.HistogramVec
	refused  *prometheus.CounterVec

	callOf    series[prometheus.Counter]
	loadOf    series[prometheus.Counter]
	durOf     series[prometheus.Observer]
	refusedOf series[prometheus.Counter]
	key       []byte
}

// series finds the metric of a label combination without allocating.
type series[T any] map[string]T

func newCallMetrics(reg prometheus.Registerer, max int) (*callMetrics, error) {
	m := &callMetrics{
		max: max,
		calls: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "kongdao_collector_calls_total",
			Help: "Calls of real traffic, refused ones included. An empty function: no route matched.",
		}, []string{"function", "revision", "zone", "code"}),
		loadTest: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "kongdao_collector_load_test_calls_total",
			Help: "Calls of load tests, which no other metric counts.",
		}, []string{"function", "revision", "zone", "code"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "kongdao_collector_call_duration_seconds",
			Help: "Time from the first byte received to the last byte sent, of real traffic that no limit refused.",
			// Classic buckets for scrapers of text, native ones (10 % wide) for the rest.
			Buckets:                        []float64{.001, .0025, .005, .01, .025, .05, .075, .1, .15, .2, .3, .5, .75, 1, 2.5, 5, 10, 30},
			NativeHistogramBucketFactor:    1.1,
			NativeHistogramMaxBucketNumber: 160,
		}, []string{"function", "revision", "zone"}),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "kongdao_collector_refused_calls_total",
			Help: "Calls of real traffic that a limit refused.",
		}, []string{"function", "limit"}),
		callOf: series[prometheus.Counter]{}, loadOf: series[prometheus.Counter]{},
		durOf: series[prometheus.Observer]{}, refusedOf: series[prometheus.Counter]{},
	}
	if reg == nil {
		return m, nil
	}
	return m, errors.Join(reg.Register(m.calls), reg.Register(m.loadTest), reg.Register(m.duration), reg.Register(m.refused))
}

// count adds one call. Counters are weighted by its sample weight; the histogram
// is not, because a sample is drawn evenly.
func (m *callMetrics) count(r *calllog.Record) {
	weight := float64(r.SampleWeight)
	if len(r.LoadTest) > 0 {
		find(m, m.loadOf, r, codeLabel, m.loadTest.WithLabelValues).Add(weight)
		return
	}
	find(m, m.callOf, r, codeLabel, m.calls.WithLabelValues).Add(weight)
	if r.LimitedBy != "" {
		find(m, m.refusedOf, r, limitLabel, m.refused.WithLabelValues).Add(weight)
		return
	}
	find(m, m.durOf, r, noLabel, m.duration.WithLabelValues).Observe(float64(r.DurationUS) / 1e6)
}

// label says which labels a metric has besides function, revision and zone.
type label int

const (
	noLabel    label = iota
	codeLabel        // and the status
	limitLabel       // function and limit alone
)

// find is the metric of r's labels, made when there is none yet.
func find[T any](m *callMetrics, have series[T], r *calllog.Record, l label, make func(...string) T) T {
	m.key = appendKey(m.key[:0], r, l)
	if s, ok := have[string(m.key)]; ok {
		return s
	}
	values := labels(r, l)
	if len(have) >= m.max {
		for i := range values {
			values[i] = other
		}
		return make(values...)
	}
	s := make(values...)
	have[string(m.key)] = s
	return s
}

// appendKey is unambiguous: names have no tabs, they come from tab-separated lines.
func appendKey(b []byte, r *calllog.Record, l label) []byte {
	b = append(append(b, r.Function...), '\t')
	if l == limitLabel {
		return append(b, r.LimitedBy...)
	}
	b = append(append(b, r.Revision...), '\t')
	b = append(append(b, r.Zone...), '\t')
	if l == codeLabel {
		b = strconv.AppendUint(b, uint64(r.Status), 10)
	}
	return b
}

func labels(r *calllog.Record, l label) []string {
	valid := func(b []byte) string { return toValid(string(b)) }
	switch l {
	case limitLabel:
		return []string{valid(r.Function), toValid(r.LimitedBy)}
	case codeLabel:
		return []string{valid(r.Function), valid(r.Revision), valid(r.Zone), strconv.Itoa(int(r.Status))}
	}
	return []string{valid(r.Function), valid(r.Revision), valid(r.Zone)}
}

// registerState registers what is read off the collector when it is scraped.
func (c *Collector) registerState(reg prometheus.Registerer) error {
	if reg == nil {
		return nil
	}
	gauge := func(name, help string, value func(Stats) float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "kongdao_collector_" + name, Help: help},
			func() float64 { return value(c.Stats()) })
	}
	return errors.Join(
		reg.Register(gauge("wal_bytes", "Disk that the write-ahead log uses.",
			func(s Stats) float64 { return float64(s.WALBytes) })),
		reg.Register(gauge("wal_budget_bytes", "Disk that it may use; reading stops when it is used up.",
			func(s Stats) float64 { return float64(s.WALBudget) })),
		reg.Register(gauge("wal_rows", "Calls in it that ClickHouse has not acknowledged.",
			func(s Stats) float64 { return float64(s.Unstored) })),
		reg.Register(gauge("wal_waiting", "1 while the log takes no blocks, for lack of budget or disk.",
			func(s Stats) float64 { return boolean(s.Waiting != "") })),
		reg.Register(gauge("wal_quarantined", "Damaged ranges that were set aside since the log was made.",
			func(s Stats) float64 { return float64(s.Quarantined) })),
		reg.Register(gauge("oldest_unstored_seconds", "Age of the oldest call that ClickHouse has not acknowledged; 0 when there is none.",
			func(s Stats) float64 { return s.Lag.Seconds() })),
		reg.Register(prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "kongdao_collector_rows_read_total", Help: "Calls taken from the sources since the start.",
		}, func() float64 { return float64(c.Stats().Read) })),
	)
}

func boolean(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// age is how long ago t was; 0 for the zero time and for one to come.
func age(t time.Time) time.Duration {
	if t.IsZero() {
		return 0
	}
	return max(0, time.Since(t))
}
