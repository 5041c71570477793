package policy

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/kongdao/kongdao/internal/calllog"
)

func redactor(t testing.TB, change func(*Redact)) *Redactor {
	t.Helper()
	c := DefaultRedact()
	if change != nil {
		change(&c)
	}
	d, err := NewRedactor(c)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func everything(c *Redact) {
	c.Patterns = Patterns()
	c.Custom = map[string]string{"order": `ORD-[0-9]{6}`}
}

func TestText(t *testing.T) {
	const (
		jwt    = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.SflKxwRJSMeKKF2QT4fwpMeJf36POk6yJV_adQssw5c"
		hex    = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
		base64 = "dGhpcyBpcyBhIHNlY3JldCB0aGF0IGlzIGxvbmc5Zk1="
		id     = "11010519491231002X" // the standard's own example
		mac    = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36"
	)
	tests := []struct{ name, in, want string }{
		{"nothing", "", ""},
		{"a browser", mac, mac},
		{"a path", "/v1/items/123456/comments?page=12&size=20", "/v1/items/123456/comments?page=12&size=20"},
		{"a number", "/call/13812345678", "/call/[phone]"},
		{"two numbers", "/13812345678/19900001111/x", "/[phone]/[phone]/x"},
		{"with dashes", "?tel=138-1234-5678&x=1", "?tel=[phone]&x=1"},
		{"with spaces", "tel 138 1234 5678.", "tel [phone]."},
		{"with a country", "/+8613812345678 +86-13812345678 008613812345678", "/[phone] [phone] [phone]"},
		{"with an escaped country", "?tel=%2B8613812345678", "?tel=%2B[phone]"},
		{"behind an escaped space", "?q=a%2013812345678", "?q=a%20[phone]"},
		{"behind escaped Chinese", "?q=%E5%8F%B713812345678%E5", "?q=%E5%8F%B7[phone]%E5"},
		{"too long for a number", "/order/138123456789", "/order/138123456789"},
		{"digits before", "/order/913812345678", "/order/913812345678"},
		{"no mobile number", "/order/12812345678", "/order/12812345678"},
		{"milliseconds", "?t=1700000000000&ts=1700000000", "?t=1700000000000&ts=1700000000"},
		{"an ID card", "/id/" + id + "/x", "/id/[idcard]/x"},
		{"with a small x", "/id/11010519491231002x", "/id/[idcard]"},
		{"of digits alone", "id=440524188001010014", "id=[idcard]"},
		{"a wrong check digit", "id=440524188001010015", "id=440524188001010015"},
		{"no date", "id=440524188013010014", "id=440524188013010014"},
		{"a longer number", "id=4405241880010100141", "id=4405241880010100141"},
		{"a web token", "/x/" + jwt + "/y", "/x/[token]/y"},
		{"a web token without signature", "eyJhbGciOiJub25lIn0.eyJzdWIiOiIxIn0.", "[token]"},
		{"hex", "/h/" + hex, "/h/[token]"},
		{"base64", "/b/" + base64 + "?x=1", "/b/[token]?x=1"},
		{"a UUID", "/items/215914be-86d1-4f43-a027-2511b2cbd533", "/items/215914be-86d1-4f43-a027-2511b2cbd533"},
		{"a title", "/posts/how-to-build-2-things-with-go-in-2024-and-later", "/posts/how-to-build-2-things-with-go-in-2024-and-later"},
		{"a long name", "/api/getRecommendationFeedForUserV2WithPagination", "/api/getRecommendationFeedForUserV2WithPagination"},
		{"a snake", "/api/recommendation_feed_service_20240101_v2", "/api/recommendation_feed_service_20240101_v2"},
		{"a long number", "/n/12345678901234567890123456789012345", "/n/12345678901234567890123456789012345"},
		{"parameters", "/p?token=abc&x=1&Password=hunter2&api_key=1;sign=s#f", "/p?token=[token]&x=1&Password=[token]&api_key=[token];sign=[token]#f"},
		{"nested parameters", "/p?user[password]=x&access_token=1", "/p?user[password]=[token]&access_token=[token]"},
		{"an escaped address", "/p?next=https%3A%2F%2Fh%2F%3Ftoken%3Dabc%26x%3D1", "/p?next=https%3A%2F%2Fh%2F%3Ftoken%3D[token]%26x%3D1"},
		{"no secret names", "/p?design=1&signal=2&author=me&pin=", "/p?design=1&signal=2&author=me&pin="},
		{"empty values", "/p?token=&password", "/p?token=&password"},
		{"hidden already", "/p?token=[token]&x=[phone]", "/p?token=[token]&x=[phone]"},
		{"an address", "/u/zhang.san+x@mail.example.com.", "/u/[email]."},
		{"an escaped address", "?m=a%40b.cn&x=%41@", "?m=[email]&x=%41@"},
		{"no address", "/@scope/pkg@1.2.3", "/@scope/pkg@1.2.3"},
		{"custom", "/o/ORD-123456/x", "/o/[order]/x"},
		{"several", "/13812345678?m=a@b.cn&pwd=1&o=ORD-000000", "/[phone]?m=[email]&pwd=[token]&o=[order]"},
	}
	d := redactor(t, everything)
	for _, tt := range tests {
		d.Record(&calllog.Record{}) // begins a record
		if got := string(d.Text([]byte(tt.in))); got != tt.want {
			t.Errorf("%s: %q becomes %q, want %q", tt.name, tt.in, got, tt.want)
		}
	}
}

func TestDefaultsLeaveEmail(t *testing.T) {
	d := redactor(t, nil)
	if got := string(d.Text([]byte("/a@b.cn/13812345678"))); got != "/a@b.cn/[phone]" {
		t.Error(got)
	}
}

func call() calllog.Record {
	r := calllog.Record{
		Host: []byte("13812345678.example.com"), Path: []byte("/p?a=1&name=li&b=2"), UserAgent: []byte("app 13812345678"),
		Consumer: []byte("13812345678"), LoadTest: []byte("13812345678"), SampleWeight: 1,
		RequestID: [16]byte{1}, TraceID: [16]byte{2}, ClientIP: netip.MustParseAddr("10.1.2.3").As16(),
		Attrs: []calllog.Attr{
			{Key: "x-user", Value: []byte("13812345678")},
			{Key: calllog.AttrLine, Value: []byte("raw 13812345678")},
			{Key: calllog.AttrRequestID, Value: []byte("id")},
		},
	}
	return r
}

func TestRecord(t *testing.T) {
	attr := func(r *calllog.Record, key string, value []byte) {
		for i := range r.Attrs {
			if r.Attrs[i].Key == key {
				r.Attrs[i].Value = value
			}
		}
	}
	patterns := func(r *calllog.Record) {
		r.Host, r.UserAgent, r.Consumer, r.LoadTest = []byte("[phone].example.com"), []byte("app [phone]"), []byte("[phone]"), []byte("[phone]")
		attr(r, "x-user", []byte("[phone]"))
		attr(r, calllog.AttrLine, []byte("raw [phone]"))
	}
	noLine := func(r *calllog.Record) { patterns(r); attr(r, calllog.AttrLine, masked) }
	tests := []struct {
		name   string
		config func(*Redact)
		want   func(*calllog.Record)
	}{
		{"patterns", nil, patterns},
		{"nothing", func(c *Redact) { c.Patterns = nil }, func(*calllog.Record) {}},
		{"a parameter dropped", func(c *Redact) { c.Drop = []string{"query.name"} }, func(r *calllog.Record) { noLine(r); r.Path = []byte("/p?a=1&b=2") }},
		{"the first dropped, the last masked", func(c *Redact) { c.Drop, c.Mask = []string{"query.a"}, []string{"query.b"} }, func(r *calllog.Record) { noLine(r); r.Path = []byte("/p?name=li&b=***") }},
		{"the query dropped", func(c *Redact) { c.Drop = []string{"query"} }, func(r *calllog.Record) { noLine(r); r.Path = []byte("/p") }},
		{"the query masked", func(c *Redact) { c.Mask = []string{"query"} }, func(r *calllog.Record) { noLine(r); r.Path = []byte("/p?***") }},
		{"texts dropped", func(c *Redact) { c.Drop = []string{"user_agent", "host", "path", "consumer", "load_test"} }, func(r *calllog.Record) {
			noLine(r)
			r.UserAgent, r.Host, r.Path, r.Consumer, r.LoadTest = nil, nil, nil, nil, nil
		}},
		{"texts masked", func(c *Redact) { c.Mask = []string{"user_agent", "host", "path", "consumer", "load_test"} }, func(r *calllog.Record) {
			noLine(r)
			r.UserAgent, r.Host, r.Path, r.Consumer, r.LoadTest = masked, masked, masked, masked, masked
		}},
		{"ids dropped", func(c *Redact) { c.Drop = []string{"request_id", "trace_id", "client_ip"} }, func(r *calllog.Record) {
			noLine(r)
			r.RequestID, r.TraceID, r.ClientIP, r.Attrs = [16]byte{}, [16]byte{}, [16]byte{}, r.Attrs[:2]
		}},
		{"a header dropped", func(c *Redact) { c.Drop = []string{"attrs.x-user"} }, func(r *calllog.Record) { noLine(r); r.Attrs = r.Attrs[1:] }},
		{"a header masked", func(c *Redact) { c.Mask = []string{"attrs.x-user"} }, func(r *calllog.Record) { noLine(r); attr(r, "x-user", masked) }},
		{"addresses cut", func(c *Redact) { c.IPv4Bits = 24 }, func(r *calllog.Record) { noLine(r); r.ClientIP = netip.MustParseAddr("10.1.2.0").As16() }},
	}
	for _, tt := range tests {
		d := redactor(t, tt.config)
		for range 2 { // the second call finds the memory of the first
			got, want := call(), call()
			tt.want(&want)
			d.Record(&got)
			if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tt.name, diff)
			}
		}
	}
}

// TestRepeatedTexts: what was found clean is remembered, what was not is looked
// through each time, also when both belong in one slot.
func TestRepeatedTexts(t *testing.T) {
	d := redactor(t, nil)
	r := rand.New(rand.NewPCG(7, 8))
	agents := []string{"", "short", "13812345678", "an agent 13812345678", strings.Repeat("long ", 200), "[phone] in it", "token=x"}
	for i := range 300 {
		agents = append(agents, fmt.Sprintf("agent/%d of many", i))
	}
	fresh := redactor(t, nil)
	for range 20_000 {
		in := agents[r.IntN(len(agents))]
		a, b := calllog.Record{UserAgent: []byte(in), Host: []byte(in)}, calllog.Record{}
		d.Record(&a)
		fresh.Record(&b)
		if want := fresh.Text([]byte(in)); !bytes.Equal(a.UserAgent, want) || !bytes.Equal(a.Host, want) {
			t.Fatalf("%q becomes %q and %q, want %q", in, a.UserAgent, a.Host, want)
		}
	}
}

func TestAddresses(t *testing.T) {
	for _, tt := range []struct {
		v4, v6   int
		in, want string
	}{
		{24, 48, "10.1.2.3", "10.1.2.0"},
		{24, 48, "2001:db8:1:2::3", "2001:db8:1::"},
		{0, 128, "10.1.2.3", "::"},
		{32, 0, "2001:db8::1", "::"},
		{32, 0, "10.1.2.3", "10.1.2.3"},
		{16, 64, "::", "::"},
	} {
		d := redactor(t, func(c *Redact) { c.IPv4Bits, c.IPv6Bits = tt.v4, tt.v6 })
		r := calllog.Record{ClientIP: netip.MustParseAddr(tt.in).As16()}
		d.Record(&r)
		if got := netip.AddrFrom16(r.ClientIP).Unmap().String(); got != tt.want {
			t.Errorf("%s to %d, %d bits: %s, want %s", tt.in, tt.v4, tt.v6, got, tt.want)
		}
	}
}

func TestWhatIsWrong(t *testing.T) {
	c := Redact{
		Patterns: []string{"phone", "fax"}, IPv4Bits: 33, IPv6Bits: -1, Drop: []string{"status", "query."}, Mask: []string{"client_ip", "attrs.x"},
		Custom: map[string]string{"phone": "x", "a": "(", "b": "", "c": "ph", "fine": "ORD-[0-9]+"},
	}
	got := fmt.Sprint(c.Validate())
	for _, want := range []string{
		"redact.patterns[1]: ", "redact.custom.phone: ", "redact.custom.a: ", "redact.custom.b: ", "redact.custom.c: ",
		"redact.drop[0]: ", "redact.drop[1]: ", "redact.mask[0]: ", "clientIP.ipv4Bits: ", "clientIP.ipv6Bits: ",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is not in %s", want, got)
		}
	}
	if strings.Count(got, "\n") != 9 {
		t.Errorf("not ten problems: %s", got)
	}
	if _, err := NewRedactor(c); err == nil {
		t.Error("it is accepted")
	}
}

// hidden checks what holds for the result of every text.
func hidden(t testing.TB, d *Redactor, in []byte) {
	t.Helper()
	d.Record(&calllog.Record{})
	before := bytes.Clone(in)
	out := bytes.Clone(d.Text(in))
	if !bytes.Equal(in, before) {
		t.Fatalf("%q was changed to %q", before, in)
	}
	const most = 2 // a secret of one byte becomes [token], behind a name of 3 bytes and =
	if len(out) > most*len(in)+8 {
		t.Errorf("%q grows to %q", in, out)
	}
	for _, p := range d.passes {
		if start, end, ok := p.find(out, 0); ok {
			t.Errorf("%q becomes %q, which still has %s: %q", in, out, p.mask, out[start:end])
		}
	}
	if again := d.Text(out); !bytes.Equal(again, out) {
		t.Errorf("%q becomes %q and then %q", in, out, again)
	}
}

func FuzzText(f *testing.F) {
	for _, s := range []string{
		"", "13812345678", "+86-138-1234-5678", "%2013812345678", "11010519491231002X", "token=abc&password=%3D", "a@b.cn", "a%40b.cn",
		"eyJhbGciOiJub25lIn0.eyJzdWIiOiIxIn0.", "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08", "ORD-123456",
		"138 1234 567813912345678", "sig=x&sig=[token]y", "eyJeyJeyJeyJ.eyJeyJeyJ", "13812345678@13812345678.com",
	} {
		f.Add([]byte(s))
	}
	d := redactor(f, func(c *Redact) { c.Patterns = Patterns() })
	f.Fuzz(func(t *testing.T, in []byte) { hidden(t, d, in) })
}

// TestRandomText is the fuzz target on text that is made of what patterns look for.
func TestRandomText(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	parts := []string{
		"13812345678", "138", "-1234-", "5678", "+86", "%20", "%3D", "=", "&", "token", "Sig", "[token]", "[phone]", "eyJ", ".", "abcdefgh", "A1b2C3d4E5",
		"9f86d081884c7d65", "@", "b.cn", "11010519491231002X", "0", "x", "_", "]", "[", " ", "?", "1", "%40", "地",
	}
	d := redactor(t, func(c *Redact) { c.Patterns = Patterns() })
	for range 50_000 {
		var in []byte
		for range r.IntN(8) {
			in = append(in, parts[r.IntN(len(parts))]...)
		}
		hidden(t, d, in)
		if t.Failed() {
			return
		}
	}
}

func TestRedactAllocatesNothing(t *testing.T) {
	d := redactor(t, func(c *Redact) { everything(c); c.Drop = []string{"query.name"}; c.IPv4Bits = 24 })
	r := call()
	from := r
	if n := testing.AllocsPerRun(1000, func() {
		attrs := append(r.Attrs[:0], from.Attrs...)
		r = from
		r.Attrs = attrs
		d.Record(&r)
	}); n > 0 {
		t.Errorf("%v allocations a call", n)
	}
}

func BenchmarkRecord(b *testing.B) {
	d := redactor(b, nil)
	from := calllog.Record{
		Host: []byte("api.example.com"), Path: []byte("/v1/recommend/feed/123456?page=2&channel=app&version=7.1.0&lang=zh"),
		UserAgent: []byte("Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Mobile Safari/537.36"),
	}
	b.ReportAllocs()
	for b.Loop() {
		r := from
		d.Record(&r)
	}
}
