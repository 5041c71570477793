package otlp

import (
	"context"
	"time"

	ch "github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/ext"

	"github.com/kongdao/kongdao/collector/ship"
	"github.com/kongdao/kongdao/internal/clickhouse"
	"github.com/kongdao/kongdao/internal/fnlog"
)

// Table is the table function_logs.
func Table() ship.Table {
	rows := ship.Rows[*fnlog.Block, fnlog.Record, identity]{New: fnlog.NewBlock, Decode: fnlog.DecodeBlock, Key: identityOf, Stored: storedRecords}
	t := ship.Table{Name: fnlog.Table, Revision: fnlog.Revision, Split: rows.Split, Missing: rows.Missing}
	for _, c := range fnlog.Columns() {
		t.Columns = append(t.Columns, c.Name)
	}
	return t
}

// identity is how a record is told from others.
type identity struct {
	ts                  int64
	function, pod, body string
}

func identityOf(r *fnlog.Record) identity {
	return identity{r.Time, string(r.Function), string(r.Pod), string(r.Body)}
}

// storedRecords are those with the times of the block's, and how often.
func storedRecords(ctx context.Context, c *clickhouse.Client, b *fnlog.Block) (map[identity]uint64, error) {
	times, err := ext.NewTable("sought", ext.Column("t", "Int64"))
	if err != nil {
		return nil, err
	}
	b.Each(func(r *fnlog.Record) {
		if err == nil {
			err = times.Append(r.Time)
		}
	})
	if err != nil {
		return nil, err
	}
	from, to := b.Span()
	rows, err := c.Query(ch.Context(ctx, ch.WithExternalTable(times)), `SELECT ts, function, pod, body, count() FROM function_logs
		WHERE ts BETWEEN fromUnixTimestamp64Nano($1) AND fromUnixTimestamp64Nano($2) AND toUnixTimestamp64Nano(ts) IN sought
		GROUP BY ts, function, pod, body`, from.UnixNano(), to.UnixNano())
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	stored := map[identity]uint64{}
	for rows.Next() {
		var at time.Time
		var key identity
		var n uint64
		if err := rows.Scan(&at, &key.function, &key.pod, &key.body, &n); err != nil {
			return nil, err
		}
		key.ts = at.UnixNano()
		stored[key] = n
	}
	return stored, rows.Err()
}
