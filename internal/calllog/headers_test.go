package calllog

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func headers(t testing.TB, names ...string) Headers {
	t.Helper()
	h, err := NewHeaders(names)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func TestHeadersThatCannotBeKept(t *testing.T) {
	for _, name := range []string{
		"", "X-App", "x app", "x:app", "-x", strings.Repeat("a", 65), "x-ü", "x\tapp",
		"cookie", "set-cookie", "authorization", "proxy-authorization", "x-kongdao-key", "x-api-key", "x-auth-user", "x-csrf",
		"x-amz-security-token", "x-my-password", "x-client-secret", "x-session-id", "x-hub-signature",
		"host", "user-agent", "x-request-id", "traceparent", "x-forwarded-for", "x-real-ip", "x-kongdao-load-test",
		"line", "malformed", "method", "request_id", "response_code_details",
	} {
		if _, err := NewHeaders([]string{"x-fine", name}); err == nil || !strings.HasPrefix(err.Error(), fmt.Sprintf("headers[1]: is %q", name)) {
			t.Errorf("%q: error %v, want the header refused", name, err)
		}
	}
	if _, err := NewHeaders([]string{"x-a", "x-a"}); err == nil {
		t.Error("a header twice is accepted")
	}
	var many []string
	for i := range MaxHeaders + 1 {
		many = append(many, fmt.Sprint("x-", i))
	}
	if _, err := NewHeaders(many); err == nil {
		t.Error("too many headers are accepted")
	}
	if h := headers(t, many[:MaxHeaders]...); h.Len() != MaxHeaders || h.Name(3) != "x-3" || h.Index([]byte("x-15")) != 15 || h.Index([]byte("x")) != -1 {
		t.Errorf("%+v", h)
	}
}

// callWith is call(edit) as Envoy writes it when it is to keep h; values are
// those of the headers.
func callWith(h Headers, edit map[string]string, values ...string) string {
	line := call(edit)
	end := strings.LastIndexByte(line, userFieldEnd)
	line = line[:end] + "\x1f" + strings.Join(append(values, line[end+1:]), "\x1f")
	return strings.Replace(line, "k1\t", h.lineVersionOf()+"\t", 1)
}

// TestListChanges: a line that was written for another list is decoded, without
// its headers; none is ever read as another header.
func TestListChanges(t *testing.T) {
	two, other, three := headers(t, "x-a", "x-b"), headers(t, "x-b", "x-a"), headers(t, "x-a", "x-b", "x-c")
	lines := map[string]Headers{
		call(nil):                                        {},
		callWith(two, nil, "va", "vb"):                   two,
		callWith(other, nil, "vb", "va"):                 other,
		callWith(three, nil, "va", "-", "vc\ttab value"): three,
	}
	for line, written := range lines {
		for _, reader := range []Headers{{}, two, other, three} {
			var r Record
			if err := reader.ParseText([]byte(line), &r); err != nil {
				t.Errorf("%q: %v", line, err)
				continue
			}
			want := sample()
			if slices.Equal(reader.names, written.names) {
				for i, v := range strings.Split(line, "\x1f")[7 : 7+written.Len()] {
					if v != "-" {
						want.Attrs = append(want.Attrs, Attr{Key: written.Name(i), Value: []byte(v)})
					}
				}
			}
			if diff := cmp.Diff(want, r, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("%q read as %v (-want +got):\n%s", line, reader.names, diff)
			}
		}
	}
	for _, version := range []string{"k1+", "k1+.", "k1+.00000000", "k1+99.00000000", "k1+x.00000000", "k2+1.00000000", "k1+1.0000000", "k1 "} {
		var r Record
		if err := two.ParseText([]byte(call(map[string]string{"version": version})), &r); !errors.Is(err, ErrMalformed) && version != "k1+.00000000" {
			t.Errorf("version %q: error %v", version, err)
		}
	}
	var r Record
	if err := two.ParseText([]byte(callWith(two, nil, "va", "vb", "more")), &r); err != nil || string(r.UserAgent) != "more\x1fcurl/8" {
		t.Errorf("surplus separators belong to the user agent: %v, %q", err, r.UserAgent)
	}
	if err := two.ParseText([]byte(strings.Replace(call(nil), "k1\t", two.lineVersionOf()+"\t", 1)), &r); !errors.Is(err, ErrMalformed) {
		t.Errorf("a line without its headers: %v", err)
	}
}

// plain reads a line that Envoy wrote as anybody would: by splitting it.
func plain(h Headers, line string) (Record, error) {
	r := Record{SampleWeight: 1}
	made := strings.SplitN(strings.TrimPrefix(strings.TrimSuffix(line, "\n"), "\x1e"), "\t", len(h.madeFields())+1)
	user := strings.SplitN(made[len(made)-1], "\x1f", len(h.userFields()))
	if len(made) != len(h.madeFields())+1 || len(user) != len(h.userFields()) || made[0] != h.lineVersionOf() {
		return r, errors.New("fields")
	}
	values, bad := map[string]string{}, error(nil)
	for i, f := range append(h.madeFields(), h.userFields()...) {
		if v := append(made[:len(made)-1:len(made)-1], user...)[i]; v != "-" {
			values[f.name] = v
		}
	}
	number := func(name string) uint64 {
		n, err := strconv.ParseUint(values[name], 10, 64)
		if values[name] != "" {
			bad = errors.Join(bad, err)
		}
		return n
	}
	text := func(name string) []byte { return []byte(values[name]) }
	r.Time, r.DurationUS, r.UpstreamUS, r.TTFBUS = int64(number("ts")), uint32(number("duration_us")), uint32(number("upstream_us")), uint32(number("ttfb_us"))
	if ms := number("duration_ms"); r.DurationUS == 0 {
		r.DurationUS = uint32(ms * 1000)
	}
	r.Status, r.Attempts, r.BytesIn, r.BytesOut = uint16(number("status")), uint8(number("attempts")), number("bytes_in"), number("bytes_out")
	r.Tenant, r.Function, r.Revision, r.Route, r.Zone, r.Pod = text("tenant"), text("function"), text("revision"), text("route"), text("zone"), text("pod")
	r.Flags, r.Consumer, r.Method, r.LoadTest = text("flags"), text("consumer"), text("method"), text("load_test")
	r.Host, r.Path, r.UserAgent = text("host"), text("path"), text("user_agent")
	ParseIP(text("client_ip"), &r.ClientIP)
	id := text("request_id")
	if ParseUUID(id, &r.RequestID) {
		id = nil
	}
	ParseTraceparent(text("traceparent"), &r.TraceID)
	for _, name := range h.names {
		if v := values[name]; v != "" {
			r.Attrs = append(r.Attrs, Attr{Key: name, Value: []byte(v)})
		}
	}
	r.Finish(text("details"), id)
	return r, bad
}

// TestAsPlain compares the parser with one that splits, on random lines.
func TestAsPlain(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	pick := func(s ...string) string { return s[r.IntN(len(s))] }
	number := func() string { return pick("-", "0", "7", fmt.Sprint(r.IntN(250))) }
	word := func() string {
		return pick("-", "", "a", "b\tc", "\x00\xff", "地址", strings.Repeat("x", r.IntN(maxOther)))
	}
	for range 3000 {
		h := headers(t, []string{"x-a", "x-b", "x-c", "x-d"}[:r.IntN(5)]...)
		edit := map[string]string{
			"duration_us": number(), "duration_ms": number(), "upstream_us": number(), "ttfb_us": number(), "status": pick("0", "200", "404", "503", "-"),
			"flags": pick("-", "RL", "URX,UF", "UO"), "details": pick("-", "via_upstream", "x y"), "attempts": number(), "bytes_in": number(), "bytes_out": number(),
			"tenant": pick("-", "t"), "revision": pick("-", "r1"), "pod": pick("-", "[::1]:80"), "client_ip": pick("-", "::1", "1.2.3.4", "fe80::1%eth0"),
			"consumer": word(), "method": pick("GET", "PROPFIND", "-", ""), "request_id": pick("-", "no-uuid", "215914be-86d1-4f43-a027-2511b2cbd533"),
			"traceparent": word(), "load_test": word(), "host": word(), "path": word(), "user_agent": word(),
		}
		var values []string
		for range h.Len() {
			values = append(values, word())
		}
		line := callWith(h, edit, values...)
		if h.Len() == 0 {
			line = call(edit)
		}
		want, err := plain(h, line)
		if err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		var got Record
		if err := h.ParseText([]byte(line), &got); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
			t.Fatalf("%q (-plain +ours):\n%s", line, diff)
		}
	}
}
