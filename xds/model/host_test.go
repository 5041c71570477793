package model

import (
	"slices"
	"testing"

	"github.com/kongdao/kongdao/api"
)

func TestPaths(t *testing.T) {
	for _, c := range []struct {
		pattern, path string
		want          bool
	}{
		{"/a", "/a", true},
		{"/a", "/a/", false},
		{"/a/*", "/a/", true},
		{"/a/*", "/a/b/c", true},
		{"/a/*", "/a", false},
		{"/*", "/", true},
		{"/items/{id}", "/items/7", true},
		{"/items/{id}", "/items/", false},
		{"/items/{id}", "/items/7/8", false},
		{"/items/{id}/top", "/items/7/top", true},
		{"/items/{id}/*", "/items/7/", true},
		{"/items/{id}/*", "/items/7/8/9", true},
		{"/items/{id}/*", "/items/7", false},
		{"/a.b/{x}", "/aXb/1", false},
	} {
		if got := ParsePath(c.pattern).Matches(c.path); got != c.want {
			t.Errorf("%s matches %s: %v, want %v", c.pattern, c.path, got, c.want)
		}
	}
}

func TestCandidates(t *testing.T) {
	f := func(name string, routes ...api.Route) *api.Function {
		return &api.Function{
			Metadata: api.Metadata{Name: name},
			Spec:     api.FunctionSpec{Routes: routes, Revisions: []api.Revision{{Name: "r"}}},
		}
	}
	w := Build(Input{Set: api.Set{Functions: []*api.Function{
		f("exact", api.Route{Hosts: []string{"a.b.example.com"}, Path: "/x"}),
		f("narrow", api.Route{Hosts: []string{"*.b.example.com"}, Path: "/x"}),
		f("wide", api.Route{Hosts: []string{"*.example.com"}, Path: "/x"}),
		f("any", api.Route{Path: "/x"}),
		f("prefix", api.Route{Path: "/*"}),
	}}})
	for host, want := range map[string][]string{
		"a.b.example.com:80": {"exact", "narrow", "wide", "any", "prefix"},
		"z.b.example.com":    {"narrow", "wide", "any", "prefix"},
		"b.example.com":      {"wide", "any", "prefix"},
		"example.com":        {"any", "prefix"},
		"[::1]:80":           {"any", "prefix"},
		"*":                  {"any", "prefix"},
	} {
		var got []string
		for _, r := range w.Candidates(host) {
			got = append(got, r.Function.Name)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", host, got, want)
		}
	}
}

func TestValidHost(t *testing.T) {
	for host, want := range map[string]bool{
		"*": true, "a": true, "*.example.com": true, "a-b.c_d.example.com": true, "127.0.0.1": true,
		"": false, "*.": false, "a*": false, "*a": false, "a b": false, "[::1]": false, ".a": false, "ä": false, "A": false,
	} {
		if ValidHost(host) != want {
			t.Errorf("%q: want %v", host, want)
		}
	}
	w := Build(Input{Set: api.Set{Functions: []*api.Function{{
		Metadata: api.Metadata{Name: "f"},
		Spec:     api.FunctionSpec{Routes: []api.Route{{Hosts: []string{"a b", "good"}, Path: "/"}}, Revisions: []api.Revision{{Name: "r"}}},
	}}}})
	if w.Functions[0].Invalid == "" || w.Host("a b") != nil || w.Host("good") == nil {
		t.Errorf("invalid %q, hosts %v", w.Functions[0].Invalid, w.Hosts)
	}
}
