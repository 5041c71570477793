package collector

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ClickHouse/ch-go/compress"
	"github.com/ClickHouse/ch-go/proto"
	service "github.com/envoyproxy/go-control-plane/envoy/service/accesslog/v3"
	protobuf "google.golang.org/protobuf/proto"

	"github.com/kongdao/kongdao/collector/als"
	"github.com/kongdao/kongdao/collector/als/alstest"
	"github.com/kongdao/kongdao/collector/policy"
	"github.com/kongdao/kongdao/collector/tally"
	"github.com/kongdao/kongdao/internal/calllog"
	"github.com/kongdao/kongdao/internal/testkit"
)

// hotRows is how many calls a block gets in the benchmarks, hotMessage how many of
// them come in one message.
const hotRows, hotMessage = 20_000, 100

func hotHeaders(t testing.TB) calllog.Headers {
	t.Helper()
	h, err := calllog.NewHeaders([]string{"x-app-version", "x-channel"})
	testkit.Must(t, err)
	return h
}

// hotLines are the lines of ordinary calls.
func hotLines(t testing.TB) []byte {
	r := rand.New(rand.NewPCG(1, 2))
	version, _, _ := strings.Cut(hotHeaders(t).TextFormat(), "\t")
	var b bytes.Buffer
	for n := range hotRows {
		c := alstest.NewCall(r, n)
		fmt.Fprintf(&b, "%s\t%d\t%d\t%d\t%d\t%d\t%d\t-\tvia_upstream\t1\t0\t%d\t%s\t%s\t%s\t%s/0\t%s\t%s\t%s\t", version, c.Time, c.US+200, (c.US+200)/1000,
			c.US, c.US+150, c.Status, c.Bytes, c.Tenant, c.Function, c.Revision, c.Function, c.Zone, c.Pod, c.Client)
		b.WriteString(strings.Join([]string{
			"-", "GET", c.RequestID, c.Traceparent, "-", "api.example.com", c.Path, c.Version, c.Channel, c.UserAgent,
		}, "\x1f") + "\n")
	}
	return b.Bytes()
}

// hotMessages are the messages of ordinary calls.
func hotMessages(t testing.TB) [][]byte {
	r := rand.New(rand.NewPCG(1, 2))
	var messages [][]byte
	for n := 0; n < hotRows; {
		m := alstest.Message()
		for range hotMessage {
			m.GetHttpLogs().LogEntry = append(m.GetHttpLogs().LogEntry, alstest.Ordinary(r, n))
			n++
		}
		raw, err := protobuf.Marshal(m)
		testkit.Must(t, err)
		messages = append(messages, raw)
	}
	return messages
}

// hot is the way of calls to the bytes of a block, with all that users can switch
// on: default patterns, cut addresses, two headers, one tenant of ten sampled.
type hot struct {
	t       testing.TB
	admit   *admission
	metrics *tally.Metrics
	batch   *batch
	buf     []byte
}

func newHot(t testing.TB) *hot {
	t.Helper()
	cfg := DefaultConfig()
	cfg.Redact.IPv4Bits = 24
	cfg.Tenants = map[string]policy.Sampling{"tenant-0": {OneIn: 10, Slow: time.Second}}
	admit, err := newAdmission(cfg)
	testkit.Must(t, err)
	return &hot{t: t, admit: admit, metrics: tally.NewMetrics(cfg.MaxSeries), batch: newBatch()}
}

// encode ends a block, as the pipeline does.
func (h *hot) encode() {
	var err error
	h.buf, err = h.batch.Encode(h.buf[:0])
	testkit.Must(h.t, err)
	h.metrics.Add(h.batch.all)
	if n := h.batch.all.Calls(); n != hotRows {
		h.t.Fatalf("%d calls, want %d", n, hotRows)
	}
	h.batch.Reset()
}

func (h *hot) lines(keep calllog.Headers, text []byte) func() {
	var r calllog.Record
	calls := func(yield func(*calllog.Record) bool) {
		for line := range bytes.Lines(text) {
			_, whole := calllog.Torn(bytes.TrimSuffix(line, []byte{'\n'}))
			if err := keep.ParseText(whole, &r); err != nil { // must costs as much as a part of this
				h.t.Fatal(err)
			}
			r.Gateway, r.GatewayZone = "gw-1", "zb-a"
			if !yield(&r) {
				return
			}
		}
	}
	return func() {
		h.admit.fill(h.batch, calls)
		h.encode()
	}
}

func (h *hot) messages(keep calllog.Headers, messages [][]byte) func() {
	d := als.NewDecoder(keep)
	return func() {
		for _, m := range messages {
			h.admit.fill(h.batch, d.Calls(m))
		}
		h.encode()
	}
}

// TestHotPathAllocations: 0.05 allocations a row at most, everything included.
func TestHotPathAllocations(t *testing.T) {
	keep := hotHeaders(t)
	for name, round := range map[string]func(){
		"lines":    newHot(t).lines(keep, hotLines(t)),
		"messages": newHot(t).messages(keep, hotMessages(t)),
	} {
		round()
		if n := testing.AllocsPerRun(3, round) / hotRows; n > 0.05 {
			t.Errorf("%s: %v allocations a row, want 0.05 at most", name, n)
		} else {
			t.Logf("%s: %.4f allocations a row", name, n)
		}
	}
}

// TestHotPathsAgree: the same calls give the same block from either source.
func TestHotPathsAgree(t *testing.T) {
	keep := hotHeaders(t)
	a, b := newHot(t), newHot(t)
	a.lines(keep, hotLines(t))()
	b.messages(keep, hotMessages(t))()
	if !bytes.Equal(a.buf, b.buf) {
		t.Errorf("blocks of %d and %d bytes differ", len(a.buf), len(b.buf))
	}
	block, err := calllog.DecodeBlock(a.buf)
	testkit.Must(t, err)
	sampled, hidden, rows := 0, 0, block.Rows()
	block.Each(func(r *calllog.Record) {
		if r.SampleWeight == 10 {
			sampled++
		}
		if bytes.Contains(r.Path, []byte("=[phone]")) || bytes.Contains(r.Path, []byte("access_token=[token]")) {
			hidden++
		}
		if bytes.Contains(r.Path, []byte("13812345678")) || bytes.Contains(r.Path, []byte("9f86d08")) || r.ClientIP[15] != 0 {
			t.Errorf("not hidden: %s from %v", r.Path, r.ClientIP)
		}
	})
	if left := hotRows - rows; sampled < 50 || hidden < 200 || left < 500 || int(a.admit.left.Load()) != left {
		t.Errorf("%d rows, %d of them sampled and %d with something hidden", rows, sampled, hidden)
	}
}

// BenchmarkHotPath is log lines, and messages of the log stream, to the LZ4 bytes
// that the write-ahead log takes: decoded, counted for Prometheus, sampled and
// redacted on the way. The others leave those three out:
//
//   - split cuts lines with strings.Split and makes the same block;
//   - structs unmarshals messages into protobuf's structs and makes the same block;
//   - text does so and stores each entry's String, as the OpenTelemetry collector's
//     envoyalsreceiver does.
//
// rows/cpu-s are rows per second of processor time on one processor, garbage
// collection included, and x… how many times that of the others is.
func BenchmarkHotPath(b *testing.B) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	keep, lines, messages := hotHeaders(b), hotLines(b), hotMessages(b)
	rates := map[string]float64{}
	run := func(name string, bytes int, round func(), peers ...string) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(bytes))
			round() // buffers grow, names are seen
			runtime.GC()
			var before runtime.MemStats
			runtime.ReadMemStats(&before)
			start := processorTime(b)
			for b.Loop() {
				round()
			}
			used := processorTime(b) - start
			rates[name] = float64(b.N*hotRows) / used.Seconds()
			b.ReportMetric(rates[name], "rows/cpu-s")
			var after runtime.MemStats
			runtime.ReadMemStats(&after)
			b.ReportMetric(float64(after.Mallocs-before.Mallocs)/float64(b.N*hotRows), "allocs/row")
			for _, peer := range peers {
				if rates[peer] > 0 {
					b.ReportMetric(rates[name]/rates[peer], "x-"+strings.ReplaceAll(peer, "/", "-"))
				}
			}
		})
	}
	size := 0
	for _, m := range messages {
		size += len(m)
	}
	run("lines/split", len(lines), splitLines(b, keep, lines))
	run("lines/ours", len(lines), newHot(b).lines(keep, lines), "lines/split")
	run("als/text", size, structs(b, messages, asText(b)))
	run("als/structs", size, structs(b, messages, asRows(b, keep)))
	run("als/ours", size, newHot(b).messages(keep, messages), "als/text", "als/structs")
}

// processorTime is what the process has used.
func processorTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	testkit.Must(b, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// splitLines cuts lines into a map of fields first, as a plain program would.
func splitLines(b *testing.B, keep calllog.Headers, text []byte) func() {
	block, buf := calllog.NewBlock(), []byte(nil)
	return func() {
		block.Reset()
		for _, line := range strings.Split(strings.TrimSuffix(string(text), "\n"), "\n") {
			fields := strings.Split(line, "\t")
			user := strings.Split(fields[len(fields)-1], "\x1f")
			r := plainRecord(fields, user)
			for i := range keep.Len() {
				r.Attrs = append(r.Attrs, calllog.Attr{Key: keep.Name(i), Value: []byte(user[7+i])})
			}
			block.Append(&r)
		}
		var err error
		buf, err = block.Encode(buf[:0])
		testkit.Must(b, err)
	}
}

func plainRecord(fields, user []string) calllog.Record {
	var number [12]uint64
	for i := range number {
		_, _ = fmt.Sscan(fields[i+1], &number[i]) // a dash is none
	}
	text := func(i int) []byte { return []byte(fields[i]) }
	r := calllog.Record{
		Time: int64(number[0]), DurationUS: uint32(number[1]), UpstreamUS: uint32(number[3]), TTFBUS: uint32(number[4]), Status: uint16(number[5]),
		Attempts: uint8(number[8]), BytesIn: number[9], BytesOut: number[10], SampleWeight: 1, Gateway: "gw-1", GatewayZone: "zb-a",
		Tenant: text(12), Function: text(13), Revision: text(14), Route: text(15), Zone: text(16), Pod: text(17),
		Method: []byte(user[1]), Host: []byte(user[5]), Path: []byte(user[6]), UserAgent: []byte(user[len(user)-1]),
	}
	calllog.ParseIP(text(18), &r.ClientIP)
	calllog.ParseUUID([]byte(user[2]), &r.RequestID)
	calllog.ParseTraceparent([]byte(user[3]), &r.TraceID)
	return r
}

// structs unmarshals messages and hands them to end one by one; nil at the end of
// a block.
func structs(b *testing.B, messages [][]byte, take func(*service.StreamAccessLogsMessage)) func() {
	return func() {
		for _, raw := range messages {
			var m service.StreamAccessLogsMessage
			testkit.Must(b, protobuf.Unmarshal(raw, &m))
			take(&m)
		}
		take(nil)
	}
}

func asRows(b *testing.B, keep calllog.Headers) func(*service.StreamAccessLogsMessage) {
	block, buf := calllog.NewBlock(), []byte(nil)
	return func(m *service.StreamAccessLogsMessage) {
		if m == nil {
			var err error
			buf, err = block.Encode(buf[:0])
			testkit.Must(b, err)
			block.Reset()
			return
		}
		for _, e := range m.GetHttpLogs().GetLogEntry() {
			r := alstest.Record(e, keep)
			r.Gateway, r.GatewayZone = m.GetIdentifier().GetNode().GetId(), m.GetIdentifier().GetNode().GetLocality().GetZone()
			block.Append(&r)
		}
	}
}

func asText(b *testing.B) func(*service.StreamAccessLogsMessage) {
	var column proto.ColStr
	var raw proto.Buffer
	lz4 := compress.NewWriter(compress.LevelZero, compress.LZ4)
	return func(m *service.StreamAccessLogsMessage) {
		if m == nil {
			raw.Reset()
			column.EncodeColumn(&raw)
			for at := 0; at < len(raw.Buf); at += 1 << 20 {
				testkit.Must(b, lz4.Compress(raw.Buf[at:min(at+1<<20, len(raw.Buf))]))
			}
			column.Reset()
			return
		}
		for _, e := range m.GetHttpLogs().GetLogEntry() {
			column.Append(e.String())
		}
	}
}
