package calllog

import (
	"github.com/ClickHouse/ch-go/compress"
	"github.com/ClickHouse/ch-go/proto"
	"github.com/google/uuid"
)

// Block holds rows of the table calls as ClickHouse's columns. It grows with
// what is appended and keeps its memory over Reset: whoever fills it decides
// when it is full, by Rows and Size. It is not safe for concurrent use.
type Block struct {
	ts                                *proto.ColDateTime64
	requestID                         proto.ColUUID
	traceID                           *proto.ColFixedStr
	gateway, gatewayZone              *names
	tenant, function, revision, route *names
	zone, pod, method                 *names
	host, path                        texts
	status                            proto.ColUInt16
	flags                             *names
	durationUS, upstreamUS, ttfbUS    proto.ColUInt32
	bytesIn, bytesOut                 proto.ColUInt64
	attempts                          proto.ColUInt8
	clientIP                          proto.ColIPv6
	userAgent                         texts
	consumer, limitedBy               *names
	loadTest                          texts
	sampleWeight                      proto.ColUInt32
	attrs                             attrs
	min, max                          int64 // of ts; valid when there are rows
	raw                               proto.Buffer
	lz4                               *compress.Writer
}

// NewBlock returns a block without rows.
func NewBlock() *Block {
	return &Block{
		ts:      new(proto.ColDateTime64).WithPrecision(proto.PrecisionMicro),
		traceID: &proto.ColFixedStr{Size: 16},
		gateway: newNames(), gatewayZone: newNames(),
		tenant: newNames(), function: newNames(), revision: newNames(), route: newNames(),
		zone: newNames(), pod: newNames(), method: newNames(), flags: newNames(),
		consumer: newNames(), limitedBy: newNames(),
		attrs: attrs{keys: newNames()},
		lz4:   compress.NewWriter(compress.LevelZero, compress.LZ4),
	}
}

// column is what a block needs of a ch-go column, for writing and for reading.
type column interface {
	proto.ColInput
	proto.ColResult
}

// columns are in the order of Columns.
func (b *Block) columns() []column {
	return []column{
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
	b.gateway.appendString(r.Gateway)
	b.gatewayZone.appendString(r.GatewayZone)
	b.tenant.append(r.Tenant)
	b.function.append(r.Function)
	b.revision.append(r.Revision)
	b.route.append(r.Route)
	b.zone.append(r.Zone)
	b.pod.append(r.Pod)
	b.method.appendString(MethodName(r.Method))
	b.host.AppendBytes(r.Host)
	b.path.AppendBytes(r.Path)
	b.status.Append(r.Status)
	b.flags.append(r.Flags)
	b.durationUS.Append(r.DurationUS)
	b.upstreamUS.Append(r.UpstreamUS)
	b.ttfbUS.Append(r.TTFBUS)
	b.bytesIn.Append(r.BytesIn)
	b.bytesOut.Append(r.BytesOut)
	b.attempts.Append(r.Attempts)
	b.clientIP.Append(proto.IPv6(r.ClientIP))
	b.userAgent.AppendBytes(r.UserAgent)
	b.consumer.append(r.Consumer)
	b.limitedBy.appendString(r.LimitedBy)
	b.loadTest.AppendBytes(r.LoadTest)
	b.sampleWeight.Append(r.SampleWeight)
	b.attrs.append(r.Attrs)
}

// Rows is how many rows the block has.
func (b *Block) Rows() int { return len(b.status) }

// Size is about how many bytes the block has before compression.
func (b *Block) Size() int {
	const fixed = 150 // bytes of a row without its strings
	return b.Rows()*fixed + len(b.host.Buf) + len(b.path.Buf) + len(b.userAgent.Buf) +
		len(b.loadTest.Buf) + len(b.attrs.values.Buf)
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
		Gateway: text(b.gateway.row(i)), GatewayZone: text(b.gatewayZone.row(i)),
		Tenant: b.tenant.row(i), Function: b.function.row(i), Revision: b.revision.row(i),
		Route: b.route.row(i), Zone: b.zone.row(i), Pod: b.pod.row(i),
		Method: b.method.row(i), Host: b.host.RowBytes(i), Path: b.path.RowBytes(i),
		Status: b.status[i], Flags: b.flags.row(i),
		DurationUS: b.durationUS[i], UpstreamUS: b.upstreamUS[i], TTFBUS: b.ttfbUS[i],
		BytesIn: b.bytesIn[i], BytesOut: b.bytesOut[i], Attempts: b.attempts[i],
		ClientIP: b.clientIP[i], UserAgent: b.userAgent.RowBytes(i), Consumer: b.consumer.row(i),
		LimitedBy: text(b.limitedBy.row(i)), LoadTest: b.loadTest.RowBytes(i),
		SampleWeight: b.sampleWeight[i], Attrs: b.attrs.row(i, r.Attrs[:0]),
	}
}
