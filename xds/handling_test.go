package xds

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kongdao/kongdao/api"
	"github.com/kongdao/kongdao/internal/calllog"
)

// TestCallsAreCarriedAsRoutesSay holds one gateway against what routes and
// functions say of paths, headers, origins, retries and copies.
func TestCallsAreCarriedAsRoutesSay(t *testing.T) {
	log := filepath.Join(t.TempDir(), "calls.log")
	shop, bad, good, shadow := newPod(t, "shop", "zb-a"), newPod(t, "bad", "zb-a"), newPod(t, "good", "zb-a"), newPod(t, "shadow", "zb-a")
	bad.status.Store(http.StatusServiceUnavailable)
	r := newRig(t, functions(shopping(shop), retrying(bad, good), copied(shop), shadowing(shadow)), func(c *Config) {
		c.AccessLog, c.AccessLogFormat = log, calllog.EnvoyTextFormat()
	})
	t.Run("rewriting", func(t *testing.T) { rewritten(t, r, shop, log) })
	t.Run("the gateway's own answers", func(t *testing.T) { answered(t, r) })
	t.Run("pages of other origins", func(t *testing.T) { shared(t, r, shop) })
	t.Run("retries", func(t *testing.T) {
		for range 20 {
			r.want(r.call("GET", "any", "/retried"), 200, "good")
		}
		if bad.calls.Load() == 0 {
			t.Error("the bad pod was never asked")
		}
	})
	t.Run("copies", func(t *testing.T) { copies(t, r, shop, shadow, log) })
}

func shopping(p *pod) *api.Function {
	f := function("shop", "/items/{id}", p)
	f.Spec.Access = &api.Access{Public: true}
	f.Spec.CORS = &api.CORS{Origins: []api.Matcher{api.Is("https://*.example.com")}, Headers: []string{"x-app"}, Credentials: true, MaxAge: api.Duration(10 * 60e9)}
	f.Spec.ResponseHeaders = api.HeaderChanges{Set: map[string]string{"x-frame-options": "DENY"}, Remove: []string{"server"}}
	f.Spec.Routes = []api.Route{
		{
			Path: "/items/{id}", Query: map[string]api.Matcher{"page": {Kind: api.MatchRegex, Text: "[0-9]+"}},
			Rewrite: "/v2/{id}", RewriteHost: "inner.test",
			Handling: api.Handling{RequestHeaders: api.HeaderChanges{
				Set: map[string]string{"x-set": "100%"}, Add: map[string]string{"x-add": "b"}, Remove: []string{"x-gone"},
			}},
		},
		{Path: "/old/*", Redirect: &api.Redirect{Status: 308, HTTPS: true, Host: "www.example.com", Path: "/new/*"}},
		{Path: "/teapot", Respond: &api.Respond{Status: 418, Body: "short and stout", Headers: map[string]string{"content-type": "text/plain"}}},
	}
	return f
}

// retrying has a pod that is down in its own way, and one that is well.
func retrying(bad, good *pod) *api.Function {
	f := function("retried", "/retried", bad, good)
	f.Spec.Retries = api.Retries{Attempts: 3, On: []string{"connect-failure", "503"}}
	return f
}

func copied(p *pod) *api.Function {
	f := function("copied", "/copied/*", p)
	f.Spec.Routes[0].Rewrite = "/seen/*"
	f.Spec.Mirror = []api.Mirror{{Function: "shadow", Revision: "r1", Percent: 100}}
	return f
}

func shadowing(p *pod) *api.Function {
	f := function("shadow", "/shadow", p)
	f.Spec.Capacity.PerPodQPS = 0.2 // one call, then none for five seconds
	return f
}

func rewritten(t *testing.T, r *rig, shop *pod, log string) {
	r.want(r.call("GET", "any", "/items/7?page=x"), 404, "no_route")
	r.want(r.call("GET", "any", "/items/7?page=12", "x-set: mine", "x-add: a", "x-gone: 1"), 200, "shop")
	h, path, host := shop.last()
	if path != "/v2/7?page=12" || host != "inner.test" || h.Get("x-forwarded-host") != "any" {
		t.Errorf("the pod saw %s%s, for %q", host, path, h.Get("x-forwarded-host"))
	}
	if h.Get("x-set") != "100%" || strings.Join(h.Values("x-add"), "+") != "a+b" || h.Get("x-gone") != "" {
		t.Errorf("the pod saw the headers %v", h)
	}
	eventually(t, "the call is logged with the path that came", func() bool {
		for _, rec := range records(t, log) {
			if string(rec.Path) == "/items/7?page=12" && rec.Status == 200 {
				return true
			}
		}
		return false
	})
}

func answered(t *testing.T, r *rig) {
	r.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	got := r.call("GET", "any", "/old/a/b?c=d")
	if got.status != 308 || got.header.Get("location") != "https://www.example.com/new/a/b?c=d" {
		t.Errorf("got %d to %q", got.status, got.header.Get("location"))
	}
	got = r.call("GET", "any", "/teapot")
	r.want(got, 418, "short and stout")
	if got.header.Get("content-type") != "text/plain" || got.header.Get("x-frame-options") != "DENY" {
		t.Errorf("got the headers %v", got.header)
	}
}

func shared(t *testing.T, r *rig, shop *pod) {
	before := shop.calls.Load()
	ask := func(origin string) answer {
		return r.call("OPTIONS", "any", "/items/7?page=1", "origin: "+origin, "access-control-request-method: PUT")
	}
	got := ask("https://app.example.com")
	for name, want := range map[string]string{
		"access-control-allow-origin": "https://app.example.com", "access-control-allow-credentials": "true",
		"access-control-allow-headers": "x-app", "access-control-max-age": "600",
		"access-control-allow-methods": "GET,HEAD,POST,PUT,PATCH,DELETE",
	} {
		if got.header.Get(name) != want {
			t.Errorf("%s: %q, want %q", name, got.header.Get(name), want)
		}
	}
	r.want(ask("https://example.com.evil.test"), 403, "origin")
	// One that matches the route and not the filter must not get past either.
	sneaky, err := http.NewRequest(http.MethodOptions, "http://"+r.gateway+"/items/7?page=1", nil)
	if err != nil {
		t.Fatal(err)
	}
	sneaky.Header = http.Header{"Origin": {"https://app.example.com", "https://evil.test"}, "Access-Control-Request-Method": {"PUT"}}
	res, err := r.client.Do(sneaky)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if shop.calls.Load() != before {
		t.Error("a preflight reached a pod")
	}
	for path, status := range map[string]int{"/items/7?page=1": 200, "/teapot": 418} {
		got := r.call("GET", "any", path, "origin: https://app.example.com")
		if got.status != status || got.header.Get("access-control-allow-origin") != "https://app.example.com" {
			t.Errorf("%s: %d for %q", path, got.status, got.header.Get("access-control-allow-origin"))
		}
		if got.header.Get("vary") != "origin" {
			t.Errorf("%s: varies by %q", path, got.header.Get("vary"))
		}
		if got := r.call("GET", "any", path, "origin: https://evil.test"); got.header.Get("access-control-allow-origin") != "" {
			t.Errorf("%s: a page that may not call may read the answer", path)
		}
	}
}

// copies: each call is copied, beyond the shadow's own limit, and is one call of
// the call log.
func copies(t *testing.T, r *rig, shop, shadow *pod, log string) {
	const n = 50
	for range n {
		r.want(r.call("GET", "any", "/copied/x?y=z"), 200, "shop")
	}
	eventually(t, "every call is copied", func() bool { return shadow.calls.Load() == n })
	h, path, host := shadow.last()
	if path != "/seen/x?y=z" || host != "any" || h.Get("x-kongdao-mirror") != "copied" {
		t.Errorf("the shadow saw %s%s %v", host, path, h)
	}
	if h, _, _ := shop.last(); h.Get("x-kongdao-mirror") != "" {
		t.Error("the call itself is marked as a copy")
	}
	r.want(r.call("GET", "any", "/shadow"), 200, "shadow") // its bucket is still full
	eventually(t, "the last call is logged", func() bool { return len(of(records(t, log), "shadow")) > 0 })
	all := records(t, log)
	if len(of(all, "copied")) != n || len(of(all, "shadow")) != 1 {
		t.Errorf("%d calls and %d of the shadow in the log, want %d and 1", len(of(all, "copied")), len(of(all, "shadow")), n)
	}
}

// of are the calls of a function.
func of(all []calllog.Record, function string) (some []calllog.Record) {
	for _, rec := range all {
		if string(rec.Function) == function {
			some = append(some, rec)
		}
	}
	return some
}

// records are the calls that a log holds, whole lines only.
func records(t *testing.T, path string) (all []calllog.Record) {
	t.Helper()
	text, _ := os.ReadFile(path)
	for line := range strings.Lines(string(text)) {
		var rec calllog.Record
		if line, whole := strings.CutSuffix(line, "\n"); whole {
			if err := calllog.ParseText([]byte(line), &rec); err != nil {
				t.Fatalf("%q: %v", line, err)
			}
			all = append(all, rec)
		}
	}
	return all
}

// last is what the pod saw of its last call.
func (p *pod) last() (h http.Header, path, host string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.header, p.path, p.host
}
