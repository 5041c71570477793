package calllog

import (
	"bytes"
	"fmt"
	"math"
	"net/netip"
	"unsafe"
)

// maxTime is the last microsecond that DateTime64(6) holds: the end of 2299.
const maxTime = 10413791999999999

// ParseText reads a line of EnvoyTextFormat: see Headers.ParseText.
func ParseText(line []byte, r *Record) error { return Headers{}.ParseText(line, r) }

// ParseText reads one line that Envoy wrote with TextFormat, with or without its
// newline, into r. It allocates nothing. r aliases line. Headers in a line that
// was written for another list are left out. An error wraps ErrMalformed and
// names the field; the fields before that one are set. Numbers that are too
// large for their column are stored as its largest.
func (h Headers) ParseText(line []byte, r *Record) error {
	r.Reset()
	p := parser{rest: bytes.TrimSuffix(line, []byte{'\n'})}
	if len(p.rest) == 0 || p.rest[0] != lineStart {
		p.fail("start")
	} else {
		p.rest = p.rest[1:]
	}
	headers, mine, ok := h.fieldsOf(p.made("version"))
	if !ok {
		p.fail("version")
	}
	r.Time = int64(p.number("ts", maxTime))
	if r.Time == 0 || r.Time == maxTime {
		r.Time = 0
		p.fail("ts")
	}
	details := p.numbers(r)
	p.names(r)
	requestID := p.user(r)
	var kept [MaxHeaders][]byte
	for i := range headers {
		kept[i] = p.shape("header")
	}
	r.UserAgent = present(p.rest)
	if mine && p.bad == "" {
		h.Keep(r, kept[:headers])
	}
	if p.bad != "" {
		return fmt.Errorf("line: field %s: %w", p.bad, ErrMalformed)
	}
	r.Finish(details, requestID)
	return nil
}

// Torn splits what stands between two newlines when it holds an unfinished line
// and a whole one behind it, as when a killed Envoy starts again and appends to
// its file. torn is empty for nearly every line.
func Torn(line []byte) (torn, whole []byte) {
	if len(line) < 2 || bytes.IndexByte(line[1:], lineStart) < 0 { // much faster than from behind
		return nil, line
	}
	i := bytes.LastIndexByte(line, lineStart)
	return line[:i:i], line[i:]
}

// parser cuts a line into fields. After the first failure it gives empty ones.
type parser struct {
	rest []byte
	bad  string // name of the first field that failed
}

func (p *parser) fail(name string) {
	if p.bad == "" {
		p.bad, p.rest = name, nil
	}
}

// cut takes the bytes before the next separator.
func (p *parser) cut(name string, separator byte) []byte {
	if p.bad != "" {
		return nil
	}
	i := bytes.IndexByte(p.rest, separator)
	if i < 0 {
		p.fail(name)
		return nil
	}
	v := p.rest[:i:i]
	p.rest = p.rest[i+1:]
	return present(v)
}

// present is v, or nothing for the dash that Envoy writes for what is not there.
func present(v []byte) []byte {
	if len(v) == 1 && v[0] == '-' {
		return nil
	}
	return v
}

func (p *parser) made(name string) []byte  { return p.cut(name, fieldEnd) }
func (p *parser) shape(name string) []byte { return p.cut(name, userFieldEnd) }

// number reads digits; a dash is 0, and more than limit is limit.
func (p *parser) number(name string, limit uint64) uint64 {
	v := p.made(name)
	n := uint64(0)
	for _, c := range v {
		d := uint64(c - '0')
		if c < '0' || c > '9' {
			p.fail(name)
			return 0
		}
		if n > (math.MaxUint64-d)/10 {
			n = math.MaxUint64
			continue
		}
		n = n*10 + d
	}
	return min(n, limit)
}

func (p *parser) numbers(r *Record) (details []byte) {
	r.DurationUS = uint32(p.number("duration_us", math.MaxUint32))
	ms := p.number("duration_ms", math.MaxUint32)
	if r.DurationUS == 0 {
		r.DurationUS = uint32(min(ms*1000, math.MaxUint32))
	}
	r.UpstreamUS = uint32(p.number("upstream_us", math.MaxUint32))
	r.TTFBUS = uint32(p.number("ttfb_us", math.MaxUint32))
	r.Status = uint16(p.number("status", math.MaxUint16))
	r.Flags = p.made("flags")
	details = p.made("details")
	r.Attempts = uint8(p.number("attempts", math.MaxUint8))
	r.BytesIn = p.number("bytes_in", math.MaxUint64)
	r.BytesOut = p.number("bytes_out", math.MaxUint64)
	return details
}

func (p *parser) names(r *Record) {
	r.Tenant = p.made("tenant")
	r.Function = p.made("function")
	r.Revision = p.made("revision")
	r.Route = p.made("route")
	r.Zone = p.made("zone")
	r.Pod = p.made("pod")
	if ip := p.made("client_ip"); len(ip) > 0 && !ParseIP(ip, &r.ClientIP) {
		p.fail("client_ip")
	}
}

// user reads the fields that a caller can shape: whatever they hold is no error.
func (p *parser) user(r *Record) (requestID []byte) {
	r.Consumer = p.shape("consumer")
	r.Method = p.shape("method")
	requestID = p.shape("request_id")
	if ParseUUID(requestID, &r.RequestID) {
		requestID = nil
	}
	ParseTraceparent(p.shape("traceparent"), &r.TraceID)
	r.LoadTest = p.shape("load_test")
	r.Host = p.shape("host")
	r.Path = p.shape("path")
	return requestID
}

// ParseIP reads an IP address without port into its 16 bytes; it tells whether
// text is one. A zone, as in fe80::1%eth0, is dropped.
func ParseIP(text []byte, ip *[16]byte) bool {
	const longest = 64 // with a zone
	if len(text) > longest {
		return false
	}
	// ParseAddr keeps none of its argument but in its error, which ends here.
	a, err := netip.ParseAddr(unsafe.String(unsafe.SliceData(text), len(text)))
	if err != nil {
		return false
	}
	*ip = a.As16()
	return true
}

// ParseUUID reads the 36 characters of a UUID; it tells whether text is one.
func ParseUUID(text []byte, id *[16]byte) bool {
	if len(text) != 36 || text[8] != '-' || text[13] != '-' || text[18] != '-' || text[23] != '-' {
		return false
	}
	var v [16]byte
	ok := hex(v[0:4], text[0:8]) && hex(v[4:6], text[9:13]) && hex(v[6:8], text[14:18]) &&
		hex(v[8:10], text[19:23]) && hex(v[10:16], text[24:36])
	if ok {
		*id = v
	}
	return ok
}

// ParseTraceparent takes the trace id out of a W3C traceparent header, and tells
// whether there is one.
func ParseTraceparent(header []byte, id *[16]byte) bool {
	if len(header) < 55 || header[2] != '-' || header[35] != '-' || header[52] != '-' {
		return false
	}
	var v [16]byte
	if !hex(v[:], header[3:35]) {
		return false
	}
	*id = v
	return true
}

// hex decodes digits, twice as many as dst has bytes.
func hex(dst, digits []byte) bool {
	bad := byte(0)
	for i := range dst {
		hi, lo := nibbles[digits[2*i]], nibbles[digits[2*i+1]]
		bad |= hi | lo
		dst[i] = hi<<4 | lo
	}
	return bad <= 15
}

// nibbles are the values of hex digits, and 255 for all else.
var nibbles = func() (n [256]byte) {
	for c := range n {
		switch {
		case '0' <= c && c <= '9':
			n[c] = byte(c) - '0'
		case 'a' <= c && c <= 'f':
			n[c] = byte(c) - 'a' + 10
		case 'A' <= c && c <= 'F':
			n[c] = byte(c) - 'A' + 10
		default:
			n[c] = 255
		}
	}
	return n
}()
