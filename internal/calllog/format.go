package calllog

import (
	"fmt"
	"strings"
)

// lineVersion is what the first field of every line begins with. It changes when
// the fields do, so that a line of another version is refused instead of misread;
// for lines with headers see Headers.
const lineVersion = "k1"

// Lines start with the byte 0x1e, end with a newline and have two kinds of
// fields. Those that the gateway makes come first and end with a tab. Those that
// a caller can shape come last, with the byte 0x1f between them.
//
// Envoy answers 400 to a header, path or method with one of these bytes or a
// newline in it, so no caller can move a field or start or end a line. It lets a
// tab in header values pass, hence no tab between those. The byte at the start
// is for the line after one that a killed Envoy left unfinished: see Torn.
const (
	lineStart    = 0x1e
	fieldEnd     = '\t'
	userFieldEnd = 0x1f

	maxUserAgent = 512 // bytes; longer ones are cut by Envoy
	maxPath      = 4096
	maxOther     = 256
)

// field is one field of a line: its name, for errors and documentation, and
// where Envoy takes it from.
type field struct{ name, source string }

// madeFields are made by the gateway, in their order in a line.
func (h Headers) madeFields() []field {
	return []field{
		{"version", h.lineVersionOf()},
		{"ts", "%START_TIME(%s%6f)%"},
		{"duration_us", "%COMMON_DURATION(DS_RX_BEG:DS_TX_END:us)%"},
		{"duration_ms", "%DURATION%"}, // for calls that never sent their last byte
		{"upstream_us", "%COMMON_DURATION(US_TX_BEG:US_RX_BEG:us)%"},
		{"ttfb_us", "%COMMON_DURATION(DS_RX_BEG:DS_TX_BEG:us)%"},
		{"status", "%RESPONSE_CODE%"},
		{"flags", "%RESPONSE_FLAGS%"},
		{"details", "%RESPONSE_CODE_DETAILS% %RESP(" + LimitedByHeader + "):64%"}, // details have no spaces
		{"attempts", "%UPSTREAM_REQUEST_ATTEMPT_COUNT%"},
		{"bytes_in", "%BYTES_RECEIVED%"},
		{"bytes_out", "%BYTES_SENT%"},
		{"tenant", "%METADATA(ROUTE:kongdao:tenant)%"},
		{"function", "%METADATA(ROUTE:kongdao:function)%"},
		{"revision", "%METADATA(CLUSTER:kongdao:revision)%"},
		{"route", "%ROUTE_NAME%"},
		{"zone", "%METADATA(UPSTREAM_HOST:kongdao:zone)%"},
		{"pod", "%UPSTREAM_HOST%"},
		{"client_ip", "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%"},
	}
}

// userFields can be shaped by a caller. The kept headers come before the last one,
// and surplus separators belong to that.
func (h Headers) userFields() []field {
	req := func(header string, most int) string { return fmt.Sprintf("%%REQ(%s):%d%%", header, most) }
	fields := []field{
		{"consumer", req(ConsumerHeader, maxOther)},
		{"method", req("X-ENVOY-ORIGINAL-METHOD?:METHOD", maxOther)}, // a transcoded call is a POST to its pod
		{"request_id", req("X-REQUEST-ID", maxOther)},
		{"traceparent", req("TRACEPARENT", maxOther)},
		{"load_test", req(LoadTestHeader, maxOther)},
		{"host", req(":AUTHORITY", maxOther)},
		{"path", req("X-ENVOY-ORIGINAL-PATH?:PATH", maxPath)},
	}
	for _, name := range h.names {
		fields = append(fields, field{name, req(name, maxOther)})
	}
	return append(fields, field{"user_agent", req("USER-AGENT", maxUserAgent)})
}

// LoadTestHeader is the request header that carries the run of the load test.
const LoadTestHeader = "x-kongdao-load-test"

// ConsumerHeader is the request header in which the gateway, and nobody else,
// says who called.
const ConsumerHeader = "x-kongdao-consumer"

// LimitedByHeader is the response header that carries the limit which refused a
// call. Gateways take it away from what pods answer.
const LimitedByHeader = "x-kongdao-limited-by"

// MetadataNamespace is the namespace of Envoy metadata in which routes (keys
// function, tenant), clusters (revision) and endpoints (zone) say what
// they are.
const MetadataNamespace = "kongdao"

// EnvoyTextFormat is the format of lines without headers: see Headers.TextFormat.
func EnvoyTextFormat() string { return Headers{}.TextFormat() }

// TextFormat is the format string for Envoy's file access log, text_format_source,
// that ParseText of the same list reads. It ends with a newline.
func (h Headers) TextFormat() string {
	var b strings.Builder
	b.WriteByte(lineStart)
	for _, f := range h.madeFields() {
		b.WriteString(f.source)
		b.WriteByte(fieldEnd)
	}
	for i, f := range h.userFields() {
		if i > 0 {
			b.WriteByte(userFieldEnd)
		}
		b.WriteString(f.source)
	}
	b.WriteByte('\n')
	return b.String()
}
