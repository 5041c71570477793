package otlp

import (
	"fmt"
	"math"
	"strconv"
	"time"
	"unicode/utf8"
	"unsafe"

	"github.com/kongdao/kongdao/collector/policy"
	"github.com/kongdao/kongdao/internal/fnlog"
)

const (
	// maxName bounds what identifies a record: function, revision and the like.
	maxName = 256 // bytes
	// maxRecords bounds a request: an empty record has two bytes in a message and
	// some hundreds in memory.
	maxRecords = 50_000
)

var errTooMany = fmt.Errorf("more than %d log records: send fewer at a time", maxRecords)

// origin is what a ResourceLogs says about who wrote its records. Where two
// attributes name the same, the more particular one wins, whatever their order.
type origin struct {
	names [resourceNames]struct {
		text []byte
		rank int
	}
}

const (
	resTenant = iota
	resFunction
	resRevision
	resZone
	resPod
	resourceNames
)

func (r *origin) reset() { *r = origin{} }

// set takes over an attribute if it names something and is not outranked.
func (r *origin) set(key string, text []byte) {
	name, rank := -1, 0
	switch key {
	case "kongdao.tenant":
		name, rank = resTenant, 2
	case "service.namespace":
		name, rank = resTenant, 1
	case "kongdao.function":
		name, rank = resFunction, 2
	case "service.name":
		name, rank = resFunction, 1
	case "kongdao.revision":
		name, rank = resRevision, 2
	case "service.version":
		name, rank = resRevision, 1
	case "kongdao.zone":
		name, rank = resZone, 2
	case "cloud.availability_zone":
		name, rank = resZone, 1
	case "kongdao.pod":
		name, rank = resPod, 4
	case "k8s.pod.name":
		name, rank = resPod, 3
	case "service.instance.id":
		name, rank = resPod, 2
	case "host.name":
		name, rank = resPod, 1
	}
	if name < 0 || len(text) == 0 || rank < r.names[name].rank {
		return
	}
	r.names[name].text, r.names[name].rank = text, rank
}

func (r *origin) get(name int) []byte {
	text, _ := cut(r.names[name].text, maxName)
	return text
}

// batch is the records of one request. Their bytes are parts of the message and of
// arena, so they live as long as the batch is not reset.
type batch struct {
	redactor *policy.Redactor // nil: nothing is hidden

	limits Limits
	now    time.Time

	res   origin
	scope []byte

	records []fnlog.Record
	attrs   []fnlog.Attr // of all records
	arena   []byte       // texts that are not in the message as they are

	refused int    // records that name no function
	dated   bool   // every record has a time of its own
	counts  counts // for metrics
}

// counts are what was changed about records.
type counts struct{ cut, dropped, clock int }

// begin readies an empty batch for a request.
func (b *batch) begin(limits Limits, now time.Time) {
	b.limits, b.now, b.dated = limits, now, true
	if b.redactor != nil {
		b.redactor.Begin()
	}
}

// reset empties the batch, lets the message go, and keeps its own memory unless
// that became large.
func (b *batch) reset() {
	const keep = 4 << 20 // bytes of each
	clear(b.records)
	clear(b.attrs)
	*b = batch{redactor: b.redactor, records: b.records[:0], attrs: b.attrs[:0], arena: b.arena[:0]}
	if cap(b.arena) > keep {
		b.arena = nil
	}
	if cap(b.records)*int(unsafe.Sizeof(fnlog.Record{})) > keep {
		b.records = nil
	}
	if cap(b.attrs)*int(unsafe.Sizeof(fnlog.Attr{})) > keep {
		b.attrs = nil
	}
}

// recordAttribute adds one attribute to r, or takes it for one of its columns. What
// is beyond the limits is counted and never kept, so that a message takes no more
// memory than a small multiple of its size.
func (b *batch) recordAttribute(r *fnlog.Record, in *raw, m []byte) error {
	key, value, err := keyValue(m)
	if err != nil {
		return err
	}
	text, err := b.text(value)
	if err != nil {
		return err
	}
	if in.joins(key, text) {
		return nil
	}
	if len(key) == 0 || len(key) > maxName || len(r.Attrs) >= b.limits.MaxAttributes {
		in.dropped++
		b.counts.dropped++
		return nil
	}
	name := unsafe.String(unsafe.SliceData(key), len(key))
	if b.redactor != nil {
		var keep bool
		if text, keep = b.redactor.Attr(name, text); !keep {
			return nil
		}
	}
	text, lost := cut(text, b.limits.MaxAttributeBytes)
	in.lost += lost
	b.attr(r, name, text)
	return nil
}

// attr adds an attribute to r, whose attributes are the last in b.attrs.
func (b *batch) attr(r *fnlog.Record, key string, value []byte) {
	b.attrs = append(b.attrs, fnlog.Attr{Key: key, Value: value})
	r.Attrs = b.attrs[len(b.attrs)-len(r.Attrs)-1:]
}

// joins looks for what says which call the record belongs to, and reports whether
// that has a column of its own.
func (in *raw) joins(key, text []byte) bool {
	switch string(key) {
	case "request_id", "x-request-id":
	case "http.request.header.x-request-id": // by convention an array of strings
		if len(text) > 4 && text[0] == '[' {
			text = text[2 : len(text)-2]
		}
	case "trace_id":
		if id, ok := parseID(text); ok {
			in.traceID = id
		}
		return false
	default:
		return false
	}
	id, ok := parseID(text)
	if ok {
		in.requestID = id
	}
	return ok
}

// add finishes r and keeps it, unless nobody could find it.
func (b *batch) add(r *fnlog.Record, in *raw) error {
	if len(b.res.names[resFunction].text) == 0 {
		b.refused++
		b.attrs = b.attrs[:len(b.attrs)-len(r.Attrs)]
		return nil
	}
	if len(b.records) >= maxRecords {
		return errTooMany
	}
	r.Tenant, r.Function, r.Revision = b.res.get(resTenant), b.res.get(resFunction), b.res.get(resRevision)
	r.Zone, r.Pod = b.res.get(resZone), b.res.get(resPod)
	r.Scope, _ = cut(b.scope, maxName)
	r.SeverityText, _ = cut(r.SeverityText, maxName)
	r.RequestID = in.requestID
	if r.TraceID == [16]byte{} {
		r.TraceID = in.traceID
	}
	b.setTime(r, in)
	b.marks(r, in)
	b.records = append(b.records, *r)
	return nil
}

// setTime takes the record's own time, unless it is so far off that the row would
// land where nobody looks for it, in a partition of its own, or never expire.
func (b *batch) setTime(r *fnlog.Record, in *raw) {
	own := in.time
	if own == 0 {
		own = in.observed
	}
	if own == 0 {
		b.dated = false
		r.Time = b.now.UnixNano()
		return
	}
	earliest, latest := b.now.Add(-b.limits.MaxAge.Std()).UnixNano(), b.now.Add(b.limits.MaxSkew.Std()).UnixNano()
	if r.Time = int64(own); r.Time >= earliest && r.Time <= latest {
		return
	}
	r.Time = b.now.UnixNano()
	start := len(b.arena)
	b.arena = time.Unix(0, int64(min(own, math.MaxInt64))).UTC().AppendFormat(b.arena, time.RFC3339Nano)
	b.attr(r, fnlog.AttrClock, b.arena[start:])
	b.counts.clock++
}

// marks cuts the body and says what is missing from the record.
func (b *batch) marks(r *fnlog.Record, in *raw) {
	if b.redactor != nil {
		r.Body, in.event = b.redactor.Text(r.Body), b.redactor.Text(in.event)
	}
	if len(in.event) > 0 {
		event, _ := cut(in.event, maxName)
		b.attr(r, fnlog.AttrEvent, event)
	}
	body, lost := cut(r.Body, b.limits.MaxBodyBytes)
	r.Body = body
	if in.dropped > 0 {
		b.attr(r, fnlog.AttrDroppedAttrs, b.number(in.dropped))
	}
	if lost += in.lost; lost > 0 {
		b.counts.cut++
		b.attr(r, fnlog.AttrCutBytes, b.number(lost))
	}
}

func (b *batch) number(n int) []byte {
	start := len(b.arena)
	b.arena = strconv.AppendInt(b.arena, int64(n), 10)
	return b.arena[start:]
}

// cut shortens text to at most n bytes, between two characters, and says how many
// bytes are missing.
func cut(text []byte, n int) (_ []byte, lost int) {
	if len(text) <= n {
		return text, 0
	}
	end := n
	for end > 0 && end > n-utf8.UTFMax && !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end:end], len(text) - end
}
