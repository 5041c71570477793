package ship

import (
	"context"
	"time"

	ch "github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/ext"
	"github.com/google/uuid"

	"github.com/kongdao/kongdao/internal/calllog"
	"github.com/kongdao/kongdao/internal/clickhouse"
)

// Calls is the table calls.
func Calls() Table {
	rows := Rows[*calllog.Block, calllog.Record, identity]{New: calllog.NewBlock, Decode: calllog.DecodeBlock, Key: identityOf, Stored: storedCalls}
	t := Table{Name: "calls", Revision: calllog.Revision, Split: rows.Split, Missing: rows.Missing}
	for _, c := range calllog.Columns() {
		t.Columns = append(t.Columns, c.Name)
	}
	return t
}

// identity is how a call is told from others. Ids alone do not, for a gateway may
// take them from its clients or from a gateway in front of it, and calls without
// one have zeros.
type identity struct {
	ts       int64
	id       [16]byte
	gateway  string
	duration uint32
}

func identityOf(r *calllog.Record) identity {
	return identity{ts: r.Time, id: r.RequestID, gateway: r.Gateway, duration: r.DurationUS}
}

// storedCalls are those with the ids and in the time of the block, and how often.
func storedCalls(ctx context.Context, c *clickhouse.Client, b *calllog.Block) (map[identity]uint64, error) {
	ids, err := ext.NewTable("sought", ext.Column("id", "UUID"))
	if err != nil {
		return nil, err
	}
	b.Each(func(r *calllog.Record) {
		if err == nil {
			err = ids.Append(uuid.UUID(r.RequestID))
		}
	})
	if err != nil {
		return nil, err
	}
	from, to := b.Span()
	rows, err := c.Query(ch.Context(ctx, ch.WithExternalTable(ids)), `SELECT ts, request_id, gateway, duration_us, count() FROM calls
		WHERE ts BETWEEN fromUnixTimestamp64Micro($1) AND fromUnixTimestamp64Micro($2) AND request_id IN sought GROUP BY ts, request_id, gateway, duration_us`, from, to)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	stored := map[identity]uint64{}
	for rows.Next() {
		var at time.Time
		var id uuid.UUID
		var gateway string
		var duration uint32
		var n uint64
		if err := rows.Scan(&at, &id, &gateway, &duration, &n); err != nil {
			return nil, err
		}
		stored[identity{at.UnixMicro(), id, gateway, duration}] = n
	}
	return stored, rows.Err()
}
