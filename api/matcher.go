package api

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/goccy/go-yaml/ast"
)

// Matcher is a condition on a value, such as that of a header. It is written as
// the value itself, or as one of {exact: v}, {prefix: v}, {suffix: v},
// {contains: v}, {regex: v}, {present: true} and {present: false}. The zero value
// asks for an empty value.
type Matcher struct {
	Kind MatchKind
	Text string // nothing with MatchPresent and MatchAbsent
}

// MatchKind is how a Matcher compares.
type MatchKind int

// The kinds of Matchers. Letters count as they are written.
const (
	MatchExact MatchKind = iota
	MatchPrefix
	MatchSuffix
	MatchContains
	MatchRegex // RE2, of the whole value
	MatchPresent
	MatchAbsent
)

// matchKeys are the keys of a Matcher that is written as a mapping.
var matchKeys = []string{"exact", "prefix", "suffix", "contains", "regex", "present"}

const wantMatcher = "text to be equal to, or a mapping with one of exact, prefix, suffix, contains, regex or present"

// Is is the Matcher of one value.
func Is(value string) Matcher { return Matcher{Kind: MatchExact, Text: value} }

// String is the condition for people, such as `begins with "a"`.
func (m Matcher) String() string {
	switch m.Kind {
	case MatchPrefix:
		return "begins with " + m.Text
	case MatchSuffix:
		return "ends with " + m.Text
	case MatchContains:
		return "contains " + m.Text
	case MatchRegex:
		return "matches " + m.Text
	case MatchPresent:
		return "is there"
	case MatchAbsent:
		return "is not there"
	default:
		return m.Text
	}
}

func (m *Matcher) decodeNode(d *decoder, field string, n ast.Node) {
	entries, mapping := d.entries(field, n)
	if !mapping {
		text, ok := scalarText(n)
		if !ok || !isText(n) {
			want := wantMatcher
			if ok {
				want = fmt.Sprintf("text: write %q", text)
			}
			d.wrong(field, n, want)
			return
		}
		*m = Is(text)
		return
	}
	if len(entries) != 1 {
		d.add(field, d.lineOf(n), "is a mapping with %d keys, want %s", len(entries), wantMatcher)
		return
	}
	m.decodeKind(d, join(field, entries[0].key), entries[0])
}

func (m *Matcher) decodeKind(d *decoder, field string, e entry) {
	kind := slices.Index(matchKeys, e.key)
	if kind < 0 {
		d.add(field, e.line, "unknown key, %s", suggest(e.key, matchKeys))
		return
	}
	d.lines.set(field, e.line)
	if MatchKind(kind) == MatchPresent {
		b, ok := e.value.(*ast.BoolNode)
		if !ok {
			d.wrong(field, e.value, "true or false")
			return
		}
		m.Kind = MatchPresent
		if !b.Value {
			m.Kind = MatchAbsent
		}
		return
	}
	text, ok := scalarText(e.value)
	if !ok || !isText(e.value) {
		d.wrong(field, e.value, "text")
		return
	}
	*m = Matcher{Kind: MatchKind(kind), Text: text}
}

// MarshalJSON writes what a resource would hold.
func (m Matcher) MarshalJSON() ([]byte, error) {
	switch m.Kind {
	case MatchExact:
		return json.Marshal(m.Text)
	case MatchPresent, MatchAbsent:
		return json.Marshal(map[string]bool{"present": m.Kind == MatchPresent})
	}
	return json.Marshal(map[string]string{matchKeys[m.Kind]: m.Text})
}

// UnmarshalJSON reads what MarshalJSON writes.
func (m *Matcher) UnmarshalJSON(text []byte) error {
	*m = Matcher{}
	if json.Unmarshal(text, &m.Text) == nil {
		return nil
	}
	var keys map[string]any
	if err := json.Unmarshal(text, &keys); err != nil {
		return err
	}
	for key, value := range keys {
		kind := slices.Index(matchKeys, key)
		if len(keys) != 1 || kind < 0 {
			break
		}
		switch v := value.(type) {
		case bool:
			m.Kind = MatchAbsent
			if v {
				m.Kind = MatchPresent
			}
			return nil
		case string:
			*m = Matcher{MatchKind(kind), v}
			return nil
		}
	}
	return fmt.Errorf("want %s", wantMatcher)
}
