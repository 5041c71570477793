package als

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"math"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	data "github.com/envoyproxy/go-control-plane/envoy/data/accesslog/v3"
	service "github.com/envoyproxy/go-control-plane/envoy/service/accesslog/v3"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/kongdao/kongdao/internal/calllog"
	"github.com/kongdao/kongdao/internal/calllog/calllogtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func socket(host string, port uint32) *core.Address {
	return &core.Address{Address: &core.Address_SocketAddress{SocketAddress: &core.SocketAddress{
		Address: host, PortSpecifier: &core.SocketAddress_PortValue{PortValue: port},
	}}}
}

// entry is a call with every field that is read.
func entry() *data.HTTPAccessLogEntry {
	us := func(n int64) *durationpb.Duration { return durationpb.New(time.Duration(n) * time.Microsecond) }
	return &data.HTTPAccessLogEntry{
		CommonProperties: &data.AccessLogCommon{
			SampleRate:                  1,
			StartTime:                   timestamppb.New(time.UnixMicro(1795419896275147)),
			DownstreamRemoteAddress:     socket("10.1.2.3", 4000),
			UpstreamRemoteAddress:       socket("::1", 9101),
			TimeToFirstUpstreamTxByte:   us(100),
			TimeToFirstUpstreamRxByte:   us(2049),
			TimeToFirstDownstreamTxByte: us(2932),
			TimeToLastDownstreamTxByte:  us(2988),
			UpstreamCluster:             "feed/r12",
			RouteName:                   "feed/0",
			ResponseFlags:               &data.ResponseFlags{UpstreamConnectionFailure: true, UpstreamRetryLimitExceeded: true},
			CustomTags: map[string]string{
				calllog.TagTenant: "recommend", calllog.TagFunction: "feed", calllog.TagRevision: "r12",
				calllog.TagZone: "zb-b", calllog.TagConsumer: "app-7",
			},
			UpstreamRequestAttemptCount: 3,
		},
		Request: &data.HTTPRequestProperties{
			RequestMethod: core.RequestMethod_POST, Authority: "api.example.com", Path: "/rewritten", OriginalPath: "/feed?x=1",
			UserAgent: "curl/8", RequestId: "215914be-86d1-4f43-a027-2511b2cbd533", RequestBodyBytes: 3,
			RequestHeaders: map[string]string{
				"traceparent":          "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
				calllog.LoadTestHeader: "run-7",
			},
		},
		Response: &data.HTTPResponseProperties{
			ResponseCode: wrapperspb.UInt32(503), ResponseBodyBytes: 5, ResponseCodeDetails: "upstream_reset",
		},
	}
}

func sample() calllog.Record {
	r := calllog.Record{
		Time: 1795419896275147, Gateway: "gw-1", GatewayZone: "zb-a",
		Tenant: []byte("recommend"), Function: []byte("feed"), Revision: []byte("r12"), Route: []byte("feed/0"),
		Zone: []byte("zb-b"), Pod: []byte("[::1]:9101"), Method: []byte("POST"), Host: []byte("api.example.com"),
		Path: []byte("/feed?x=1"), Status: 503, Flags: []byte("URX,UF"), DurationUS: 2988, UpstreamUS: 1949, TTFBUS: 2932,
		BytesIn: 3, BytesOut: 5, Attempts: 3, UserAgent: []byte("curl/8"), Consumer: []byte("app-7"), LoadTest: []byte("run-7"),
		SampleWeight: 1, Attrs: []calllog.Attr{{Key: calllog.AttrDetails, Value: []byte("upstream_reset")}},
	}
	calllog.ParseUUID([]byte("215914be-86d1-4f43-a027-2511b2cbd533"), &r.RequestID)
	calllog.ParseTraceparent([]byte("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"), &r.TraceID)
	calllog.ParseIP([]byte("10.1.2.3"), &r.ClientIP)
	return r
}

func message(entries ...*data.HTTPAccessLogEntry) *service.StreamAccessLogsMessage {
	return &service.StreamAccessLogsMessage{
		Identifier: &service.StreamAccessLogsMessage_Identifier{
			Node: &core.Node{Id: "gw-1", Cluster: "main", Locality: &core.Locality{Region: "r", Zone: "zb-a"}}, LogName: "calls",
		},
		LogEntries: &service.StreamAccessLogsMessage_HttpLogs{HttpLogs: &service.StreamAccessLogsMessage_HTTPAccessLogEntries{LogEntry: entries}},
	}
}

func marshal(t testing.TB, m proto.Message) []byte {
	t.Helper()
	b, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestDecode(t *testing.T) {
	tests := []struct {
		name string
		edit func(*data.HTTPAccessLogEntry)
		want func(*calllog.Record)
	}{
		{"every field", func(*data.HTTPAccessLogEntry) {}, func(*calllog.Record) {}},
		{
			"no tags: the cluster's name", func(e *data.HTTPAccessLogEntry) { e.CommonProperties.CustomTags = nil },
			func(r *calllog.Record) { r.Tenant, r.Zone, r.Consumer = nil, nil, nil },
		},
		{"the client left: the total duration", func(e *data.HTTPAccessLogEntry) {
			p := e.CommonProperties
			p.TimeToLastDownstreamTxByte, p.TimeToFirstDownstreamTxByte, p.TimeToFirstUpstreamRxByte = nil, nil, nil
			p.Duration, p.ResponseFlags = durationpb.New(time.Second), &data.ResponseFlags{DownstreamConnectionTermination: true}
			e.Response.ResponseCode = nil
		}, func(r *calllog.Record) {
			r.DurationUS, r.UpstreamUS, r.TTFBUS, r.Status, r.Flags = 1_000_000, 0, 0, 0, []byte("DC")
		}},
		{"numbers beyond their columns", func(e *data.HTTPAccessLogEntry) {
			e.CommonProperties.TimeToLastDownstreamTxByte = &durationpb.Duration{Seconds: math.MaxInt64}
			e.CommonProperties.TimeToFirstDownstreamTxByte = &durationpb.Duration{Seconds: -5}
			e.CommonProperties.UpstreamRequestAttemptCount, e.Response.ResponseCode = 1000, wrapperspb.UInt32(70000)
		}, func(r *calllog.Record) {
			r.DurationUS, r.TTFBUS, r.Attempts, r.Status = math.MaxUint32, 0, 255, 65535
		}},
		{"refused by the limit", func(e *data.HTTPAccessLogEntry) {
			e.CommonProperties.ResponseFlags = &data.ResponseFlags{RateLimited: true}
		}, func(r *calllog.Record) { r.Flags, r.LimitedBy = []byte("RL"), calllog.LimitedByCapacity }},
		{"unauthorized, which is a message", func(e *data.HTTPAccessLogEntry) {
			e.CommonProperties.ResponseFlags = &data.ResponseFlags{UnauthorizedDetails: &data.ResponseFlags_Unauthorized{}}
		}, func(r *calllog.Record) { r.Flags = []byte("UAEX") }},
		{
			"a method without a number", func(e *data.HTTPAccessLogEntry) { e.Request.RequestMethod = 0 },
			func(r *calllog.Record) { r.Method = []byte(calllog.OtherMethod) },
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			e := entry()
			tt.edit(e)
			want := sample()
			tt.want(&want)
			var s stream
			var n counts
			got := 0
			for r := range s.calls(marshal(t, message(e)), &n) {
				got++
				if diff := cmp.Diff(&want, r, cmpopts.EquateEmpty()); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
			}
			if got != 1 || n != (counts{calls: 1}) {
				t.Errorf("%d calls, %+v", got, n)
			}
		})
	}
}

func TestSkipped(t *testing.T) {
	early := entry()
	early.CommonProperties.IntermediateLogEntry = true
	var s stream
	var n counts
	for range s.calls(marshal(t, message(early, entry())), &n) {
	}
	if want := (counts{calls: 1, intermediate: 1}); n != want {
		t.Errorf("%+v, want %+v", n, want)
	}
}

// TestMalformedEntryIsACall has an entry whose inside is broken between two good ones.
func TestMalformedEntryIsACall(t *testing.T) {
	bad := entry()
	bad.CommonProperties.StartTime = nil
	var s stream
	var n counts
	var functions []string
	for r := range s.calls(marshal(t, message(entry(), bad, entry())), &n) {
		functions = append(functions, string(r.Function))
	}
	if fmt.Sprint(functions) != "[feed  feed]" || n != (counts{calls: 3, malformed: 1}) {
		t.Errorf("%q, %+v", functions, n)
	}
}

func TestDecodeAllocatesNothing(t *testing.T) {
	b := marshal(t, message(entry(), entry()))
	var s stream
	var n counts
	if got := testing.AllocsPerRun(100, func() {
		for range s.calls(b, &n) {
		}
	}); got > 4 { // the names of the gateway, and the iterator; nothing for an entry
		t.Errorf("%v allocations for a message", got)
	}
}

func FuzzCalls(f *testing.F) {
	b := marshal(f, message(entry(), entry()))
	f.Add(b)
	f.Add(b[:len(b)-1])
	f.Add(b[:len(b)/3])
	f.Add(marshal(f, connections(connection())))
	f.Fuzz(func(t *testing.T, b []byte) {
		var s stream
		var n counts
		block := calllog.NewBlock()
		for r := range s.calls(b, &n) {
			block.Append(r)
		}
		if block.Rows() != n.calls+n.tcp {
			t.Errorf("%d calls, %d connections, %d rows", n.calls, n.tcp, block.Rows())
		}
		if _, err := block.Encode(nil); err != nil {
			t.Fatal(err)
		}
		if err := proto.Unmarshal(b, new(service.StreamAccessLogsMessage)); err == nil && n.malformed > n.calls+n.tcp+1 {
			t.Errorf("%+v of a message that is right", n)
		}
	})
}

// serve runs a Server until the test ends.
func serve(t *testing.T, sink Sink) (s *Server, reg *prometheus.Registry, ended <-chan error) {
	t.Helper()
	return serveWith(t, calllog.Headers{}, sink)
}

func serveWith(t *testing.T, keep calllog.Headers, sink Sink) (s *Server, reg *prometheus.Registry, ended <-chan error) {
	t.Helper()
	reg = prometheus.NewRegistry()
	cfg := DefaultConfig()
	cfg.Headers = keep
	s, err := New(cfg, slog.New(slog.DiscardHandler), reg, sink, Counting{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	finished := make(chan struct{})
	go func() {
		defer close(finished)
		done <- s.Run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-finished
	})
	return s, reg, done
}

func client(t *testing.T, s *Server) service.AccessLogService_StreamAccessLogsClient {
	t.Helper()
	conn, err := grpc.NewClient(s.Addr(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	c, err := service.NewAccessLogServiceClient(conn).StreamAccessLogs(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// calls is a sink that keeps what it is given.
type calls struct {
	mu    sync.Mutex
	block *calllog.Block // what records point to
}

func (c *calls) take(_ context.Context, records iter.Seq[*calllog.Record]) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.block == nil {
		c.block = calllog.NewBlock()
	}
	for r := range records {
		c.block.Append(r)
	}
	return nil
}

func (c *calls) rows() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.block == nil {
		return 0
	}
	return c.block.Rows()
}

func TestServer(t *testing.T) {
	var c calls
	s, reg, _ := serve(t, c.take)
	first, second := client(t, s), client(t, s)
	for range 10 {
		if err := errors.Join(first.Send(message(entry())), second.Send(message(entry(), entry()))); err != nil {
			t.Fatal(err)
		}
	}
	calllogtest.Await(t, "30 calls", func() bool { return c.rows() == 30 })
	calllogtest.Await(t, "30 calls are counted", func() bool {
		return testutil.GatherAndCompare(reg, strings.NewReader(`
# HELP kongdao_collector_als_entries_total Calls received over the access log service, those that do not parse included.
# TYPE kongdao_collector_als_entries_total counter
kongdao_collector_als_entries_total 30
# HELP kongdao_collector_als_streams Streams that are open over the access log service.
# TYPE kongdao_collector_als_streams gauge
kongdao_collector_als_streams 2
`), "kongdao_collector_als_entries_total", "kongdao_collector_als_streams") == nil
	})
	if _, err := first.CloseAndRecv(); err != nil {
		t.Errorf("the end of a stream: %v", err)
	}
}

func TestSinkErrorEndsRun(t *testing.T) {
	broken := errors.New("disk is gone")
	s, _, ended := serve(t, func(context.Context, iter.Seq[*calllog.Record]) error { return broken })
	if err := client(t, s).Send(message(entry())); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; !errors.Is(err, broken) {
		t.Errorf("run: %v", err)
	}
}

// TestBlockedSinkStopsReading has a sink that waits: the sender gets stuck
// instead of the receiver's memory growing, and goes on afterwards.
func TestBlockedSinkStopsReading(t *testing.T) {
	var c calls
	open := make(chan struct{})
	s, _, _ := serve(t, func(ctx context.Context, records iter.Seq[*calllog.Record]) error {
		select {
		case <-open:
		case <-ctx.Done():
			return ctx.Err()
		}
		return c.take(ctx, records)
	})
	stream := client(t, s)
	m := message(entry())
	m.GetHttpLogs().LogEntry[0].Request.UserAgent = strings.Repeat("x", 64<<10)
	const messages = 100 // of 64 KiB: six times the window
	var sent sync.WaitGroup
	stuck := make(chan struct{}, 1)
	progress := make(chan int, messages)
	sent.Go(func() {
		for i := range messages {
			if err := stream.Send(m); err != nil {
				t.Error(err)
				return
			}
			progress <- i
		}
	})
	go func() {
		for {
			select {
			case i := <-progress:
				if i == messages-1 {
					return
				}
			case <-time.After(500 * time.Millisecond): // nothing got through: what backpressure looks like
				stuck <- struct{}{}
				return
			}
		}
	}()
	select {
	case <-stuck:
	case <-time.After(30 * time.Second):
		t.Error("all was taken while the sink blocked")
	}
	close(open)
	sent.Wait()
	calllogtest.Await(t, "all calls", func() bool { return c.rows() == messages })
}

func TestTooLargeEndsTheStreamOnly(t *testing.T) {
	var c calls
	s, _, _ := serve(t, c.take)
	large := message(entry())
	large.GetHttpLogs().LogEntry[0].Request.UserAgent = strings.Repeat("x", 5<<20)
	stream := client(t, s)
	_ = stream.Send(large) // its end is what the answer tells
	if _, err := stream.CloseAndRecv(); err == nil {
		t.Error("a message above the limit is taken")
	}
	if err := client(t, s).Send(message(entry())); err != nil {
		t.Fatal(err)
	}
	calllogtest.Await(t, "the next stream's call", func() bool { return c.rows() == 1 })
}

// TestEnvoy compares, call by call, what a real Envoy sends with what it writes
// to its file. Two things differ, and are documented: of a kept header that was
// sent twice the file has the first value and the stream all, and bytes that are
// no UTF-8 are exclamation marks on the stream.
func TestEnvoy(t *testing.T) {
	keep, err := calllog.NewHeaders([]string{"x-app-version", "x-channel", "accept-language"})
	if err != nil {
		t.Fatal(err)
	}
	var c calls
	s, _, _ := serveWith(t, keep, c.take)
	g := calllogtest.Start(t, s.Addr(), "x-app-version", "x-channel", "accept-language")
	long := strings.Repeat("0123456789", 600)
	requests := []struct{ path, headers string }{
		{"/feed?x=1", "x-app-version: 7.1.0\r\nx-channel: a\tb\r\nx-other: secret\r\n"},
		{"/none", "accept-language: zh-CN,zh;q=0.9\r\n"},
		{"/denied", "x-channel: -\r\nx-app-version:\r\n"},
		{"/limited", "x-channel: \xe4\xb8\xad\xe6\x96\x87\r\n"},
		{"/limited", ""},
		{"/slow", "X-Channel: upper\r\n"},
		{"/reset", ""},
		{"/dead", ""},
		{"/feed?x=" + long, "x-app-version: " + long + "\r\nuser-agent: " + long + "\r\n"},
	}
	for i, r := range requests {
		g.Send(t, "GET "+r.path+" HTTP/1.1\r\nhost: api.example.com\r\nuser-agent: curl/8\r\nx-kongdao-load-test: run-7\r\nx-test-consumer: app-7\r\n"+
			"traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n"+r.headers+"\r\n")
		g.Lines(t, i+1)
	}
	g.Abandon(t, "GET /hang HTTP/1.1\r\nhost: h\r\n\r\n", func() bool { return g.Active(t) })
	lines := g.Lines(t, len(requests)+1)
	calllogtest.Await(t, "all calls", func() bool { return c.rows() == len(lines) })
	file := calllog.NewBlock()
	var r calllog.Record
	for _, line := range lines {
		if err := keep.ParseText([]byte(line), &r); err != nil {
			t.Fatal(err)
		}
		r.Gateway, r.GatewayZone = "gw-1", "zb-a"
		file.Append(&r)
	}
	want, got := asText(file), asText(c.block)
	for i := range want {
		if want[i] != got[i] {
			t.Errorf("call %d:\n file %s\n  als %s", i, want[i], got[i])
		}
	}
	if !strings.HasSuffix(want[0], "[{x-app-version 7.1.0} {x-channel a\tb}]") {
		t.Errorf("headers are not kept: %s", want[0])
	}
}

// asText is a block as text. What differs by nature is left out: durations, of
// which the file has some in milliseconds, and the revision of calls that were
// refused before a pod was chosen, which ALS has no source for.
func asText(b *calllog.Block) (lines []string) {
	b.Each(func(r *calllog.Record) {
		if len(r.Zone) == 0 {
			r.Revision = nil
		}
		lines = append(lines, fmt.Sprintf("%d %x %x %s %s %s %s %s %s %s %s %s %s %s %d [%s] %d %d %d %s %s %q %s %s", r.Time, r.RequestID, r.TraceID,
			r.Gateway, r.GatewayZone, r.Tenant, r.Function, r.Revision, r.Route, r.Zone, r.Pod, r.Method, r.Host, r.Path, r.Status, r.Flags,
			r.BytesIn, r.BytesOut, r.Attempts, r.UserAgent, r.LoadTest, r.LimitedBy, r.Consumer, r.Attrs))
	})
	return lines
}

func BenchmarkCalls(b *testing.B) {
	const entries = 100
	r := rand.New(rand.NewPCG(1, 2))
	m := message()
	for range entries {
		e := entry()
		e.CommonProperties.CustomTags[calllog.TagFunction] = fmt.Sprint("fn-", r.IntN(500))
		e.Request.OriginalPath = fmt.Sprint("/v1/items/", r.IntN(1e6))
		m.GetHttpLogs().LogEntry = append(m.GetHttpLogs().LogEntry, e)
	}
	raw := marshal(b, m)
	var s stream
	var n counts
	block := calllog.NewBlock()
	b.ReportAllocs()
	b.SetBytes(int64(len(raw)))
	for b.Loop() {
		block.Reset()
		for r := range s.calls(raw, &n) {
			block.Append(r)
		}
		if block.Rows() != entries {
			b.Fatal(n)
		}
	}
	b.ReportMetric(float64(b.N*entries)/b.Elapsed().Seconds(), "rows/s")
}
