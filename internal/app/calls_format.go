package app

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
)

// format writes rows of any types. Values are pointers, as they were scanned into.
type format struct {
	mime string
	head func(to []byte, names []string) []byte
	row  func(to []byte, names []string, values []any) []byte
}

var formats = map[string]format{
	"json": {"application/jsonl", func(to []byte, _ []string) []byte { return to }, jsonRow},
	"csv": {
		"text/csv; charset=utf-8",
		func(to []byte, names []string) []byte { return joined(to, names, ',', "\r\n", csvField) },
		func(to []byte, _ []string, values []any) []byte {
			return joined(to, values, ',', "\r\n", func(to []byte, v any) []byte { return csvField(to, text(v, "")) })
		},
	},
	"tsv": {
		"text/tab-separated-values; charset=utf-8",
		func(to []byte, names []string) []byte { return joined(to, names, '\t', "\n", tsvField) },
		func(to []byte, _ []string, values []any) []byte {
			return joined(to, values, '\t', "\n", func(to []byte, v any) []byte {
				if deref(v) == nil {
					return append(to, `\N`...)
				}
				return tsvField(to, text(v, ""))
			})
		},
	},
}

func joined[T any](to []byte, all []T, between byte, end string, field func([]byte, T) []byte) []byte {
	for i, v := range all {
		if i > 0 {
			to = append(to, between)
		}
		to = field(to, v)
	}
	return append(to, end...)
}

// csvField quotes what RFC 4180 wants quoted. A field that a spreadsheet would take
// for a formula is kept as it is: this is data, and has to survive.
func csvField(to []byte, s string) []byte {
	if !strings.ContainsAny(s, "\",\r\n") {
		return append(to, s...)
	}
	to = append(to, '"')
	to = append(to, strings.ReplaceAll(s, `"`, `""`)...)
	return append(to, '"')
}

var tsvEscapes = strings.NewReplacer(`\`, `\\`, "\t", `\t`, "\n", `\n`, "\r", `\r`, "\x00", `\0`)

// tsvField escapes as ClickHouse's TabSeparated does.
func tsvField(to []byte, s string) []byte { return append(to, tsvEscapes.Replace(s)...) }

// deref is the value behind pointers; nil when one of them is.
func deref(v any) any {
	switch p := v.(type) { // what nearly all values are, without reflection
	case *string:
		return *p
	case *uint64:
		return *p
	case *uint32:
		return *p
	case *uint16:
		return *p
	case *time.Time:
		return *p
	}
	r := reflect.ValueOf(v)
	for r.IsValid() && (r.Kind() == reflect.Pointer || r.Kind() == reflect.Interface) {
		if r.IsNil() {
			return nil
		}
		if r.Kind() == reflect.Pointer && !r.Elem().CanInterface() {
			return r.Interface()
		}
		if _, ok := r.Interface().(fmt.Stringer); ok && r.Kind() == reflect.Pointer && r.Elem().Kind() == reflect.Struct {
			if _, ok := r.Elem().Interface().(fmt.Stringer); !ok {
				return r.Interface() // such as *big.Int
			}
		}
		r = r.Elem()
	}
	if !r.IsValid() {
		return nil
	}
	return r.Interface()
}

const momentFormat = "2006-01-02T15:04:05.999999999Z"

// text is a value as one field; null is what stands for none.
func text(v any, null string) string {
	switch v := deref(v).(type) {
	case nil:
		return null
	case string:
		return v
	case time.Time:
		return v.UTC().Format(momentFormat)
	case float64:
		return strconv.FormatFloat(v, 'g', -1, 64)
	case float32:
		return strconv.FormatFloat(float64(v), 'g', -1, 32)
	case fmt.Stringer:
		return v.String()
	default:
		return plain(v)
	}
}

// plain is a number or a truth as it is printed, and everything that has parts as
// JSON.
func plain(v any) string {
	switch reflect.ValueOf(v).Kind() {
	case reflect.Slice, reflect.Array, reflect.Map, reflect.Struct:
		return string(jsonValue(nil, v))
	}
	return fmt.Sprint(v)
}

func jsonRow(to []byte, names []string, values []any) []byte {
	to = append(to, '{')
	for i, v := range values {
		if i > 0 {
			to = append(to, ',')
		}
		to = jsonText(to, names[i])
		to = append(to, ':')
		to = jsonValue(to, deref(v))
	}
	return append(to, '}', '\n')
}

// jsonValue never fails: what JSON has no way to write, such as NaN, is null, and
// other values are their text.
func jsonValue(to []byte, v any) []byte {
	switch v := v.(type) {
	case nil:
		return append(to, "null"...)
	case string:
		return jsonText(to, v)
	case []byte: // Array(UInt8)
		return append(joined(append(to, '['), v, ',', "", func(to []byte, n byte) []byte { return strconv.AppendUint(to, uint64(n), 10) }), ']')
	case time.Time:
		return append(append(append(to, '"'), v.UTC().Format(momentFormat)...), '"')
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return append(to, "null"...)
		}
	}
	b, err := marshal(v)
	if err != nil {
		return jsonText(to, fmt.Sprint(v))
	}
	return append(to, b...)
}

func jsonText(to []byte, s string) []byte {
	b, err := marshal(s)
	if err != nil { // a string has a JSON form
		return append(to, `""`...)
	}
	return append(to, b...)
}

// marshal is json.Marshal that leaves <, > and & alone.
func marshal(v any) ([]byte, error) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimRight(buf.Bytes(), "\n"), nil
}

// problemJSON is the body of an error answer.
func problemJSON(err huma.StatusError) []byte {
	b, failed := marshal(err)
	if failed != nil {
		return []byte(`{"status":500}`)
	}
	return b
}
