package otlp

import (
	"context"
	"encoding/binary"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	chcompress "github.com/ClickHouse/ch-go/compress"
	chproto "github.com/ClickHouse/ch-go/proto"
	chcolumn "github.com/ClickHouse/clickhouse-go/v2/lib/column"
	peer "github.com/ClickHouse/clickhouse-go/v2/lib/proto"
	"github.com/google/uuid"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/plog/plogotlp"
	logs "go.opentelemetry.io/proto/otlp/logs/v1"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc"

	"github.com/kongdao/kongdao/api"
	"github.com/kongdao/kongdao/collector/policy"
	"github.com/kongdao/kongdao/internal/fnlog"
	"github.com/kongdao/kongdao/internal/testkit"
)

const (
	benchRecords  = 500 // of a request, about what an SDK's batch has
	benchRequests = 40  // of a block
)

// benchMessages are requests as a function's SDK sends them: a line of text, ids,
// five attributes.
func benchMessages(b testing.TB) (messages [][]byte) {
	r := rand.New(rand.NewPCG(10, 11))
	now := uint64(time.Now().UnixNano())
	for i := range benchRequests {
		m := request(kvs("service.name", fmt.Sprint("fn-", i%20), "service.version", "r1", "service.namespace", "shop",
			"cloud.availability_zone", "zb-a", "k8s.pod.name", fmt.Sprint("pod-", i), "telemetry.sdk.name", "opentelemetry"))
		for range benchRecords {
			rec := &logs.LogRecord{
				TimeUnixNano: now, ObservedTimeUnixNano: now + 1000, SeverityNumber: 9, SeverityText: "INFO",
				Body: str(fmt.Sprintf("served item %d to user %d in %d ms", r.IntN(1e6), r.IntN(1e6), r.IntN(300))),
				Attributes: kvs("http.route", "/items/{id}", "http.response.status_code", 200, "user.tier", "gold",
					"cache", fmt.Sprint(r.IntN(2)), "item", fmt.Sprint(r.IntN(1e6))),
				TraceId: make([]byte, 16), SpanId: make([]byte, 8),
			}
			binary.LittleEndian.PutUint64(rec.TraceId, r.Uint64())
			binary.LittleEndian.PutUint64(rec.TraceId[8:], r.Uint64())
			binary.LittleEndian.PutUint64(rec.SpanId, r.Uint64())
			m.ResourceLogs[0].ScopeLogs[0].LogRecords = append(m.ResourceLogs[0].ScopeLogs[0].LogRecords, rec)
			now += 1000
		}
		messages = append(messages, bytesOf(b, m))
	}
	return messages
}

// BenchmarkRequestsToBlock is the way of requests, as bytes, to the compressed block
// that the log keeps, with and without looking for what is to be hidden, on one
// core. The peer's way has the same columns, decodes with OpenTelemetry's own
// structs and appends row by row with clickhouse-go, LZ4 as here; it hides nothing
// and checks no limits.
func BenchmarkRequestsToBlock(b *testing.B) {
	messages := benchMessages(b)
	limits := DefaultConfig().Limits
	redactor, err := policy.NewRedactor(policy.DefaultRedact())
	testkit.Must(b, err)
	own := func(in *batch) func(*testing.B) int {
		block := fnlog.NewBlock()
		var data []byte
		return func(b *testing.B) int {
			block.Reset()
			for _, m := range messages {
				in.begin(limits, time.Now())
				testkit.Must(b, in.decode(m))
				for i := range in.records {
					block.Append(&in.records[i])
				}
				in.reset()
			}
			var err error
			data, err = block.Encode(data[:0])
			testkit.Must(b, err)
			return len(data)
		}
	}
	for _, way := range []struct {
		name string
		run  func(*testing.B) int
	}{
		{"redacted", own(&batch{redactor: redactor})},
		{"plain", own(&batch{})},
		{"peer", peersBlock(b, messages)},
	} {
		b.Run(way.name, func(b *testing.B) {
			b.ReportAllocs()
			before, bytes := cpuTime(b), 0
			for b.Loop() {
				bytes = way.run(b)
			}
			const rows = benchRequests * benchRecords
			b.ReportMetric(float64(b.N*rows)/(cpuTime(b)-before).Seconds(), "rows/s/core")
			b.ReportMetric(float64(bytes)/rows, "B/row")
		})
	}
}

// peersBlock decodes by pdata and appends to clickhouse-go's own block.
func peersBlock(b *testing.B, messages [][]byte) func(*testing.B) int {
	lz4 := chcompress.NewWriter(chcompress.LevelZero, chcompress.LZ4)
	return func(*testing.B) int {
		block := peer.NewBlock()
		for _, c := range fnlog.Columns() {
			testkit.Must(b, block.AddColumn(c.Name, chcolumn.Type(c.Type)))
		}
		for _, m := range messages {
			req := plogotlp.NewExportRequest()
			testkit.Must(b, req.UnmarshalProto(m))
			peersRows(b, block, req.Logs())
		}
		var buf chproto.Buffer
		testkit.Must(b, block.Encode(&buf, fnlog.Revision))
		size := 0
		for at := 0; at < len(buf.Buf); at += 1 << 20 {
			testkit.Must(b, lz4.Compress(buf.Buf[at:min(at+1<<20, len(buf.Buf))]))
			size += len(lz4.Data)
		}
		return size
	}
}

func peersRows(b *testing.B, block *peer.Block, all plog.Logs) {
	for _, rl := range all.ResourceLogs().All() {
		get := func(key string) string {
			if v, ok := rl.Resource().Attributes().Get(key); ok {
				return v.AsString()
			}
			return ""
		}
		for _, sl := range rl.ScopeLogs().All() {
			for _, r := range sl.LogRecords().All() {
				attrs := make(map[string]string, r.Attributes().Len())
				r.Attributes().Range(func(k string, v pcommon.Value) bool {
					attrs[k] = v.AsString()
					return true
				})
				trace, span := r.TraceID(), r.SpanID()
				testkit.Must(b, block.Append(r.Timestamp().AsTime(), get("service.namespace"), get("service.name"), get("service.version"),
					get("cloud.availability_zone"), get("k8s.pod.name"), uuid.UUID{}, string(trace[:]), string(span[:]),
					uint8(r.SeverityNumber()), r.SeverityText(), sl.Scope().Name(), r.Body().AsString(), attrs))
			}
		}
	}
}

func cpuTime(b testing.TB) time.Duration {
	var u unix.Rusage
	testkit.Must(b, unix.Getrusage(unix.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkServe is requests over the network until they are answered, which is
// after the fsync: CPU time of the whole process, whose clients take their part of
// it. ClickHouse is not there; blocks that are durable are what counts.
func BenchmarkServe(b *testing.B) {
	for _, protocol := range []string{protocolGRPC, protocolHTTP} {
		b.Run(protocol, func(b *testing.B) { serve(b, protocol) })
	}
}

func serve(b *testing.B, protocol string) {
	cfg := DefaultConfig()
	cfg.Dir = b.TempDir()
	cfg.WALBytes = 4 << 30
	cfg.FlushInterval = api.Duration(50 * time.Millisecond)
	r, err := New(cfg, nowhere(), slog.New(slog.DiscardHandler), nil)
	testkit.Must(b, err)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	c := newClient(b, r)
	messages := benchMessages(b)
	send := c.sender(b, protocol)
	var next atomic.Int64
	b.ResetTimer()
	before := cpuTime(b)
	var clients sync.WaitGroup
	for range 64 {
		clients.Go(func() {
			for n := next.Add(1); n <= int64(b.N); n = next.Add(1) {
				send(fresh(messages[int(n)%len(messages)], uint64(n)))
			}
		})
	}
	clients.Wait()
	b.ReportMetric(float64(b.N*benchRecords)/(cpuTime(b)-before).Seconds(), "rows/s/core")
	b.ReportMetric(float64(b.N*benchRecords)/b.Elapsed().Seconds(), "rows/s")
	b.StopTimer()
	cancel()
	testkit.Must(b, <-ended)
}

// fresh is m as another request: an unknown field at its end is passed over.
func fresh(m []byte, n uint64) []byte {
	m = append(m[:len(m):len(m)], 15<<3|1) // fixed64
	return binary.LittleEndian.AppendUint64(m, n)
}

// sender sends bytes by a protocol and wants them to be accepted.
func (c *client) sender(b *testing.B, protocol string) func([]byte) {
	if protocol == protocolHTTP {
		return func(m []byte) {
			code, _, body := c.post(m)
			if code != http.StatusOK {
				b.Errorf("%d %s", code, body)
			}
		}
	}
	return func(m []byte) {
		var answer []byte
		err := c.grpc.Invoke(context.Background(), "/opentelemetry.proto.collector.logs.v1.LogsService/Export", m, &answer, grpc.ForceCodecV2(rawCodec{}))
		if err != nil {
			b.Error(err)
		}
	}
}
