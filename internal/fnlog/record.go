package fnlog

import "github.com/kongdao/kongdao/internal/column"

// ErrMalformed is what every error about a block that does not parse wraps.
var ErrMalformed = column.ErrMalformed

// Record is one log record of a function. Its slices, and the strings of Attrs, are
// parts of the input that it was decoded from, or of a block: whoever keeps one
// copies it. The zero value is a record of which nothing is known.
type Record struct {
	Time int64 // nanoseconds since 1970

	Tenant, Function, Revision, Zone, Pod []byte

	RequestID [16]byte // zero when it names no call
	TraceID   [16]byte // zero when it has none
	SpanID    [8]byte  // zero when it has none

	Severity     uint8 // as OTLP numbers them, 1 to 24; 0 unknown
	SeverityText []byte
	Scope        []byte
	Body         []byte

	Attrs []Attr // MaxAttrs at most
}

// Attr is one of the attributes of a record.
type Attr = column.Attr

// MaxAttrs is how many attributes a row may have, those that the collector adds
// included.
const MaxAttrs = 1024

// Keys of attributes that the collector adds.
const (
	AttrEvent        = "event.name"                 // the record's event name
	AttrDroppedAttrs = "kongdao.dropped_attributes" // how many attributes are missing: dropped by the function's SDK, or beyond the limit
	AttrCutBytes     = "kongdao.cut_bytes"          // how many bytes are missing at the ends of body and attributes
	AttrClock        = "kongdao.clock"              // the function's own time, RFC 3339, where it was too far off to be ts
)

// SeverityName is the short name of a severity number: "error" for 17 to 20. It is
// empty for numbers that OTLP does not have.
func SeverityName(severity uint8) string {
	if severity < 1 || severity > 24 {
		return ""
	}
	return SeverityNames()[(severity-1)/4]
}

// SeverityNames are the short names, from the least severe; the n-th, from 0, stands
// for the numbers 4n+1 to 4n+4.
func SeverityNames() []string {
	return []string{"trace", "debug", "info", "warn", "error", "fatal"}
}
