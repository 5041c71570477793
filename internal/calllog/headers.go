package calllog

import (
	"errors"
	"fmt"
	"hash/fnv"
	"regexp"
	"slices"
	"strings"
)

// MaxHeaders is how many request headers can be kept: each costs Envoy and every
// stored call.
const MaxHeaders = 16

// Headers are the request headers whose values calls keep, as attributes under
// the header's name. Of all others nothing is written or stored. The zero value
// keeps none. It is for any number of goroutines.
//
// A line says in its version how many header fields it has and which list they
// are of, so that a line of another list, written before the configuration
// changed, is decoded rightly but for those fields, which are left out.
type Headers struct {
	names   []string
	version string // of lines; lineVersion when empty
}

var headerName = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,63}$`)

// secretParts are parts of the names of headers that carry secrets.
var secretParts = []string{
	"cookie", "auth", "token", "secret", "passw", "credential", "signature", "session", "csrf", "xsrf",
	"api-key", "apikey", "access-key", "private-key", "kongdao-key", "kongdao-pod",
}

// stored are headers that have a column, and attributes that are no headers.
var stored = map[string]string{
	"host": "host", "user-agent": "user_agent", "x-request-id": "request_id", "traceparent": "trace_id",
	"x-envoy-original-path": "path", LoadTestHeader: "load_test",
	"x-forwarded-for": "client_ip", "forwarded": "client_ip", "x-real-ip": "client_ip", "true-client-ip": "client_ip",
	"cf-connecting-ip": "client_ip", "x-envoy-external-address": "client_ip",
	AttrDetails: "attrs", AttrMethod: "attrs", AttrRequestID: "attrs", AttrMalformed: "attrs", AttrLine: "attrs",
}

// CheckHeader tells why a header cannot be kept; nil when it can.
func CheckHeader(name string) error {
	if !headerName.MatchString(name) {
		return fmt.Errorf("is %q, want the name of a request header in lower case, such as x-app-version", name)
	}
	for _, part := range secretParts {
		if strings.Contains(name, part) {
			return fmt.Errorf("is %q, which may carry a secret (%q is in its name) and is never stored", name, part)
		}
	}
	if column, ok := stored[name]; ok {
		return fmt.Errorf("is %q, which is stored already: see %s", name, column)
	}
	return nil
}

// NewHeaders refuses names that cannot be kept, twice the same, and too many.
func NewHeaders(names []string) (Headers, error) {
	var errs []error
	for i, name := range names {
		if err := CheckHeader(name); err != nil {
			errs = append(errs, fmt.Errorf("headers[%d]: %w", i, err))
		}
		if slices.Index(names, name) < i {
			errs = append(errs, fmt.Errorf("headers[%d]: is %q, which is there already", i, name))
		}
	}
	if len(names) > MaxHeaders {
		errs = append(errs, fmt.Errorf("headers: are %d, want at most %d", len(names), MaxHeaders))
	}
	if len(names) == 0 || len(errs) > 0 {
		return Headers{}, errors.Join(errs...)
	}
	sum := fnv.New32a()
	_, _ = sum.Write([]byte(strings.Join(names, ","))) // it never fails
	return Headers{
		names:   slices.Clone(names),
		version: fmt.Sprintf("%s+%d.%08x", lineVersion, len(names), sum.Sum32()),
	}, nil
}

// Len is how many headers are kept.
func (h Headers) Len() int { return len(h.names) }

// Name is the name of header i, the key of its attribute.
func (h Headers) Name(i int) string { return h.names[i] }

// Index is the place of a header in the list, or -1.
func (h Headers) Index(name []byte) int {
	for i, n := range h.names {
		if n == string(name) {
			return i
		}
	}
	return -1
}

// Keep sets the attributes of the headers; values are in the order of the list,
// and one that is empty or a dash is not there. Every decoder calls it before
// Finish.
func (h Headers) Keep(r *Record, values [][]byte) {
	for i, v := range values {
		if v = present(v); len(v) > 0 {
			r.attr(h.names[i], upTo(v, maxOther))
		}
	}
}

// lineVersionOf is what lines begin with.
func (h Headers) lineVersionOf() string {
	if h.version == "" {
		return lineVersion
	}
	return h.version
}

// fieldsOf is how many header fields a line of the version has, and whether they
// are of this list.
func (h Headers) fieldsOf(version []byte) (n int, mine, ok bool) {
	if string(version) == h.lineVersionOf() {
		return len(h.names), true, true
	}
	if string(version) == lineVersion {
		return 0, false, true
	}
	const head, hash = len(lineVersion) + 1, 1 + 8 // "k1+" and ".89abcdef"
	if len(version) < head+1+hash || string(version[:head]) != lineVersion+"+" || version[len(version)-hash] != '.' {
		return 0, false, false
	}
	for _, c := range version[head : len(version)-hash] {
		if n = n*10 + int(c-'0'); c < '0' || c > '9' || n > MaxHeaders {
			return 0, false, false
		}
	}
	return n, false, true
}
