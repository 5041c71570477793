package api

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// Bounds of one document. They keep hostile input from exhausting the YAML
// parser's stack; real resources stay far below.
const (
	maxDepth      = 100
	maxLineLength = 64 << 10
)

// document is one YAML document of a file.
type document struct {
	file   string
	offset int      // lines of the file before the document
	text   []string // its lines, from the one after "---" on
	root   ast.Node // nil when it could not be parsed
}

// line is the line in the file of a line in the document, kept within the file.
func (d document) line(n int) int {
	return d.offset + min(max(n, 1), max(len(d.text), 1))
}

// lineOf is the line in the file on which a node begins.
func (d document) lineOf(n ast.Node) int {
	if n == nil || n.GetToken() == nil || n.GetToken().Position == nil {
		return d.line(1)
	}
	return d.line(n.GetToken().Position.Line)
}

// documents splits a file at its "---" lines and parses each part alone, so that
// one torn document does not hide the problems of the others. Parts without
// content are left out.
func documents(file string, data []byte) ([]document, Problems) {
	data = bytes.TrimPrefix(data, []byte("\uFEFF"))
	data = bytes.ReplaceAll(data, []byte("\r\n"), []byte("\n"))
	if p, ok := unreadable(file, data); !ok {
		return nil, Problems{p}
	}
	var docs []document
	var problems Problems
	for _, doc := range split(file, strings.Split(string(data), "\n")) {
		if doc.blank() {
			continue
		}
		root, problem := doc.parse()
		if problem != nil {
			problems = append(problems, *problem)
		}
		doc.root = root
		docs = append(docs, doc)
	}
	return docs, problems
}

// unreadable finds bytes that YAML does not allow.
func unreadable(file string, data []byte) (Problem, bool) {
	line := 1
	for len(data) > 0 {
		r, size := utf8.DecodeRune(data)
		switch {
		case r == utf8.RuneError && size == 1:
			return Problem{Source: Source{file, line}, Message: "is not UTF-8 text, want a YAML file"}, false
		case r == '\n':
			line++
		case r < ' ' && r != '\t', r == 0x7f, r == 0x85, r == 0x2028, r == 0x2029:
			return Problem{Source: Source{file, line}, Message: fmt.Sprintf("holds the control character %U, want text", r)}, false
		}
		data = data[size:]
	}
	return Problem{}, true
}

func split(file string, lines []string) []document {
	docs := []document{{file: file}}
	for i, line := range lines {
		last := &docs[len(docs)-1]
		rest, marker := strings.CutPrefix(line, "---")
		switch {
		case marker && strings.TrimSpace(rest) == "":
			docs = append(docs, document{file: file, offset: i + 1})
		case marker && (rest[0] == ' ' || rest[0] == '\t'): // content beside the marker
			docs = append(docs, document{file: file, offset: i, text: []string{"   " + rest}})
		default:
			last.text = append(last.text, line)
		}
	}
	return docs
}

// blank says whether there is nothing but comments.
func (d document) blank() bool {
	for _, line := range d.text {
		if t := strings.TrimSpace(line); t != "" && t[0] != '#' && t != "..." {
			return false
		}
	}
	return true
}

// parse reads the document's tree. The YAML library is given a recover of its
// own: files come from outside, and its bug must not stop the whole process.
func (d document) parse() (root ast.Node, problem *Problem) {
	if n, message := d.tooDeep(); message != "" {
		return nil, d.problem(n, message)
	}
	defer func() {
		if r := recover(); r != nil {
			root, problem = nil, d.problem(1, "is not valid YAML")
		}
	}()
	file, err := parser.ParseBytes([]byte(strings.Join(d.text, "\n")+"\n"), 0, parser.AllowDuplicateMapKey())
	if err != nil {
		return nil, d.syntax(err)
	}
	for _, doc := range file.Docs {
		if doc.Body == nil {
			continue
		}
		if _, directive := doc.Body.(*ast.DirectiveNode); directive {
			return nil, d.problem(1, "holds a YAML directive, want none")
		}
		if root != nil {
			return nil, d.problem(doc.Body.GetToken().Position.Line, "begins another document, want a line --- before it")
		}
		root = doc.Body
	}
	if root == nil {
		return nil, d.problem(1, "holds no value, want keys and values")
	}
	return root, nil
}

func (d document) problem(line int, message string) *Problem {
	return &Problem{Source: Source{d.file, d.line(line)}, Message: message}
}

// syntax is the YAML library's error without the excerpt that it appends, which
// might hold a secret.
func (d document) syntax(err error) *Problem {
	line, message := 1, "cannot be read"
	var syntax *yaml.SyntaxError
	if errors.As(err, &syntax) {
		message, _, _ = strings.Cut(syntax.Message, "\n")
		if syntax.Token != nil && syntax.Token.Position != nil {
			line = syntax.Token.Position.Line
		}
	}
	if strings.Contains(message, "must be specified") {
		message += "; text with braces, brackets or commas needs quotes here"
	}
	return d.problem(line, "is not valid YAML: "+message)
}

// tooDeep finds nesting that would cost the parser its stack: brackets of flow
// style, dashes and anchors on one line, and ever deeper indentation.
func (d document) tooDeep() (line int, message string) {
	flow := 0
	var indents []int
	for i, text := range d.text {
		if len(text) > maxLineLength {
			return i + 1, fmt.Sprintf("is longer than %d bytes, want shorter lines", maxLineLength)
		}
		flow = max(0, flow+strings.Count(text, "[")+strings.Count(text, "{")-strings.Count(text, "]")-strings.Count(text, "}"))
		body := strings.TrimLeft(text, " ")
		if body == "" {
			continue
		}
		indent := len(text) - len(body)
		for len(indents) > 0 && indents[len(indents)-1] >= indent {
			indents = indents[:len(indents)-1]
		}
		indents = append(indents, indent)
		dense := max(strings.Count(text, "["), strings.Count(text, "{"), leading(body))
		if flow > 10*maxDepth || len(indents) > maxDepth || dense > 10*maxDepth {
			return i + 1, fmt.Sprintf("is nested deeper than %d levels, want a flatter document", maxDepth)
		}
	}
	return 0, ""
}

// leading counts the one-character words and properties that a line begins with,
// each of which may open a level: "- - - x", "? ? x", "!a !b x", "&a &b x".
func leading(body string) int {
	n := 0
	for word := range strings.FieldsSeq(body) {
		if !strings.ContainsAny(word[:1], "-?:!&*") {
			break
		}
		n++
	}
	return n
}
