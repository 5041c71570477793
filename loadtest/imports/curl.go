package imports

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"
)

// Curl reads curl command lines, as browsers copy them ("copy as cURL", for bash)
// and people write them. Errors begin with the line.
func Curl(in io.Reader) (*Import, error) {
	text, err := io.ReadAll(io.LimitReader(in, longest+1))
	if err != nil {
		return nil, err
	}
	if len(text) > longest {
		return nil, fmt.Errorf("is above %d bytes", longest)
	}
	commands, err := shell(string(text))
	if err != nil {
		return nil, err
	}
	out := &Import{}
	for _, c := range commands {
		r, err := out.curl(c)
		if err != nil {
			return nil, fmt.Errorf("%d: %w", c.line, err)
		}
		out.Requests = append(out.Requests, r...)
	}
	if len(out.Requests) == 0 {
		return nil, errors.New("1: has no curl command")
	}
	return out, nil
}

// flag says what an option of curl is about.
type flag int

const (
	unknown flag = iota
	ignored
	ignoredValue // its value too
	method
	header
	data
	dataBinary
	dataEncoded
	jsonData
	user
	cookie
	agent
	referer
	head
	get
	address
	insecure
	http2
	location
	form
)

// flags of curl: short ones as they are, long ones without dashes.
var flags = map[string]flag{
	"X": method, "request": method, "H": header, "header": header,
	"d": data, "data": data, "data-ascii": data, "data-raw": dataBinary, "data-binary": dataBinary, "data-urlencode": dataEncoded, "json": jsonData,
	"u": user, "user": user, "b": cookie, "cookie": cookie, "A": agent, "user-agent": agent, "e": referer, "referer": referer,
	"I": head, "head": head, "G": get, "get": get, "url": address, "k": insecure, "insecure": insecure,
	"http2": http2, "http2-prior-knowledge": http2, "L": location, "location": location, "F": form, "form": form, "form-string": form,
	"s": ignored, "silent": ignored, "S": ignored, "show-error": ignored, "v": ignored, "verbose": ignored, "i": ignored, "include": ignored,
	"f": ignored, "fail": ignored, "compressed": ignored, "N": ignored, "no-buffer": ignored, "http1.1": ignored, "g": ignored, "globoff": ignored,
	"#": ignored, "progress-bar": ignored, "no-progress-meter": ignored, "4": ignored, "6": ignored, "ipv4": ignored, "ipv6": ignored, "O": ignored,
	"o": ignoredValue, "output": ignoredValue, "w": ignoredValue, "write-out": ignoredValue, "m": ignoredValue, "max-time": ignoredValue,
	"connect-timeout": ignoredValue, "retry": ignoredValue, "c": ignoredValue, "cookie-jar": ignoredValue, "D": ignoredValue, "dump-header": ignoredValue,
}

func (f flag) valued() bool {
	switch f {
	case unknown, ignored, head, get, insecure, http2, location:
		return false
	}
	return true
}

// curl is the requests of one command: one for each address.
func (i *Import) curl(c command) ([]Request, error) {
	p := &curlCommand{out: i, r: Request{Line: c.line}}
	if name := c.words[0]; name != "curl" && !strings.HasSuffix(name, "/curl") {
		return nil, fmt.Errorf("%s is no curl command", quote(name))
	}
	words := c.words[1:]
	for len(words) > 0 {
		used, err := p.word(words)
		if err != nil {
			return nil, err
		}
		words = words[used:]
	}
	return p.requests()
}

type curlCommand struct {
	out  *Import
	r    Request
	urls []string
	data []string
	get  bool
	head bool
}

// word takes an option with its value, or an address, and says how many words it was.
func (p *curlCommand) word(words []string) (int, error) {
	w := words[0]
	switch {
	case strings.HasPrefix(w, "--"):
	case strings.HasPrefix(w, "-") && len(w) > 1:
		return p.short(words)
	default:
		p.urls = append(p.urls, w)
		return 1, nil
	}
	name, value, attached := strings.Cut(w[2:], "=")
	f := flags[name]
	if f == unknown || len(name) == 1 {
		return 0, fmt.Errorf("option --%s of curl is not known here: leave it out", name)
	}
	if !f.valued() {
		return 1, p.apply(f, "")
	}
	if attached {
		return 1, p.apply(f, value)
	}
	if len(words) < 2 {
		return 0, fmt.Errorf("option --%s has no value", name)
	}
	return 2, p.apply(f, words[1])
}

// short takes -X, -XPOST and -sSk.
func (p *curlCommand) short(words []string) (int, error) {
	rest := words[0][1:]
	for rest != "" {
		f := flags[rest[:1]]
		switch {
		case f == unknown:
			return 0, fmt.Errorf("option -%s of curl is not known here: leave it out", rest[:1])
		case f.valued() && len(rest) > 1:
			return 1, p.apply(f, rest[1:])
		case f.valued() && len(words) < 2:
			return 0, fmt.Errorf("option -%s has no value", rest)
		case f.valued():
			return 2, p.apply(f, words[1])
		}
		if err := p.apply(f, ""); err != nil {
			return 0, err
		}
		rest = rest[1:]
	}
	return 1, nil
}

func (p *curlCommand) apply(f flag, value string) error {
	switch f {
	case method:
		if p.r.Method = value; !isMethod(value) {
			return fmt.Errorf("method is %s, want one such as GET", quote(value))
		}
	case header:
		return p.header(value)
	case data, dataBinary, dataEncoded:
		return p.payload(f, value)
	case jsonData:
		p.add("content-type", "application/json")
		p.add("accept", "application/json")
		return p.payload(dataBinary, value)
	case user:
		p.add("authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(value)))
	case cookie:
		if !strings.Contains(value, "=") {
			return errors.New("the file of a cookie jar is not read: give the cookies themselves, as -b 'name=value'")
		}
		p.add("cookie", value)
	case agent:
		p.add("user-agent", value)
	case referer:
		p.add("referer", value)
	case head:
		p.head = true
	case get:
		p.get = true
	case address:
		p.urls = append(p.urls, value)
	case insecure:
		p.out.Insecure = true
		p.out.warn("certificates are not checked (-k)")
	case http2:
		p.out.HTTP2 = true
	case location:
		p.out.warn("redirects are not followed (-L): they count as answers")
	case form:
		return errors.New("forms with files (-F) are not read: save the body, and name it with --data-binary @FILE and its content-type")
	}
	return nil
}

func (p *curlCommand) add(name, value string) {
	p.r.Header = append(p.r.Header, Field{name, clean(value)})
}

func (p *curlCommand) header(text string) error {
	if strings.HasPrefix(text, "@") {
		return errors.New("a file of headers (-H @FILE) is not read: give them one by one")
	}
	name, value, found := strings.Cut(text, ":")
	if !found {
		name, _, found = strings.Cut(text, ";") // a header without a value
	}
	if !found || !isHeader(name) {
		return errors.New("-H holds no header, want 'name: value'")
	}
	if value = strings.TrimSpace(value); value != "" || strings.HasSuffix(text, ";") {
		p.add(strings.TrimSpace(name), value)
	}
	return nil
}

func (p *curlCommand) payload(f flag, value string) error {
	raw := f == dataBinary
	switch {
	case strings.HasPrefix(value, "@") && f != dataEncoded:
		if p.r.BodyFile != "" || len(p.data) > 0 {
			return errors.New("a file is one of several parts of the body: want one file alone")
		}
		if p.r.BodyFile = value[1:]; p.r.BodyFile == "" || p.r.BodyFile == "-" {
			return errors.New("the body comes from standard input: want a file")
		}
		if !raw {
			p.out.warn("curl would leave line breaks out of %s: it is sent as it is", p.r.BodyFile)
		}
		return nil
	case f == dataEncoded:
		name, content, found := strings.Cut(value, "=")
		switch {
		case strings.Contains(name, "@"):
			return errors.New("--data-urlencode with a file is not read: give the text itself")
		case !found:
			value = url.QueryEscape(value)
		case name == "":
			value = url.QueryEscape(content)
		default:
			value = name + "=" + url.QueryEscape(content)
		}
	}
	if p.r.BodyFile != "" {
		return errors.New("a file is one of several parts of the body: want one file alone")
	}
	p.data = append(p.data, value)
	return nil
}

func (p *curlCommand) requests() ([]Request, error) {
	if len(p.urls) == 0 {
		return nil, errors.New("the command has no address")
	}
	body := strings.Join(p.data, "&")
	var out []Request
	for _, u := range p.urls {
		r := p.r
		if !strings.Contains(u, "://") {
			u = "http://" + u
		}
		if p.get && body != "" {
			separator := "?"
			if strings.Contains(u, "?") {
				separator = "&"
			}
			u += separator + body
		} else {
			r.Body = body
		}
		if err := checkAddress(u); err != nil {
			return nil, err
		}
		r.URL = u
		has := !p.get && (r.Body != "" || r.BodyFile != "" || len(p.data) > 0)
		if has && !r.has("content-type") {
			r.Header = append(r.Header, Field{"content-type", "application/x-www-form-urlencoded"})
		}
		switch {
		case r.Method != "":
		case p.head:
			r.Method = "HEAD"
		case has:
			r.Method = "POST"
		default:
			r.Method = "GET"
		}
		out = append(out, r)
	}
	return out, nil
}

func (r Request) has(name string) bool {
	for _, f := range r.Header {
		if strings.EqualFold(f.Name, name) {
			return true
		}
	}
	return false
}
