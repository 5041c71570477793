package calllog

import (
	"github.com/ClickHouse/ch-go/proto"
	"github.com/google/uuid"

	"github.com/kongdao/kongdao/internal/column"
)

// Block holds rows of the table calls as ClickHouse's columns. It grows with
// what is appended and keeps its memory over Reset: whoever fills it decides
// when it is full, by Rows and Size. It is not safe for concurrent use.
type Block struct {
	ts                                *proto.ColDateTime64
	requestID                         proto.ColUUID
	traceID                           *proto.ColFixedStr
	gateway, gatewayZone              *column.Names
	tenant, function, revision, route *column.Names
	zone, pod, method                 *column.Names
	host, path                        column.Texts
	status                            proto.ColUInt16
	flags                             *column.Names
	durationUS, upstreamUS, ttfbUS    proto.ColUInt32
	bytesIn, bytesOut                 proto.ColUInt64
	attempts                          proto.ColUInt8
	clientIP                          proto.ColIPv6
	userAgent                         column.Texts
	consumer, limitedBy               *column.Names
	loadTest                          column.Texts
	sampleWeight                      proto.ColUInt32
	attrs                             column.Attrs
	min, max                          int64 // of ts; valid when there are rows
	encoder                           *column.Encoder
}

// NewBlock returns a block without rows.
func NewBlock() *Block {
	return &Block{
		ts:      new(proto.ColDateTime64).WithPrecision(proto.PrecisionMicro),
		traceID: &proto.ColFixedStr{Size: 16},
		gateway: column.NewNames(), gatewayZone: column.NewNames(),
		tenant: column.NewNames(), function: column.NewNames(), revision: column.NewNames(), route: column.NewNames(),
		zone: column.NewNames(), pod: column.NewNames(), method: column.NewNames(), flags: column.NewNames(),
		consumer: column.NewNames(), limitedBy: column.NewNames(),
		attrs:   column.NewAttrs(maxAttrs),
		encoder: column.NewEncoder(),
	}
}

// columns are in the order of Columns.
func (b *Block) columns() []column.Column {
	return []column.Column{
		b.ts, &b.requestID, b.traceID, b.gateway, b.gatewayZone,
		b.tenant, b.function, b.revision, b.route, b.zone, b.pod, b.method,
		&b.host, &b.path, &b.status, b.flags,
		&b.durationUS, &b.upstreamUS, &b.ttfbUS, &b.bytesIn, &b.bytesOut, &b.attempts,
		&b.clientIP, &b.userAgent, b.consumer, b.limitedBy, &b.loadTest, &b.sampleWeight, &b.attrs,
	}
}

// Append adds r as a row. It keeps nothing of r.
func (b *Block) Append(r *Record) {
	if b.Rows() == 0 {
		b.min, b.max = r.Time, r.Time
	}
	b.min, b.max = min(b.min, r.Time), max(b.max, r.Time)
	b.ts.AppendRaw(proto.DateTime64(r.Time))
	b.requestID.Append(uuid.UUID(r.RequestID))
	b.traceID.Append(r.TraceID[:])
	b.gateway.AppendString(r.Gateway)
	b.gatewayZone.AppendString(r.GatewayZone)
	b.tenant.Append(r.Tenant)
	b.function.Append(r.Function)
	b.revision.Append(r.Revision)
	b.route.Append(r.Route)
	b.zone.Append(r.Zone)
	b.pod.Append(r.Pod)
	b.method.AppendString(MethodName(r.Method))
	b.host.AppendBytes(r.Host)
	b.path.AppendBytes(r.Path)
	b.status.Append(r.Status)
	b.flags.Append(r.Flags)
	b.durationUS.Append(r.DurationUS)
	b.upstreamUS.Append(r.UpstreamUS)
	b.ttfbUS.Append(r.TTFBUS)
	b.bytesIn.Append(r.BytesIn)
	b.bytesOut.Append(r.BytesOut)
	b.attempts.Append(r.Attempts)
	b.clientIP.Append(proto.IPv6(r.ClientIP))
	b.userAgent.AppendBytes(r.UserAgent)
	b.consumer.Append(r.Consumer)
	b.limitedBy.AppendString(r.LimitedBy)
	b.loadTest.AppendBytes(r.LoadTest)
	b.sampleWeight.Append(r.SampleWeight)
	b.attrs.Append(r.Attrs)
}

// Rows is how many rows the block has.
func (b *Block) Rows() int { return len(b.status) }

// Size is about how many bytes the block has before compression.
func (b *Block) Size() int {
	const fixed = 150 // bytes of a row without its strings
	return b.Rows()*fixed + len(b.host.Buf) + len(b.path.Buf) + len(b.userAgent.Buf) +
		len(b.loadTest.Buf) + b.attrs.Size()
}

// Span is the earliest and the latest time of the rows, in microseconds since
// 1970; both are 0 when there are none.
func (b *Block) Span() (earliest, latest int64) {
	if b.Rows() == 0 {
		return 0, 0
	}
	return b.min, b.max
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
		b.row(i, &r)
		f(&r)
	}
}

func (b *Block) row(i int, r *Record) {
	*r = Record{
		Time:      int64(b.ts.Data[i]),
		RequestID: b.requestID[i], TraceID: [16]byte(b.traceID.Row(i)),
		Gateway: column.Text(b.gateway.Row(i)), GatewayZone: column.Text(b.gatewayZone.Row(i)),
		Tenant: b.tenant.Row(i), Function: b.function.Row(i), Revision: b.revision.Row(i),
		Route: b.route.Row(i), Zone: b.zone.Row(i), Pod: b.pod.Row(i),
		Method: b.method.Row(i), Host: b.host.RowBytes(i), Path: b.path.RowBytes(i),
		Status: b.status[i], Flags: b.flags.Row(i),
		DurationUS: b.durationUS[i], UpstreamUS: b.upstreamUS[i], TTFBUS: b.ttfbUS[i],
		BytesIn: b.bytesIn[i], BytesOut: b.bytesOut[i], Attempts: b.attempts[i],
		ClientIP: b.clientIP[i], UserAgent: b.userAgent.RowBytes(i), Consumer: b.consumer.Row(i),
		LimitedBy: column.Text(b.limitedBy.Row(i)), LoadTest: b.loadTest.RowBytes(i),
		SampleWeight: b.sampleWeight[i], Attrs: b.attrs.Row(i, r.Attrs[:0]),
	}
}
