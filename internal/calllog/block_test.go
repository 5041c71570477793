package calllog

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"testing"

	"github.com/ClickHouse/ch-go/compress"
	"github.com/ClickHouse/ch-go/proto"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/kongdao/kongdao/internal/column"
)

// randomRecord differs from others in every field.
func randomRecord(r *rand.Rand) *Record {
	name := func(n int) []byte { return fmt.Appendf(nil, "n-%d", r.IntN(n)) }
	rec := sample()
	rec.Time += r.Int64N(1e9)
	rec.RequestID[0], rec.TraceID[1] = byte(r.Uint32()), byte(r.Uint32())
	rec.Gateway, rec.GatewayZone = string(name(3)), string(name(2))
	rec.Tenant, rec.Function, rec.Revision, rec.Route = name(5), name(300), name(9), name(700)
	rec.Zone, rec.Pod, rec.Consumer = name(3), name(1000), name(10)
	rec.Host, rec.Path, rec.UserAgent, rec.LoadTest = name(100), name(1e6), name(50), name(2)
	rec.Method = []byte([]string{"GET", "POST", ""}[r.IntN(3)])
	rec.Status, rec.DurationUS, rec.UpstreamUS, rec.TTFBUS = uint16(r.Uint32()), r.Uint32(), r.Uint32(), r.Uint32()
	rec.BytesIn, rec.BytesOut, rec.Attempts = r.Uint64(), r.Uint64(), byte(r.Uint32())
	rec.ClientIP[15] = byte(r.Uint32())
	if r.IntN(4) == 0 {
		rec.LimitedBy = LimitedByCapacity
		rec.Attrs = []Attr{{Key: AttrDetails, Value: name(8)}, {Key: AttrLine, Value: name(3)}}
	}
	return &rec
}

func TestBlockColumns(t *testing.T) {
	in := NewBlock().Input()
	columns := Columns()
	if len(in) != len(columns) {
		t.Fatalf("%d columns, want %d", len(in), len(columns))
	}
	for i, c := range columns {
		if in[i].Name != c.Name || string(in[i].Data.Type()) != c.Type {
			t.Errorf("column %d is %s %s, want %s %s", i, in[i].Name, in[i].Data.Type(), c.Name, c.Type)
		}
	}
}

// TestBlockRoundTrip has blocks with few and many names, so that keys have 8, 16 and 32 bits.
func TestBlockRoundTrip(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	b := NewBlock()
	for _, rows := range []int{0, 1, 2, 1000, 70_000} {
		b.Reset()
		var want []Record
		for i := range rows {
			rec := randomRecord(r)
			if rows > 1<<16 {
				rec.Pod = fmt.Appendf(nil, "pod-%d", i)
			}
			want = append(want, *rec)
			b.Append(rec)
		}
		data, err := b.Encode(nil)
		if err != nil {
			t.Fatal(err)
		}
		got, err := DecodeBlock(data)
		if err != nil {
			t.Fatalf("%d rows: %v", rows, err)
		}
		checkRows(t, b, want)
		checkRows(t, got, want)
		again, err := got.Encode(nil)
		if err != nil || !bytes.Equal(again, data) {
			t.Errorf("%d rows: encoding what was decoded gives %d other bytes for %d, %v", rows, len(again), len(data), err)
		}
		got.Append(randomRecord(r))
		if got.Rows() != rows+1 {
			t.Errorf("%d rows after an append to %d", got.Rows(), rows)
		}
	}
}

func checkRows(t *testing.T, b *Block, want []Record) {
	t.Helper()
	i := 0
	var earliest, latest int64
	b.Each(func(r *Record) {
		if every := 1 + len(want)/1000; i%every == 0 { // cmp takes 0.2 ms a row
			if diff := cmp.Diff(&want[i], r, cmpopts.EquateEmpty()); diff != "" && !t.Failed() {
				t.Errorf("row %d (-want +got):\n%s", i, diff)
			}
		}
		if i == 0 {
			earliest, latest = r.Time, r.Time
		}
		earliest, latest = min(earliest, r.Time), max(latest, r.Time)
		i++
	})
	if i != len(want) || b.Rows() != len(want) {
		t.Fatalf("%d rows, want %d", i, len(want))
	}
	if from, to := b.Span(); from != earliest || to != latest {
		t.Errorf("span %d to %d, want %d to %d", from, to, earliest, latest)
	}
}

// TestBlockReadByOthers decodes the block with ch-go's own columns.
func TestBlockReadByOthers(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	b := NewBlock()
	for range 300 {
		b.Append(randomRecord(r))
	}
	data, err := b.Encode(nil)
	if err != nil {
		t.Fatal(err)
	}
	reader := proto.NewReader(bytes.NewReader(data))
	reader.EnableCompression()
	var block proto.Block
	var results proto.Results
	for _, c := range Columns() {
		result := proto.AutoResult(c.Name)
		if c.Type == "LowCardinality(String)" {
			result.Data = new(proto.ColStr).LowCardinality() // ColAuto does not read its state
		}
		results = append(results, result)
	}
	results[len(results)-1].Data = proto.NewMap(new(proto.ColStr).LowCardinality(), new(proto.ColStr))
	if err := block.DecodeBlock(reader, Revision, results); err != nil {
		t.Fatal(err)
	}
	if block.Rows != 300 || len(results) != len(Columns()) {
		t.Fatalf("%d rows, %d columns", block.Rows, len(results))
	}
	for i, c := range Columns() {
		if got := string(results[i].Data.Type()); got != c.Type || results[i].Name != c.Name {
			t.Errorf("column %s: type %s, want %s", results[i].Name, got, c.Type)
		}
	}
}

func TestAppendBoundsMethods(t *testing.T) {
	b := NewBlock()
	for i := range 100 {
		b.Append(&Record{Method: fmt.Appendf(nil, "M%d", i)})
	}
	b.Each(func(r *Record) {
		if string(r.Method) != OtherMethod {
			t.Errorf("method %s", r.Method)
		}
	})
}

// TestAppendKeepsNothing overwrites what a record pointed to.
func TestAppendKeepsNothing(t *testing.T) {
	b := NewBlock()
	line := []byte(call(map[string]string{"details": "local_rate_limited"}))
	var r Record
	if err := ParseText(line, &r); err != nil {
		t.Fatal(err)
	}
	b.Append(&r)
	want, err := b.Encode(nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := range line {
		line[i] = 'X'
	}
	got, err := b.Encode(nil)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("the block changed with the line, %v", err)
	}
}

func FuzzDecodeBlock(f *testing.F) {
	r := rand.New(rand.NewPCG(5, 6))
	b := NewBlock()
	for _, rows := range []int{0, 1, 20} {
		for range rows {
			b.Append(randomRecord(r))
		}
		data, err := b.Encode(nil)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
		f.Add(decompress(f, data))
		b.Reset()
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if _, err := DecodeBlock(data); err == nil {
			checkReadable(t, data)
		}
		// The same as the inside of a frame, where the checksum is right.
		framed, err := column.NewEncoder().Compress(nil, data)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := DecodeBlock(framed); err == nil {
			checkReadable(t, framed)
		}
	})
}

// TestDecodeBlockDamaged cuts a block and flips each of its bytes.
func TestDecodeBlockDamaged(t *testing.T) {
	b := NewBlock()
	b.Append(randomRecord(rand.New(rand.NewPCG(9, 9))))
	data, err := b.Encode(nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := range data {
		if _, err := DecodeBlock(data[:i]); !errors.Is(err, ErrMalformed) {
			t.Errorf("the first %d bytes: %v", i, err)
		}
		bad := bytes.Clone(data)
		bad[i] ^= 0x40
		if _, err := DecodeBlock(bad); !errors.Is(err, ErrMalformed) {
			t.Errorf("byte %d changed: %v", i, err)
		}
	}
}

func decompress(t testing.TB, data []byte) []byte {
	raw, err := io.ReadAll(compress.NewReader(bytes.NewReader(data)))
	if !errors.Is(err, io.EOF) { // that is how its end looks
		t.Fatal(err)
	}
	return raw
}

func checkReadable(t *testing.T, data []byte) {
	b, err := DecodeBlock(data)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	b.Each(func(r *Record) { n += len(r.Path) + len(r.Attrs) })
	if _, err := b.Encode(nil); err != nil {
		t.Fatal(err)
	}
}

// BenchmarkLineToBlock is the way of a line from the file to the bytes that the WAL stores.
func BenchmarkLineToBlock(b *testing.B) {
	const rows = 10_000
	r := rand.New(rand.NewPCG(7, 8))
	lines := make([][]byte, rows)
	for i := range lines {
		lines[i] = []byte(call(map[string]string{
			"function": fmt.Sprint("fn-", r.IntN(500)), "duration_us": fmt.Sprint(r.IntN(1e6)),
			"pod": fmt.Sprint("10.0.0.", r.IntN(200), ":9000"), "path": fmt.Sprint("/v1/items/", r.IntN(1e6)),
			"request_id":  fmt.Sprintf("%08x-86d1-4f43-a027-%012x", r.Uint32(), r.Uint64()>>16),
			"traceparent": fmt.Sprintf("00-%016x%016x-b7ad6b7169203331-01", r.Uint64(), r.Uint64()),
		}))
	}
	block := NewBlock()
	var rec Record
	var data []byte
	b.ReportAllocs()
	for b.Loop() {
		block.Reset()
		for _, line := range lines {
			if err := ParseText(line, &rec); err != nil {
				b.Fatal(err)
			}
			block.Append(&rec)
		}
		var err error
		if data, err = block.Encode(data[:0]); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N*rows)/b.Elapsed().Seconds(), "rows/s")
	b.ReportMetric(float64(len(data))/rows, "B/row")
}
