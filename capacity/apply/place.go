package apply

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"github.com/kongdao/kongdao/api"
)

// field is a key with its value as it is written.
type field struct{ key, text string }

// spec writes the limit into the document of a function.
func (e *edit) spec(root *yaml.Node, l Limit) error {
	skey, spec := pair(root, "spec")
	if spec == nil || spec.Kind != yaml.MappingNode || len(spec.Content) == 0 {
		return errors.New("spec is not a mapping of its own")
	}
	rate := field{"perPodQPS", number(l.PerPodQPS)}
	measured := field{"measured", flow(measuredFields(l.Measured))}
	key, c := pair(spec, "capacity")
	switch {
	case c == nil:
		return e.first(skey, spec, field{"capacity", flow([]field{rate, measured})})
	case null(c):
		return e.fill(key, c, flow([]field{rate, measured}))
	case c.Kind != yaml.MappingNode:
		return errors.New("it is written elsewhere, and shared")
	}
	return e.capacity(key, c, l, rate, measured)
}

func (e *edit) capacity(key, c *yaml.Node, l Limit, rate, measured field) error {
	q, m := get(c, "perPodQPS"), get(c, "measured")
	mkey, _ := pair(c, "measured")
	if q == nil && m == nil {
		return e.first(key, c, rate, measured)
	}
	var errs []error
	if q == nil {
		errs = append(errs, e.first(key, c, rate))
	} else {
		errs = append(errs, e.set(q, rate.text, l.PerPodQPS))
	}
	switch {
	case m == nil:
		errs = append(errs, e.after(c, q, measured))
	case null(m):
		errs = append(errs, e.fill(mkey, m, measured.text))
	case m.Kind == yaml.AliasNode:
		errs = append(errs, e.set(m, measured.text, nil))
	case m.Kind != yaml.MappingNode:
		errs = append(errs, errors.New("measured is not a mapping"))
	default:
		errs = append(errs, e.measured(mkey, m, l.Measured))
	}
	return errors.Join(errs...)
}

// measured changes fields where they stand, and adds those that are not there.
func (e *edit) measured(key, m *yaml.Node, want api.Measured) error {
	var missing []field
	var errs []error
	for _, f := range allFields(want) {
		v := get(m, f.key)
		switch {
		case v != nil && f.key == "low" || v != nil && f.key == "high":
			errs = append(errs, e.set(v, f.text, map[string]float64{"low": want.Low, "high": want.High}[f.key]))
		case v != nil:
			errs = append(errs, e.set(v, f.text, map[string]string{"date": want.Date, "run": want.Run, "revision": want.Revision}[f.key]))
		case f.text != "0" && f.text != `""`:
			missing = append(missing, f)
		}
	}
	if len(missing) > 0 {
		errs = append(errs, e.first(key, m, missing...))
	}
	return errors.Join(errs...)
}

func allFields(m api.Measured) []field {
	return []field{
		{"date", strconv.Quote(m.Date)}, {"low", number(m.Low)}, {"high", number(m.High)}, {"run", word(m.Run)}, {"revision", word(m.Revision)},
	}
}

// measuredFields are those with something to say.
func measuredFields(m api.Measured) []field {
	return slices.DeleteFunc(allFields(m), func(f field) bool { return f.text == "0" || f.text == `""` })
}

func flow(fields []field) string { return "{" + list(fields) + "}" }

func list(fields []field) string {
	var parts []string
	for _, f := range fields {
		parts = append(parts, f.key+": "+f.text)
	}
	return strings.Join(parts, ", ")
}

func number(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }

var plainWord = regexp.MustCompile(`^[a-zA-Z][a-zA-Z0-9]*[-_.][a-zA-Z0-9._-]*$|^r[0-9]+$`)

// word is a string, quoted where YAML might take it for something else.
func word(s string) string {
	if plainWord.MatchString(s) {
		return s
	}
	return strconv.Quote(s)
}

func null(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.Tag == "!!null" }

// set replaces a value, unless it is the wanted one already, however it is written.
func (e *edit) set(n *yaml.Node, text string, want any) error {
	from, to, err := e.span(n)
	if err != nil || n.Kind == yaml.ScalarNode && same(n.Value, want) {
		return err
	}
	if e.text[from] == '\'' && strings.HasPrefix(text, `"`) && !strings.ContainsAny(text, `'\`) {
		text = "'" + strings.Trim(text, `"`) + "'"
	} else if c := e.text[from]; (c == '"' || c == '\'') && !strings.HasPrefix(text, `"`) {
		if _, isNumber := want.(float64); !isNumber {
			text = string(c) + text + string(c)
		}
	}
	e.replace(from, to, text)
	return nil
}

func same(value string, want any) bool {
	switch w := want.(type) {
	case string:
		return value == w
	case float64:
		v, err := strconv.ParseFloat(value, 64)
		return err == nil && v == w
	}
	return false
}

// fill gives a key without a value one.
func (e *edit) fill(key, n *yaml.Node, text string) error {
	if n.Value != "" {
		return e.set(n, text, nil)
	}
	_, to, err := e.span(key)
	if err != nil {
		return err
	}
	colon := bytes.IndexByte(e.text[to:], ':')
	if colon < 0 || len(bytes.TrimSpace(e.text[to:to+colon])) > 0 || n.Anchor != "" {
		return fmt.Errorf("line %d: there is no plain value", key.Line)
	}
	e.replace(to+colon+1, to+colon+1, " "+text)
	return nil
}

// first adds fields before all others of a mapping, and before their comments.
func (e *edit) first(parent, m *yaml.Node, fields ...field) error {
	if len(m.Content) == 0 {
		at, err := e.offset(m.Line, m.Column)
		if err != nil || e.text[at] != '{' {
			return fmt.Errorf("line %d: it is no plain mapping", m.Line)
		}
		e.replace(at+1, at+1, list(fields))
		return nil
	}
	key := m.Content[0]
	at, err := e.offset(key.Line, key.Column)
	if err != nil {
		return err
	}
	if m.Style&yaml.FlowStyle != 0 {
		e.replace(at, at, list(fields)+", ")
		return nil
	}
	if at, err = e.offset(parent.Line+1, 1); err != nil {
		return err
	}
	var b strings.Builder
	for _, f := range fields {
		b.WriteString(strings.Repeat(" ", key.Column-1) + f.key + ": " + f.text + e.newline(at))
	}
	e.replace(at, at, b.String())
	return nil
}

// after adds a field behind another one's value.
func (e *edit) after(m, value *yaml.Node, f field) error {
	_, to, err := e.span(value)
	if err != nil {
		return err
	}
	if m.Style&yaml.FlowStyle != 0 {
		e.replace(to, to, ", "+f.key+": "+f.text)
		return nil
	}
	newline := e.newline(to)
	if n := bytes.IndexByte(e.text[to:], '\n'); n >= 0 {
		to += n
	} else {
		to = len(e.text)
	}
	if newline == "\r\n" && e.text[to-1] == '\r' {
		to--
	}
	e.replace(to, to, newline+strings.Repeat(" ", m.Content[0].Column-1)+f.key+": "+f.text)
	return nil
}

// newline is how the line of a place ends.
func (e *edit) newline(at int) string {
	if n := bytes.IndexByte(e.text[at:], '\n'); n > 0 && e.text[at+n-1] == '\r' {
		return "\r\n"
	}
	return "\n"
}

// offset is the byte of a line and a column, both from 1; columns are characters.
func (e *edit) offset(line, column int) (int, error) {
	at := len(e.text) - len(bytes.TrimPrefix(e.text, []byte("\uFEFF")))
	for ; line > 1; line-- {
		n := bytes.IndexByte(e.text[at:], '\n')
		if n < 0 {
			return 0, errors.New("the place is not in the file")
		}
		at += n + 1
	}
	for ; column > 1 && at < len(e.text); column-- {
		_, size := utf8.DecodeRune(e.text[at:])
		at += size
	}
	if at >= len(e.text) {
		return 0, errors.New("the place is not in the file")
	}
	return at, nil
}

// span is where a value is written, on one line.
func (e *edit) span(n *yaml.Node) (from, to int, err error) {
	if from, err = e.offset(n.Line, n.Column); err != nil {
		return 0, 0, err
	}
	rest := e.text[from:]
	if end := bytes.IndexAny(rest, "\r\n"); end >= 0 {
		rest = rest[:end]
	}
	length := -1
	switch {
	case n.Kind == yaml.AliasNode:
		length = prefix(rest, "*"+n.Value)
	case n.Kind != yaml.ScalarNode || n.Anchor != "" || n.Style&yaml.TaggedStyle != 0:
	case n.Style&(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle) != 0:
		length = quoted(rest)
	case n.Style == 0:
		length = prefix(rest, n.Value)
	}
	if length <= 0 {
		return 0, 0, fmt.Errorf("line %d: it is not a plain value that only this field has", n.Line)
	}
	return from, from + length, nil
}

func prefix(text []byte, value string) int {
	if !bytes.HasPrefix(text, []byte(value)) {
		return -1
	}
	if rest := text[len(value):]; len(rest) > 0 && !bytes.ContainsRune([]byte(" \t,]}:"), rune(rest[0])) {
		return -1
	}
	return len(value)
}

// quoted is how long the quoted text is that begins here.
func quoted(text []byte) int {
	for i := 1; i < len(text); i++ {
		switch {
		case text[i] == '\\' && text[0] == '"':
			i++
		case text[i] == text[0] && text[0] == '\'' && i+1 < len(text) && text[i+1] == '\'':
			i++
		case text[i] == text[0]:
			return i + 1
		}
	}
	return -1
}
