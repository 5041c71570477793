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
func (f *fields) next() bool { return f.short() || f.any() }

// short reads a field whose tag takes one byte, or two, and whose length or value
// does as well: nearly every one. It does nothing when there is none.
func (f *fields) short() bool {
	const more = 0x80 // the number goes on in the next byte
	b := f.rest
	if len(b) < 4 {
		return false
	}
	tag, at := uint(b[0]), 1
	if tag&more != 0 {
		if b[1]&more != 0 {
			return false
		}
		tag, at = tag&^more|uint(b[1])<<7, 2
	}
	v := uint(b[at])
	if at++; v&more != 0 {
		if b[at]&more != 0 {
			return false
		}
		v = v&^more | uint(b[at])<<7
		at++
	}
	const varint, length = 0, 2
	switch kind := tag & 7; {
	case tag>>3 == 0:
		return false
	case kind == length && v <= uint(len(b)-at):
		end := at + int(v)
		f.num, f.v, f.u, f.rest = protowire.Number(tag>>3), b[at:end:end], 0, b[end:]
		return true
	case kind == varint:
		f.num, f.v, f.u, f.rest = protowire.Number(tag>>3), nil, uint64(v), b[at:]
		return true
	}
	return false
}

func (f *fields) any() bool {
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

// mapEntry reads an entry of a map of strings.
func mapEntry(b []byte) (key, value []byte, ok bool) {
	const keyTag, valueTag, short = 1<<3 | 2, 2<<3 | 2, 0x80
	if len(b) >= 4 && b[0] == keyTag && b[1] < short { // nearly every one
		at := 2 + int(b[1])
		if at+2 <= len(b) && b[at] == valueTag && b[at+1] < short && at+2+int(b[at+1]) == len(b) {
			return b[2:at:at], b[at+2:], true
		}
	}
	k, v, ok := pair(b, 1, 2)
	return k.v, v.v, ok
}

// numbers reads a message of two numbers with the field numbers 1 and 2, of which
// those that are 0 are left out.
func numbers(b []byte) (x, y uint64, ok bool) {
	rest := b
	if len(rest) > 0 && rest[0] == 1<<3 {
		x, rest = varint(rest[1:])
	}
	if len(rest) > 0 && rest[0] == 2<<3 {
		y, rest = varint(rest[1:])
	}
	if len(rest) == 0 && rest != nil {
		return x, y, true
	}
	first, second, ok := pair(b, 1, 2) // in another order, or not in order
	return first.u, second.u, ok
}

// varint reads a number; rest is nil when there is none.
func varint(b []byte) (v uint64, rest []byte) {
	const most = 9 // bytes: longer ones are rare, and may be too long
	for i, c := range b[:min(len(b), most)] {
		v |= uint64(c&0x7f) << (7 * i)
		if c < 0x80 {
			return v, b[i+1:]
		}
	}
	return 0, nil
}

// micros reads a Timestamp or a Duration in whole microseconds.
func micros(b []byte) (us int64, ok bool) {
	const most = math.MaxInt64 / 2_000_000 // seconds
	seconds, nanos, ok := numbers(b)
	s := min(max(int64(seconds), -most), most)
	return s*1_000_000 + int64(int32(nanos))/1000, ok
}

// span reads a Duration that is stored in 32 bits: less than 0 is 0.
func span(b []byte) (us uint32, ok bool) {
	v, ok := micros(b)
	return uint32(min(max(v, 0), math.MaxUint32)), ok
}
