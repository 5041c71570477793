package calllog

import (
	"fmt"
	"time"

	"github.com/ClickHouse/ch-go/proto"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/google/uuid"
)

// AppendTo appends the block, column by column, to a batch that was prepared
// for all Columns in their order. It copies.
func (b *Block) AppendTo(batch driver.Batch) error {
	columns := Columns()
	for i, rows := range b.slices() {
		if err := batch.Column(i).Append(rows); err != nil {
			return fmt.Errorf("append column %s: %w", columns[i].Name, err)
		}
	}
	return nil
}

// slices are the columns in types that clickhouse-go appends.
func (b *Block) slices() []any {
	ts := make([]time.Time, b.Rows())
	for i, t := range b.ts.Data {
		ts[i] = time.UnixMicro(int64(t))
	}
	return []any{
		ts, []uuid.UUID(b.requestID), rowsOf(b.traceID.Row, b.Rows()),
		b.gateway.Strings(), b.gatewayZone.Strings(),
		b.tenant.Strings(), b.function.Strings(), b.revision.Strings(), b.route.Strings(),
		b.zone.Strings(), b.pod.Strings(), b.method.Strings(),
		rowsOf(b.host.RowBytes, b.Rows()), rowsOf(b.path.RowBytes, b.Rows()),
		[]uint16(b.status), b.flags.Strings(),
		[]uint32(b.durationUS), []uint32(b.upstreamUS), []uint32(b.ttfbUS),
		[]uint64(b.bytesIn), []uint64(b.bytesOut), []uint8(b.attempts),
		[]proto.IPv6(b.clientIP), rowsOf(b.userAgent.RowBytes, b.Rows()),
		b.consumer.Strings(), b.limitedBy.Strings(), rowsOf(b.loadTest.RowBytes, b.Rows()),
		[]uint32(b.sampleWeight), b.attrs.Maps(),
	}
}

func rowsOf(row func(int) []byte, n int) [][]byte {
	rows := make([][]byte, n)
	for i := range rows {
		rows[i] = row(i)
	}
	return rows
}
