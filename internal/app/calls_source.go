package app

import (
	"fmt"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
)

// source is a table that can answer a question about many calls.
type source struct {
	table string
	step  time.Duration // of its intervals; 0: single calls
	keep  time.Duration // how long it has them at least
}

// singleCalls is the source that can answer everything.
var singleCalls = source{table: "calls"}

// rollups are the others, coarsest first. Keep is a little less than deploy/clickhouse
// says, so that the oldest interval asked for is whole.
func rollups() []source {
	const day = 24 * time.Hour
	return []source{
		{"calls_1h", time.Hour, 390 * day},
		{"calls_1m", time.Minute, 88 * day},
		{"calls_10s", 10 * time.Second, 6 * day},
	}
}

// rollupsKnow reports that f asks for nothing that rollups have no column for.
func (f parsedFilter) rollupsKnow() bool {
	g := f.CallFilter
	g.Function, g.Tenant, g.Revision, g.Zone, g.Status, g.LoadTest = "", "", "", "", "", false
	g.Since, g.Until = time.Time{}, time.Time{}
	return g == CallFilter{}
}

// minIntervals is of how many intervals a range has to be made for a rollup to
// answer: what its edges take in too much is then less than one in so many.
const minIntervals = 60

// sourceFor is the coarsest table that answers f. step, when not 0, has to be made
// of its intervals.
func (f parsedFilter) sourceFor(step time.Duration) source {
	if !f.rollupsKnow() {
		return singleCalls
	}
	span := f.Until.Sub(f.Since)
	for _, r := range rollups() {
		fits := step == 0 && span >= minIntervals*r.step || step != 0 && step%r.step == 0
		if fits && time.Since(f.Since) < r.keep {
			return r
		}
	}
	return singleCalls
}

// quantiles of single calls: exact over durations rounded to 1/64 of an octave, so
// that they are at most 0.6 % off, in bounded memory, and each call counts with its
// weight. Samples keep all slow calls: without the weight they would look too slow.
const weightedQuantiles = "quantilesExactWeighted(0.5, 0.9, 0.99)(exp2(round(log2(greatest(c.duration_us, 1)) * 64) / 64), c.sample_weight)"

// measures are the columns of Measures.
func (s source) measures() string {
	if s.step > 0 {
		return `sum(c.calls) AS calls, sum(c.errors) AS errors, sum(c.refused) AS refused, sum(c.bytes_in) AS bytes_in, sum(c.bytes_out) AS bytes_out,
arrayMap(q -> toFloat64(q), quantilesDDMerge(0.01, 0.5, 0.9, 0.99)(c.duration)) AS quantiles`
	}
	return `sum(toUInt64(c.sample_weight)) AS calls, sumIf(toUInt64(c.sample_weight), c.status >= 500) AS errors,
sumIf(toUInt64(c.sample_weight), c.limited_by != '') AS refused, sum(c.bytes_in * c.sample_weight) AS bytes_in, sum(c.bytes_out * c.sample_weight) AS bytes_out,
arrayMap(q -> toFloat64(q), ` + weightedQuantiles + `) AS quantiles`
}

// where is the condition of a query FROM s.table AS c. A rollup has whole intervals:
// the one that holds the beginning counts whole.
func (s source) where(f parsedFilter) condition {
	if s.step == 0 {
		return f.where()
	}
	w := f.whereNames("c.")
	w.add("c.t >= toDateTime({from:Int64})")
	w.add("c.t <= toDateTime({to:Int64})")
	w.args = append(w.args, clickhouse.Named("from", fmt.Sprint(f.Since.Truncate(s.step).Unix())), clickhouse.Named("to", fmt.Sprint(f.Until.Unix())))
	if !f.LoadTest {
		w.add("NOT c.load_test")
	}
	return w
}

// from is where the answer begins.
func (s source) from(f parsedFilter) time.Time {
	if s.step == 0 {
		return f.Since
	}
	return f.Since.Truncate(s.step)
}

// Measures sum up some calls. Each counts with its sample_weight.
type Measures struct {
	Calls    uint64  `json:"calls"`
	Errors   uint64  `json:"errors" doc:"status 500 and above"`
	Refused  uint64  `json:"refused" doc:"a limit refused the call"`
	P50US    float64 `json:"p50_us"`
	P90US    float64 `json:"p90_us"`
	P99US    float64 `json:"p99_us"`
	BytesIn  uint64  `json:"bytes_in"`
	BytesOut uint64  `json:"bytes_out"`
}

// measured is a row with measures.
type measured struct {
	Calls     uint64    `ch:"calls"`
	Errors    uint64    `ch:"errors"`
	Refused   uint64    `ch:"refused"`
	BytesIn   uint64    `ch:"bytes_in"`
	BytesOut  uint64    `ch:"bytes_out"`
	Quantiles []float64 `ch:"quantiles"`
}

func (m measured) measures() Measures {
	r := Measures{Calls: m.Calls, Errors: m.Errors, Refused: m.Refused, BytesIn: m.BytesIn, BytesOut: m.BytesOut}
	if len(m.Quantiles) == 3 && m.Calls > 0 {
		r.P50US, r.P90US, r.P99US = m.Quantiles[0], m.Quantiles[1], m.Quantiles[2]
	}
	return r
}

// ranged fills in the range of a question about many calls: the last hour.
func (f CallFilter) ranged() CallFilter {
	if f.Until.IsZero() {
		f.Until = time.Now()
	}
	if f.Since.IsZero() {
		f.Since = f.Until.Add(-time.Hour)
	}
	return f
}

// columnsOf joins what is to be selected.
func columnsOf(columns ...string) string { return strings.Join(columns, ",\n") }
