package completeness

import (
	"context"
	"fmt"
	"time"

	ch "github.com/ClickHouse/clickhouse-go/v2"

	"github.com/kongdao/kongdao/internal/clickhouse"
)

// store is the table completeness.
type store struct{ client *clickhouse.Client }

const columns = "minute, gateway, gateway_zone, since, until, counted, received, lost, late, rows, stored, unstored, " +
	"estimated, in_flight, dropped, settled, completed, uptime"

// resume reads the last rows of gateways, oldest first.
func (s *store) resume(ctx context.Context, gateways []string) (rows []Row, err error) {
	err = s.client.Select(ctx, &rows, `SELECT `+columns+` FROM completeness FINAL
WHERE minute > now() - INTERVAL 1 DAY AND gateway IN {gateways:Array(String)}
ORDER BY gateway, until DESC LIMIT 120 BY gateway SETTINGS max_execution_time = 10`,
		ch.Named("gateways", gateways))
	if err != nil {
		return nil, fmt.Errorf("read completeness: %w", err)
	}
	for i, j := 0, len(rows)-1; i < j; i, j = i+1, j-1 {
		rows[i], rows[j] = rows[j], rows[i]
	}
	return rows, nil
}

// stored is what ClickHouse has of a row.
type stored struct {
	Index uint64 `ch:"i"`
	Rows  uint64 `ch:"n"`
	Calls uint64 `ch:"weight"` // that the rows stand for
}

// count asks what the table calls has of each row. Calls longer than longest are
// not looked for.
func (s *store) count(ctx context.Context, rows []Row, longest time.Duration) ([]stored, error) {
	counts := make([]stored, len(rows))
	const together = 50 // rows in one question
	for from := 0; from < len(rows); from += together {
		to := min(from+together, len(rows))
		if err := s.countSome(ctx, rows[from:to], longest, counts[from:to]); err != nil {
			return nil, err
		}
	}
	return counts, nil
}

func (s *store) countSome(ctx context.Context, rows []Row, longest time.Duration, counts []stored) error {
	var gateways []string
	var since, until []int64
	first, last := rows[0].Since, rows[0].Until
	for _, r := range rows {
		gateways = append(gateways, r.Gateway)
		since = append(since, r.Since.UnixMicro())
		until = append(until, r.Until.UnixMicro())
		if r.Since.Before(first) {
			first = r.Since
		}
		if r.Until.After(last) {
			last = r.Until
		}
	}
	var found []stored
	err := s.client.Select(ctx, &found, `
WITH {gateways:Array(String)} AS gateways, {since:Array(Int64)} AS since, {until:Array(Int64)} AS until,
  toUnixTimestamp64Micro(ts) + duration_us AS ended,
  toUInt64(arrayFirstIndex((g, a, b) -> g = gateway AND ended > a AND ended <= b, gateways, since, until)) AS i
SELECT i, count() AS n, sum(toUInt64(sample_weight)) AS weight
FROM calls
WHERE ts > fromUnixTimestamp64Micro({first:Int64}) AND ts <= fromUnixTimestamp64Micro({last:Int64}) AND i > 0
GROUP BY i SETTINGS max_execution_time = 20, max_threads = 1`,
		ch.Named("gateways", gateways), ch.Named("since", since), ch.Named("until", until),
		ch.Named("first", fmt.Sprint(first.Add(-longest-time.Second).UnixMicro())), ch.Named("last", fmt.Sprint(last.UnixMicro())))
	if err != nil {
		return fmt.Errorf("count stored calls: %w", err)
	}
	for _, f := range found {
		counts[f.Index-1] = f
	}
	return nil
}

// save stores rows; those of before are replaced.
func (s *store) save(ctx context.Context, rows []Row) error {
	batch, err := s.client.PrepareBatch(ctx, "INSERT INTO completeness ("+columns+", version)")
	if err != nil {
		return fmt.Errorf("store completeness: %w", err)
	}
	defer func() { _ = batch.Abort() }() // after Send it does nothing
	version := uint64(time.Now().UnixMicro())
	for _, r := range rows {
		err := batch.Append(r.Minute, r.Gateway, r.GatewayZone, r.Since, r.Until, r.Counted, r.Received, r.Lost, r.Late,
			r.Rows, r.Stored, r.Unstored, r.Estimated, r.InFlight, r.Dropped, r.Settled, r.Completed, r.Uptime, version)
		if err != nil {
			return fmt.Errorf("store completeness: %w", err)
		}
	}
	if err := batch.Send(); err != nil {
		return fmt.Errorf("store completeness: %w", err)
	}
	return nil
}

// Query chooses rows. Zero fields choose all.
type Query struct {
	Since   time.Time // rows that end after it
	Gateway string
	Lossy   bool // rows with calls that are missing or late, alone
	Limit   int  // the newest; 0: 1,000
}

// Read gives rows of the table, oldest first.
func Read(ctx context.Context, client *clickhouse.Client, q Query) (rows []Row, err error) {
	if q.Limit <= 0 {
		q.Limit = 1000
	}
	const where = `until > fromUnixTimestamp64Micro({since:Int64}) AND ({gateway:String} = '' OR gateway = {gateway:String})
  AND (NOT {lossy:Bool} OR lost + late + unstored + estimated > 0)`
	err = client.Select(ctx, &rows, `SELECT * FROM (
  SELECT `+columns+` FROM completeness FINAL WHERE `+where+` ORDER BY until DESC, gateway LIMIT {limit:UInt32}
) ORDER BY minute, gateway, since`,
		ch.Named("since", fmt.Sprint(max(0, q.Since.UnixMicro()))), ch.Named("gateway", q.Gateway),
		ch.Named("lossy", fmt.Sprint(q.Lossy)), ch.Named("limit", fmt.Sprint(q.Limit)))
	if err != nil {
		return nil, fmt.Errorf("read completeness: %w", err)
	}
	return rows, nil
}
