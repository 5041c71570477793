package otlp

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"
	"strconv"

	common "go.opentelemetry.io/proto/otlp/common/v1"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

// Field numbers of AnyValue.
const (
	anyString = 1
	anyBool   = 2
	anyInt    = 3
	anyDouble = 4
	anyArray  = 5
	anyKVList = 6
	anyBytes  = 7
)

// maxDepth is how deep arrays and lists in values may be nested; a message with
// deeper ones is malformed.
const maxDepth = 64

// maxNested bounds a value that has to be taken apart, in bytes of the message: it
// takes a large multiple of that in memory.
const maxNested = 256 << 10

// text is an AnyValue as it is stored: a string as it is, numbers and truth values
// as JSON writes them, bytes as base64, arrays and lists as JSON. An empty one is
// empty. It is a part of value, or of b.arena.
func (b *batch) text(value []byte) (text []byte, err error) {
	start := len(b.arena)
	nested := false
	err = fields(value, func(f field) error {
		switch {
		case f.num == anyString && f.typ == protowire.BytesType:
			text = f.v
			nested = false
		case (f.num == anyArray || f.num == anyKVList) && f.typ == protowire.BytesType:
			nested = true
		case f.num == anyBytes && f.typ == protowire.BytesType:
			b.arena = base64.StdEncoding.AppendEncode(b.arena[:start], f.v)
			text, nested = b.arena[start:], false
		case f.num == anyBool && f.typ == protowire.VarintType:
			b.arena = strconv.AppendBool(b.arena[:start], protowire.DecodeBool(f.n))
			text, nested = b.arena[start:], false
		case f.num == anyInt && f.typ == protowire.VarintType:
			b.arena = strconv.AppendInt(b.arena[:start], int64(f.n), 10)
			text, nested = b.arena[start:], false
		case f.num == anyDouble && f.typ == protowire.Fixed64Type:
			b.arena = appendDouble(b.arena[:start], math.Float64frombits(f.n))
			text, nested = b.arena[start:], false
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if nested {
		if len(value) > maxNested {
			return fmt.Appendf(nil, "(a structure of %d bytes, more than %d)", len(value), maxNested), nil
		}
		return nestedText(value)
	}
	return text[:len(text):len(text)], nil
}

// nestedText is rare enough for protobuf's own structs.
func nestedText(value []byte) ([]byte, error) {
	var v common.AnyValue
	if err := (proto.UnmarshalOptions{RecursionLimit: maxDepth, DiscardUnknown: true}).Unmarshal(value, &v); err != nil {
		return nil, fmt.Errorf("%w: %w", errMessage, err)
	}
	text, err := json.Marshal(plain(&v))
	if err != nil {
		return nil, fmt.Errorf("value: %w: %w", errMessage, err)
	}
	return text, nil
}

// plain is a value as encoding/json takes it.
func plain(v *common.AnyValue) any {
	switch x := v.GetValue().(type) {
	case *common.AnyValue_StringValue:
		return x.StringValue
	case *common.AnyValue_BoolValue:
		return x.BoolValue
	case *common.AnyValue_IntValue:
		return x.IntValue
	case *common.AnyValue_DoubleValue:
		if math.IsNaN(x.DoubleValue) || math.IsInf(x.DoubleValue, 0) {
			return string(appendDouble(nil, x.DoubleValue)) // JSON has no such number
		}
		return x.DoubleValue
	case *common.AnyValue_BytesValue:
		return x.BytesValue
	case *common.AnyValue_ArrayValue:
		values := make([]any, 0, len(x.ArrayValue.GetValues()))
		for _, e := range x.ArrayValue.GetValues() {
			values = append(values, plain(e))
		}
		return values
	case *common.AnyValue_KvlistValue:
		values := make(map[string]any, len(x.KvlistValue.GetValues()))
		for _, e := range x.KvlistValue.GetValues() {
			values[e.GetKey()] = plain(e.GetValue())
		}
		return values
	}
	return nil
}

func appendDouble(dst []byte, v float64) []byte { return strconv.AppendFloat(dst, v, 'g', -1, 64) }
