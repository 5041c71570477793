package api

import (
	"encoding"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"
)

// Decode reads one YAML document into a pointer to a struct with yaml tags, and
// keeps what is already there for keys that are not given, so that defaults can
// be set before. It is strict: unknown and repeated keys, wrong types and empty
// values are problems, all of them reported, each with its line. An empty file
// changes nothing.
//
// A tag want:"…" says what a field takes, for the messages. Types that implement
// encoding.TextUnmarshaler read their own text; their errors continue the
// sentence "field: ", as in "is "x", want a duration".
func Decode(file string, data []byte, into any) (Lines, Problems) {
	docs, problems := documents(file, data)
	if len(docs) == 0 {
		return Lines{"": 1}, problems
	}
	for _, extra := range docs[1:] {
		problems = append(problems, *extra.problem(1, "begins a second document, want one document in this file"))
	}
	d := decoder{document: docs[0], lines: Lines{}, problems: problems}
	if d.root != nil {
		d.decodeRoot(into)
	}
	d.problems.Sort()
	return d.lines, d.problems
}

// Defaulter is an element of a mapping that has defaults of its own: they are set
// before its keys are read.
type Defaulter interface{ SetDefaults() }

// decoder fills Go values from one document.
type decoder struct {
	document
	lines    Lines
	problems Problems
	meant    []string // fields that misspelt keys probably stand for
}

// nodeDecoder is a type that reads its own node.
type nodeDecoder interface {
	decodeNode(d *decoder, field string, n ast.Node)
}

func (d *decoder) decodeRoot(into any) {
	d.lines.set("", d.lineOf(d.root))
	d.value("", d.root, reflect.ValueOf(into).Elem(), "")
}

func (d *decoder) add(field string, line int, format string, args ...any) {
	d.problems = append(d.problems, Problem{Source: Source{d.file, line}, Field: field, Message: fmt.Sprintf(format, args...)})
}

// wrong reports that a node is not what a field takes.
func (d *decoder) wrong(field string, n ast.Node, want string) {
	d.add(field, d.lineOf(n), "is %s, want %s", describe(n), want)
}

// wrongKind is wrong without the text of the node: where a list or mapping is
// wanted it may be a secret that was written in the wrong place.
func (d *decoder) wrongKind(field string, n ast.Node, want string) {
	d.add(field, d.lineOf(n), "is %s, want %s", kindOf(n), want)
}

// value decodes a node into a settable value. want overrides the description of
// what the type takes.
func (d *decoder) value(field string, n ast.Node, v reflect.Value, want string) {
	if message := unusable(n); message != "" {
		d.add(field, d.lineOf(n), "%s", message)
		return
	}
	if _, null := n.(*ast.NullNode); null || n == nil {
		d.add(field, d.lines.At(field), "has no value, want %s, or leave the key out", wantOf(v.Type(), want))
		return
	}
	if own, ok := v.Addr().Interface().(nodeDecoder); ok {
		own.decodeNode(d, field, n)
		return
	}
	if own, ok := v.Addr().Interface().(encoding.TextUnmarshaler); ok {
		d.textual(field, n, own, wantOf(v.Type(), want))
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		d.value(field, n, v.Elem(), want)
	case reflect.Struct:
		d.structure(field, n, v)
	case reflect.Map:
		d.mapping(field, n, v)
	case reflect.Slice:
		d.sequence(field, n, v)
	default:
		d.scalar(field, n, v, wantOf(v.Type(), want))
	}
}

func (d *decoder) textual(field string, n ast.Node, into encoding.TextUnmarshaler, want string) {
	text, ok := scalarText(n)
	if !ok {
		d.wrong(field, n, want)
		return
	}
	if err := into.UnmarshalText([]byte(text)); err != nil {
		d.add(field, d.lineOf(n), "%s", err)
	}
}

func (d *decoder) structure(field string, n ast.Node, v reflect.Value) {
	entries, ok := d.entries(field, n)
	if !ok {
		d.wrongKind(field, n, wantOf(v.Type(), ""))
		return
	}
	for _, e := range entries {
		path := join(field, e.key)
		f, ok := fieldOf(v.Type(), e.key)
		if !ok {
			d.add(path, e.line, "unknown key, %s", suggest(e.key, keysOf(v.Type())))
			if near := nearest(e.key, keysOf(v.Type())); near != "" {
				d.meant = append(d.meant, join(field, near))
			}
			continue
		}
		d.lines.set(path, e.line)
		d.value(path, e.value, v.FieldByIndex(f.Index), f.Tag.Get("want"))
	}
}

func (d *decoder) mapping(field string, n ast.Node, v reflect.Value) {
	entries, ok := d.entries(field, n)
	if !ok {
		d.wrongKind(field, n, wantOf(v.Type(), ""))
		return
	}
	out := reflect.MakeMapWithSize(v.Type(), len(entries))
	for _, e := range entries {
		path := join(field, e.key)
		d.lines.set(path, e.line)
		item := reflect.New(v.Type().Elem()).Elem()
		if own, ok := item.Addr().Interface().(Defaulter); ok {
			own.SetDefaults()
		}
		d.value(path, e.value, item, "")
		out.SetMapIndex(reflect.ValueOf(e.key).Convert(v.Type().Key()), item)
	}
	v.Set(out)
}

func (d *decoder) sequence(field string, n ast.Node, v reflect.Value) {
	seq, ok := n.(*ast.SequenceNode)
	if !ok {
		d.wrongKind(field, n, wantOf(v.Type(), ""))
		return
	}
	out := reflect.MakeSlice(v.Type(), len(seq.Values), len(seq.Values))
	for i, item := range seq.Values {
		path := fmt.Sprintf("%s[%d]", field, i)
		d.lines.set(path, d.lineOf(item))
		d.value(path, item, out.Index(i), "")
	}
	v.Set(out)
}

func (d *decoder) scalar(field string, n ast.Node, v reflect.Value, want string) {
	switch kind := v.Kind(); {
	case kind == reflect.String:
		text, ok := scalarText(n)
		switch {
		case !ok:
			d.wrong(field, n, want)
		case v.Type() != reflect.TypeFor[Secret]() && !isText(n):
			if want == wantOf(v.Type(), "") {
				want = fmt.Sprintf("%s: write \"%s\"", want, text)
			}
			d.wrong(field, n, want)
		default:
			v.SetString(text)
		}
	case kind == reflect.Bool:
		b, ok := n.(*ast.BoolNode)
		if !ok {
			d.wrong(field, n, want)
			return
		}
		v.SetBool(b.Value)
	case v.CanInt() || v.CanUint() || v.CanFloat():
		if !setNumber(v, n) {
			d.wrong(field, n, want)
		}
	default:
		d.add(field, d.lineOf(n), "cannot be given here")
	}
}

func setNumber(v reflect.Value, n ast.Node) bool {
	var value any
	switch n := n.(type) {
	case *ast.IntegerNode:
		value = n.Value
	case *ast.FloatNode:
		value = n.Value
	}
	switch x := value.(type) {
	case int64:
		switch {
		case v.CanInt() && !v.OverflowInt(x):
			v.SetInt(x)
		case v.CanUint() && x >= 0 && !v.OverflowUint(uint64(x)):
			v.SetUint(uint64(x))
		case v.CanFloat():
			v.SetFloat(float64(x))
		default:
			return false
		}
		return true
	case uint64:
		switch {
		case v.CanInt() && x <= math.MaxInt64 && !v.OverflowInt(int64(x)):
			v.SetInt(int64(x))
		case v.CanUint() && !v.OverflowUint(x):
			v.SetUint(x)
		case v.CanFloat():
			v.SetFloat(float64(x))
		default:
			return false
		}
		return true
	case float64:
		if v.CanFloat() && !math.IsNaN(x) && !math.IsInf(x, 0) {
			v.SetFloat(x)
			return true
		}
	}
	return false
}

// entry is one key of a mapping.
type entry struct {
	key   string
	line  int
	value ast.Node
}

// entries are the keys of a mapping node; keys that cannot be used or come twice
// are reported and left out. It is false when the node is no mapping.
func (d *decoder) entries(field string, n ast.Node) ([]entry, bool) {
	var values []*ast.MappingValueNode
	switch n := n.(type) {
	case *ast.MappingNode:
		values = n.Values
	case *ast.MappingValueNode:
		values = []*ast.MappingValueNode{n}
	default:
		return nil, false
	}
	entries := make([]entry, 0, len(values))
	seen := make(map[string]int, len(values))
	for _, v := range values {
		line := d.lineOf(v.Key)
		key, ok := keyText(v.Key)
		if !ok {
			d.add(field, line, "has a key that is not plain text, want keys such as name")
			continue
		}
		if first, again := seen[key]; again {
			d.add(join(field, key), line, "is given twice, first on line %d: want it once", first)
			continue
		}
		seen[key] = line
		entries = append(entries, entry{key, line, v.Value})
	}
	return entries, true
}

// keyText is the text of a key; numbers and booleans keep their spelling.
func keyText(n ast.MapKeyNode) (string, bool) {
	if n == nil || n.IsMergeKey() {
		return "", false
	}
	if _, null := n.(*ast.NullNode); null {
		return "", false
	}
	return scalarText(n)
}

// keysOf are the keys that a struct takes, in the order of its fields.
func keysOf(t reflect.Type) []string {
	var keys []string
	for f := range visible(t) {
		keys = append(keys, tagKey(f))
	}
	return keys
}

func fieldOf(t reflect.Type, key string) (reflect.StructField, bool) {
	for f := range visible(t) {
		if tagKey(f) == key {
			return f, true
		}
	}
	return reflect.StructField{}, false
}

// visible are the fields that have a key; embedded structs without a key of
// their own lend theirs.
func visible(t reflect.Type) func(func(reflect.StructField) bool) {
	return func(yield func(reflect.StructField) bool) {
		for i := range t.NumField() {
			f := t.Field(i)
			if f.Anonymous && f.Tag.Get("yaml") == "" && f.Type.Kind() == reflect.Struct {
				for inner := range visible(f.Type) {
					inner.Index = slices.Concat(f.Index, inner.Index)
					if !yield(inner) {
						return
					}
				}
				continue
			}
			if key := tagKey(f); f.IsExported() && key != "-" && key != "" && !yield(f) {
				return
			}
		}
	}
}

func tagKey(f reflect.StructField) string {
	key, options, _ := strings.Cut(f.Tag.Get("yaml"), ",")
	if key == "" && !strings.Contains(options, "inline") {
		return strings.ToLower(f.Name)
	}
	return key
}
