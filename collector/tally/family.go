package tally

import (
	"iter"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// other stands for the names of calls that are beyond the bound on series.
const other = "other"

// idle is how long a series is kept without calls when another one needs room: a
// counter that begins anew is what rate() expects of a restart.
const idle = time.Hour

// family is one metric with its series.
type family struct {
	desc   *prometheus.Desc
	labels int
	max    int
	series map[string]*series
	rest   *series // of those that found no room; nil: there were none
	key    []byte
	swept  time.Time
}

// series is a counter, or a histogram when it has cells.
type series struct {
	labels []string
	n      uint64
	us     uint64   // sum of durations, microseconds
	cells  []uint64 // see grid
	since  time.Time
	seen   int64 // nanoseconds since 1970: written for each call, and a time.Time is three words
}

func newFamily(name, help string, max int, labels ...string) *family {
	return &family{
		desc: prometheus.NewDesc("kongdao_collector_"+name, help, labels, nil), labels: len(labels), max: max,
		series: map[string]*series{},
	}
}

// get is the series of the labels; that of "other" when there is no room. removed
// tells that series are gone that somebody may have had from here.
func (f *family) get(now time.Time, labels ...string) (s *series, removed bool) {
	f.key = f.key[:0]
	for _, l := range labels {
		f.key = append(append(f.key, l...), 0xff) // no byte of UTF-8
	}
	if s, ok := f.series[string(f.key)]; ok {
		return s, false
	}
	if len(f.series) >= f.max {
		removed = f.sweep(now)
	}
	if len(f.series) >= f.max {
		if f.rest == nil {
			f.rest = &series{labels: slices.Repeat([]string{other}, f.labels), since: now}
		}
		return f.rest, removed
	}
	s = &series{labels: slices.Clone(labels), since: now, seen: now.UnixNano()}
	f.series[string(f.key)] = s
	return s, removed
}

// all gives the series there are.
func (f *family) all() iter.Seq[*series] {
	return func(yield func(*series) bool) {
		for _, s := range f.series {
			if !yield(s) {
				return
			}
		}
		if f.rest != nil {
			yield(f.rest)
		}
	}
}

// sweep takes idle series out, at most once a minute.
func (f *family) sweep(now time.Time) (removed bool) {
	if now.Sub(f.swept) < time.Minute {
		return false
	}
	f.swept = now
	for key, s := range f.series {
		if now.UnixNano()-s.seen >= int64(idle) {
			delete(f.series, key)
			removed = true
		}
	}
	return removed
}

func (f *family) counters(to []prometheus.Metric) []prometheus.Metric {
	for s := range f.all() {
		// Since when: who reads a counter first when it is at 5 knows that it rose by 5.
		to = append(to, prometheus.MustNewConstMetricWithCreatedTimestamp(f.desc, prometheus.CounterValue, float64(s.n), s.since, s.labels...))
	}
	return to
}

// histograms gives the native histograms; with bounds, the classic buckets too.
func (f *family) histograms(g *grid, bounds []float64, to []prometheus.Metric) []prometheus.Metric {
	for s := range f.all() {
		to = append(to, histogram{f.desc, prometheus.MakeLabelPairs(f.desc, s.labels), s.histogram(g, bounds)})
	}
	return to
}

// histogram is a prometheus.Metric: the client's own constant ones are either
// native or classic.
type histogram struct {
	desc   *prometheus.Desc
	labels []*dto.LabelPair
	value  *dto.Histogram
}

// Desc implements prometheus.Metric.
func (h histogram) Desc() *prometheus.Desc { return h.desc }

// Write implements prometheus.Metric.
func (h histogram) Write(m *dto.Metric) error {
	m.Label, m.Histogram = h.labels, h.value
	return nil
}

func (s *series) histogram(g *grid, bounds []float64) *dto.Histogram {
	h := &dto.Histogram{
		SampleCount: proto.Uint64(s.n), SampleSum: proto.Float64(float64(s.us) / 1e6), CreatedTimestamp: timestamppb.New(s.since),
		Schema: proto.Int32(schema), ZeroThreshold: proto.Float64(prometheus.DefNativeHistogramZeroThreshold), ZeroCount: proto.Uint64(s.cells[0]),
	}
	s.native(g, h)
	cell, below := 0, uint64(0)
	for _, bound := range bounds {
		for last, _ := longest(bound); cell < len(g.upper) && g.upper[cell] <= last; cell++ {
			below += s.cells[cell]
		}
		h.Bucket = append(h.Bucket, &dto.Bucket{UpperBound: proto.Float64(bound), CumulativeCount: proto.Uint64(below)})
	}
	return h
}

// native writes the native buckets as spans of neighbours, each with its
// difference to the one before.
func (s *series) native(g *grid, h *dto.Histogram) {
	const bridge = 2 // empty buckets between two that are cheaper written than a new span
	before, next := int64(0), 0
	put := func(n int64) {
		span := h.PositiveSpan[len(h.PositiveSpan)-1]
		*span.Length++
		h.PositiveDelta = append(h.PositiveDelta, n-before)
		before = n
		next++
	}
	for cell := 1; cell < len(g.upper); {
		key, n := g.native[cell], int64(0)
		for ; cell < len(g.upper) && g.native[cell] == key; cell++ {
			n += int64(s.cells[cell])
		}
		if n == 0 {
			continue
		}
		if gap := key - next; len(h.PositiveSpan) == 0 || gap > bridge {
			h.PositiveSpan = append(h.PositiveSpan, &dto.BucketSpan{Offset: proto.Int32(int32(gap)), Length: proto.Uint32(0)})
			next = key
		}
		for next < key {
			put(0)
		}
		put(n)
	}
	if len(h.PositiveSpan) == 0 && s.n == 0 {
		h.PositiveSpan = []*dto.BucketSpan{{Offset: proto.Int32(0), Length: proto.Uint32(0)}}
	}
}
