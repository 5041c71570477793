package imports

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// command is the words of one command line.
type command struct {
	line  int
	words []string
}

// shell splits a text into commands as a POSIX shell does, $'…' included, and
// expands nothing. Errors begin with the line.
func shell(text string) ([]command, error) {
	s := &splitter{text: text, line: 1}
	for s.at < len(s.text) {
		if err := s.next(); err != nil {
			return nil, fmt.Errorf("%d: %w", s.line, err)
		}
	}
	s.endCommand()
	return s.commands, nil
}

type splitter struct {
	text     string
	at, line int
	word     []byte
	inWord   bool
	words    []string
	begin    int // line of the first word
	commands []command
}

func (s *splitter) endWord() {
	if !s.inWord {
		return
	}
	if len(s.words) == 0 {
		s.begin = s.line
	}
	s.words = append(s.words, string(s.word))
	s.word, s.inWord = nil, false
}

func (s *splitter) endCommand() {
	s.endWord()
	if len(s.words) > 0 {
		s.commands = append(s.commands, command{s.begin, s.words})
	}
	s.words = nil
}

func (s *splitter) add(b ...byte) { s.word, s.inWord = append(s.word, b...), true }

// next takes one character, or one quoted part.
func (s *splitter) next() error {
	c := s.text[s.at]
	s.at++
	switch c {
	case ' ', '\t', '\r':
		s.endWord()
	case '\n', ';':
		s.endCommand()
		if c == '\n' {
			s.line++
		}
	case '#':
		if s.inWord {
			s.add(c)
			return nil
		}
		for s.at < len(s.text) && s.text[s.at] != '\n' {
			s.at++
		}
	case '\\':
		s.escaped()
	case '\'':
		return s.single()
	case '"':
		return s.double()
	case '$':
		if strings.HasPrefix(s.text[s.at:], "'") {
			s.at++
			return s.ansi()
		}
		s.add(c)
	case '|', '&', '<', '>':
		return fmt.Errorf("%q outside of quotes: pipes and redirections are not read", string(c))
	default:
		s.add(c)
	}
	return nil
}

func (s *splitter) escaped() {
	if s.at >= len(s.text) {
		return
	}
	rest := s.text[s.at:]
	switch {
	case strings.HasPrefix(rest, "\n"):
		s.at, s.line = s.at+1, s.line+1
	case strings.HasPrefix(rest, "\r\n"):
		s.at, s.line = s.at+2, s.line+1
	default:
		s.add(rest[0])
		s.at++
	}
}

func (s *splitter) single() error {
	end := strings.IndexByte(s.text[s.at:], '\'')
	if end < 0 {
		return fmt.Errorf("a quote ' is not closed")
	}
	s.add([]byte(s.text[s.at : s.at+end])...)
	s.line += strings.Count(s.text[s.at:s.at+end], "\n")
	s.at += end + 1
	return nil
}

func (s *splitter) double() error {
	s.inWord = true
	for s.at < len(s.text) {
		c := s.text[s.at]
		s.at++
		switch {
		case c == '"':
			return nil
		case c == '\\' && s.at < len(s.text) && strings.IndexByte("\"\\$`\n", s.text[s.at]) >= 0:
			if s.text[s.at] != '\n' {
				s.add(s.text[s.at])
			} else {
				s.line++
			}
			s.at++
		default:
			if c == '\n' {
				s.line++
			}
			s.add(c)
		}
	}
	return fmt.Errorf("a quote \" is not closed")
}

// ansi is $'…'.
func (s *splitter) ansi() error {
	s.inWord = true
	for s.at < len(s.text) {
		c := s.text[s.at]
		s.at++
		switch c {
		case '\'':
			return nil
		case '\\':
			if err := s.ansiEscape(); err != nil {
				return err
			}
		default:
			if c == '\n' {
				s.line++
			}
			s.add(c)
		}
	}
	return fmt.Errorf("a quote $' is not closed")
}

var ansiLetters = map[byte]byte{'n': '\n', 't': '\t', 'r': '\r', 'a': 7, 'b': 8, 'e': 27, 'E': 27, 'f': 12, 'v': 11, '\\': '\\', '\'': '\'', '"': '"', '?': '?'}

func (s *splitter) ansiEscape() error {
	if s.at >= len(s.text) {
		return fmt.Errorf("a quote $' is not closed")
	}
	c := s.text[s.at]
	s.at++
	if b, ok := ansiLetters[c]; ok {
		s.add(b)
		return nil
	}
	digits := map[byte]int{'x': 2, 'u': 4, 'U': 8}[c]
	n := 0
	for n < digits && s.at+n < len(s.text) && strings.IndexByte("0123456789abcdefABCDEF", s.text[s.at+n]) >= 0 {
		n++
	}
	if n == 0 {
		return fmt.Errorf(`the escape \%c is not known`, c)
	}
	v, err := strconv.ParseUint(s.text[s.at:s.at+n], 16, 32)
	if err != nil {
		return err
	}
	s.at += n
	if c == 'x' {
		s.add(byte(v))
		return nil
	}
	s.add(utf8.AppendRune(nil, rune(v))...)
	return nil
}
