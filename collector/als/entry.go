package als

import (
	"bytes"
	"math"
	"strconv"

	"github.com/kongdao/kongdao/internal/calllog"
)

// maxTime is the last microsecond that DateTime64(6) holds.
const maxTime = 10413791999999999

// decoder reads HTTPAccessLogEntry messages into its record. The record aliases
// the message and the decoder's own scratch.
type decoder struct {
	record calllog.Record

	firstTx, firstRx, lastTx, total uint32 // microseconds
	cluster, details, requestID     []byte
	original                        []byte // path before it was rewritten
	intermediate                    bool   // written before the call ended: not a call
	scratch                         []byte // of the record's pod and flags

	headers calllog.Headers
	kept    [][]byte // their values
}

// entry reads one entry. The field numbers in this file are those of
// envoy/data/accesslog/v3/accesslog.proto.
func (d *decoder) entry(b []byte) (ok bool) {
	d.reset()
	f := fields{rest: b}
	for f.next() {
		ok := true
		switch f.num {
		case 1:
			ok = d.common(f.v)
		case 3:
			ok = d.request(f.v)
		case 4:
			ok = d.response(f.v)
		}
		if !ok {
			return false
		}
	}
	return d.finish(f.bad)
}

// reset forgets the entry before.
func (d *decoder) reset() {
	clear(d.kept)
	*d = decoder{record: d.record, scratch: d.scratch[:0], headers: d.headers, kept: d.kept}
	d.record.Reset()
}

// finish completes the record of an entry that has been read.
func (d *decoder) finish(bad bool) (ok bool) {
	r := &d.record
	if r.Time <= 0 || r.Time > maxTime {
		r.Time = 0
		return false
	}
	if bad {
		return false
	}
	d.complete(r)
	return true
}

// complete works out what several fields say together.
func (d *decoder) complete(r *calllog.Record) {
	r.DurationUS = d.lastTx
	if r.DurationUS == 0 {
		r.DurationUS = d.total
	}
	if d.firstRx >= d.firstTx {
		r.UpstreamUS = d.firstRx - d.firstTx
	}
	if len(d.original) > 0 {
		r.Path = d.original
	}
	if function, revision, ok := bytes.Cut(d.cluster, []byte{'/'}); ok {
		if len(r.Function) == 0 {
			r.Function = function
		}
		if len(r.Revision) == 0 {
			r.Revision = revision
		}
	}
	if calllog.ParseUUID(d.requestID, &r.RequestID) {
		d.requestID = nil
	}
	r.Cut()
	d.headers.Keep(r, d.kept)
	r.Finish(d.details, d.requestID)
}

func (d *decoder) common(b []byte) (ok bool) {
	r := &d.record
	f := fields{rest: b}
	for f.next() {
		ok := true
		switch f.num {
		case 2:
			ok = d.client(f.v)
		case 5:
			r.Time, ok = micros(f.v)
		case 7:
			d.firstTx, ok = span(f.v)
		case 9:
			d.firstRx, ok = span(f.v)
		case 11:
			r.TTFBUS, ok = span(f.v)
		case 12:
			d.lastTx, ok = span(f.v)
		case 13:
			ok = d.pod(f.v)
		case 15:
			d.cluster = f.v
		case 16:
			ok = d.flags(f.v)
		case 19:
			r.Route = f.v
		case 22:
			ok = d.tag(f.v)
		case 23:
			d.total, ok = span(f.v)
		case 24:
			r.Attempts = uint8(min(f.u, math.MaxUint8))
		case 27:
			d.intermediate = f.u != 0
		}
		if !ok {
			return false
		}
	}
	return !f.bad
}

func (d *decoder) tag(b []byte) (ok bool) {
	name, value, ok := mapEntry(b)
	switch string(name) {
	case calllog.TagTenant:
		d.record.Tenant = value
	case calllog.TagFunction:
		d.record.Function = value
	case calllog.TagRevision:
		d.record.Revision = value
	case calllog.TagZone:
		d.record.Zone = value
	case calllog.TagConsumer:
		d.record.Consumer = value
	}
	return ok
}

// address reads a core.v3.Address; only socket addresses have a host.
func address(b []byte) (host []byte, port uint64, ok bool) {
	f := fields{rest: b}
	for f.next() {
		if f.num != 1 {
			continue
		}
		h, p, ok := pair(f.v, 2, 3)
		if !ok {
			return nil, 0, false
		}
		host, port = h.v, p.u
	}
	return host, port, !f.bad
}

func (d *decoder) client(b []byte) (ok bool) {
	host, _, ok := address(b)
	calllog.ParseIP(host, &d.record.ClientIP) // a pipe has none
	return ok
}

func (d *decoder) pod(b []byte) (ok bool) {
	host, port, ok := address(b)
	if len(host) == 0 {
		return ok
	}
	start := len(d.scratch)
	if bytes.IndexByte(host, ':') >= 0 {
		d.scratch = append(append(append(d.scratch, '['), host...), ']')
	} else {
		d.scratch = append(d.scratch, host...)
	}
	d.scratch = strconv.AppendUint(append(d.scratch, ':'), port, 10)
	d.record.Pod = d.scratch[start:len(d.scratch):len(d.scratch)]
	return ok
}

func (d *decoder) request(b []byte) (ok bool) {
	r := &d.record
	f := fields{rest: b}
	for f.next() {
		switch f.num {
		case 1:
			r.Method = method(f.u)
		case 3:
			r.Host = f.v
		case 5:
			r.Path = f.v
		case 6:
			r.UserAgent = f.v
		case 9:
			d.requestID = f.v
		case 10:
			d.original = f.v
		case 12:
			r.BytesIn = f.u
		case 13:
			if !d.header(f.v) {
				return false
			}
		}
	}
	if len(r.Method) == 0 && len(r.Path) > 0 {
		r.Method = otherMethod // Envoy leaves out those it has no number for
	}
	return !f.bad
}

func (d *decoder) header(b []byte) (ok bool) {
	name, value, ok := mapEntry(b)
	switch string(name) {
	case "traceparent":
		calllog.ParseTraceparent(value, &d.record.TraceID)
	case calllog.LoadTestHeader:
		d.record.LoadTest = value
	default:
		if i := d.headers.Index(name); i >= 0 {
			d.kept[i] = value
		}
	}
	return ok
}

func (d *decoder) response(b []byte) (ok bool) {
	f := fields{rest: b}
	for f.next() {
		switch f.num {
		case 1:
			code, _, ok := pair(f.v, 1, 0)
			if !ok {
				return false
			}
			d.record.Status = uint16(min(code.u, math.MaxUint16))
		case 3:
			d.record.BytesOut = f.u
		case 4:
			name, value, ok := mapEntry(f.v)
			if !ok {
				return false
			}
			if string(name) == calllog.LimitedByHeader {
				d.record.Limit(value)
			}
		case 6:
			d.details = f.v
		}
	}
	return !f.bad
}
