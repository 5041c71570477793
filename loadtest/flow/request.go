package flow

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"google.golang.org/protobuf/reflect/protodesc"

	"github.com/kongdao/kongdao/loadtest/attack"
	"github.com/kongdao/kongdao/loadtest/lean"
	"github.com/kongdao/kongdao/loadtest/template"
)

// Request is a target or a step, compiled. Exported fields are set before New.
type Request struct {
	Name     string
	Series   int
	Method   string // of HTTP; empty: GET
	URL      template.Template
	Shown    string // instead of an address that holds secrets, in results
	Header   []Field
	Body     template.Template
	Messages []Message          // of a websocket
	Hold     time.Duration      // of a websocket
	Files    protodesc.Resolver // of gRPC; nil: the server's reflection
	Checks   []Check
	Extracts []Extract

	scheme    string
	fixed     *url.URL    // nil: the URL has templates
	fixedHost string      // of a URL whose templates stand behind it
	text      string      // of fixed
	header    http.Header // nil: the header has templates
	host      string      // of the header
	body      []byte      // when it has no templates
	call      *grpcCall
	by        protocol
	ready     *lean.Request // as sent by leanClient
}

// Field is one line of a header.
type Field struct {
	Name  string
	Value template.Template
}

// Message is something sent over a websocket, something expected, or both.
type Message struct {
	Send, Expect template.Template
}

// protocol carries out one exchange within the context, and notes how it ended in
// the reply. The answer's body is only kept when the request keeps it.
type protocol interface {
	exchange(ctx context.Context, r *Request, u *url.URL, s *state, reply *attack.Reply) answer
}

// answer is what checks and extractions see.
type answer struct {
	header http.Header
	body   []byte
}

// Problem is what is wrong with one field of a request; an empty one is the whole.
type Problem struct {
	Field string
	Err   error
}

func (p *Problem) Error() string { return p.Field + ": " + p.Err.Error() }

func (p *Problem) Unwrap() error { return p.Err }

// Prepare checks what does not change; scheme is the URL's. Errors are of type
// *[Problem].
func (r *Request) Prepare(scheme string, allow func(hostport string) bool) error {
	r.scheme = scheme
	text, static := r.URL.Static()
	if static {
		u, err := parseURL(text)
		if err != nil {
			return &Problem{"url", err}
		}
		if !allow(u.Host) {
			return &Problem{"url", forbidden(u.Host)}
		}
		r.fixed, r.text, r.scheme = u, u.String(), u.Scheme
	}
	if body, static := r.Body.Static(); static {
		r.body = []byte(body)
	}
	r.prepareHeader()
	if r.Method == "" {
		r.Method = http.MethodGet
	}
	if _, err := http.NewRequest(r.Method, "http://x/", http.NoBody); err != nil { //nolint:noctx // it is never sent
		return &Problem{"", err}
	}
	return nil
}

func (r *Request) prepareHeader() {
	fixed := http.Header{}
	for _, f := range r.Header {
		text, static := f.Value.Static()
		if !static {
			return
		}
		fixed.Set(f.Name, text)
	}
	r.host = fixed.Get("Host")
	fixed.Del("Host")
	r.header = fixed
}

var schemes = map[string]bool{"http": true, "https": true, "ws": true, "wss": true, "grpc": true, "grpcs": true}

func parseURL(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || !schemes[u.Scheme] {
		return nil, fmt.Errorf("%q is not an http or https address", text)
	}
	return u, nil
}

func (r *Request) keeps() bool { return len(r.Checks) > 0 || len(r.Extracts) > 0 }

func (r *Request) send(ctx context.Context, c Config, s *state) attack.Reply {
	reply := attack.Reply{Method: r.Method}
	u, err := r.address(c, s)
	if err != nil {
		reply.URL = r.Name
		refuse(&reply, err)
		if r.Shown != "" && reply.Fault == KindRender {
			reply.Text = "what the templates make of " + r.Shown + " is no address"
		}
		return reply
	}
	switch {
	case r.Shown != "":
		reply.URL = r.Shown
	case r.fixed != nil:
		reply.URL = r.text
	default:
		reply.URL = u.String()
	}
	a := r.by.exchange(ctx, r, u, s, &reply)
	if r.Shown != "" && reply.Text != "" {
		for _, secret := range []string{u.RequestURI(), "?" + u.RawQuery} { // the latter of an address without a path
			if len(secret) > 1 {
				reply.Text = strings.ReplaceAll(reply.Text, secret, "…")
			}
		}
	}
	if reply.Fault == "" {
		r.judge(a, s, &reply)
	}
	return reply
}

// forbidden is a host that may not be tested.
type forbidden string

func (f forbidden) Error() string {
	return fmt.Sprintf("host %s is not on the list of hosts that may be load-tested", string(f))
}

func refuse(reply *attack.Reply, err error) {
	reply.Fault, reply.Text = KindRender, err.Error()
	if _, ok := err.(forbidden); ok { //nolint:errorlint // made a few lines above
		reply.Fault = KindForbidden
	}
}

// address renders the URL and holds it against the list of hosts.
func (r *Request) address(c Config, s *state) (*url.URL, error) {
	if r.fixed != nil {
		return r.fixed, nil
	}
	u, err := parseURL(r.URL.String(&s.values))
	if err != nil {
		return nil, err
	}
	if u.Scheme != r.scheme {
		return nil, fmt.Errorf("a template made the scheme %s of %s", u.Scheme, r.scheme)
	}
	if !c.Allow(u.Host) {
		return nil, forbidden(u.Host)
	}
	return u, nil
}

// head is the request's header, which the receiver must not change, and its Host.
func (r *Request) head(c Config, s *state) (h http.Header, host string, err error) {
	if r.header != nil {
		return r.header, r.host, nil
	}
	h = make(http.Header, len(r.Header)+1)
	for _, f := range r.Header {
		value := f.Value.String(&s.values)
		if strings.ContainsAny(value, "\r\n\x00") {
			return nil, "", fmt.Errorf("header %s: its value has a line break", f.Name)
		}
		h.Set(f.Name, value)
	}
	host = h.Get("Host")
	h.Del("Host")
	h.Set(attack.Header, c.Run)
	return h, host, nil
}

// payload is the body.
func (r *Request) payload(c Config, s *state) ([]byte, error) {
	body := r.body
	if _, static := r.Body.Static(); !static {
		body = r.Body.Append(make([]byte, 0, 256), &s.values) // a connection may read it after the answer has come
	}
	if len(body) > c.MaxBody {
		return nil, fmt.Errorf("a body of %d bytes is above the cap of %d", len(body), c.MaxBody)
	}
	return body, nil
}

// with is a copy for one run, whose id marks what it sends.
func (r *Request) with(run string) *Request {
	own := *r
	if own.header != nil {
		own.header = own.header.Clone()
		own.header.Set(attack.Header, run)
	}
	return &own
}

// SetHost notes the host of a URL whose templates stand behind it.
func (r *Request) SetHost(host string) { r.fixedHost = host }

// Host is where the request goes; "{{…}}" when that comes out of a template.
func (r *Request) Host() string {
	if r.fixed != nil {
		return r.fixed.Host
	}
	if r.fixedHost != "" {
		return r.fixedHost
	}
	return "{{…}}"
}
