package otlp

import (
	"errors"
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/kongdao/kongdao/internal/fnlog"
)

// errMessage is what every error about a message that does not parse wraps.
var errMessage = errors.New("malformed")

// field is one field of a message: v for length-delimited ones, n for the others.
type field struct {
	num protowire.Number
	typ protowire.Type
	v   []byte
	n   uint64
}

// fields calls f with each field of a message, groups left out. Bytes that are no
// message, or f's error, end it.
func fields(b []byte, f func(field) error) error {
	for len(b) > 0 {
		num, typ, n := protowire.ConsumeTag(b)
		if n < 0 {
			return fmt.Errorf("%w: %w", errMessage, protowire.ParseError(n))
		}
		b = b[n:]
		at := field{num: num, typ: typ}
		switch typ {
		case protowire.BytesType:
			at.v, n = protowire.ConsumeBytes(b)
		case protowire.VarintType:
			at.n, n = protowire.ConsumeVarint(b)
		case protowire.Fixed64Type:
			at.n, n = protowire.ConsumeFixed64(b)
		default: // fixed32 and groups: nothing here is one
			n = protowire.ConsumeFieldValue(num, typ, b)
		}
		if n < 0 {
			return fmt.Errorf("%w: %w", errMessage, protowire.ParseError(n))
		}
		b = b[n:]
		if err := f(at); err != nil {
			return err
		}
	}
	return nil
}

// messages calls f with each field num that is a message.
func messages(b []byte, num protowire.Number, f func([]byte) error) error {
	return fields(b, func(at field) error {
		if at.num != num || at.typ != protowire.BytesType {
			return nil
		}
		return f(at.v)
	})
}

// Field numbers of OTLP 1.x.
const (
	requestResourceLogs = 1

	resourceLogsResource  = 1
	resourceLogsScopeLogs = 2
	resourceAttributes    = 1

	scopeLogsScope   = 1
	scopeLogsRecords = 2
	scopeName        = 1

	recordTime         = 1
	recordSeverity     = 2
	recordSeverityText = 3
	recordBody         = 5
	recordAttributes   = 6
	recordDropped      = 7
	recordTraceID      = 9
	recordSpanID       = 10
	recordObserved     = 11
	recordEvent        = 12

	keyValueKey   = 1
	keyValueValue = 2
)

// decode adds the records of an ExportLogsServiceRequest to b. They are parts of
// message. The error wraps errMessage, and b then holds some of the records.
func (b *batch) decode(message []byte) error {
	return messages(message, requestResourceLogs, b.resourceLogs)
}

// resourceLogs looks for the resource first, because nothing says that it comes first.
func (b *batch) resourceLogs(m []byte) error {
	b.res.reset()
	err := messages(m, resourceLogsResource, func(resource []byte) error {
		return messages(resource, resourceAttributes, b.resourceAttribute)
	})
	if err != nil {
		return fmt.Errorf("resource: %w", err)
	}
	return messages(m, resourceLogsScopeLogs, b.scopeLogs)
}

func (b *batch) resourceAttribute(m []byte) error {
	key, value, err := keyValue(m)
	if err != nil {
		return err
	}
	text, err := b.text(value)
	if err != nil {
		return err
	}
	b.res.set(string(key), text)
	return nil
}

func (b *batch) scopeLogs(m []byte) error {
	b.scope = nil
	err := messages(m, scopeLogsScope, func(scope []byte) error {
		return messages(scope, scopeName, func(name []byte) error {
			b.scope = name
			return nil
		})
	})
	if err != nil {
		return fmt.Errorf("scope: %w", err)
	}
	return messages(m, scopeLogsRecords, b.logRecord)
}

// raw is what a log record has besides the columns.
type raw struct {
	time, observed     uint64 // nanoseconds since 1970; 0 unknown
	event              []byte
	requestID, traceID [16]byte // as attributes name them
	dropped            int      // attributes that the SDK or the limits left out
	lost               int      // bytes that the limits left out
}

func (b *batch) logRecord(m []byte) error {
	var r fnlog.Record
	var in raw
	var body []byte
	err := fields(m, func(f field) error {
		switch {
		case f.num == recordBody && f.typ == protowire.BytesType:
			body = merged(body, f.v)
		case f.num == recordAttributes && f.typ == protowire.BytesType:
			return b.recordAttribute(&r, &in, f.v)
		case f.typ == protowire.BytesType:
			in.bytes(&r, f)
		case f.typ == protowire.Fixed64Type:
			in.times(f)
		case f.typ == protowire.VarintType:
			in.numbers(&r, f)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("log record: %w", err)
	}
	if r.Body, err = b.text(body); err != nil {
		return fmt.Errorf("log record: body: %w", err)
	}
	return b.add(&r, &in)
}

func (in *raw) bytes(r *fnlog.Record, f field) {
	switch f.num {
	case recordSeverityText:
		r.SeverityText = f.v
	case recordEvent:
		in.event = f.v
	case recordTraceID:
		r.TraceID = [16]byte{} // one of another length is none
		if len(f.v) == len(r.TraceID) {
			r.TraceID = [16]byte(f.v)
		}
	case recordSpanID:
		r.SpanID = [8]byte{}
		if len(f.v) == len(r.SpanID) {
			r.SpanID = [8]byte(f.v)
		}
	}
}

func (in *raw) times(f field) {
	switch f.num {
	case recordTime:
		in.time = f.n
	case recordObserved:
		in.observed = f.n
	}
}

func (in *raw) numbers(r *fnlog.Record, f field) {
	switch f.num {
	case recordSeverity:
		r.Severity = 0
		if f.n <= 24 {
			r.Severity = uint8(f.n)
		}
	case recordDropped:
		in.dropped += int(uint32(f.n))
	}
}

// keyValue returns a KeyValue's key and its value, an AnyValue.
func keyValue(m []byte) (key, value []byte, err error) {
	err = fields(m, func(f field) error {
		switch {
		case f.num == keyValueKey && f.typ == protowire.BytesType:
			key = f.v
		case f.num == keyValueValue && f.typ == protowire.BytesType:
			value = merged(value, f.v)
		}
		return nil
	})
	return key, value, err
}

// merged is a message field that occurs once more: protobuf reads it as if its
// bytes came one after the other.
func merged(before, v []byte) []byte {
	if before == nil {
		return v
	}
	return append(before[:len(before):len(before)], v...)
}

// parseID reads 32 hexadecimal digits, with or without the hyphens of a UUID.
func parseID(s []byte) (id [16]byte, ok bool) {
	n := 0
	for _, c := range s {
		d := hexDigit(c)
		switch {
		case c == '-' && len(s) == 36:
			continue
		case d > 15 || n == 32:
			return [16]byte{}, false
		}
		id[n/2] = id[n/2]<<4 | d
		n++
	}
	return id, n == 32
}

func hexDigit(c byte) byte {
	switch {
	case c >= '0' && c <= '9':
		return c - '0'
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10
	case c >= 'A' && c <= 'F':
		return c - 'A' + 10
	}
	return 0xff
}
