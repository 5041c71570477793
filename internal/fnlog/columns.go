// Package fnlog is the one definition of a log record that a function writes
// itself: what the collector takes from OTLP, and what the table function_logs
// stores. Everything that touches these records reads it from here.
package fnlog

import "github.com/kongdao/kongdao/internal/column"

// Table is the name of the table.
const Table = "function_logs"

// Column is one column of the table function_logs.
type Column = column.Spec

// Columns are the columns of the table function_logs, in the order in which blocks are sent.
func Columns() []Column {
	const id, name = "CODEC(ZSTD(1))", "LowCardinality(String)"
	return []Column{
		{Name: "ts", Type: "DateTime64(9)", Rest: "CODEC(Delta(8), ZSTD(1))", Doc: "when it happened, by the function's clock; when it arrived, if that clock is far off"},
		{Name: "tenant", Type: name, Doc: "tenant of the function: kongdao.tenant, or service.namespace"},
		{Name: "function", Type: name, Doc: "function that wrote it: kongdao.function, or service.name"},
		{Name: "revision", Type: name, Doc: "its revision: kongdao.revision, or service.version"},
		{Name: "zone", Type: name, Doc: "zone of the pod: kongdao.zone, or cloud.availability_zone"},
		{Name: "pod", Type: name, Doc: "pod: k8s.pod.name, service.instance.id or host.name"},
		{Name: "request_id", Type: "UUID", Rest: id, Doc: "x-request-id of the call that it belongs to; zero when it names none"},
		{Name: "trace_id", Type: "FixedString(16)", Rest: id, Doc: "W3C trace id; zero bytes when it has none"},
		{Name: "span_id", Type: "FixedString(8)", Rest: id, Doc: "span that it was written in; zero bytes when it has none"},
		{Name: "severity", Type: "UInt8", Rest: id, Doc: "1–4 trace, 5–8 debug, 9–12 info, 13–16 warn, 17–20 error, 21–24 fatal; 0 unknown"},
		{Name: "severity_text", Type: name, Doc: "the severity as the function's logger calls it"},
		{Name: "scope", Type: name, Doc: "logger or library that wrote it"},
		{Name: "body", Type: "String", Rest: id, Doc: "the message; a structured one as JSON"},
		{Name: "attrs", Type: "Map(LowCardinality(String), String)", Rest: id, Doc: "its attributes, and what was cut"},
	}
}

// DDL is the column list of the table function_logs, one column a line.
func DDL() string { return column.DDL(Columns()) }
