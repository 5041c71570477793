package xds

import (
	"strings"
	"testing"

	"github.com/kongdao/kongdao/api"
)

func TestRequestsFindTheirFunction(t *testing.T) {
	a, b, c, d := newPod(t, "a", "zb-a"), newPod(t, "b", "zb-a"), newPod(t, "c", "zb-a"), newPod(t, "d", "zb-a")
	exact := function("exact", "/x", a)
	exact.Spec.Routes = []api.Route{{Hosts: []string{"api.example.com"}, Path: "/x"}, {Hosts: []string{"api.example.com"}, Path: "/deep/*"}}
	suffix := function("suffix", "/s", b)
	suffix.Spec.Routes = []api.Route{{Hosts: []string{"*.example.com"}, Path: "/s"}, {Hosts: []string{"*.example.com"}, Path: "/x", Methods: []string{"POST", "PUT"}}}
	star := function("star", "/items/{id}", c)
	post := function("post", "/x", d)
	post.Spec.Routes = []api.Route{{Path: "/x", Headers: map[string]api.Matcher{"x-kind": api.Is("d")}}}
	closed := function("closed", "/closed", a)
	closed.Spec.Access = nil
	bad := function("bad", "/bad", a)
	bad.Spec.Revisions[0].Endpoints = []api.Endpoint{{Address: "localhost:1", Zone: "zb-a"}}

	r := newRig(t, functions(exact, suffix, star, post, closed, bad))
	for _, c := range []struct {
		method, host, path string
		headers            []string
		status             int
		contains           string
	}{
		{"GET", "api.example.com", "/x", nil, 200, "a"},
		{"GET", "api.example.com:8080", "/x?q=1", nil, 200, "a"},
		{"GET", "api.example.com", "/deep/er/still", nil, 200, "a"},
		{"GET", "api.example.com", "/s", nil, 200, "b"},       // an exact host falls through to the suffix
		{"GET", "api.example.com", "/items/7", nil, 200, "c"}, // and to any host
		{"GET", "other.example.com", "/s", nil, 200, "b"},
		{"GET", "other.example.com", "/items/7", nil, 200, "c"},
		{"PUT", "other.example.com", "/x", nil, 200, "b"},
		{"GET", "other.example.com", "/x", nil, 404, "no_route"},
		{"GET", "other.example.com", "/x", []string{"x-kind: d"}, 200, "d"},
		{"GET", "127.0.0.1:9000", "/items/7", nil, 200, "c"},
		{"GET", "[::1]:9000", "/items/7", nil, 200, "c"},
		{"GET", "shard-3", "/items/7", nil, 200, "c"},
		{"GET", "*", "/items/7", nil, 200, "c"},
		{"GET", "nowhere", "/items/7/8", nil, 404, "no_route"},
		{"GET", "nowhere", "/items/", nil, 404, "no_route"},
		{"GET", "nowhere", "/closed", nil, 403, "closed"},
		{"GET", "nowhere", "/bad", nil, 503, "localhost:1"},
		// A client cannot choose its scope.
		{"GET", "nowhere", "/x", []string{"x-kongdao-scope: api.example.com"}, 404, "no_route"},
	} {
		got := r.call(c.method, c.host, c.path, c.headers...)
		if got.status != c.status || !strings.Contains(got.body, c.contains) {
			t.Errorf("%s %s%s %v: got %d %q, want %d with %q", c.method, c.host, c.path, c.headers, got.status, got.body, c.status, c.contains)
		}
	}
	if a.header.Get("x-kongdao-scope") != "" {
		t.Error("the scope header reached a pod")
	}
	if n := len(r.State().Gateways); n != 1 {
		t.Errorf("%d gateways, want 1", n)
	}
}
