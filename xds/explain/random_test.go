package explain

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/netip"

	"github.com/kongdao/kongdao/api"
	"github.com/kongdao/kongdao/xds/model"
)

// markRight is what marks are believed with where they need a right.
const markRight = "x-kongdao-mark-of-tests"

// chance makes random worlds and requests that often meet: both draw from the
// same few hosts, paths, methods and headers.
type chance struct {
	*rand.Rand
	calls *api.Transcode // of routes that transcode; nil: none does
}

func pick[T any](c chance, from ...T) T { return from[c.IntN(len(from))] }

// some is any part of from, in order, often nothing.
func some[T any](c chance, from ...T) (out []T) {
	for _, x := range from {
		if c.IntN(3) == 0 {
			out = append(out, x)
		}
	}
	return out
}

func (c chance) headers() map[string]string {
	h := map[string]string{}
	for _, name := range some(c, "x-gray", "x-canary") {
		h[name] = pick(c, "1", "2")
	}
	return h
}

func (c chance) route(line int) api.Route {
	rt := api.Route{
		Hosts: some(c, "a.test", "b.test", "x.b.test", "*.b.test", "*.test", "*", "MiXed.test", "13", "shard-1"),
		Path: pick(c, "/", "/x", "/x/", "/x/y", "/x/*", "/x/%7Bid%7D", "/x/%2Fy", "/x/{id}", "/x/{id}/z", "/{a}/{b}", "/*", "/x/y/*", "/x.y", "/x+(y)/{id}",
			"/{deep}/y/*", "/x/{id}/*", "/long/er/path"),
		Methods: some(c, "GET", "POST", "DELETE"),
		Headers: c.matchers(),
		Query:   c.query(),
		Source:  api.Source{File: "random.yaml", Line: line},
	}
	c.handle(&rt)
	return rt
}

// function has one to three revisions over some of the pods.
func (c chance) function(name string, pods []api.Endpoint) *api.Function {
	f := &api.Function{Metadata: api.Metadata{Name: name}}
	for i := range 1 + c.IntN(3) {
		f.Spec.Routes = append(f.Spec.Routes, c.route(i+1))
	}
	revisions := 1 + c.IntN(3)
	for i := range revisions {
		f.Spec.Revisions = append(f.Spec.Revisions, api.Revision{Name: fmt.Sprintf("r%d", i), Endpoints: some(c, pods...)})
	}
	if revisions > 1 {
		first := 1 + c.IntN(99)
		f.Spec.Traffic = []api.Traffic{{Revision: "r0", Weight: first}, {Revision: "r1", Weight: 100 - first}}
	}
	for range c.IntN(3) {
		if h := c.headers(); len(h) > 0 {
			f.Spec.Traffic = append(f.Spec.Traffic, api.Traffic{
				Revision: fmt.Sprintf("r%d", c.IntN(revisions)), Match: &api.TrafficMatch{Headers: h},
			})
		}
	}
	f.Spec.Access = c.access()
	c.release(f)
	c.limits(f)
	c.transcode(f)
	f.Spec.Capacity.PerPodQPS = pick(c, 0.0, 1e6)
	return f
}

// access is one of all kinds. Requests of these tests come from 127.0.0.1.
func (c chance) access() *api.Access {
	a := pick(c, nil, &api.Access{Public: true}, &api.Access{Public: true}, &api.Access{Consumers: []string{"ann"}}, &api.Access{Consumers: []string{"ann", "bob"}},
		&api.Access{Consumers: []string{"bob"}, By: []string{api.BySignature}}, &api.Access{Revisions: []string{"ann"}})
	if a != nil && c.IntN(4) == 0 {
		a.IP = &api.Addresses{
			Allow: some(c, "127.0.0.0/8", "10.0.0.0/8", "::1", "2001:db8::/32"),
			Deny:  some(c, "127.0.0.2", "127.0.0.1", "0.0.0.0/1"),
		}
	}
	return a
}

// world has functions over pods; the pods in dead are reported as down.
func (c chance) world(functions int, pods []api.Endpoint, dead map[string]bool) *model.World {
	return model.Build(c.input(functions, pods, dead))
}

func (c chance) input(functions int, pods []api.Endpoint, dead map[string]bool) model.Input {
	in := model.Input{
		Keys:  map[string][]string{"ann": {model.HashKey("key-a")}, "bob": {model.HashKey("key-b"), model.HashKey("key-c")}},
		Ready: map[string]bool{},
		Broken: map[string]string{
			"f3": "it is broken on purpose", "f4/0": "so is this route", "f5/0": "its path is",
		},
		Unmatchable: map[string]bool{"f5/0": true},
	}
	in.Views = []string{"za"}
	in.Fleet = model.EvenFleet(map[string]int{"za": 1, "zb": c.IntN(3), "zc": c.IntN(2)}, 1)
	in.NoMarked = in.Fleet.Gateways == 2
	if c.IntN(2) == 0 {
		in.Group = &model.Group{
			Name: "g", AnyMethod: c.IntN(2) == 0, Access: pick(c, nil, &api.Access{Public: true}),
			Hosts: some(c, "a.test", "*.b.test", "y.b.test", "*.test", "*"),
		}
	}
	for _, p := range pods {
		in.Ready[p.Address] = !dead[p.Address]
	}
	c.globalLimits(&in.Set)
	for i := range functions {
		f := c.function(fmt.Sprintf("f%d", i), pods)
		in.Set.Functions = append(in.Set.Functions, f)
		if es := f.Spec.Revisions[0].Endpoints; len(es) > 0 && c.IntN(4) == 0 && !dead[es[0].Address] {
			in.Pins = append(in.Pins, model.Pin{Function: f.Name, Address: es[0].Address, Token: "token-" + f.Name})
		}
		if es := f.Spec.Revisions[0].Endpoints; len(es) > 1 && i%3 == 1 {
			in.Lifts = append(in.Lifts, model.Lift{Function: f.Name, Address: es[len(es)-1].Address, Factor: 0.5 + float64(i)/4})
		}
	}
	return in
}

func (c chance) request() Request {
	r := Request{
		Method: pick(c, "GET", "POST", "DELETE", "PUT", "GETX"),
		Host: pick(c, "a.test", "b.test", "x.b.test", "y.b.test", "deep.y.b.test", "q.test", "test", "elsewhere.example",
			"a.test:8080", "x.b.test:80", "A.test", "X.B.Test", "mixed.test", "MiXed.test", "127.0.0.1:9000", "[::1]:80", "[::1]", "13", "13:80", "shard-1", "shard-2"),
		Path: pick(c, "/", "/x", "/x/", "/x/y", "/x/y/", "/x/y/z", "/x/7", "/x/7/z", "/x/7/z/", "/x//z", "//x", "/x/%2Fy", "/X", "/x.y", "/xzy",
			"/p/q", "/p/", "/x+(y)/5", "/long/er/path", "/q/y/r", "/x/./y", "/x/../x/y", "/..", "/x/%2e%2e/p/q", "/x/a%20b", "/x/%7E", "/x/~", "/x/%41", "/x/..",
			"/x/y/.", "/x\\y", "/x/*", "/x/{id}", "/x/a;b=c", "/x/%c3%a9", "/x/a%00b", "/x/%7Bid%7D", "/x/..;/x/y", "/x/.;a=b/y", "/x/%2e%2e;/x", "/x/|^", "/a/b/c/../../d"),
		Headers: http.Header{},
		Client:  netip.MustParseAddr("127.0.0.1"),
	}
	if c.IntN(4) == 0 {
		r.Path += pick(c, "?", "?a=b", "?/x/y", "?a=/../b", "?a=1", "?a=2&a=1", "?q=12&a=1", "?&a", "?a=", "?a=1=2", "?a%20b=1", "?q=%31", "?b=1&q=2")
	}
	for name, value := range c.headers() {
		r.Headers.Add(name, value)
	}
	if c.IntN(20) == 0 {
		r.Headers.Add("x-gray", pick(c, "1", "12", "", "ä", "\xff"))
	}
	c.json(&r)
	c.origin(&r)
	c.upgrade(&r)
	if c.IntN(2) == 0 {
		r.Headers.Set(model.KeyHeader, pick(c, "key-a", "key-b", "key-c", "wrong"))
	}
	c.identify(&r)
	if c.IntN(5) == 0 {
		r.Headers.Set(model.LoadTestHeader, "run-1")
		if r.Method != http.MethodGet {
			r.Headers.Set(markRight, "1")
		}
	}
	if c.IntN(8) == 0 {
		r.Headers.Set(model.PodHeader, fmt.Sprintf("token-f%d", c.IntN(12)))
	}
	return r
}
