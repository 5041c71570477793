package dingtalk

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// Split cuts m into messages of at most limit bytes each as [Message.Encode]
// writes them. It cuts at line ends; a line that is too long by itself is cut
// between two characters. With more than one part, each title and text is
// marked as (1/3). The parts' texts, without marks, joined by line ends where
// they were cut at one, are m.Text. Only the first part mentions people, and only
// the last one has the buttons.
//
// Limit must leave room for the title and some text; below 512 bytes beyond the
// title it is raised to that.
func (m Message) Split(limit int) []Message {
	m.Title, m.Text = strings.ToValidUTF8(m.Title, "\uFFFD"), strings.ToValidUTF8(m.Text, "\uFFFD")
	frame := m
	frame.Text = ""
	room := max(limit-encodedLen(frame), 512)
	if escapedLen(m.Text) <= room {
		return []Message{m}
	}
	const mark = 2 * len("(999/999) \\n\\n") // once in the title, once in the text
	pieces := cut(m.Text, room-mark)
	parts := make([]Message, len(pieces))
	for i, text := range pieces {
		n := fmt.Sprintf("(%d/%d)", i+1, len(pieces))
		parts[i] = Message{Type: m.Type, Title: m.Title + " " + n, Text: n + "\n\n" + text}
	}
	parts[0].AtMobiles, parts[0].AtUsers, parts[0].AtAll = m.AtMobiles, m.AtUsers, m.AtAll
	parts[len(parts)-1].Buttons = m.Buttons
	return parts
}

// cut splits text into pieces whose escaped length is at most room each.
func cut(text string, room int) []string {
	var pieces []string
	var b strings.Builder
	used := 0
	flush := func() {
		pieces = append(pieces, b.String())
		b.Reset()
		used = 0
	}
	for _, line := range strings.SplitAfter(text, "\n") {
		n := escapedLen(line)
		if used > 0 && used+n > room && n <= room {
			flush()
		}
		for used+n > room { // too long for any piece: fill up this one first
			head := prefix(line, room-used)
			b.WriteString(line[:head])
			flush()
			line = line[head:]
			n = escapedLen(line)
		}
		b.WriteString(line)
		used += n
	}
	if used > 0 {
		flush()
	}
	return pieces
}

// prefix is the length of the longest head of s, in whole characters, that
// needs at most room bytes escaped.
func prefix(s string, room int) int {
	used := 0
	for i, r := range s {
		n := runeLen(r)
		if used+n > room {
			return i
		}
		used += n
	}
	return len(s)
}

func escapedLen(s string) int {
	n := 0
	for _, r := range s {
		n += runeLen(r)
	}
	return n
}

// runeLen is what encoding/json needs for r without HTML escaping.
func runeLen(r rune) int {
	switch {
	case r == '"', r == '\\', r == '\n', r == '\r', r == '\t', r == '\b', r == '\f':
		return 2
	case r < 0x20, r == '\u2028', r == '\u2029':
		return 6
	}
	return utf8.RuneLen(r)
}

func encodedLen(m Message) int {
	b, err := m.Encode()
	if err != nil { // strings and bools always encode
		return 0
	}
	return len(b)
}
