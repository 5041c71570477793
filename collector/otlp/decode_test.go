package otlp

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	logspb "go.opentelemetry.io/proto/otlp/collector/logs/v1"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	logs "go.opentelemetry.io/proto/otlp/logs/v1"
	resourcepb "go.opentelemetry.io/proto/otlp/resource/v1"
	"google.golang.org/protobuf/proto"

	"github.com/kongdao/kongdao/internal/fnlog"
	"github.com/kongdao/kongdao/internal/testkit"
)

// noon is when the messages of these tests arrive.
var noon = time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)

func str(s string) *common.AnyValue {
	return &common.AnyValue{Value: &common.AnyValue_StringValue{StringValue: s}}
}

func array(v ...*common.AnyValue) *common.AnyValue {
	return &common.AnyValue{Value: &common.AnyValue_ArrayValue{ArrayValue: &common.ArrayValue{Values: v}}}
}

func kvs(pairs ...any) (list []*common.KeyValue) {
	for i := 0; i < len(pairs); i += 2 {
		v, ok := pairs[i+1].(*common.AnyValue)
		if !ok {
			v = str(fmt.Sprint(pairs[i+1]))
		}
		list = append(list, &common.KeyValue{Key: pairs[i].(string), Value: v})
	}
	return list
}

// request is a message of one resource and its records.
func request(resource []*common.KeyValue, records ...*logs.LogRecord) *logspb.ExportLogsServiceRequest {
	return &logspb.ExportLogsServiceRequest{ResourceLogs: []*logs.ResourceLogs{{
		Resource:  &resourcepb.Resource{Attributes: resource},
		ScopeLogs: []*logs.ScopeLogs{{Scope: &common.InstrumentationScope{Name: "logger"}, LogRecords: records}},
	}}}
}

func bytesOf(t testing.TB, m proto.Message) []byte {
	t.Helper()
	b, err := proto.Marshal(m)
	testkit.Must(t, err)
	return b
}

func decodeRows(message []byte, l Limits) (rows []row, b *batch, err error) {
	b = &batch{}
	b.begin(l, noon)
	err = b.decode(message)
	for i := range b.records {
		rows = append(rows, rowOf(&b.records[i]))
	}
	return rows, b, err
}

func TestDecode(t *testing.T) {
	at := uint64(noon.Add(-time.Second).UnixNano())
	const id = "0f8fad5b-d9cb-469f-a165-70867728950e"
	uuidBytes := [16]byte{0x0f, 0x8f, 0xad, 0x5b, 0xd9, 0xcb, 0x46, 0x9f, 0xa1, 0x65, 0x70, 0x86, 0x77, 0x28, 0x95, 0x0e}
	base := func() row {
		return row{Time: int64(at), Function: "feed", Scope: "logger"}
	}
	for _, c := range []struct {
		name     string
		resource []*common.KeyValue
		record   *logs.LogRecord
		want     func(*row)
	}{
		{
			"all columns", kvs("service.name", "other", "kongdao.function", "feed", "service.namespace", "shop", "service.version", "r12",
				"cloud.availability_zone", "zb-a", "host.name", "h1", "k8s.pod.name", "feed-7", "telemetry.sdk.name", "x"),
			&logs.LogRecord{
				TimeUnixNano: at, ObservedTimeUnixNano: 5, SeverityNumber: 17, SeverityText: "ERROR", Body: str("it broke"),
				TraceId: bytes.Repeat([]byte{7}, 16), SpanId: bytes.Repeat([]byte{8}, 8), EventName: "broken",
				Attributes: kvs("request_id", id, "user", "u1"),
			}, func(r *row) {
				r.Tenant, r.Revision, r.Zone, r.Pod = "shop", "r12", "zb-a", "feed-7"
				r.Severity, r.SeverityText, r.Body = 17, "ERROR", "it broke"
				r.TraceID, r.SpanID, r.RequestID = [16]byte(bytes.Repeat([]byte{7}, 16)), [8]byte(bytes.Repeat([]byte{8}, 8)), uuidBytes
				r.Attrs = []string{"user=u1", "event.name=broken"}
			},
		},
		{"observed time", kvs("service.name", "feed"), &logs.LogRecord{ObservedTimeUnixNano: at}, func(*row) {}},
		{"no time", kvs("service.name", "feed"), &logs.LogRecord{Body: str("x")}, func(r *row) { r.Time, r.Body = noon.UnixNano(), "x" }},
		{"too old", kvs("service.name", "feed"), &logs.LogRecord{TimeUnixNano: 1e9}, func(r *row) {
			r.Time, r.Attrs = noon.UnixNano(), []string{"kongdao.clock=1970-01-01T00:00:01Z"}
		}},
		{"too new", kvs("service.name", "feed"), &logs.LogRecord{TimeUnixNano: math.MaxUint64}, func(r *row) {
			r.Time, r.Attrs = noon.UnixNano(), []string{"kongdao.clock=2262-04-11T23:47:16.854775807Z"}
		}},
		{
			"request id as a header", kvs("service.name", "feed"), &logs.LogRecord{TimeUnixNano: at, Attributes: kvs("http.request.header.x-request-id", array(str(id)))},
			func(r *row) { r.RequestID = uuidBytes },
		},
		{
			"request id of another kind", kvs("service.name", "feed"), &logs.LogRecord{TimeUnixNano: at, Attributes: kvs("request_id", "r-1")},
			func(r *row) { r.Attrs = []string{"request_id=r-1"} },
		},
		{
			"trace id as an attribute", kvs("service.name", "feed"), &logs.LogRecord{TimeUnixNano: at, Attributes: kvs("trace_id", strings.ReplaceAll(id, "-", ""))},
			func(r *row) { r.TraceID, r.Attrs = uuidBytes, []string{"trace_id=0f8fad5b", "kongdao.cut_bytes=24"} },
		},
		{"ids of wrong length", kvs("service.name", "feed"), &logs.LogRecord{TimeUnixNano: at, TraceId: []byte{1}, SpanId: make([]byte, 9)}, func(*row) {}},
		{"severity beyond", kvs("service.name", "feed"), &logs.LogRecord{TimeUnixNano: at, SeverityNumber: 25}, func(*row) {}},
		{
			"cut body", kvs("service.name", "feed"), &logs.LogRecord{TimeUnixNano: at, Body: str(strings.Repeat("字", 30))},
			func(r *row) { r.Body, r.Attrs = strings.Repeat("字", 21), []string{"kongdao.cut_bytes=27"} },
		},
		{"cut and dropped attributes", kvs("service.name", "feed"), &logs.LogRecord{
			TimeUnixNano: at, DroppedAttributesCount: 2,
			Attributes: kvs("a", "0123456789", "b", "1", "c", "2", "d", "3"),
		}, func(r *row) {
			r.Attrs = []string{"a=01234567", "b=1", "c=2", "kongdao.dropped_attributes=3", "kongdao.cut_bytes=2"}
		}},
		{"kinds of values", kvs("service.name", "feed"), &logs.LogRecord{
			TimeUnixNano: at,
			Body: &common.AnyValue{Value: &common.AnyValue_KvlistValue{KvlistValue: &common.KeyValueList{
				Values: kvs("z", &common.AnyValue{Value: &common.AnyValue_IntValue{IntValue: -3}}, "a", array(str("x"), &common.AnyValue{})),
			}}},
			Attributes: kvs(
				"f", &common.AnyValue{Value: &common.AnyValue_DoubleValue{DoubleValue: 0.5}},
				"t", &common.AnyValue{Value: &common.AnyValue_BoolValue{BoolValue: true}},
				"b", &common.AnyValue{Value: &common.AnyValue_BytesValue{BytesValue: []byte("hi")}},
			),
		}, func(r *row) {
			r.Body = `{"a":["x",null],"z":-3}`
			r.Attrs = []string{"f=0.5", "t=true", "b=aGk="}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := testLimits()
			want := base()
			c.want(&want)
			message := bytesOf(t, request(c.resource, c.record))
			got, b, err := decodeRows(message, l)
			if err != nil || b.refused > 0 {
				t.Fatal(b.refused, err)
			}
			if diff := cmp.Diff([]row{want}, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			ref, _, err := reference(message, l, noon)
			testkit.Must(t, err)
			if diff := cmp.Diff([]row{want}, ref); diff != "" {
				t.Errorf("reference (-want +got):\n%s", diff)
			}
		})
	}
}

func testLimits() Limits {
	l := DefaultConfig().Limits
	l.MaxBodyBytes, l.MaxAttributes, l.MaxAttributeBytes = 64, 3, 8
	l.MaxAttributeBytes = 8
	return l
}

func TestNoFunction(t *testing.T) {
	m := request(kvs("service.namespace", "shop"), &logs.LogRecord{Body: str("x"), Attributes: kvs("a", 1)}, &logs.LogRecord{})
	m.ResourceLogs = append(m.ResourceLogs, request(kvs("service.name", "feed"), &logs.LogRecord{Attributes: kvs("b", 2)}).ResourceLogs...)
	rows, b, err := decodeRows(bytesOf(t, m), DefaultConfig().Limits)
	if err != nil || b.refused != 2 || len(rows) != 1 || rows[0].Attrs[0] != "b=2" {
		t.Errorf("%d refused, %v, %v", b.refused, rows, err)
	}
}

// TestResourceBehindRecords: protobuf leaves the order of fields to the sender.
func TestResourceBehindRecords(t *testing.T) {
	records := bytesOf(t, &logs.ResourceLogs{ScopeLogs: []*logs.ScopeLogs{{LogRecords: []*logs.LogRecord{{Body: str("x")}}}}})
	resource := bytesOf(t, &logs.ResourceLogs{Resource: &resourcepb.Resource{Attributes: kvs("service.name", "feed")}})
	rl := append(records, resource...)
	message := append([]byte{0x0a, byte(len(rl))}, rl...)
	rows, _, err := decodeRows(message, DefaultConfig().Limits)
	if err != nil || len(rows) != 1 || rows[0].Function != "feed" {
		t.Error(rows, err)
	}
}

func TestMalformed(t *testing.T) {
	deep := str("x")
	for range 200 {
		deep = array(deep)
	}
	many := request(kvs("service.name", "feed"))
	for range maxRecords + 1 {
		sl := many.ResourceLogs[0].ScopeLogs[0]
		sl.LogRecords = append(sl.LogRecords, &logs.LogRecord{})
	}
	whole := bytesOf(t, request(kvs("service.name", "feed"), &logs.LogRecord{Body: str("body"), Attributes: kvs("a", "b")}))
	for name, c := range map[string]struct {
		message []byte
		want    error
	}{
		"text":     {[]byte("hello, world"), errMessage},
		"cut":      {whole[:len(whole)-3], errMessage},
		"too deep": {bytesOf(t, request(kvs("service.name", "feed"), &logs.LogRecord{Body: deep})), errMessage},
		"too many": {bytesOf(t, many), errTooMany},
	} {
		if _, _, err := decodeRows(c.message, DefaultConfig().Limits); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

// TestHugeStructure: taking it apart would need a large multiple of its size.
func TestHugeStructure(t *testing.T) {
	var list []*common.AnyValue
	for range maxNested / 2 {
		list = append(list, &common.AnyValue{})
	}
	rows, _, err := decodeRows(bytesOf(t, request(kvs("service.name", "f"), &logs.LogRecord{Body: array(list...)})), DefaultConfig().Limits)
	if err != nil || !strings.HasPrefix(rows[0].Body, "(a structure of ") {
		t.Errorf("%.80q, %v", rows[0].Body, err)
	}
}

// TestBlockKeeps: what is in the block outlives batch and message.
func TestBlockKeeps(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	message := bytesOf(t, randomRequest(r, 50))
	want, b, err := decodeRows(bytes.Clone(message), DefaultConfig().Limits)
	testkit.Must(t, err)
	clear(message)
	block := fnlog.NewBlock()
	for i := range b.records {
		block.Append(&b.records[i])
	}
	b.reset()
	clear(b.arena[:cap(b.arena)])
	data, err := block.Encode(nil)
	testkit.Must(t, err)
	back, err := fnlog.DecodeBlock(data)
	testkit.Must(t, err)
	var got []row
	back.Each(func(r *fnlog.Record) { got = append(got, rowOf(r)) })
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// randomRequest has all that a request can have.
func randomRequest(r *rand.Rand, records int) *logspb.ExportLogsServiceRequest {
	m := &logspb.ExportLogsServiceRequest{}
	for range 1 + r.IntN(3) {
		rl := &logs.ResourceLogs{}
		if r.IntN(10) > 0 {
			rl.Resource = &resourcepb.Resource{Attributes: kvs("service.name", fmt.Sprint("fn-", r.IntN(5)), "service.version", "r1", "host.name", fmt.Sprint("h", r.IntN(9)))}
		}
		for range 1 + r.IntN(3) {
			sl := &logs.ScopeLogs{Scope: &common.InstrumentationScope{Name: fmt.Sprint("s", r.IntN(3))}}
			for range records {
				sl.LogRecords = append(sl.LogRecords, randomRecord(r))
			}
			rl.ScopeLogs = append(rl.ScopeLogs, sl)
		}
		m.ResourceLogs = append(m.ResourceLogs, rl)
	}
	return m
}

func randomRecord(r *rand.Rand) *logs.LogRecord {
	rec := &logs.LogRecord{
		TimeUnixNano:   uint64(noon.Add(-time.Duration(r.Int64N(int64(30 * time.Hour)))).UnixNano()),
		SeverityNumber: logs.SeverityNumber(r.IntN(26)), SeverityText: fmt.Sprint("S", r.IntN(4)),
		Body: randomValue(r, 3), DroppedAttributesCount: uint32(r.IntN(2)),
	}
	if r.IntN(2) > 0 {
		rec.TraceId, rec.SpanId = make([]byte, 16), make([]byte, 8)
		rec.TraceId[3], rec.SpanId[2] = byte(r.Uint32()), byte(r.Uint32())
	}
	for range r.IntN(80) {
		rec.Attributes = append(rec.Attributes, &common.KeyValue{Key: fmt.Sprint("k", r.IntN(100)), Value: randomValue(r, 2)})
	}
	return rec
}

func randomValue(r *rand.Rand, depth int) *common.AnyValue {
	switch r.IntN(9 + depth) {
	case 0:
		return nil
	case 1:
		return &common.AnyValue{Value: &common.AnyValue_IntValue{IntValue: r.Int64() - r.Int64()}}
	case 2:
		return &common.AnyValue{Value: &common.AnyValue_DoubleValue{DoubleValue: []float64{r.NormFloat64(), math.NaN(), math.Inf(1), 1e300}[r.IntN(4)]}}
	case 3:
		return &common.AnyValue{Value: &common.AnyValue_BoolValue{BoolValue: r.IntN(2) > 0}}
	case 4:
		return &common.AnyValue{Value: &common.AnyValue_BytesValue{BytesValue: []byte{1, 2, byte(r.Uint32())}}}
	case 9:
		return array(randomValue(r, depth-1), randomValue(r, depth-1))
	case 10:
		return &common.AnyValue{Value: &common.AnyValue_KvlistValue{KvlistValue: &common.KeyValueList{Values: []*common.KeyValue{
			{Key: "x", Value: randomValue(r, depth-1)}, {Key: "a", Value: randomValue(r, depth-1)},
		}}}}
	}
	return str(strings.Repeat(fmt.Sprint("text ", r.IntN(1000)), r.IntN(4)))
}

func TestDecodeLikeProtobuf(t *testing.T) {
	for seed := range uint64(50) {
		message := bytesOf(t, randomRequest(rand.New(rand.NewPCG(3, seed)), 5))
		sameAsReference(t, message, testLimits())
		sameAsReference(t, message, DefaultConfig().Limits)
	}
}

func sameAsReference(t *testing.T, message []byte, l Limits) {
	t.Helper()
	want, refused, errWant := reference(message, l, noon)
	got, b, err := decodeRows(message, l)
	switch {
	case (errWant == nil) != (err == nil):
		t.Fatalf("error %v, want %v", err, errWant)
	case err != nil:
		return
	case b.refused != refused:
		t.Fatalf("%d refused, want %d", b.refused, refused)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("(-want +got):\n%s", diff)
	}
}

// FuzzDecode: whatever the bytes are, the decoder ends, and says what protobuf's
// own structs say.
func FuzzDecode(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte("\x0a\x02\x0a\x00"))
	r := rand.New(rand.NewPCG(4, 5))
	for range 8 { // small ones: the fuzzer shortens what it finds
		rec := randomRecord(r)
		rec.Attributes = rec.Attributes[:min(2, len(rec.Attributes))]
		f.Add(bytesOf(f, request(kvs("service.name", "f"), rec)))
	}
	l := testLimits()
	f.Fuzz(func(t *testing.T, message []byte) {
		_, _, errWant := reference(message, l, noon)
		rows, b, err := decodeRows(message, l)
		if err != nil && !errors.Is(err, errMessage) && !errors.Is(err, errTooMany) {
			t.Fatal(err)
		}
		if errWant == nil && err == nil {
			sameAsReference(t, message, l)
		}
		block := fnlog.NewBlock()
		for i := range b.records {
			block.Append(&b.records[i])
		}
		if _, err := block.Encode(nil); err != nil {
			t.Fatal(err)
		}
		for _, r := range rows {
			if len(r.Body) > l.MaxBodyBytes || len(r.Function) > maxName || len(r.Attrs) > l.MaxAttributes+8 {
				t.Fatalf("beyond its limits: %+v", r)
			}
		}
	})
}

func FuzzJSON(f *testing.F) {
	f.Add([]byte(`{"resourceLogs":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"f"}}]},"scopeLogs":[{"logRecords":[{"timeUnixNano":"1","body":{"stringValue":"x"},"traceId":"5b8efff798038103d269b633813fc60c"}]}]}]}`))
	f.Add([]byte(`{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"body":{"kvlistValue":{"values":[{"key":"a","value":{"arrayValue":{"values":[{"intValue":"1"}]}}}]}}}]}]}]}`))
	f.Add([]byte(`[`))
	f.Fuzz(func(t *testing.T, body []byte) {
		message, err := fromJSON(body)
		if err != nil {
			return
		}
		if _, _, err := decodeRows(message, testLimits()); err != nil && !errors.Is(err, errMessage) && !errors.Is(err, errTooMany) {
			t.Fatal(err)
		}
	})
}

func TestCut(t *testing.T) {
	for n := range 12 {
		got, lost := cut([]byte("a字b字c"), n)
		if !utf8.Valid(got) || len(got) > n || len(got)+lost != 9 {
			t.Errorf("%d: %q, %d lost", n, got, lost)
		}
	}
}

func TestParseID(t *testing.T) {
	for text, ok := range map[string]bool{
		"":                                     false,
		"0f8fad5b-d9cb-469f-a165-70867728950e": true,
		"0F8FAD5BD9CB469FA16570867728950E":     true,
		"0f8fad5b-d9cb-469f-a165-70867728950":  false,
		"0f8fad5b-d9cb-469f-a165-70867728950x": false,
		"0f8fad5bd9cb469fa16570867728950e0000": false,
		strings.Repeat("-", 36):                false,
	} {
		if _, got := parseID([]byte(text)); got != ok {
			t.Errorf("%q: %t", text, got)
		}
	}
}
