package otlp

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/plog/plogotlp"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlplog/otlploggrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlplog/otlploghttp"
	otellog "go.opentelemetry.io/otel/log"
	sdklog "go.opentelemetry.io/otel/sdk/log"
	sdkresource "go.opentelemetry.io/otel/sdk/resource"
	"go.opentelemetry.io/otel/trace"
	logspb "go.opentelemetry.io/proto/otlp/collector/logs/v1"
	logs "go.opentelemetry.io/proto/otlp/logs/v1"
	spb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/kongdao/kongdao/api"
	"github.com/kongdao/kongdao/internal/testkit"
)

// exporters are OpenTelemetry's own, as functions use them.
func exporters(t testing.TB, r *Receiver) map[string]sdklog.Exporter {
	t.Helper()
	const first, most, total = 50 * time.Millisecond, 200 * time.Millisecond, time.Minute
	g, err := otlploggrpc.New(testkit.Context(t), otlploggrpc.WithInsecure(), otlploggrpc.WithEndpoint(r.AddrGRPC()),
		otlploggrpc.WithRetry(otlploggrpc.RetryConfig{Enabled: true, InitialInterval: first, MaxInterval: most, MaxElapsedTime: total}))
	testkit.Must(t, err)
	gz, err := otlploggrpc.New(testkit.Context(t), otlploggrpc.WithInsecure(), otlploggrpc.WithEndpoint(r.AddrGRPC()), otlploggrpc.WithCompressor("gzip"))
	testkit.Must(t, err)
	h, err := otlploghttp.New(testkit.Context(t), otlploghttp.WithInsecure(), otlploghttp.WithEndpoint(r.AddrHTTP()),
		otlploghttp.WithRetry(otlploghttp.RetryConfig{Enabled: true, InitialInterval: first, MaxInterval: most, MaxElapsedTime: total}))
	testkit.Must(t, err)
	hz, err := otlploghttp.New(testkit.Context(t), otlploghttp.WithInsecure(), otlploghttp.WithEndpoint(r.AddrHTTP()), otlploghttp.WithCompression(otlploghttp.GzipCompression))
	testkit.Must(t, err)
	return map[string]sdklog.Exporter{"grpc": g, "grpc-gzip": gz, "http": h, "http-gzip": hz}
}

// provider is the SDK of a function.
func provider(function string, e sdklog.Exporter) *sdklog.LoggerProvider {
	return sdklog.NewLoggerProvider(
		sdklog.WithResource(sdkresource.NewSchemaless(
			attribute.String("service.name", function), attribute.String("service.version", "r1"),
			attribute.String("service.namespace", "shop"), attribute.String("cloud.availability_zone", "zb-a"),
			attribute.String("k8s.pod.name", function+"-0"),
		)),
		sdklog.WithProcessor(sdklog.NewBatchProcessor(e, sdklog.WithMaxQueueSize(4096), sdklog.WithExportMaxBatchSize(100), sdklog.WithExportTimeout(time.Minute))),
	)
}

// emit logs records from to to-1, in the span of a trace.
func emit(p *sdklog.LoggerProvider, from, to int) {
	ctx := trace.ContextWithSpanContext(context.Background(), trace.NewSpanContext(trace.SpanContextConfig{
		TraceID: trace.TraceID{15: 9}, SpanID: trace.SpanID{7: 3}, TraceFlags: trace.FlagsSampled,
	}))
	l := p.Logger("feed/handler")
	for n := from; n < to; n++ {
		var r otellog.Record
		r.SetTimestamp(time.Now())
		r.SetSeverity(otellog.SeverityWarn)
		r.SetSeverityText("WARN")
		r.SetBody(attribute.StringValue(fmt.Sprint("record ", n)))
		r.AddAttributes(attribute.Int("n", n), attribute.String("request_id", fmt.Sprintf("00000000-0000-4000-8000-%012x", n)))
		l.Emit(ctx, r)
	}
}

// TestExporters: OpenTelemetry's exporters, over both protocols, plain and
// compressed; what they were told is stored is stored, once.
func TestExporters(t *testing.T) {
	engine := migrated(t)
	r := start(t, testConfig(t.TempDir()), engine.Options())
	const each = 1000
	var all sync.WaitGroup
	for name, e := range exporters(t, r.Receiver) {
		all.Go(func() {
			p := provider(name, e)
			for n := 0; n < each; n += 250 { // the SDK drops what its queue cannot hold
				emit(p, n, n+250)
				if err := p.ForceFlush(context.Background()); err != nil {
					t.Errorf("%s: %v", name, err)
				}
			}
			if err := p.Shutdown(context.Background()); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		})
	}
	all.Wait()
	testkit.Must(t, r.Drain(testkit.Context(t)))
	c := open(t, engine.Options())
	for _, name := range []string{"grpc", "grpc-gzip", "http", "http-gzip"} {
		stored(t, c, name, each)
	}
	var row struct {
		Tenant, Revision, Zone, Pod, Request, Trace, Span, Text, Scope, Body string
		Severity                                                             uint8
	}
	testkit.Must(t, c.QueryRow(testkit.Context(t), `SELECT tenant, revision, zone, pod, toString(request_id), lower(hex(trace_id)), lower(hex(span_id)), severity, severity_text, scope, body
		FROM function_logs WHERE function = 'grpc' AND attrs['n'] = '7'`).
		Scan(&row.Tenant, &row.Revision, &row.Zone, &row.Pod, &row.Request, &row.Trace, &row.Span, &row.Severity, &row.Text, &row.Scope, &row.Body))
	got := fmt.Sprint(row)
	const want = "{shop r1 zb-a grpc-0 00000000-0000-4000-8000-000000000007 00000000000000000000000000000009 0000000000000003 WARN feed/handler record 7 13}"
	if got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
	if n := r.metric(t, "kongdao_collector_otlp_records_total"); n != 4*each {
		t.Errorf("%v records counted", n)
	}
}

// client sends requests as bytes.
type client struct {
	t    testing.TB
	http *http.Client
	grpc *grpc.ClientConn
	addr string
}

func newClient(t testing.TB, r *Receiver) *client {
	conn, err := grpc.NewClient(r.AddrGRPC(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	testkit.Must(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	tr := &http.Transport{}
	t.Cleanup(tr.CloseIdleConnections)
	return &client{t: t, http: &http.Client{Transport: tr}, grpc: conn, addr: r.AddrHTTP()}
}

// post returns the status, the headers and the body.
func (c *client) post(body []byte, headers ...string) (int, http.Header, []byte) {
	c.t.Helper()
	req, err := http.NewRequestWithContext(testkit.Context(c.t), http.MethodPost, "http://"+c.addr+"/v1/logs", bytes.NewReader(body))
	testkit.Must(c.t, err)
	req.Header.Set("Content-Type", typeProto)
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := c.http.Do(req)
	testkit.Must(c.t, err)
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	testkit.Must(c.t, err)
	return res.StatusCode, res.Header, b
}

func (c *client) export(ctx context.Context, m *logspb.ExportLogsServiceRequest) (*logspb.ExportLogsServiceResponse, error) {
	return logspb.NewLogsServiceClient(c.grpc).Export(ctx, m)
}

func zipped(t testing.TB, b []byte) []byte {
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	_, err := z.Write(b)
	testkit.Must(t, err)
	testkit.Must(t, z.Close())
	return out.Bytes()
}

// one is a request of one record with a time of its own.
func one(n int) *logspb.ExportLogsServiceRequest {
	return request(kvs("service.name", "feed"), &logs.LogRecord{
		TimeUnixNano: uint64(time.Now().UnixNano()), Body: str(fmt.Sprint("record ", n)), Attributes: kvs("n", n),
	})
}

// TestAnswers: each kind of request gets the answer that the OTLP specification
// names for it, in the format of the request.
func TestAnswers(t *testing.T) {
	cfg := testConfig(t.TempDir())
	cfg.MaxMessageBytes = 100_000
	r := start(t, cfg, nowhere())
	c := newClient(t, r.Receiver)
	good := bytesOf(t, one(0))
	json := []byte(`{"resourceLogs":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"feed"}}]},"scopeLogs":[{"logRecords":[{"timeUnixNano":"1","body":{"stringValue":"x"}}]}]}]}`)
	noName := bytesOf(t, request(kvs("service.version", "r1"), &logs.LogRecord{}, &logs.LogRecord{}))
	big := bytesOf(t, request(kvs("service.name", "feed"), &logs.LogRecord{Body: str(strings.Repeat("x", 200_000))}))
	for _, call := range []struct {
		name    string
		body    []byte
		headers []string
		status  int
		says    string
	}{
		{"protobuf", good, nil, 200, ""},
		{"gzip", zipped(t, good), []string{"Content-Encoding", "gzip"}, 200, ""},
		{"json", json, []string{"Content-Type", "application/json; charset=utf-8"}, 200, "{}"},
		{"empty", nil, nil, 200, ""},
		{"no function", noName, nil, 200, "2 log records name no function"},
		{"no protobuf", []byte("hello, world"), nil, 400, "malformed"},
		{"no json", []byte("{"), []string{"Content-Type", typeJSON}, 400, "malformed"},
		{"no gzip", good, []string{"Content-Encoding", "gzip"}, 400, "gzip"},
		{"cut gzip", zipped(t, good)[:20], []string{"Content-Encoding", "gzip"}, 400, "malformed"},
		{"too large", big, nil, 413, "more than 100000 bytes"},
		{"too large once unpacked", zipped(t, big), []string{"Content-Encoding", "gzip"}, 413, "more than 100000 bytes"},
		{"other encoding", good, []string{"Content-Encoding", "br"}, 415, "content encoding"},
		{"other type", good, []string{"Content-Type", "text/plain"}, 415, "content type"},
	} {
		t.Run(call.name, func(t *testing.T) {
			code, header, body := c.post(call.body, call.headers...)
			if code != call.status || !strings.Contains(string(body), call.says) {
				t.Errorf("%d %q, want %d with %q", code, body, call.status, call.says)
			}
			if code == 400 && header.Get("Content-Type") == typeProto {
				var s spb.Status
				if err := proto.Unmarshal(body, &s); err != nil || codes.Code(s.Code) != codes.InvalidArgument {
					t.Errorf("status %v, %v", &s, err)
				}
			}
		})
	}
	code, _, body := c.post(noName)
	res := plogotlp.NewExportResponse()
	if err := res.UnmarshalProto(body); err != nil || code != 200 || res.PartialSuccess().RejectedLogRecords() != 2 {
		t.Errorf("partial success %v, %v", res, err)
	}
	if _, err := c.export(testkit.Context(t), request(kvs("service.name", "feed"), &logs.LogRecord{Body: str(strings.Repeat("x", 200_000))})); status.Code(err) != codes.ResourceExhausted {
		t.Errorf("too large over gRPC: %v", err)
	}
	answer, err := c.export(testkit.Context(t), request(nil, &logs.LogRecord{}))
	if err != nil || answer.GetPartialSuccess().GetRejectedLogRecords() != 1 {
		t.Errorf("%v, %v", answer, err)
	}
	if err := c.grpc.Invoke(testkit.Context(t), "/opentelemetry.proto.collector.logs.v1.LogsService/Nothing", &logspb.ExportLogsServiceRequest{}, &logspb.ExportLogsServiceResponse{}); status.Code(err) != codes.Unimplemented {
		t.Errorf("another method: %v", err)
	}
}

// TestSlowClient: a client that never sends its body takes a place, and no more.
func TestSlowClient(t *testing.T) {
	cfg := testConfig(t.TempDir())
	cfg.MaxRequests = 1
	cfg.Patience = api.Duration(20 * time.Millisecond)
	r := start(t, cfg, nowhere())
	c := newClient(t, r.Receiver)
	conn, err := net.Dial("tcp", r.AddrHTTP())
	testkit.Must(t, err)
	_, err = conn.Write([]byte("POST /v1/logs HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-protobuf\r\nContent-Length: 10\r\n\r\nabc"))
	testkit.Must(t, err)
	testkit.Eventually(t, "the place is taken", func() bool { return len(r.slots) == 1 })
	code, header, _ := c.post(bytesOf(t, one(0)))
	if code != http.StatusTooManyRequests || header.Get("Retry-After") != "1" {
		t.Errorf("%d, retry after %q", code, header.Get("Retry-After"))
	}
	if _, err := c.export(testkit.Context(t), one(0)); status.Code(err) != codes.ResourceExhausted || len(status.Convert(err).Details()) != 1 {
		t.Errorf("%v without RetryInfo", err)
	}
	testkit.Must(t, conn.Close())
	testkit.Eventually(t, "the place is free", func() bool { return len(r.slots) == 0 })
	if code, _, body := c.post(bytesOf(t, one(0))); code != http.StatusOK {
		t.Errorf("%d %s", code, body)
	}
}
