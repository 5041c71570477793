package dingtalk

import (
	"math/rand/v2"
	"strings"
	"testing"
	"testing/quick"
	"unicode/utf8"
)

// pieces of text that are hard to cut: wide characters, escapes, line ends.
var hard = []string{"a", "告", "😀", "\n", "\"", "\\", "\u2028", "\x01", "<", "\t", "é", strings.Repeat("长", 300), strings.Repeat("x\n", 50)}

func randomText(r *rand.Rand, n int) string {
	var b strings.Builder
	for range n {
		b.WriteString(hard[r.IntN(len(hard))])
	}
	return b.String()
}

// Parts are within the limit as sent, are whole characters, and together are the
// text.
func TestSplitProperties(t *testing.T) {
	property := func(seed uint64, size uint16) bool {
		r := rand.New(rand.NewPCG(seed, 1))
		m := Message{
			Type: []Type{"", Markdown, Text, ActionCard}[r.IntN(4)], Title: randomText(r, 3), Text: randomText(r, int(size%2000)),
			AtAll: true, AtMobiles: []string{"+852-12345678"}, AtUsers: []string{"li4"}, Buttons: []Link{{randomText(r, 1), "https://h"}},
		}
		limit := (len(m.Title)+len(m.Buttons[0].Text))*6 + 1200 + r.IntN(20_000)
		parts := m.Split(limit)
		var whole strings.Builder
		for i, p := range parts {
			body, err := p.Encode()
			if err != nil || len(body) > limit {
				t.Logf("part %d of %d has %d bytes, limit %d", i+1, len(parts), len(body), limit)
				return false
			}
			text := p.Text
			if len(parts) > 1 {
				_, text, _ = strings.Cut(p.Text, "\n\n")
			}
			mentions, buttons := p.AtAll && len(p.AtMobiles)+len(p.AtUsers) == 2, len(p.Buttons) > 0
			if !utf8.ValidString(text) || p.Type != m.Type || mentions != (i == 0) || buttons != (i == len(parts)-1) {
				return false
			}
			whole.WriteString(text)
		}
		return whole.String() == m.Text
	}
	if err := quick.Check(property, &quick.Config{MaxCount: 300}); err != nil {
		t.Error(err)
	}
}

func TestSplitCutsAtLineEnds(t *testing.T) {
	m := Message{Title: "t", Text: strings.Repeat(strings.Repeat("行", 30)+"\n", 400)}
	parts := m.Split(MaxBytes)
	if len(parts) != 3 {
		t.Fatalf("%d parts, want 3", len(parts))
	}
	for i, p := range parts {
		if !strings.HasSuffix(p.Text, "\n") {
			t.Errorf("part %d does not end at a line end", i+1)
		}
	}
	if parts[1].Title != "t (2/3)" || !strings.HasPrefix(parts[1].Text, "(2/3)\n\n") {
		t.Errorf("second part is %q, %q…", parts[1].Title, parts[1].Text[:20])
	}
}

// The length that is reckoned is the length that is sent.
func FuzzEscapedLen(f *testing.F) {
	for _, s := range hard {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		s = strings.ToValidUTF8(s, "\uFFFD")
		empty, full := encodedLen(Message{}), encodedLen(Message{Text: s})
		if got := escapedLen(s); got != full-empty {
			t.Errorf("%q: reckoned %d bytes, sent %d", s, got, full-empty)
		}
	})
}

// What a label holds cannot write the message: no line, link or tag of its own.
func FuzzPlain(f *testing.F) {
	f.Add("a\n# b [x](http://evil) <img> `code`")
	f.Fuzz(func(t *testing.T, s string) {
		p := plain(s)
		if strings.ContainsAny(p, "\n\r[]<>`*\u2028\u2029") || !utf8.ValidString(p) {
			t.Errorf("plain(%q) = %q", s, p)
		}
		if plain(p) != p {
			t.Errorf("plain is not stable: %q, then %q", p, plain(p))
		}
	})
}
