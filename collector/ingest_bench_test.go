package collector

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	data "github.com/envoyproxy/go-control-plane/envoy/data/accesslog/v3"
	service "github.com/envoyproxy/go-control-plane/envoy/service/accesslog/v3"
	"github.com/google/uuid"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/kongdao/kongdao/collector/wal"
	"github.com/kongdao/kongdao/internal/calllog"
	"github.com/kongdao/kongdao/internal/clickhouse"
	"github.com/kongdao/kongdao/internal/clickhouse/clickhousetest"
	"github.com/kongdao/kongdao/internal/testkit"
)

const entriesPerMessage = 100

// streamed is an entry like those of a real gateway: 50 functions, ids and paths
// of their own, one failure in fifty.
func streamed(r *rand.Rand, at time.Time) *data.HTTPAccessLogEntry {
	us := func(n int64) *durationpb.Duration { return durationpb.New(time.Duration(n) * time.Microsecond) }
	socket := func(host string, port uint32) *core.Address {
		return &core.Address{Address: &core.Address_SocketAddress{SocketAddress: &core.SocketAddress{
			Address: host, PortSpecifier: &core.SocketAddress_PortValue{PortValue: port},
		}}}
	}
	fn := fmt.Sprintf("fn-%d", r.IntN(50))
	status, took := uint32(200), 500+r.Int64N(20000)
	if r.IntN(50) == 0 {
		status = 503
	}
	return &data.HTTPAccessLogEntry{
		CommonProperties: &data.AccessLogCommon{
			StartTime:                   timestamppb.New(at),
			DownstreamRemoteAddress:     socket(fmt.Sprintf("10.1.%d.%d", r.IntN(256), r.IntN(256)), 4000),
			UpstreamRemoteAddress:       socket(fmt.Sprintf("10.2.0.%d", r.IntN(40)), 9101),
			TimeToFirstUpstreamTxByte:   us(50),
			TimeToFirstUpstreamRxByte:   us(took - 100),
			TimeToFirstDownstreamTxByte: us(took - 50),
			TimeToLastDownstreamTxByte:  us(took),
			UpstreamCluster:             fn + "/r1", RouteName: fn + "/0",
			CustomTags: map[string]string{
				calllog.TagTenant: "recommend", calllog.TagFunction: fn, calllog.TagRevision: "r1",
				calllog.TagZone: "zb-" + string(rune('a'+r.IntN(3))), calllog.TagConsumer: fmt.Sprintf("app-%d", r.IntN(9)),
			},
			UpstreamRequestAttemptCount: 1,
		},
		Request: &data.HTTPRequestProperties{
			RequestMethod: core.RequestMethod_GET, Authority: "api.example.com", OriginalPath: fmt.Sprintf("/recommend/%s?item=%d", fn, r.IntN(1e7)),
			UserAgent: "kongdao-bench/1.0", RequestId: uuid.Must(uuid.NewRandom()).String(), RequestBodyBytes: uint64(r.IntN(500)),
			RequestHeaders: map[string]string{"traceparent": fmt.Sprintf("00-%016x%016x-%016x-01", r.Uint64(), r.Uint64(), r.Uint64())},
		},
		Response: &data.HTTPResponseProperties{
			ResponseCode: wrapperspb.UInt32(status), ResponseBodyBytes: uint64(r.IntN(5000)), ResponseCodeDetails: "via_upstream",
		},
	}
}

// messages are as many rows, marshalled, in messages of 100, over ten seconds.
func messages(t testing.TB, rows int) (out [][]byte) {
	t.Helper()
	r := rand.New(rand.NewPCG(1, 2))
	begin := time.Now().Add(-time.Minute)
	for i := 0; i < rows; i += entriesPerMessage {
		logs := &service.StreamAccessLogsMessage_HTTPAccessLogEntries{}
		for j := range entriesPerMessage {
			logs.LogEntry = append(logs.LogEntry, streamed(r, begin.Add(time.Duration(i+j)*10*time.Second/time.Duration(rows))))
		}
		m := &service.StreamAccessLogsMessage{LogEntries: &service.StreamAccessLogsMessage_HttpLogs{HttpLogs: logs}}
		if i == 0 {
			m.Identifier = &service.StreamAccessLogsMessage_Identifier{
				Node: &core.Node{Id: "gw-1", Locality: &core.Locality{Zone: "zb-a"}}, LogName: "calls",
			}
		}
		b, err := proto.Marshal(m)
		testkit.Must(t, err)
		out = append(out, b)
	}
	return out
}

// prepared sends messages that are marshalled already.
type prepared struct{}

func (prepared) Name() string { return "proto" }

func (prepared) Marshal(v any) (mem.BufferSlice, error) {
	return mem.BufferSlice{mem.SliceBuffer(v.([]byte))}, nil
}

func (prepared) Unmarshal(mem.BufferSlice, any) error { return nil }

// gateway is a stream to an access log service.
func gateway(t testing.TB, addr string) grpc.ClientStream {
	t.Helper()
	conn, err := grpc.NewClient(addr, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithDefaultCallOptions(grpc.ForceCodecV2(prepared{})))
	testkit.Must(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(func() {
		cancel()
		_ = conn.Close()
	})
	s, err := conn.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true},
		"/envoy.service.accesslog.v3.AccessLogService/StreamAccessLogs")
	testkit.Must(t, err)
	return s
}

// BenchmarkStreamToClickHouse is 400,000 calls a round (the peer: 40,000) over gRPC, from a process
// that only sends, to a collector process, to ClickHouse with tables and rollups,
// all on the same cores. rows/cpu-s is per second of the collector's own processor
// time. The peer stores in its own table, without rollups, ids or a log on disk.
func BenchmarkStreamToClickHouse(b *testing.B) {
	engine := migrated(b)
	client := open(b, engine.Options())
	testkit.Must(b, client.Exec(testkit.Context(b), otelLogs))
	all := messages(b, 40_000)
	for kind, rows := range map[string]int64{"collector": 400_000, "peer": 40_000} {
		b.Run(kind, func(b *testing.B) {
			c := startChild(b, kind, b.TempDir(), engine.Addr(), engine.Options(), 1<<30)
			s := gateway(b, c.addr)
			testkit.Must(b, s.SendMsg(all[0]))
			before := c.settled(entriesPerMessage)
			b.ResetTimer()
			sent := int64(entriesPerMessage)
			var after usage
			for range b.N {
				for i := range rows / entriesPerMessage {
					testkit.Must(b, s.SendMsg(all[1+int(i)%(len(all)-1)]))
				}
				sent += rows
				after = c.settled(sent)
			}
			b.StopTimer()
			used := after.minus(before)
			b.ReportMetric(float64(int64(b.N)*rows)/b.Elapsed().Seconds(), "rows/s")
			b.ReportMetric(float64(int64(b.N)*rows)/used.CPU, "rows/cpu-s")
			b.ReportMetric(used.PeakRSS, "peak-RSS-MiB")
			c.stop()
		})
	}
}

// BenchmarkMemoryThroughOutage sends 100,000 calls a second for half a minute to a
// collector whose ClickHouse is away in between, for the middle third. It prints
// the most memory that the process ever had. KONGDAO_BENCH_SECONDS sets another
// length: 1800 has an outage of ten minutes.
func BenchmarkMemoryThroughOutage(b *testing.B) {
	const rate = 100_000
	length := time.Duration(envInt(b, "KONGDAO_BENCH_SECONDS", 30)) * time.Second
	sink, o := newSink(b)
	all := messages(b, 40_000)
	for range b.N {
		taken := sink.Bytes()
		c := startChild(b, "collector", b.TempDir(), sink.Addr(), o, 64<<30)
		s := gateway(b, c.addr)
		begin, sent := time.Now(), int64(0)
		for at := time.Duration(0); at < length; at = time.Since(begin) {
			sink.Away(at > length/3 && at < length*2/3)
			for ; sent < int64(at.Seconds()*rate); sent += entriesPerMessage {
				i := 0
				if sent > 0 {
					i = 1 + int(sent/entriesPerMessage)%(len(all)-1)
				}
				testkit.Must(b, s.SendMsg(all[i]))
			}
			time.Sleep(5 * time.Millisecond)
		}
		took := time.Since(begin)
		u := c.settled(sent)
		b.ReportMetric(float64(sent)/took.Seconds(), "rows/s-offered")
		b.ReportMetric(u.PeakRSS, "peak-RSS-MiB")
		b.ReportMetric(float64(sent)/u.CPU, "rows/cpu-s")
		b.ReportMetric(float64(sink.Bytes()-taken)/float64(sent), "wire-B/row")
		c.stop()
	}
}

// BenchmarkDrain starts a collector on a log of 2 GiB, cold as far as it can be made
// so, and lets it send all of it to a server that only takes. KONGDAO_BENCH_MIB sets
// another size.
func BenchmarkDrain(b *testing.B) {
	size := int64(envInt(b, "KONGDAO_BENCH_MIB", 2048)) << 20
	sink, o := newSink(b)
	for range b.N {
		b.StopTimer()
		dir := b.TempDir()
		cfg := DefaultConfig()
		cfg.Dir = dir
		rows := fill(b, cfg.walDir(), size)
		before := sink.Bytes()
		b.StartTimer()
		c := startChild(b, "collector", dir, sink.Addr(), o, 64<<30)
		u := c.settled(0)
		b.StopTimer()
		if got := sink.Bytes() - before; got < size {
			b.Fatalf("%d bytes of %d were delivered", got, size)
		}
		b.SetBytes(size)
		b.ReportMetric(u.PeakRSS, "peak-RSS-MiB")
		b.ReportMetric(float64(rows)/u.CPU, "rows/cpu-s")
		c.stop()
		testkit.Must(b, os.RemoveAll(dir))
	}
}

// fill makes a log of so many bytes, out of the page cache as far as the kernel
// lets go of it, and returns its rows.
func fill(t testing.TB, dir string, size int64) (rows int64) {
	t.Helper()
	w, err := wal.Open(wal.Options{Dir: dir, BudgetBytes: 64 << 30})
	testkit.Must(t, err)
	block := calllog.NewBlock()
	r := rand.New(rand.NewPCG(1, 2))
	for i := range 20_000 {
		var c calllog.Record
		c.Reset()
		c.Time = time.Now().UnixMicro() + int64(i)
		c.Path = fmt.Appendf(nil, "/recommend/feed?item=%d", r.IntN(1e7))
		binary.LittleEndian.PutUint64(c.RequestID[:], r.Uint64())
		binary.LittleEndian.PutUint64(c.RequestID[8:], r.Uint64())
		c.DurationUS, c.Status = uint32(r.IntN(20000)), 200
		block.Append(&c)
	}
	data, err := block.Encode(nil)
	testkit.Must(t, err)
	for done := int64(0); done < size; done += int64(len(data)) {
		_, err := w.Append(context.Background(), wal.Entry{
			Rows: block.Rows(), MinTime: time.Now(), MaxTime: time.Now(), Revision: calllog.Revision, Block: data,
		})
		testkit.Must(t, err)
		rows += int64(block.Rows())
	}
	testkit.Must(t, w.Close())
	segments, err := filepath.Glob(filepath.Join(dir, "*.wal"))
	testkit.Must(t, err)
	for _, s := range segments {
		f, err := os.Open(s)
		testkit.Must(t, err)
		testkit.Must(t, unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED))
		testkit.Must(t, f.Close())
	}
	return rows
}

func newSink(t testing.TB) (*clickhousetest.Sink, clickhouse.Options) {
	t.Helper()
	s, err := clickhousetest.NewSink()
	testkit.Must(t, err)
	t.Cleanup(func() { testkit.Must(t, s.Close()) })
	return s, clickhouse.Options{Addr: []string{s.Addr()}}
}

func envInt(t testing.TB, name string, otherwise int) int {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	testkit.Must(t, err)
	return n
}
