package calllog

import (
	"bytes"
	"cmp"
	"strings"

	"github.com/kongdao/kongdao/internal/column"
)

// ErrMalformed is what every error about a line, an entry or a block that does
// not parse wraps. The error's text names the field.
var ErrMalformed = column.ErrMalformed

// Record is one call. Its byte slices are parts of the input that it was decoded
// from: they are valid until the next decode, and whoever keeps one copies it.
// The zero value is a call of which nothing is known.
type Record struct {
	Time int64 // microseconds since 1970, when the first byte of the request arrived

	RequestID [16]byte // zero when the call has none, or one that is no UUID (then it is in Attrs)
	TraceID   [16]byte // zero when the call has none

	// Set by the source: log lines carry neither.
	Gateway, GatewayZone string

	Tenant, Function, Revision, Route, Zone, Pod []byte

	Method     []byte // as sent; what is stored is bounded by MethodName
	Host, Path []byte

	Status uint16 // 0 when the client left before one was sent
	Flags  []byte // Envoy response flags, such as URX,UF

	// Microseconds; 0 when the call never got that far. More than a uint32 holds
	// (71 minutes) is stored as the largest.
	DurationUS, UpstreamUS, TTFBUS uint32

	BytesIn, BytesOut uint64 // body bytes
	Attempts          uint8  // tries at pods, 255 at most

	ClientIP [16]byte // IPv4 as ::ffff:a.b.c.d; zero when unknown

	UserAgent, Consumer, LoadTest []byte

	LimitedBy    string // such as LimitedByCapacity
	SampleWeight uint32 // calls that this one stands for; a decoded one has 1

	Attrs []Attr // what has no column; the slice is reused by the next decode
}

// Attr is one of the attributes of a call. Key is a constant, so that keys stay few.
type Attr = column.Attr

// Keys of attributes.
const (
	AttrDetails   = "response_code_details" // unless it is via_upstream, as for nearly every call
	AttrMethod    = "method"                // the method, when it is none of those that MethodName knows
	AttrRequestID = "request_id"            // the request id, when it is no UUID
	AttrMalformed = "malformed"             // what was wrong with the line that this row stands for
	AttrLine      = "line"                  // the start of that line
	AttrProtocol  = "protocol"              // ProtocolTCP for a connection that no HTTP was spoken on, as far as the gateway knows
)

// ProtocolTCP marks a row that is a TCP connection.
const ProtocolTCP = "tcp"

// Values of LimitedBy; those of callers' limits are named by the limit, such as
// "consumer" or "header:x-user".
const (
	LimitedByCapacity    = "capacity"    // more than the ready pods can take (flag RL)
	LimitedByPriority    = "priority"    // the same, and too little is left for what is less important (flag RL)
	LimitedByConcurrency = "concurrency" // too many in flight to the pods (flag UO)
	LimitedByLoadTest    = "load-test"   // a stress test's, which are refused for the moment, or by the function
)

// Reset makes r empty, with a sample weight of 1, and keeps its memory.
func (r *Record) Reset() { *r = Record{SampleWeight: 1, Attrs: r.Attrs[:0]} }

// Malformed makes r the call behind a line that does not parse, so that it is
// still counted: it has no function, the time at unless the line gave one, the
// reason and the start of the line as attributes. What a caller can shape comes
// last in a line and is left out: nothing tells which header it was.
func (r *Record) Malformed(line []byte, at int64, reason error) {
	const keep = 512
	if r.Time != 0 {
		at = r.Time
	}
	r.Reset()
	r.Time = at
	r.attr(AttrMalformed, []byte(reason.Error()))
	if i := bytes.IndexByte(line, userFieldEnd); i >= 0 {
		line = line[:i]
	}
	r.attr(AttrLine, line[:min(len(line), keep)])
}

func (r *Record) attr(key string, value []byte) {
	r.Attrs = append(r.Attrs, Attr{Key: key, Value: value})
}

// OtherMethod stands for every method that HTTP does not define, because
// anybody can invent one.
const OtherMethod = "_OTHER"

// MethodName is method when HTTP defines it, OtherMethod when it does not, and
// empty when it is.
func MethodName(method []byte) string {
	switch string(method) {
	case "":
		return ""
	case "GET":
		return "GET"
	case "HEAD":
		return "HEAD"
	case "POST":
		return "POST"
	case "PUT":
		return "PUT"
	case "PATCH":
		return "PATCH"
	case "DELETE":
		return "DELETE"
	case "OPTIONS":
		return "OPTIONS"
	case "CONNECT":
		return "CONNECT"
	case "TRACE":
		return "TRACE"
	}
	return OtherMethod
}

// Limit says what the gateway said of the limit that refused the call, if one did.
// It allocates where the limit has a name of its own.
func (r *Record) Limit(by []byte) {
	switch string(by) {
	case "", "-":
	case LimitedByCapacity:
		r.LimitedBy = LimitedByCapacity
	case LimitedByPriority:
		r.LimitedBy = LimitedByPriority
	case LimitedByConcurrency:
		r.LimitedBy = LimitedByConcurrency
	case LimitedByLoadTest:
		r.LimitedBy = LimitedByLoadTest
	default:
		r.LimitedBy = strings.ToValidUTF8(string(by[:min(len(by), maxLimit)]), "\uFFFD")
	}
}

// detailsLoadTest are the details of calls that LimitedByLoadTest refused: no flag
// says it.
const detailsLoadTest = "rbac_access_denied_matched_policy[" + LimitedByLoadTest + "]"

// maxLimit bounds the name of a limit, in bytes.
const maxLimit = 64

// Finish derives what follows from other fields. Every decoder calls it last,
// with the response code details, behind them what Limit takes and a space between
// where the line has both, and, if it is no UUID, the request id.
func (r *Record) Finish(details, requestID []byte) {
	if i := bytes.IndexByte(details, ' '); i >= 0 {
		r.Limit(details[i+1:])
		details = details[:i]
	}
	if len(details) > 0 && string(details) != "via_upstream" {
		r.attr(AttrDetails, details)
	}
	if len(requestID) > 0 {
		r.attr(AttrRequestID, requestID)
	}
	if MethodName(r.Method) == OtherMethod && string(r.Method) != OtherMethod {
		r.attr(AttrMethod, r.Method)
	}
	switch {
	case hasFlag(r.Flags, "RL"):
		r.LimitedBy = cmp.Or(r.LimitedBy, LimitedByCapacity)
	case hasFlag(r.Flags, "UO"):
		r.LimitedBy = LimitedByConcurrency
	case string(details) == detailsLoadTest:
		r.LimitedBy = LimitedByLoadTest
	default:
		r.LimitedBy = "" // the gateway refused nothing
	}
}

// hasFlag tells whether flag is one of the comma separated flags.
func hasFlag(flags []byte, flag string) bool {
	for len(flags) >= len(flag) {
		if string(flags[:len(flag)]) == flag && (len(flags) == len(flag) || flags[len(flag)] == ',') {
			return true
		}
		i := 0
		for i < len(flags) && flags[i] != ',' {
			i++
		}
		flags = flags[min(i+1, len(flags)):]
	}
	return false
}
