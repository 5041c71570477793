package calllog_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/kongdao/kongdao/internal/calllog"
	"github.com/kongdao/kongdao/internal/calllog/calllogtest"
)

// get is a request with headers that have their line ends.
func get(path, headers string) string {
	return "GET " + path + " HTTP/1.1\r\nhost: api.example.com\r\n" + headers + "\r\n"
}

// parse reads what the gateway logged; every line has to parse.
func parse(t *testing.T, lines []string) []calllog.Record {
	t.Helper()
	return parseWith(t, calllog.Headers{}, lines)
}

func parseWith(t *testing.T, keep calllog.Headers, lines []string) []calllog.Record {
	t.Helper()
	records := make([]calllog.Record, len(lines))
	for i, line := range lines {
		if err := keep.ParseText([]byte(line), &records[i]); err != nil {
			t.Errorf("line %d: %v: %q", i, err, line)
		}
	}
	return records
}

// TestEnvoyWritesWhatWeRead has each way in which a call can end.
func TestEnvoyWritesWhatWeRead(t *testing.T) {
	g := calllogtest.Start(t, "")
	const trace = "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n"
	tests := []struct {
		name, request string
		status        int
		want          string // function revision route zone method path status flags attempts details limitedBy loadTest
	}{
		{"answered by a pod", get("/feed?x=1", trace+"user-agent: curl/8\r\nx-test-consumer: app-7\r\n"), 200, "feed r1 feed/0 zb-b GET /feed?x=1 200 [] 1 [] [] []"},
		{"a load test's", get("/feed", "x-kongdao-load-test: run-7\r\n"), 200, "feed r1 feed/0 zb-b GET /feed 200 [] 1 [] [] [run-7]"},
		{"no such route", get("/none", ""), 404, "    GET /none 404 [NR] 0 [route_not_found] [] []"},
		{"answered by the gateway", get("/denied", ""), 403, "denied  denied/0  GET /denied 403 [] 0 [direct_response] [] []"},
		{"within the limit", get("/limited", ""), 200, "limited r1 limited/0 zb-b GET /limited 200 [] 1 [] [] []"},
		{"above the limit", get("/limited", ""), 429, "limited r1 limited/0  GET /limited 429 [RL] 0 [local_rate_limited] [capacity] []"},
		{"too slow", get("/slow", ""), 504, "slow r1 slow/0 zb-b GET /slow 504 [UT] 1 [response_timeout] [] []"},
		{"reset, and retried twice", get("/reset", ""), 503, "reset r1 reset/0 zb-b GET /reset 503 [URX,UC] 3 [upstream_reset_before_response_started{connection_termination}] [] []"},
		{"nobody listens", get("/dead", ""), 503, "dead r1 dead/0 zb-b GET /dead 503 [URX,UF] 3 [upstream_reset_before_response_started{remote_connection_failure|delayed_connect_error:_Connection_refused}] [] []"},
		{"no host", "GET /feed HTTP/1.1\r\n\r\n", 400, "    GET /feed 400 [] 0 [missing_host_header] [] []"},
		{"no HTTP", "FOO\r\n\r\n", 400, "      400 [DPE] 0 [http1.codec_error] [] []"},
		{"a method that HTTP does not define", "PROPFIND /feed HTTP/1.1\r\nhost: h\r\n\r\n", 200, "feed r1 feed/0 zb-b PROPFIND /feed 200 [] 1 [] [] []"},
	}
	for i, tt := range tests {
		if status := g.Send(t, tt.request); status != tt.status {
			t.Errorf("%s: status %d, want %d", tt.name, status, tt.status)
		}
		g.Lines(t, i+1) // so that the lines come in this order
	}
	g.Abandon(t, get("/hang", ""), func() bool { return g.Active(t) })
	records := parse(t, g.Lines(t, len(tests)+1))
	for i, tt := range tests {
		if got := summary(&records[i]); got != tt.want {
			t.Errorf("%s:\n got %s\nwant %s", tt.name, got, tt.want)
		}
	}
	left := &records[len(tests)]
	if got, want := summary(left), "hang r1 hang/0 zb-b GET /hang 0 [DC] 1 [downstream_remote_disconnect] [] []"; got != want {
		t.Errorf("the client left:\n got %s\nwant %s", got, want)
	}
	first := &records[0]
	if first.RequestID == [16]byte{} || first.TraceID != [16]byte{0x0a, 0xf7, 0x65, 0x19, 0x16, 0xcd, 0x43, 0xdd, 0x84, 0x48, 0xeb, 0x21, 0x1c, 0x80, 0x31, 0x9c} ||
		string(first.Host) != "api.example.com" || string(first.UserAgent) != "curl/8" || string(first.Tenant) != "recommend" || string(first.Consumer) != "app-7" ||
		first.ClientIP != netip.MustParseAddr("127.0.0.1").As16() || string(first.Pod) != g.Pod || first.BytesOut != 5 {
		t.Errorf("the first call: %+v", first)
	}
	if first.UpstreamUS == 0 || first.TTFBUS < first.UpstreamUS || first.DurationUS < first.TTFBUS {
		t.Errorf("durations %d, %d, %d", first.UpstreamUS, first.TTFBUS, first.DurationUS)
	}
}

func summary(r *calllog.Record) string {
	details := ""
	for _, a := range r.Attrs {
		if a.Key == calllog.AttrDetails {
			details = string(a.Value)
		}
	}
	return fmt.Sprintf("%s %s %s %s %s %s %d [%s] %d [%s] [%s] [%s]", r.Function, r.Revision, r.Route, r.Zone, r.Method, r.Path,
		r.Status, r.Flags, r.Attempts, details, r.LimitedBy, r.LoadTest)
}

// TestNoCallerMovesAField puts every byte into every place that a caller can
// shape: a call is either refused, or logged as one line with all in its place.
func TestNoCallerMovesAField(t *testing.T) {
	g := calllogtest.Start(t, "", "x-kept", "x-too")
	keep, err := calllog.NewHeaders([]string{"x-kept", "x-too"})
	if err != nil {
		t.Fatal(err)
	}
	sent := 0
	for b := range 256 {
		c := string([]byte{byte(b)})
		for _, request := range []string{
			get("/feed", "user-agent: a"+c+"b\r\n"),
			get("/feed", "traceparent: a"+c+"b\r\nx-kongdao-load-test: a"+c+"b\r\nx-request-id: a"+c+"b\r\n"),
			get("/feed", "x-kept: a"+c+"b\r\nx-too: "+c+"\r\n"),
			get("/feed"+c+"b", "x-envoy-original-path: /a"+c+"b\r\n"),
			"GET /feed HTTP/1.1\r\nhost: a" + c + "b\r\n\r\n",
			"G" + c + "T /feed HTTP/1.1\r\nhost: h\r\n\r\n",
		} {
			g.Send(t, request)
			sent++
		}
	}
	lines := g.Lines(t, sent)
	if len(lines) != sent {
		t.Errorf("%d lines for %d calls", len(lines), sent)
	}
	records := parseWith(t, keep, lines)
	for i := range records {
		r := &records[i]
		if r.Status == 200 && (string(r.Function) != "feed" || string(r.Zone) != "zb-b") ||
			strings.Count(lines[i], "\x1e") != 1 || strings.Count(lines[i], "\x1f") != 9 {
			t.Errorf("line %d: %q", i, lines[i])
		}
		// A path that has no tab, behind a traceparent and a load test that may.
		if r.Status == 200 && !strings.HasPrefix(string(r.Path), "/feed") {
			t.Errorf("line %d: path %q", i, r.Path)
		}
	}
}
