package fnlog

import (
	"fmt"
	"time"

	"github.com/ClickHouse/ch-go/proto"
	"github.com/google/uuid"

	"github.com/kongdao/kongdao/internal/column"
)

// Revision is the version of ClickHouse's native protocol that blocks are
// encoded for.
const Revision = column.Revision

// minRow is how many bytes a row has of which every string is empty and every name
// known: 8 of time, 7 names, 16+16+8 of ids, severity, 1 for body, 8 for attributes.
const minRow = 65

// Block holds rows of the table function_logs as ClickHouse's columns. It grows
// with what is appended and keeps its memory over Reset: whoever fills it decides
// when it is full, by Rows and Size. It is not safe for concurrent use.
type Block struct {
	ts                                    *proto.ColDateTime64
	tenant, function, revision, zone, pod *column.Names
	requestID                             proto.ColUUID
	traceID, spanID                       *proto.ColFixedStr
	severity                              proto.ColUInt8
	severityText, scope                   *column.Names
	body                                  column.Texts
	attrs                                 column.Attrs
	min, max                              int64 // of ts; valid when there are rows
	encoder                               *column.Encoder
}

// NewBlock returns a block without rows.
func NewBlock() *Block {
	return &Block{
		ts:     new(proto.ColDateTime64).WithPrecision(proto.PrecisionNano),
		tenant: column.NewNames(), function: column.NewNames(), revision: column.NewNames(),
		zone: column.NewNames(), pod: column.NewNames(),
		traceID: &proto.ColFixedStr{Size: 16}, spanID: &proto.ColFixedStr{Size: 8},
		severityText: column.NewNames(), scope: column.NewNames(),
		attrs:   column.NewAttrs(MaxAttrs),
		encoder: column.NewEncoder(),
	}
}

// columns are in the order of Columns.
func (b *Block) columns() []column.Column {
	return []column.Column{
		b.ts, b.tenant, b.function, b.revision, b.zone, b.pod,
		&b.requestID, b.traceID, b.spanID,
		&b.severity, b.severityText, b.scope, &b.body, &b.attrs,
	}
}

// Append adds r as a row. It keeps nothing of r.
func (b *Block) Append(r *Record) {
	if b.Rows() == 0 {
		b.min, b.max = r.Time, r.Time
	}
	b.min, b.max = min(b.min, r.Time), max(b.max, r.Time)
	b.ts.AppendRaw(proto.DateTime64(r.Time))
	b.tenant.Append(r.Tenant)
	b.function.Append(r.Function)
	b.revision.Append(r.Revision)
	b.zone.Append(r.Zone)
	b.pod.Append(r.Pod)
	b.requestID.Append(uuid.UUID(r.RequestID))
	b.traceID.Append(r.TraceID[:])
	b.spanID.Append(r.SpanID[:])
	b.severity.Append(r.Severity)
	b.severityText.Append(r.SeverityText)
	b.scope.Append(r.Scope)
	b.body.AppendBytes(r.Body)
	b.attrs.Append(r.Attrs)
}

// Rows is how many rows the block has.
func (b *Block) Rows() int { return len(b.severity) }

// Size is about how many bytes the block has before compression.
func (b *Block) Size() int {
	const fixed = 80 // bytes of a row without body and attributes
	return b.Rows()*fixed + len(b.body.Buf) + b.attrs.Size()
}

// Span is the earliest and the latest time of the rows; both are zero when there
// are none.
func (b *Block) Span() (earliest, latest time.Time) {
	if b.Rows() == 0 {
		return time.Time{}, time.Time{}
	}
	return time.Unix(0, b.min), time.Unix(0, b.max)
}

// Reset takes all rows out and keeps the memory for the next.
func (b *Block) Reset() {
	for _, c := range b.columns() {
		c.Reset()
	}
	b.min, b.max = 0, 0
}

// Each calls f with each row in order. The record is reused and its slices and
// strings are parts of the block: f copies what it keeps.
func (b *Block) Each(f func(*Record)) {
	var r Record
	for i := range b.Rows() {
		r = Record{
			Time:   int64(b.ts.Data[i]),
			Tenant: b.tenant.Row(i), Function: b.function.Row(i), Revision: b.revision.Row(i),
			Zone: b.zone.Row(i), Pod: b.pod.Row(i),
			RequestID: b.requestID[i], TraceID: [16]byte(b.traceID.Row(i)), SpanID: [8]byte(b.spanID.Row(i)),
			Severity: b.severity[i], SeverityText: b.severityText.Row(i), Scope: b.scope.Row(i),
			Body: b.body.RowBytes(i), Attrs: b.attrs.Row(i, r.Attrs[:0]),
		}
		f(&r)
	}
}

// Input is the block as ch-go's columns, named as in Columns. They are the
// block's own: they are valid until the next Append or Reset.
func (b *Block) Input() proto.Input { return column.Input(Columns(), b.columns()) }

// Encode appends the block to dst as LZ4 frames with a native block of Revision
// inside, block info included. Equal rows give equal bytes.
func (b *Block) Encode(dst []byte) ([]byte, error) {
	return b.encoder.Encode(dst, b.Rows(), b.Input())
}

// DecodeBlock reads what Encode wrote. It copies: data may change afterwards.
// Errors wrap ErrMalformed.
func DecodeBlock(data []byte) (*Block, error) {
	b := NewBlock()
	if _, err := column.Decode(data, Columns(), b.columns(), minRow); err != nil {
		return nil, fmt.Errorf("%s: %w", Table, err)
	}
	for i, ts := range b.ts.Data {
		if i == 0 {
			b.min, b.max = int64(ts), int64(ts)
		}
		b.min, b.max = min(b.min, int64(ts)), max(b.max, int64(ts))
	}
	return b, nil
}
