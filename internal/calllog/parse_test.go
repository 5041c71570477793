package calllog

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// call is a line as Envoy writes it; edit changes fields by name.
func call(edit map[string]string) string {
	values := map[string]string{
		"version": "k1", "ts": "1795419896275147", "duration_us": "2988", "duration_ms": "2",
		"upstream_us": "1949", "ttfb_us": "2932", "status": "200", "flags": "-", "details": "via_upstream",
		"attempts": "1", "bytes_in": "3", "bytes_out": "5", "tenant": "recommend", "function": "recommend-feed",
		"revision": "r12", "route": "recommend-feed/0", "zone": "zb-a", "pod": "127.0.0.1:9101", "client_ip": "10.1.2.3",
		"consumer": "app-7", "method": "GET", "request_id": "215914be-86d1-4f43-a027-2511b2cbd533",
		"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "load_test": "-",
		"host": "api.example.com", "path": "/recommend/feed?x=1", "user_agent": "curl/8",
	}
	for k, v := range edit {
		values[k] = v
	}
	var made, user []string
	for _, f := range (Headers{}).madeFields() {
		made = append(made, values[f.name])
	}
	for _, f := range (Headers{}).userFields() {
		user = append(user, values[f.name])
	}
	return "\x1e" + strings.Join(made, "\t") + "\t" + strings.Join(user, "\x1f") + "\n"
}

// sample is what call(nil) holds.
func sample() Record {
	return Record{
		Time:      1795419896275147,
		RequestID: [16]byte{0x21, 0x59, 0x14, 0xbe, 0x86, 0xd1, 0x4f, 0x43, 0xa0, 0x27, 0x25, 0x11, 0xb2, 0xcb, 0xd5, 0x33},
		TraceID:   [16]byte{0x0a, 0xf7, 0x65, 0x19, 0x16, 0xcd, 0x43, 0xdd, 0x84, 0x48, 0xeb, 0x21, 0x1c, 0x80, 0x31, 0x9c},
		Tenant:    []byte("recommend"), Function: []byte("recommend-feed"), Revision: []byte("r12"),
		Route: []byte("recommend-feed/0"), Zone: []byte("zb-a"), Pod: []byte("127.0.0.1:9101"),
		Method: []byte("GET"), Host: []byte("api.example.com"), Path: []byte("/recommend/feed?x=1"),
		Status: 200, DurationUS: 2988, UpstreamUS: 1949, TTFBUS: 2932, BytesIn: 3, BytesOut: 5, Attempts: 1,
		ClientIP: netip.MustParseAddr("10.1.2.3").As16(), UserAgent: []byte("curl/8"), Consumer: []byte("app-7"),
		SampleWeight: 1,
	}
}

func TestParseText(t *testing.T) {
	tests := []struct {
		name string
		edit map[string]string
		want func(*Record)
	}{
		{"a plain call", nil, func(*Record) {}},
		{"an empty field is not there", map[string]string{"user_agent": "-"}, func(r *Record) { r.UserAgent = nil }},
		{
			"no last byte: the duration in milliseconds",
			map[string]string{"duration_us": "-", "duration_ms": "1500"},
			func(r *Record) { r.DurationUS = 1_500_000 },
		},
		{
			"a duration above its column",
			map[string]string{"duration_us": "99999999999999999999999"},
			func(r *Record) { r.DurationUS = 1<<32 - 1 },
		},
		{
			"milliseconds that overflow as microseconds",
			map[string]string{"duration_us": "-", "duration_ms": "4294967295"},
			func(r *Record) { r.DurationUS = 1<<32 - 1 },
		},
		{
			"the largest count of bytes, and one more",
			map[string]string{"bytes_in": "18446744073709551615", "bytes_out": "18446744073709551616"},
			func(r *Record) { r.BytesIn, r.BytesOut = 1<<64-1, 1<<64-1 },
		},
		{"more attempts than the column holds", map[string]string{"attempts": "300"}, func(r *Record) { r.Attempts = 255 }},
		{
			"refused by the capacity limit",
			map[string]string{"status": "429", "flags": "RL", "details": "local_rate_limited"},
			func(r *Record) {
				r.Status, r.Flags, r.LimitedBy = 429, []byte("RL"), LimitedByCapacity
				r.Attrs = []Attr{{Key: AttrDetails, Value: []byte("local_rate_limited")}}
			},
		},
		{
			"the second of two flags",
			map[string]string{"flags": "URX,UO"},
			func(r *Record) { r.Flags, r.LimitedBy = []byte("URX,UO"), LimitedByConcurrency },
		},
		{"flags that only look like RL", map[string]string{"flags": "RLSE,XRL"}, func(r *Record) { r.Flags = []byte("RLSE,XRL") }},
		{"a tab in the user agent", map[string]string{"user_agent": "a\tb"}, func(r *Record) { r.UserAgent = []byte("a\tb") }},
		{"a tab in the traceparent", map[string]string{"traceparent": "x\ty"}, func(r *Record) { r.TraceID = [16]byte{} }},
		{"surplus fields belong to the last", map[string]string{"user_agent": "a\x1fb\x1fc"}, func(r *Record) { r.UserAgent = []byte("a\x1fb\x1fc") }},
		{
			"an invented method",
			map[string]string{"method": "BREW"},
			func(r *Record) { r.Method, r.Attrs = []byte("BREW"), []Attr{{Key: AttrMethod, Value: []byte("BREW")}} },
		},
		{
			"a request id that is no uuid",
			map[string]string{"request_id": "u\tser"},
			func(r *Record) {
				r.RequestID, r.Attrs = [16]byte{}, []Attr{{Key: AttrRequestID, Value: []byte("u\tser")}}
			},
		},
		{
			"an IPv6 client with a zone",
			map[string]string{"client_ip": "fe80::1%eth0"},
			func(r *Record) { r.ClientIP = netip.MustParseAddr("fe80::1").As16() },
		},
		{"load test traffic", map[string]string{"load_test": "run-1"}, func(r *Record) { r.LoadTest = []byte("run-1") }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got Record
			if err := ParseText([]byte(call(tt.edit)), &got); err != nil {
				t.Fatal(err)
			}
			want := sample()
			tt.want(&want)
			if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestParseTextMalformed(t *testing.T) {
	whole := call(nil)
	tests := []struct{ name, line, field string }{
		{"nothing", "", "start"},
		{"the rest of a line", whole[5:], "start"},
		{"another version", call(map[string]string{"version": "k2"}), "version"},
		{"no time", call(map[string]string{"ts": "-"}), "ts"},
		{"a time beyond the column", call(map[string]string{"ts": "99999999999999999"}), "ts"},
		{"a sign", call(map[string]string{"status": "-1"}), "status"},
		{"a fraction", call(map[string]string{"upstream_us": "1.5"}), "upstream_us"},
		{"a word", call(map[string]string{"bytes_in": "many"}), "bytes_in"},
		{"no address", call(map[string]string{"client_ip": "nowhere"}), "client_ip"},
		{"cut in the made fields", whole[:strings.Index(whole, "r12")+1], "revision"},
		{"cut in the user fields", whole[:strings.Index(whole, "/feed?")], "path"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var r Record
			err := ParseText([]byte(tt.line), &r)
			if !errors.Is(err, ErrMalformed) || !strings.Contains(err.Error(), "field "+tt.field+":") {
				t.Errorf("got %v, want the field %s", err, tt.field)
			}
		})
	}
}

func TestTorn(t *testing.T) {
	whole := call(nil)
	for cut := range len(whole) - 1 {
		torn, rest := Torn([]byte(whole[:cut] + whole))
		if string(torn) != whole[:cut] || string(rest) != whole {
			t.Fatalf("cut at %d: %q and %q", cut, torn, rest)
		}
	}
}

func TestMalformedKeepsTheCall(t *testing.T) {
	line := []byte(call(map[string]string{"status": "x"}))
	var r Record
	err := ParseText(line, &r)
	r.Malformed(line, 7, err)
	if r.Time != 1795419896275147 || len(r.Function) != 0 || r.SampleWeight != 1 || len(r.Attrs) != 2 {
		t.Errorf("got %+v", r)
	}
	r.Malformed([]byte("torn"), 7, ErrMalformed)
	if want := "torn"; r.Time != 1795419896275147 || string(r.Attrs[1].Value) != want {
		t.Errorf("got %+v", r)
	}
	r.Reset()
	if r.Malformed([]byte("torn"), 7, ErrMalformed); r.Time != 7 {
		t.Errorf("time %d", r.Time)
	}
}

func TestParseTextAllocatesNothing(t *testing.T) {
	lines := [][]byte{
		[]byte(call(nil)),
		[]byte(call(map[string]string{"flags": "RL", "details": "local_rate_limited", "method": "BREW", "request_id": "x"})),
		[]byte(call(map[string]string{"client_ip": "2001:db8::1"})),
	}
	var r Record
	for i, line := range lines {
		if n := testing.AllocsPerRun(100, func() {
			if err := ParseText(line, &r); err != nil {
				t.Fatal(err)
			}
		}); n != 0 {
			t.Errorf("line %d: %v allocations", i, n)
		}
	}
}

// FuzzParseText checks that whatever parses can be stored, and that nothing but
// the line decides what comes out.
func FuzzParseText(f *testing.F) {
	f.Add([]byte(call(nil)))
	f.Add([]byte(call(map[string]string{"flags": "URX,UC", "duration_us": "-", "user_agent": "a\tb\x1f"})))
	f.Add([]byte("\x1ek1\t"))
	f.Fuzz(func(t *testing.T, line []byte) {
		var r, again Record
		again.Attrs = []Attr{{Key: "left over", Value: nil}}
		err := ParseText(line, &r)
		if (ParseText(line, &again) == nil) != (err == nil) || err == nil && !cmp.Equal(r, again, cmpopts.EquateEmpty()) {
			t.Fatalf("%+v, then %+v", r, again)
		}
		if err != nil && !errors.Is(err, ErrMalformed) {
			t.Fatal(err)
		}
		if err != nil {
			r.Malformed(line, 1, err)
		}
		b := NewBlock()
		b.Append(&r)
		if _, err := b.Encode(nil); err != nil {
			t.Fatal(err)
		}
	})
}

func BenchmarkParseText(b *testing.B) {
	line := []byte(call(nil))
	var r Record
	b.ReportAllocs()
	b.SetBytes(int64(len(line)))
	for b.Loop() {
		if err := ParseText(line, &r); err != nil {
			b.Fatal(err)
		}
	}
}
