// Package calllog is the one definition of a call record: what the gateway
// writes, what the collector decodes and what the table calls stores. Everything
// that touches call records reads it from here.
package calllog

import "github.com/kongdao/kongdao/internal/column"

// Column is one column of the table calls.
type Column struct {
	Name string // as in SQL
	Type string // ClickHouse type
	Rest string // what follows the type in the table's definition: default, codec
	Doc  string // meaning and unit
}

// Columns are the columns of the table calls, in the order in which blocks are sent.
func Columns() []Column {
	const id, number = "CODEC(ZSTD(1))", "CODEC(T64, ZSTD(1))"
	const name = "LowCardinality(String)"
	return []Column{
		{"ts", "DateTime64(6)", "CODEC(Delta(8), ZSTD(1))", "when the gateway received the first byte of the request"},
		{"request_id", "UUID", id, "x-request-id, made by the gateway"},
		{"trace_id", "FixedString(16)", id, "W3C trace id; zero bytes when the call has none"},
		{"gateway", name, "", "node id of the gateway"},
		{"gateway_zone", name, "", "zone of the gateway"},
		{"tenant", name, "", "tenant of the function"},
		{"function", name, "", "function; empty when no route matched"},
		{"revision", name, "", "revision that was chosen; empty when none was"},
		{"route", name, "", "route, as function/number"},
		{"zone", name, "", "zone of the pod that answered"},
		{"pod", name, "", "address of the pod that answered"},
		{"method", name, "", "HTTP method"},
		{"host", "String", id, "host that was asked for"},
		{"path", "String", id, "path with query, as the client sent it"},
		{"status", "UInt16", id, "HTTP status; 0 when the client left before one was sent"},
		{"flags", name, "", "Envoy response flags, such as UF,URX; empty when none"},
		{"duration_us", "UInt32", number, "first byte received to last byte sent, microseconds"},
		{"upstream_us", "UInt32", number, "first byte to the pod to first byte from it, microseconds"},
		{"ttfb_us", "UInt32", number, "first byte received to first byte sent, microseconds"},
		{"bytes_in", "UInt64", number, "body bytes received"},
		{"bytes_out", "UInt64", number, "body bytes sent"},
		{"attempts", "UInt8", id, "tries at pods; 0 when the gateway answered itself"},
		{"client_ip", "IPv6", id, "address of the client"},
		{"user_agent", "String", id, "user-agent header"},
		{"consumer", name, "", "who called, when keys are asked for"},
		{"limited_by", name, "", "limit that refused the call, such as capacity; empty when none"},
		{"load_test", "String", id, "run of the load test that sent the call; empty for real traffic"},
		{"sample_weight", "UInt32", "DEFAULT 1", "calls that this row stands for"},
		{"attrs", "Map(LowCardinality(String), String)", id, "what has no column, such as response_code_details"},
	}
}

// DDL is the column list of the table calls, one column a line.
func DDL() string { return column.DDL(specs()) }

func specs() []column.Spec {
	columns := Columns()
	s := make([]column.Spec, len(columns))
	for i, c := range columns {
		s[i] = column.Spec(c)
	}
	return s
}
