// Package template fills in what differs from one request of a load test to the
// next: fields of data files, values that earlier answers held, counters, random
// values and times.
//
// The syntax is that of text/template, the language a small part of it: a text with
// actions, each one value and what escapes it. There are no loops, conditions or
// functions of the system, so a template always ends, quickly, and reads nothing but
// its values. It is compiled once; rendering needs no reflection and no lock.
package template

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"text/template/parse"
)

// Template is a text that was compiled. The zero value renders nothing.
type Template struct {
	parts []part
	text  string // when static
}

// part appends its text.
type part func(dst []byte, v *Values) []byte

// Static says that every rendering is the same, and what it is.
func (t Template) Static() (string, bool) { return t.text, len(t.parts) == 0 }

// Append renders at the end of dst.
func (t Template) Append(dst []byte, v *Values) []byte {
	if len(t.parts) == 0 {
		return append(dst, t.text...)
	}
	for _, p := range t.parts {
		dst = p(dst, v)
	}
	return dst
}

// String renders into a text of its own.
func (t Template) String(v *Values) string {
	if len(t.parts) == 0 {
		return t.text
	}
	return string(t.Append(make([]byte, 0, 128), v))
}

// Literal is a template of this text alone, whatever it holds.
func Literal(text string) Template { return Template{text: text} }

// Join renders one after the other.
func Join(all ...Template) Template {
	var joined Template
	static := ""
	for _, t := range all {
		static += t.text
		if len(t.parts) == 0 {
			joined.parts = append(joined.parts, literal(t.text))
			continue
		}
		joined.parts = append(joined.parts, t.parts...)
	}
	if !slices.ContainsFunc(all, func(t Template) bool { return len(t.parts) > 0 }) {
		return Template{text: static}
	}
	return joined
}

// Parse compiles a text. Its names are those of the scope, which notes what is used.
// Errors say what would be right.
func (s *Scope) Parse(text string) (Template, error) {
	if !strings.Contains(text, "{{") {
		return Template{text: text}, nil
	}
	tree := parse.New("")
	tree.Mode = parse.SkipFuncCheck
	sets := map[string]*parse.Tree{}
	if _, err := tree.Parse(text, "", "", sets); err != nil {
		return Template{}, clean(err)
	}
	if len(sets) > 1 {
		return Template{}, fmt.Errorf("has {{define}}, %s", wantAction)
	}
	var t Template
	for _, n := range tree.Root.Nodes {
		p, err := s.node(n)
		if err != nil {
			return Template{}, err
		}
		if p != nil {
			t.parts = append(t.parts, p)
		}
	}
	if len(t.parts) == 0 { // nothing but comments
		t.parts = append(t.parts, literal(""))
	}
	return t, nil
}

const wantAction = "want values alone, such as {{.users.id}}, {{seq}} or {{uuid}}"

// position is what the parser puts before its messages: no name and a line.
var position = regexp.MustCompile(`^template: :(\d+)(:\d+)?: `)

func clean(err error) error {
	m := position.FindStringSubmatch(err.Error())
	if m == nil {
		return err
	}
	message := err.Error()[len(m[0]):]
	if m[1] != "1" {
		message = "line " + m[1] + " of the text: " + message
	}
	return fmt.Errorf("%s", message)
}

func literal(text string) part {
	return func(dst []byte, _ *Values) []byte { return append(dst, text...) }
}

func (s *Scope) node(n parse.Node) (part, error) {
	switch n := n.(type) {
	case *parse.TextNode:
		return literal(string(n.Text)), nil
	case *parse.CommentNode:
		return nil, nil
	case *parse.ActionNode:
		if len(n.Pipe.Decl) > 0 {
			return nil, fmt.Errorf("%s sets a variable, %s", n, wantAction)
		}
		return s.pipe(n.Pipe)
	}
	return nil, fmt.Errorf("%s is not allowed, %s", firstLine(n.String()), wantAction)
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	if len(line) > 60 {
		line = line[:60] + "…"
	}
	return line
}

// pipe is a value and what escapes it, in turn.
func (s *Scope) pipe(n *parse.PipeNode) (part, error) {
	p, err := s.value(n.Cmds[0])
	if err != nil {
		return nil, err
	}
	for _, c := range n.Cmds[1:] {
		name, ok := c.Args[0].(*parse.IdentifierNode)
		escape := escapes[identOf(name)]
		if !ok || len(c.Args) != 1 || escape == nil {
			return nil, fmt.Errorf("| %s is unknown, want | query, | path or | json", c)
		}
		p = escaped(p, escape)
	}
	return p, nil
}

func identOf(n *parse.IdentifierNode) string {
	if n == nil {
		return ""
	}
	return n.Ident
}

func escaped(p part, escape func(string) string) part {
	return func(dst []byte, v *Values) []byte {
		from := len(dst)
		dst = p(dst, v)
		return append(dst[:from], escape(string(dst[from:]))...)
	}
}

func (s *Scope) value(c *parse.CommandNode) (part, error) {
	switch first := c.Args[0].(type) {
	case *parse.FieldNode:
		if len(c.Args) > 1 {
			return nil, fmt.Errorf("%s takes nothing behind it", first)
		}
		return s.field(first.Ident)
	case *parse.StringNode:
		if len(c.Args) == 1 {
			return literal(first.Text), nil
		}
	case *parse.IdentifierNode:
		f, ok := functions[first.Ident]
		if !ok {
			return nil, fmt.Errorf("function %s is unknown, want one of %s; values have a dot before them, such as {{.%s}}", first.Ident, names(), first.Ident)
		}
		return f(s, first.Ident, c.Args[1:])
	}
	return nil, fmt.Errorf("%s is not allowed, %s", c, wantAction)
}
