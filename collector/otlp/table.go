package otlp

import (
	"context"
	"fmt"
	"time"

	ch "github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/ext"

	"github.com/kongdao/kongdao/collector/ship"
	"github.com/kongdao/kongdao/internal/clickhouse"
	"github.com/kongdao/kongdao/internal/fnlog"
)

// Table is the table function_logs.
func Table() ship.Table {
	t := ship.Table{Name: fnlog.Table, Revision: fnlog.Revision, Split: split, Missing: missing}
	for _, c := range fnlog.Columns() {
		t.Columns = append(t.Columns, c.Name)
	}
	return t
}

// split halves a block.
func split(block []byte) (first, second ship.Piece, err error) {
	b, err := fnlog.DecodeBlock(block)
	if err != nil {
		return first, second, err
	}
	halves, at := [2]*fnlog.Block{fnlog.NewBlock(), fnlog.NewBlock()}, 0
	b.Each(func(r *fnlog.Record) {
		halves[at*2/b.Rows()].Append(r)
		at++
	})
	if first, err = pieceOf(halves[0]); err != nil {
		return first, second, err
	}
	second, err = pieceOf(halves[1])
	return first, second, err
}

func pieceOf(b *fnlog.Block) (ship.Piece, error) {
	data, err := b.Encode(nil)
	return ship.Piece{Block: data, Rows: b.Rows()}, err
}

// identity is how a record is told from others.
type identity struct {
	ts                  int64
	function, pod, body string
}

// missing looks each record of the block up in the table.
func missing(ctx context.Context, c *clickhouse.Client, block []byte) (ship.Piece, error) {
	b, err := fnlog.DecodeBlock(block)
	if err != nil {
		return ship.Piece{}, err
	}
	stored, err := storedRecords(ctx, c, b)
	if err != nil {
		return ship.Piece{}, fmt.Errorf("look log records up: %w", err)
	}
	rest := fnlog.NewBlock()
	b.Each(func(r *fnlog.Record) {
		key := identity{r.Time, string(r.Function), string(r.Pod), string(r.Body)}
		if stored[key] > 0 {
			stored[key]--
			return
		}
		rest.Append(r)
	})
	return pieceOf(rest)
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
