package api

import (
	"regexp/syntax"
	"strings"
)

// Bounds of a regular expression. Gateways compile with RE2, which grows a program
// as Go's does: one beyond these would cost every request, or be refused.
const (
	maxRegexText    = 1024
	maxRegexProgram = 5000 // instructions
)

// wrongRegex says what is wrong with an expression in the syntax of RE2, or
// nothing.
func wrongRegex(text string) string {
	if len(text) > maxRegexText {
		return "is too long, want at most 1024 characters"
	}
	if text == "" {
		return "is empty, want an expression for the whole value"
	}
	parsed, err := syntax.Parse(text, syntax.Perl)
	if err != nil {
		return "is no regular expression as RE2 knows them: " + strings.TrimPrefix(err.Error(), "error parsing regexp: ")
	}
	program, err := syntax.Compile(parsed.Simplify())
	if err != nil || sizeOf(program) > maxRegexProgram {
		return "is too large for a gateway, want fewer repetitions"
	}
	return ""
}

// sizeOf counts instructions; RE2 makes some for each range of characters.
func sizeOf(p *syntax.Prog) (n int) {
	for _, i := range p.Inst {
		n += 1 + len(i.Rune)/2
	}
	return n
}

func (r *report) matcher(field string, m Matcher) {
	if strings.ContainsAny(m.Text, "\r\n\x00") {
		r.add(field, "has a line break in its value, want one line")
		return
	}
	switch m.Kind {
	case MatchPrefix, MatchSuffix, MatchContains:
		if m.Text == "" {
			r.add(field, "is empty, want text, or {present: true} for any value")
		}
	case MatchRegex:
		if message := wrongRegex(m.Text); message != "" {
			r.add(field, "%s", message)
		}
	}
}

// headerMatchers checks conditions on headers.
func (r *report) headerMatchers(field string, headers map[string]Matcher) {
	names := make(map[string]string, len(headers))
	for name, m := range headers {
		names[name] = ""
		r.matcher(join(field, name), m)
	}
	r.headers(field, names)
}

// queryMatchers checks conditions on query parameters.
func (r *report) queryMatchers(field string, query map[string]Matcher) {
	for _, name := range sortedKeys(query) {
		at := join(field, name)
		if name == "" || strings.ContainsFunc(name, func(c rune) bool { return c <= ' ' || c >= 0x7f || strings.ContainsRune("&=#?", c) }) {
			r.add(at, "is no name of a query parameter, want it as it stands in a URL, such as page")
		}
		r.matcher(at, query[name])
	}
}
