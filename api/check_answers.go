package api

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// checkHandling checks what happens to a call that the route took.
func (rt Route) checkHandling(r *report, at string) {
	rt.Handling.check(r, at)
	rt.checkOutcome(r, at)
	if rt.Rewrite != "" {
		r.substitution(at+".rewrite", rt.Path, rt.Rewrite)
	}
	if rt.RewriteHost != "" && !hostAndPort(rt.RewriteHost) {
		r.add(at+".rewriteHost", "is %s, want a host such as feed.internal or feed.internal:8080", quote(rt.RewriteHost))
	}
	if rt.Redirect != nil {
		rt.Redirect.check(r, at+".redirect", rt.Path)
	}
	if rt.Respond != nil {
		rt.Respond.check(r, at+".respond")
	}
	r.timeout(at+".timeout", rt.Timeout)
	r.timeout(at+".tryTimeout", rt.TryTimeout)
	if rt.Timeout > 0 && rt.TryTimeout > rt.Timeout {
		r.add(at+".tryTimeout", "is %s, want at most the timeout of the whole call, %s", rt.TryTimeout, rt.Timeout)
	}
	rt.checkWebsocket(r, at)
}

// checkOutcome reports more than one end of a call.
func (rt Route) checkOutcome(r *report, at string) {
	var given []string
	for name, there := range map[string]bool{
		"rewrite": rt.Rewrite != "" || rt.RewriteHost != "", "redirect": rt.Redirect != nil, "respond": rt.Respond != nil,
	} {
		if there {
			given = append(given, name)
		}
	}
	if len(given) > 1 {
		slices.Sort(given)
		r.add(at, "has %s, want one of them", listed(given))
	}
}

func (rt Route) checkWebsocket(r *report, at string) {
	if !rt.Websocket {
		return
	}
	if rt.Redirect != nil || rt.Respond != nil {
		r.add(at+".websocket", "is true beside an answer of the gateway itself, want one of them")
	}
	if len(rt.Methods) > 0 && !slices.Contains(rt.Methods, "GET") {
		r.add(at+".methods", "lacks GET, with which every websocket begins")
	}
	if rt.MaxRequestBytes > 0 || rt.Compression {
		r.add(at+".websocket", "is true beside maxRequestBytes or compression, which have no meaning for it")
	}
}

// substitution checks a path made from another one.
func (r *report) substitution(field, path, text string) {
	if message := wrongPath(text); message != "" {
		r.add(field, "%s", message)
		return
	}
	have := strings.Split(path, "/")
	for _, s := range strings.Split(text, "/") {
		if pathVariable.MatchString(s) && !slices.Contains(have, s) {
			r.add(field, "is %s, but the route's path has no %s", quote(text), s)
		}
	}
	if strings.HasSuffix(text, "/*") && !strings.HasSuffix(path, "/*") {
		r.add(field, "is %s, but the route's path does not end with /*", quote(text))
	}
}

// hostAndPort tells whether text is a name or an IPv4 address, a port may follow.
func hostAndPort(text string) bool {
	name, port, hasPort := strings.Cut(text, ":")
	if hasPort {
		if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 {
			return false
		}
	}
	return name != "*" && !strings.HasPrefix(name, "*") && wrongHost(name) == ""
}

// redirects are the statuses of a redirect.
var redirects = []int{301, 302, 303, 307, 308}

func (rd *Redirect) check(r *report, at, path string) {
	if rd.Status != 0 && !slices.Contains(redirects, rd.Status) {
		r.add(at+".status", "is %d, want 301, 302, 303, 307 or 308", rd.Status)
	}
	if rd.Host != "" && (strings.Contains(rd.Host, ":") || !hostAndPort(rd.Host)) {
		r.add(at+".host", "is %s, want a host such as www.example.com; the port stands for itself", quote(rd.Host))
	}
	if rd.Port < 0 || rd.Port > 65535 {
		r.add(at+".port", "is %d, want a port from 1 to 65535", rd.Port)
	}
	if rd.Path != "" {
		r.substitution(at+".path", path, rd.Path)
	}
	if !rd.HTTPS && rd.Host == "" && rd.Port == 0 && (rd.Path == "" || rd.Path == path) {
		r.add(at, "leads back to where the call came from, want https, host, port or path")
	}
}

// maxRespondBody is what gateways take of an answer in their configuration, bytes.
const maxRespondBody = 4096

func (rs *Respond) check(r *report, at string) {
	switch {
	case rs.Status == 0:
		r.add(at+".status", "is missing, want a status from 200 to 599")
	case rs.Status < 200 || rs.Status > 599:
		r.add(at+".status", "is %d, want a status from 200 to 599", rs.Status)
	case rs.Status == http.StatusTooManyRequests || rs.Status == http.StatusRequestEntityTooLarge:
		r.add(at+".status", "is %d, which gateways answer for limits, with their own body: want another one", rs.Status)
	case (rs.Status == http.StatusNoContent || rs.Status == http.StatusNotModified) && rs.Body != "":
		r.add(at+".body", "is given, but an answer with %d has none", rs.Status)
	}
	if len(rs.Body) > maxRespondBody {
		r.add(at+".body", "has %d bytes, want at most %d", len(rs.Body), maxRespondBody)
	}
	HeaderChanges{Set: rs.Headers}.checkAs(r, at+".headers")
}

// checkAs checks Set alone, as a field of another name.
func (h HeaderChanges) checkAs(r *report, at string) {
	r.headers(at, h.Set)
	for name, value := range h.Set {
		r.ownHeader(join(at, name), name)
		r.headerValue(join(at, name), value)
	}
}

// RetryConditions are what Retries.On may hold besides statuses. Those in
// RetryReplays may send a request again that reached a pod.
func RetryConditions() []string {
	return []string{"connect-failure", "refused", "reset-before-request", "reset", "timeout", "5xx", "gateway-error"}
}

// RetryReplays tells whether a condition may send a request again that a pod has
// seen: all but the first three do.
func RetryReplays(condition string) bool {
	return !slices.Contains(RetryConditions()[:3], condition)
}

func (rt Retries) check(r *report, at string, idempotent bool) {
	if rt.Attempts < 0 || rt.Attempts > 10 {
		r.add(at+".attempts", "is %d, want a whole number from 1 to 10", rt.Attempts)
	}
	if rt.Off && (rt.Attempts != 0 || len(rt.On) > 0 || rt.Budget != 0 || rt.BackOff != BackOff{}) {
		r.add(at+".off", "is true beside other keys, want one or the other")
	}
	for i, c := range rt.On {
		field := fmt.Sprintf("%s.on[%d]", at, i)
		status, err := strconv.Atoi(c)
		switch known := slices.Contains(RetryConditions(), c); {
		case !known && (err != nil || status < 400 || status > 599 || strconv.Itoa(status) != c):
			r.add(field, "%s, want %s, or a status from 400 to 599", isOrMissing(c), oneOf(RetryConditions()))
		case RetryReplays(c) && !idempotent:
			r.add(field, "is %s, which sends calls again that a pod has seen: want idempotent: true", quote(c))
		case status == http.StatusTooManyRequests:
			r.add(field, "is 429: asking a full pod again makes it fuller")
		}
	}
	r.unique(at+".on", rt.On)
	if rt.BackOff.Max > 0 && rt.BackOff.Max < rt.BackOff.Base {
		r.add(at+".backOff.max", "is %s, want at least base, %s", rt.BackOff.Max, rt.BackOff.Base)
	}
	r.timeout(at+".backOff.base", rt.BackOff.Base)
	r.timeout(at+".backOff.max", rt.BackOff.Max)
	if !(rt.Budget >= 0 && rt.Budget <= 100) {
		r.add(at+".budget", "is %v%%, want a percentage from 0%% to 100%%", float64(rt.Budget))
	}
}
