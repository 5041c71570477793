package als

import (
	"math"

	"google.golang.org/protobuf/encoding/protowire"
)

// fields reads the fields of one protobuf message in order. A field that is
// neither a varint nor length-delimited is skipped.
type fields struct {
	rest []byte
	num  protowire.Number
	v    []byte // value of a length-delimited field; part of the input
	u    uint64 // value of a varint field
	bad  bool   // the input does not parse from here on
}

// next moves to the next field. It returns false at the end and at an error.
func (f *fields) next() bool {
	for len(f.rest) > 0 {
		num, kind, n := protowire.ConsumeTag(f.rest)
		if n < 0 {
			f.bad = true
			return false
		}
		f.num, f.v, f.u, f.rest = num, nil, 0, f.rest[n:]
		switch kind {
		case protowire.BytesType:
			f.v, n = protowire.ConsumeBytes(f.rest)
		case protowire.VarintType:
			f.u, n = protowire.ConsumeVarint(f.rest)
		default:
			n = protowire.ConsumeFieldValue(num, kind, f.rest)
		}
		if n < 0 { // a length of garbage: slicing with it would panic
			f.bad = true
			return false
		}
		f.rest = f.rest[n:]
		if kind == protowire.BytesType || kind == protowire.VarintType {
			return true
		}
	}
	return false
}

// pair reads a message of two fields with the numbers first and second, such as
// an entry of a map, a Timestamp or a Duration.
func pair(b []byte, first, second protowire.Number) (x, y fields, ok bool) {
	f := fields{rest: b}
	for f.next() {
		switch f.num {
		case first:
			x = f
		case second:
			y = f
		}
	}
	return x, y, !f.bad
}

// micros reads a Timestamp or a Duration in whole microseconds.
func micros(b []byte) (us int64, ok bool) {
	const most = math.MaxInt64 / 2_000_000 // seconds
	seconds, nanos, ok := pair(b, 1, 2)
	s := min(max(int64(seconds.u), -most), most)
	return s*1_000_000 + int64(int32(nanos.u))/1000, ok
}

// span reads a Duration that is stored in 32 bits: less than 0 is 0.
func span(b []byte) (us uint32, ok bool) {
	v, ok := micros(b)
	return uint32(min(max(v, 0), math.MaxUint32)), ok
}
