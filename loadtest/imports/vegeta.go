package imports

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/textproto"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
)

// longest bounds a line, a request of JSON targets included.
const longest = 32 << 20

// Vegeta reads targets as "vegeta attack" does, in its http or json format. Errors
// begin with the line.
func Vegeta(in io.Reader) (*Import, error) {
	lines := bufio.NewScanner(in)
	lines.Buffer(make([]byte, 0, 64<<10), longest)
	p := &vegeta{out: &Import{}}
	n := 1
	for ; lines.Scan(); n++ {
		if err := p.line(n, lines.Text()); err != nil {
			return nil, fmt.Errorf("%d: %w", n, err)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("%d: %w", n, err)
	}
	p.end()
	if len(p.out.Requests) == 0 {
		return nil, errors.New("1: has no target, want lines such as GET http://127.0.0.1:9000/feed")
	}
	return p.out, nil
}

type vegeta struct {
	out     *Import
	request *Request // the one whose header is read; nil: none
}

func (p *vegeta) end() {
	if p.request != nil {
		p.out.Requests = append(p.out.Requests, *p.request)
	}
	p.request = nil
}

func (p *vegeta) line(n int, text string) error {
	trimmed := strings.TrimSpace(text)
	switch {
	case trimmed == "":
		p.end()
		return nil
	case strings.HasPrefix(trimmed, "#"):
		return nil
	case strings.HasPrefix(trimmed, "{"):
		p.end()
		return p.json(n, trimmed)
	case strings.HasPrefix(trimmed, "@"):
		if p.request == nil {
			return errors.New("a body stands before the first target")
		}
		if p.request.BodyFile = strings.TrimSpace(trimmed[1:]); p.request.BodyFile == "" {
			return errors.New("@ names no file")
		}
		return nil
	}
	if method, address, ok := strings.Cut(trimmed, " "); ok && isMethod(method) {
		p.end()
		address = strings.TrimSpace(address)
		if err := checkAddress(address); err != nil {
			return err
		}
		p.request = &Request{Line: n, Method: method, URL: address}
		return nil
	}
	return p.header(trimmed)
}

func (p *vegeta) header(text string) error {
	name, value, ok := strings.Cut(text, ":")
	if p.request == nil || !ok || !isHeader(name) {
		return fmt.Errorf("%s is neither METHOD URL, nor a header, nor @file", quote(text))
	}
	p.request.Header = append(p.request.Header, Field{strings.TrimSpace(name), strings.TrimSpace(value)})
	return nil
}

func (p *vegeta) json(n int, text string) error {
	var t struct {
		Method string      `json:"method"`
		URL    string      `json:"url"`
		Body   []byte      `json:"body"`
		Header http.Header `json:"header"`
	}
	if err := json.Unmarshal([]byte(text), &t); err != nil {
		return fmt.Errorf("is no target in JSON: %w", err)
	}
	if !isMethod(t.Method) {
		return fmt.Errorf("method is %s, want one such as GET", quote(t.Method))
	}
	if err := checkAddress(t.URL); err != nil {
		return err
	}
	r := Request{Line: n, Method: t.Method, URL: t.URL, Body: string(t.Body)}
	for _, name := range slices.Sorted(maps.Keys(t.Header)) {
		if !isHeader(name) {
			return fmt.Errorf("%s is no name of a header", quote(name))
		}
		for _, v := range t.Header[name] {
			r.Header = append(r.Header, Field{name, clean(v)})
		}
	}
	p.out.Requests = append(p.out.Requests, r)
	return nil
}

// isMethod takes the methods that resources may have.
func isMethod(text string) bool {
	return slices.Contains([]string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"}, text)
}

func isHeader(name string) bool {
	name = strings.TrimSpace(name)
	return name != "" && textproto.TrimString(name) == name && strings.IndexFunc(name, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_')
	}) < 0
}

// clean leaves no line break in a header's value.
func clean(value string) string {
	return strings.Map(func(r rune) rune {
		if r == '\r' || r == '\n' || r == 0 {
			return ' '
		}
		return r
	}, value)
}

func checkAddress(text string) error {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return fmt.Errorf("%s is no http or https address", quote(redacted(text)))
	}
	return nil
}

// redacted leaves the query out: it may hold secrets.
func redacted(text string) string {
	before, _, _ := strings.Cut(text, "?")
	if i := strings.LastIndex(before, "@"); i >= 0 {
		before = "…" + before[i:]
	}
	return before
}

func quote(text string) string {
	if r := []rune(text); len(r) > 60 {
		text = string(r[:60]) + "…"
	}
	return fmt.Sprintf("%q", text)
}

// Base is a name for the scenario of a file: letters, digits and dashes.
func Base(file string) string {
	name := strings.TrimSuffix(filepath.Base(file), filepath.Ext(file))
	name = strings.Trim(strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9':
			return r
		case r >= 'A' && r <= 'Z':
			return r - 'A' + 'a'
		}
		return '-'
	}, name), "-")
	if name == "" {
		return "imported"
	}
	return name[:min(len(name), 50)]
}
