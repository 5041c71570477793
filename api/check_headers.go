package api

import (
	"fmt"
	"strings"
)

// ownHeaders are those that gateways or HTTP itself need as they are.
var ownHeaders = map[string]string{
	"host":              "the host is changed by rewriteHost",
	"content-length":    "it says where the message ends",
	"transfer-encoding": "it says where the message ends",
	"connection":        "it belongs to the connection",
	"upgrade":           "it belongs to the connection",
	"keep-alive":        "it belongs to the connection",
	"te":                "it belongs to the connection",
	"trailer":           "it belongs to the connection",
	"x-request-id":      "it names the call in the call log",
	"x-forwarded-for":   "the gateway writes where the call came from",
	"x-forwarded-proto": "the gateway writes what the caller spoke",
}

func (h HeaderChanges) check(r *report, at string) {
	for field, values := range map[string]map[string]string{".set": h.Set, ".add": h.Add} {
		r.headers(at+field, values)
		for name, value := range values {
			r.ownHeader(join(at+field, name), name)
			r.headerValue(join(at+field, name), value)
		}
	}
	r.unique(at+".remove", h.Remove)
	for i, name := range h.Remove {
		field := fmt.Sprintf("%s.remove[%d]", at, i)
		if !headerName.MatchString(name) {
			r.add(field, "%s, want the name of a header", isOrMissing(name))
		}
		r.ownHeader(field, name)
	}
}

// ownHeader reports a header that resources must leave alone.
func (r *report) ownHeader(field, name string) {
	name = strings.ToLower(name)
	why, own := ownHeaders[name]
	if !own && (strings.HasPrefix(name, "x-kongdao-") || strings.HasPrefix(name, "x-envoy-")) {
		why, own = "it is the gateway's own", true
	}
	if own {
		r.add(field, "cannot be changed: %s", why)
	}
}

func (r *report) headerValue(field, value string) {
	if len(value) > 4096 {
		r.add(field, "has %d bytes, want at most 4096", len(value))
	}
	if strings.ContainsFunc(value, func(c rune) bool { return c < ' ' && c != '\t' && c != '\n' && c != '\r' && c != 0 || c == 0x7f }) {
		r.add(field, "has a control character in its value, want text")
	}
}
