package dashboards

import (
	"fmt"
	"slices"
	"strings"
)

// Conditions on calls. Each but thisFunction is true of every row while its
// variable is "All".
const (
	theseFunctions = "$__conditionalAll(r.function IN (${function:sqlstring}), $function)"
	theseRevisions = "$__conditionalAll(r.revision IN (${revision:sqlstring}), $revision)"
	theseZones     = "$__conditionalAll(r.zone IN (${zone:sqlstring}), $zone)"
	thisFunction   = "r.function = ${function:sqlstring}"
)

// table is what calls are read from, as r.
type table struct {
	name, time     string
	real, loadTest string // conditions that tell calls of load tests apart
}

// rolledUp is the rollup that fits the time range.
func rolledUp() table { return table{"${rollup}", "t", "NOT r.load_test", "r.load_test"} }

// raw is every call, for what the rollups do not keep apart.
func raw() table { return table{"calls", "ts", "r.load_test = ''", "r.load_test != ''"} }

// Aggregates over rows of a rollup. A failed call was neither refused by a limit
// nor left by its client, so that outcomes are disjoint and add up to n.
const (
	sumCalls   = "sum(r.calls) AS n"
	sumErrors  = "sum(r.errors) AS errors"
	sumRefused = "sum(r.refused) AS limited_n"
	sumFailed  = "sumIf(r.calls - r.refused, r.status >= 500) AS failed_n"
	sumLeft    = "sumIf(r.calls, r.status = 0) AS left_n"
	quantiles  = "quantilesDDMerge(0.01, 0.5, 0.9, 0.99)(r.duration) AS q" // microseconds
)

// Aggregates over rows of calls.
const (
	countCalls   = "sum(toUInt64(r.sample_weight)) AS n"
	countErrors  = "sumIf(toUInt64(r.sample_weight), r.status >= 500) AS errors"
	rawQuantiles = "quantilesDD(0.01, 0.5, 0.9, 0.99)(r.duration_us) AS q"
)

// Values made of these. Shares and latencies are NULL, a gap in the line, where
// there was no call to take them of.
const (
	errorShare   = "if(n = 0, NULL, errors / n)"
	refusedShare = "if(n = 0, NULL, limited_n / n)"
	median       = "if(n = 0, NULL, q[1] / 1e6)"
	p90          = "if(n = 0, NULL, q[2] / 1e6)"
	p99          = "if(n = 0, NULL, q[3] / 1e6)"
)

// Names for what has none, so that no legend has an empty entry.
const (
	zoneName     = "if(r.zone = '', 'gateway', r.zone) AS zone_name"
	functionName = "if(r.function = '', 'no route', r.function) AS function_name"
	revisionName = "if(r.revision = '', 'none', r.revision) AS revision_name"
)

// statement is a query over calls in the whole buckets that lie in the time range.
type statement struct {
	from  table
	by    []string // expressions, each AS name: a line or a row for each
	sums  []string // aggregates, each AS name
	where []string // conditions on r
	show  []string // values made of by and sums, each AS name
	order string   // of rows, with what follows it
}

// lines gives a row for each bucket; bucket_s is its length in seconds. Buckets
// without calls are filled in, so that a line falls to zero where calls stop:
// Grafana would draw it on to the next call there is.
func (s statement) lines() string {
	names := s.names()
	return s.window("intDiv($__interval_s + ${step} - 1, ${step}) * ${step}") + fmt.Sprintf(`
SELECT
  %s
FROM (
  SELECT
    %s
  FROM %s AS r
  WHERE r.%[4]s >= first AND r.%[4]s < last
    AND %[5]s
  GROUP BY %[6]s
  ORDER BY %[7]s WITH FILL FROM first TO last STEP bucket
)
ORDER BY time`,
		columns("  ", []string{"time"}, names, s.show),
		columns("    ", []string{"toStartOfInterval(toDateTime(r." + s.from.time + "), bucket) AS time"}, s.by, s.sums),
		s.from.name, s.from.time, strings.Join(s.where, "\n    AND "),
		strings.Join(append([]string{"time"}, names...), ", "), strings.Join(append(names, "time"), ", "))
}

// rows gives one row for each of by, or one in all; seconds is the length of
// what is summed up.
func (s statement) rows() string {
	group, order := "", ""
	if len(s.by) > 0 {
		group = "\n  GROUP BY " + strings.Join(s.names(), ", ")
	}
	if s.order != "" {
		order = "\nORDER BY " + s.order
	}
	return s.window("${step}") + fmt.Sprintf(`,
  greatest(last - first, 1) AS seconds
SELECT
  %s
FROM (
  SELECT
    %s
  FROM %s AS r
  WHERE r.%[4]s >= first AND r.%[4]s < last
    AND %[5]s%[6]s
)%[7]s`,
		columns("  ", s.show), columns("    ", s.by, s.sums), s.from.name, s.from.time,
		strings.Join(s.where, "\n    AND "), group, order)
}

// window names the bucket and the ends of what is read. The bucket that is still
// filling is left out.
func (s statement) window(seconds string) string {
	return fmt.Sprintf(`WITH
  %s AS bucket_s,
  toIntervalSecond(bucket_s) AS bucket,
  toStartOfInterval($__fromTime, bucket) AS first,
  greatest(first, toStartOfInterval(least($__toTime, now()), bucket)) AS last`, seconds)
}

// names are what by is called.
func (s statement) names() []string {
	names := make([]string, len(s.by))
	for i, expression := range s.by {
		names[i] = expression[strings.LastIndex(expression, " ")+1:]
	}
	return names
}

func columns(indent string, lists ...[]string) string {
	return strings.Join(slices.Concat(lists...), ",\n"+indent)
}
