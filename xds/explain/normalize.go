package explain

import (
	"slices"
	"strings"
)

// malformed says why Envoy refuses the request before it looks for a route, or "".
func malformed(r Request) string {
	switch {
	case !slices.Contains(methods, r.Method):
		return "the method is none that HTTP/1.1 gateways know"
	case !made(r.Host, authorityMarks):
		return "the host has a character that no host may have"
	case !strings.HasPrefix(r.Path, "/") || strings.Contains(r.Path, "#") || !visible(r.Path):
		return "the path is malformed"
	default:
		return ""
	}
}

// methods are those that Envoy's HTTP/1 parser takes, CONNECT aside.
var methods = strings.Fields(`ACL BIND CHECKOUT COPY DELETE GET HEAD LINK LOCK MERGE MKACTIVITY MKCALENDAR
	MKCOL MOVE NOTIFY OPTIONS PATCH POST PROPFIND PROPPATCH PURGE PUT REBIND REPORT SEARCH SOURCE
	SUBSCRIBE TRACE UNBIND UNLINK UNLOCK UNSUBSCRIBE`)

// authorityMarks are what a host may have besides letters and digits.
const authorityMarks = "-._~%!$&'()*+,;=:[]@"

func made(s, marks string) bool {
	return !strings.ContainsFunc(s, func(c rune) bool { return !alphanumeric(c) && !strings.ContainsRune(marks, c) })
}

func alphanumeric(c rune) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}

// visible is false for spaces, control characters and everything beyond ASCII.
func visible(s string) bool {
	return !strings.ContainsFunc(s, func(c rune) bool { return c <= ' ' || c >= 0x7f })
}

// normalize is what Envoy makes of a path before it looks for a route: without
// query, escapes unified, dot segments resolved. It is false for a path that
// Envoy refuses. The path begins with a slash.
func normalize(path string) (string, bool) {
	path, _, _ = strings.Cut(path, "?")
	segments := strings.Split(path[1:], "/")
	for i, s := range segments {
		segments[i] = withoutDotParameters(s)
	}
	path, ok := unify(strings.Join(segments, "/"))
	return "/" + resolveDots(strings.Split(path, "/")), ok
}

// withoutDotParameters makes ".." of "..;a=b", which some servers take for "..".
func withoutDotParameters(segment string) string {
	if before, _, ok := strings.Cut(segment, ";"); ok && (before == "." || before == "..") {
		return before
	}
	return segment
}

// Characters that keep their meaning escaped or not are unescaped; those that
// should be escaped are; a backslash is a slash.
const (
	unreservedMarks = "-._~"
	escapedAlways   = "\"<>`{}|^"
)

func unify(path string) (string, bool) {
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	for i := 0; i < len(path); i++ {
		c := path[i]
		value, escaped := unescape(path[i:])
		switch {
		case escaped && value == 0:
			return "", false
		case escaped && (alphanumeric(rune(value)) || strings.IndexByte(unreservedMarks, value) >= 0):
			b.WriteByte(value)
			i += 2
		case c == '\\':
			b.WriteByte('/')
		case strings.IndexByte(escapedAlways, c) >= 0:
			b.Write([]byte{'%', hex[c>>4], hex[c&15]})
		default:
			b.WriteByte(c)
		}
	}
	return b.String(), true
}

// unescape reads an escape at the beginning of s.
func unescape(s string) (value byte, ok bool) {
	if len(s) < 3 || s[0] != '%' {
		return 0, false
	}
	high, ok1 := digit(s[1])
	low, ok2 := digit(s[2])
	return high<<4 | low, ok1 && ok2
}

func digit(c byte) (byte, bool) {
	switch {
	case '0' <= c && c <= '9':
		return c - '0', true
	case 'a' <= c|0x20 && c|0x20 <= 'f':
		return c | 0x20 - 'a' + 10, true
	default:
		return 0, false
	}
}

func resolveDots(segments []string) string {
	var kept []string
	for i, s := range segments {
		last := i == len(segments)-1
		switch s {
		case ".":
		case "..":
			kept = kept[:max(len(kept)-1, 0)]
		default:
			kept = append(kept, s)
			continue
		}
		if last {
			kept = append(kept, "") // "/a/." and "/a/b/.." end with a slash
		}
	}
	return strings.Join(kept, "/")
}
