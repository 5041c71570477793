package schema_test

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	schema "github.com/kongdao/kongdao/deploy/clickhouse"
	"github.com/kongdao/kongdao/deploy/embedded/embeddedtest"
	"github.com/kongdao/kongdao/internal/clickhouse"
)

// rowsVariable is how many calls the benchmark generates; 100 million take ten
// minutes and 6 GB.
const rowsVariable = "KONGDAO_BENCH_ROWS"

// BenchmarkMonth generates calls of 30 days, 50 functions in 3 zones, and asks for
// panels and for single ids: from rollups and call_ids, and from the calls themselves.
func BenchmarkMonth(b *testing.B) {
	rows := 1_000_000
	if n, err := strconv.Atoi(os.Getenv(rowsVariable)); err == nil {
		rows = n
	}
	o := embeddedtest.Start(b).Options()
	ctx := context.Background()
	if _, err := schema.Migrate(ctx, o); err != nil {
		b.Fatal(err)
	}
	c, err := clickhouse.Open(ctx, o)
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	fill(b, c, rows)
	b.Run("size", func(b *testing.B) { size(b, c, rows) })
	b.Run("panels", func(b *testing.B) { panels(b, o, rows) })
	b.Run("lookup", func(b *testing.B) { lookup(b, o) })
}

func fill(b *testing.B, c *clickhouse.Client, rows int) {
	b.Helper()
	const block = 100_000 // more need more memory for the rollups than a query may take
	for at := 0; at < rows; at += block {
		err := c.Exec(context.Background(), fmt.Sprintf(`INSERT INTO calls (ts, request_id, trace_id, gateway, gateway_zone, tenant, function, revision, route, zone, pod,
				method, host, path, status, duration_us, upstream_us, ttfb_us, bytes_out, attempts, client_ip, user_agent)
			SELECT now64(6) - toIntervalMillisecond(toInt64((%[1]d + number) * 2592000000. / %[2]d)), generateUUIDv4(), reinterpret(generateUUIDv4(), 'FixedString(16)'),
				'gw-1', 'zb-a', concat('t', toString(intHash32(number) %% 5)), concat('f', toString(intHash32(number) %% 50)), 'r1', 'f/0', concat('zb-', toString(number %% 3)),
				concat('10.0.0.', toString(intHash32(number + 1) %% 16), ':80'), 'GET', 'api.example.com', concat('/feed/', toString(intHash32(number + 2) %% 1000)),
				if(intHash32(number + 3) %% 500 = 0, 503, 200), d, d - 200, d - 50, 500 + intHash32(number + 5) %% 4000, 1,
				toIPv6(concat('10.1.', toString(intHash32(number + 6) %% 20), '.', toString(intHash32(number + 8) %% 250))), 'app/1.0'
			FROM (SELECT number, toUInt32(exp(8 + randNormal(0, 0.8)) + 300) AS d FROM numbers(%[3]d)) SETTINGS max_threads = 1`, at, rows, min(block, rows-at)))
		if err != nil {
			b.Fatal(err)
		}
	}
}

// size reports bytes a row on disk: calls with call_ids, and calls without ids, which
// are random: 32 bytes a row that nothing makes smaller.
func size(b *testing.B, c *clickhouse.Client, rows int) {
	var all, calls uint64
	err := c.QueryRow(context.Background(), `SELECT sum(bytes_on_disk), sumIf(bytes_on_disk, table = 'calls')
		FROM system.parts WHERE active AND database = 'default' AND table IN ('calls', 'call_ids')`).Scan(&all, &calls)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
	}
	b.ReportMetric(float64(all)/float64(rows), "B/row")
	b.ReportMetric(float64(calls)/float64(rows)-32, "B/row-without-ids")
	b.ReportMetric(float64(rows), "rows")
}

// panelQueries are what dashboards ask; the table is put in.
var panelQueries = []struct{ rollup, raw string }{
	{"SELECT function, t, sum(calls) FROM calls_1h GROUP BY function, t", "SELECT function, toStartOfHour(ts) AS t, sum(sample_weight) FROM calls GROUP BY function, t"},
	{"SELECT zone, t, sum(errors) / sum(calls) FROM calls_1h GROUP BY zone, t", "SELECT zone, toStartOfHour(ts) AS t, sumIf(sample_weight, status >= 500) / sum(sample_weight) FROM calls GROUP BY zone, t"},
	{"SELECT t, quantilesDDMerge(0.01, 0.5, 0.9, 0.99)(duration) FROM calls_1h WHERE function = 'f7' GROUP BY t", "SELECT toStartOfHour(ts) AS t, quantiles(0.5, 0.9, 0.99)(duration_us) FROM calls WHERE function = 'f7' GROUP BY t"},
	{"SELECT function, quantilesDDMerge(0.01, 0.5, 0.9, 0.99)(duration) FROM calls_1h GROUP BY function", "SELECT function, quantiles(0.5, 0.9, 0.99)(duration_us) FROM calls GROUP BY function"},
}

func panels(b *testing.B, o clickhouse.Options, rows int) {
	var ours, raw []time.Duration
	var most uint64
	for b.Loop() {
		for _, q := range panelQueries {
			t, read := timed(b, o, q.rollup)
			ours, most = append(ours, t), max(most, read)
		}
	}
	for _, q := range panelQueries {
		t, _ := timed(b, o, q.raw)
		raw = append(raw, t)
	}
	b.ReportMetric(float64(most)/float64(rows)*100, "%-of-raw-rows")
	b.ReportMetric(p95(ours), "p95-ms")
	b.ReportMetric(p95(raw), "raw-p95-ms")
	b.ReportMetric(p99Error(b, o)*100, "%-p99-error")
}

// p99Error is the largest relative error of the p99 of a function.
func p99Error(b *testing.B, o clickhouse.Options) float64 {
	b.Helper()
	var worst float64
	_, err := clickhouse.Ask(context.Background(), o, `SELECT max(abs(a.p / e.p - 1)) FROM
		(SELECT function, quantilesDDMerge(0.01, 0.5, 0.9, 0.99)(duration)[3] AS p FROM calls_1h GROUP BY function) AS a
		JOIN (SELECT function, quantileExact(0.99)(duration_us) AS p FROM calls GROUP BY function) AS e ON a.function = e.function
		SETTINGS max_threads = 1`, nil, clickhouse.One(&worst))
	if err != nil {
		b.Fatal(err)
	}
	return worst
}

func lookup(b *testing.B, o clickhouse.Options) {
	var ids []string
	_, err := clickhouse.Ask(context.Background(), o, "SELECT groupArray(toString(request_id)) FROM (SELECT request_id FROM calls WHERE cityHash64(request_id) % 10007 = 5 LIMIT 20)", nil, clickhouse.One(&ids))
	if err != nil || len(ids) == 0 {
		b.Fatal(len(ids), err)
	}
	var ours, scans []time.Duration
	var most uint64
	query := "SELECT ts, function, path FROM calls AS c WHERE c.request_id = '%[1]s'"
	for i := 0; b.Loop(); i++ {
		id := ids[i%len(ids)]
		t, read := timed(b, o, fmt.Sprintf(query+" AND "+schema.ByHash("c", schema.RequestHash("'%[1]s'")), id))
		ours, most = append(ours, t), max(most, read)
	}
	for _, id := range ids[:min(3, len(ids))] {
		t, _ := timed(b, o, fmt.Sprintf(query, id)+" SETTINGS use_query_condition_cache = 0")
		scans = append(scans, t)
	}
	b.ReportMetric(p95(ours), "p95-ms")
	b.ReportMetric(float64(most), "rows-read")
	b.ReportMetric(p95(scans), "scan-p95-ms")
}

func timed(b *testing.B, o clickhouse.Options, query string) (time.Duration, uint64) {
	b.Helper()
	start := time.Now()
	r, err := clickhouse.Ask(context.Background(), o, query, nil, func(rows driver.Rows) error {
		for rows.Next() {
		}
		return rows.Err()
	})
	if err != nil {
		b.Fatalf("%s: %v", query, err)
	}
	return time.Since(start), r.Rows
}

// p95 in milliseconds.
func p95(d []time.Duration) float64 {
	slices.Sort(d)
	return d[(len(d)-1)*95/100].Seconds() * 1000
}
