package explain

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	"github.com/kongdao/kongdao/xds/model"
)

// Request is what a client sends.
type Request struct {
	Method       string
	Host         string      // with or without a port; empty: none that any exact host has
	Path         string      // as on the wire, a query may follow
	Headers      http.Header // canonical names, as http.Header.Add makes them
	Client       netip.Addr  // where it comes from; zero: not known, from where it is let in
	Certificates []string    // names of the client certificate, as model.Caller has them

	// Scheme is http or https where it is known how the request comes; empty: by an
	// entrance that serves functions.
	Scheme string

	From Place // of the gateway that it comes in at

	// Identity is who sends it where that is known, as of a stored call; nil: its
	// headers and certificates say that.
	Identity *model.Identity
}

// ParseRequest reads a request as it is given on a command line: a method, a URL
// or merely a path, and headers as "name: value". A header Host wins over the
// URL's host, as with curl. The error names what is malformed.
func ParseRequest(method, rawURL string, headers []string) (Request, error) {
	r := Request{Method: strings.ToUpper(method), Headers: http.Header{}}
	var errs []error
	if !isToken(r.Method) {
		errs = append(errs, fmt.Errorf("method %q: want a word such as GET", method))
	}
	if err := r.setURL(rawURL); err != nil {
		errs = append(errs, fmt.Errorf("url %q: %w", rawURL, err))
	}
	for _, h := range headers {
		name, value, ok := strings.Cut(h, ":")
		name, value = strings.TrimSpace(name), strings.TrimSpace(value)
		switch {
		case !ok || !isToken(name):
			errs = append(errs, fmt.Errorf("header %q: want 'name: value'", h))
		case strings.EqualFold(name, "host"):
			r.Host = value
		default:
			r.Headers.Add(name, value)
		}
	}
	return r, errors.Join(errs...)
}

func (r *Request) setURL(raw string) error {
	given := strings.Contains(raw, "://")
	if !strings.HasPrefix(raw, "/") && !given {
		raw = "http://" + raw
	}
	u, err := url.Parse(raw)
	if err != nil {
		return errors.Unwrap(err) // without the URL, which the caller names
	}
	if u.Scheme != "" && u.Scheme != "http" && u.Scheme != "https" {
		return fmt.Errorf("scheme %q: want http or https", u.Scheme)
	}
	if r.Host = u.Host; given {
		r.Scheme = u.Scheme
	}
	r.Path = u.EscapedPath()
	if r.Path == "" {
		r.Path = "/"
	}
	if u.RawQuery != "" {
		r.Path += "?" + u.RawQuery
	}
	return nil
}

// isToken follows RFC 9110, 5.6.2.
func isToken(s string) bool {
	for _, c := range []byte(s) {
		if c <= ' ' || c >= 0x7f || strings.IndexByte(`"(),/:;<=>?@[\]{}`, c) >= 0 {
			return false
		}
	}
	return s != ""
}

// values are a header's values, as model.Values wants them.
func (r Request) values(name string) []string {
	if strings.EqualFold(name, "host") {
		return []string{r.Host}
	}
	return r.Headers.Values(name)
}

// query gives the parameters of the request's query.
func (r Request) query() model.Values {
	_, query, _ := strings.Cut(r.Path, "?")
	return model.Query(query)
}
