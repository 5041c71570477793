package explain

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/kongdao/kongdao/api"
)

// matchers are conditions on headers that requests often carry.
func (c chance) matchers() map[string]api.Matcher {
	all := map[string]api.Matcher{}
	for _, name := range some(c, "x-gray", "x-canary") {
		all[name] = c.matcher()
	}
	return all
}

func (c chance) matcher() api.Matcher {
	if c.IntN(2) == 0 {
		return api.Is(pick(c, "1", "2"))
	}
	return pick(c,
		api.Matcher{Kind: api.MatchPresent}, api.Matcher{Kind: api.MatchAbsent},
		api.Matcher{Kind: api.MatchPrefix, Text: "1"}, api.Matcher{Kind: api.MatchSuffix, Text: "2"},
		api.Matcher{Kind: api.MatchContains, Text: "1"},
		api.Matcher{Kind: api.MatchRegex, Text: "[0-9]"}, api.Matcher{Kind: api.MatchRegex, Text: "1|12"},
		api.Matcher{Kind: api.MatchRegex, Text: ".*"}, api.Matcher{Kind: api.MatchRegex, Text: "^1.$"},
		api.Matcher{Kind: api.MatchRegex, Text: `\pL+`},
	)
}

func (c chance) query() map[string]api.Matcher {
	all := map[string]api.Matcher{}
	if c.IntN(4) == 0 {
		all[pick(c, "a", "q", "a%20b")] = c.matcher()
	}
	return all
}

// handle gives a route something to do.
func (c chance) handle(rt *api.Route) {
	to := pick(c, "/", "/new", "/x/fixed", "/%7Bid%7D")
	switch {
	case strings.Contains(rt.Path, "{id}"):
		to = pick(c, "/v2/{id}", "/{id}", "/{id}/x/{id}", `/a\1/{id}`, to)
	case strings.Contains(rt.Path, "{a}"):
		to = pick(c, "/v2/{b}/{a}", "/{b}", to)
	}
	if strings.HasSuffix(rt.Path, "/*") && c.IntN(2) == 0 {
		to = strings.TrimSuffix(to, "/") + "/*"
	}
	switch c.IntN(6) {
	case 0, 1:
		rt.Rewrite = to
		rt.RewriteHost = pick(c, "", "inner.test", "inner.test:81")
	case 2:
		rt.Redirect = &api.Redirect{
			Status: pick(c, 0, 301, 303, 307, 308), HTTPS: c.IntN(2) == 0, Host: pick(c, "", "else.test"),
			Port: pick(c, 0, 0, 8443), Path: pick(c, "", to), DropQuery: c.IntN(3) == 0,
		}
	case 3:
		rt.Respond = &api.Respond{Status: pick(c, 200, 204, 418, 503), Headers: map[string]string{"x-own": "100%"}}
	}
	if rt.Redirect == nil && rt.Respond == nil && c.IntN(4) == 0 {
		rt.Websocket = true
	}
	if c.IntN(3) == 0 {
		rt.RequestHeaders = api.HeaderChanges{
			Set: map[string]string{"x-set": "a%b"}, Add: map[string]string{"x-add": "new"}, Remove: some(c, "x-set", "x-add", "X-Gray"),
		}
		rt.ResponseHeaders = api.HeaderChanges{Set: map[string]string{"x-own": pick(c, "50%", "")}}
	}
	if c.IntN(3) == 0 {
		rt.CORS = c.cors()
	}
}

func (c chance) cors() *api.CORS {
	return &api.CORS{
		Origins: append(some(c, api.Is("https://a.test"), api.Is("https://*.b.test"), api.Matcher{Kind: api.MatchRegex, Text: "http://[a-c]+"}, api.Is("*")), api.Is("null")),
		Methods: some(c, "GET", "PUT"), Headers: some(c, "x-gray"), Credentials: c.IntN(2) == 0,
	}
}

// origin makes a request one of a page, maybe a preflight.
func (c chance) origin(r *Request) {
	if c.IntN(3) != 0 {
		return
	}
	r.Headers.Set("Origin", pick(c, "https://a.test", "https://x.b.test", "https://b.test", "http://abc", "http://abcd", "null", "https://x.y.b.test:1"))
	if c.IntN(2) == 0 {
		r.Method = http.MethodOptions
	}
	if c.IntN(3) != 0 {
		r.Headers.Set("Access-Control-Request-Method", pick(c, "GET", "POST", "PUT"))
	}
}

// upgrade makes some requests handshakes, and some look like it.
func (c chance) upgrade(r *Request) {
	if c.IntN(8) != 0 {
		return
	}
	r.Headers.Set("Sec-Websocket-Version", pick(c, "13", "13", "8"))
	if c.IntN(4) != 0 {
		r.Method = http.MethodGet
		r.Headers.Set("Connection", pick(c, "Upgrade", "keep-alive, upgrade"))
		r.Headers.Set("Upgrade", pick(c, "websocket", "websocket", "WebSocket", "other"))
	}
	if c.IntN(8) == 0 {
		r.Headers.Del("Sec-Websocket-Version")
	}
}

// seen is what a pod says that it saw, and what else of an answer is compared.
type seen struct {
	status                int
	body, location, allow string
}

// echo is the answer of a pod: what it saw of path, host and two headers.
func echo(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Upgrade") != "" {
		w.Header().Set("Connection", "Upgrade")
		w.Header().Set("Upgrade", "websocket")
		w.WriteHeader(http.StatusSwitchingProtocols)
		return
	}
	fmt.Fprintf(w, "%s %s %s %s", r.RequestURI, r.Host, strings.Join(r.Header["X-Set"], ","), strings.Join(r.Header["X-Add"], ","))
}

// carriedWrongly compares what became of a request on its way.
func carriedWrongly(a Answer, got seen) string {
	h := a.Handling
	if h == nil {
		h = &Handling{}
	}
	if got.location != h.Location {
		return fmt.Sprintf("envoy redirected to %q and not to %q", got.location, h.Location)
	}
	if allowed := strings.Contains(h.CORS, " may read "); a.Handling != nil && allowed != (got.allow != "") {
		return fmt.Sprintf("envoy allowed the origin %q, explained: %s", got.allow, h.CORS)
	}
	if a.Revision == "" || got.status != http.StatusOK || got.body == "" { // nobody echoed
		return ""
	}
	path, _ := normalize(a.request.Path)
	set, add := effect(h.RequestHeaders)
	want := fmt.Sprintf("%s %s %s %s", cmp.Or(h.Path, path+queryOf(a.request.Path)), cmp.Or(h.Host, a.request.Host), set, add)
	if got.body != want {
		return fmt.Sprintf("the pod saw %q and not %q", got.body, want)
	}
	return ""
}

// effect is what becomes of the two headers that a pod echoes.
func effect(changes []string) (set, add string) {
	if slices.Contains(changes, "set x-set: a%b") {
		set = "a%b"
	}
	if slices.Contains(changes, "add x-add: new") {
		add = "new"
	}
	return set, add
}
