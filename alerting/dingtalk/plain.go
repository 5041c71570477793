package dingtalk

import (
	"fmt"
	"strings"
	"unicode"
)

// builder writes markdown paragraphs. DingTalk runs lines together that have no
// empty line between them.
type builder struct{ strings.Builder }

func (b *builder) line(format string, args ...any) {
	if b.Len() > 0 {
		b.WriteString("\n\n")
	}
	fmt.Fprintf(b, format, args...)
}

// plain makes s safe inside a line of markdown: one line, no control
// characters, and nothing that opens a link, an image or a tag. Labels come from
// resources and from requests; a name must not be able to write the message.
func plain(s string) string {
	var b strings.Builder
	space := false
	for _, r := range strings.ToValidUTF8(strings.TrimSpace(s), "\uFFFD") {
		switch {
		case unicode.IsSpace(r), unicode.IsControl(r), unicode.Is(unicode.Bidi_Control, r):
			space = b.Len() > 0
			continue
		case strings.ContainsRune("[]<>`*", r):
			r = lookalike(r)
		}
		if space {
			b.WriteByte(' ')
			space = false
		}
		b.WriteRune(r)
	}
	return b.String()
}

// lookalike is the full-width form: DingTalk's phones differ in what a
// backslash escapes.
func lookalike(r rune) rune { return r + 0xFEE0 }

func orElse(s, other string) string {
	if s != "" {
		return s
	}
	return other
}

func trimRight(s string) string { return strings.TrimRight(s, " ") }
