package plan

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kongdao/kongdao/api"
	"github.com/kongdao/kongdao/internal/calllog"
	"github.com/kongdao/kongdao/xds/model"
)

// world is that of a function feed with two revisions at /feed.
func world(change ...func(f *api.Function)) *model.World {
	f := &api.Function{Metadata: api.Metadata{Name: "feed"}}
	f.Spec.Routes = []api.Route{{Path: "/feed", Source: api.Source{File: "feed.yaml", Line: 7}}}
	ready := map[string]bool{}
	for i := range 2 {
		address := fmt.Sprintf("127.0.0.1:910%d", i)
		f.Spec.Revisions = append(f.Spec.Revisions, api.Revision{Name: fmt.Sprintf("r%d", i+1), Endpoints: []api.Endpoint{{Address: address, Zone: "za"}}})
		ready[address] = true
	}
	f.Spec.Traffic = []api.Traffic{{Revision: "r1", Weight: 100}}
	f.Spec.Access = &api.Access{Public: true}
	for _, c := range change {
		c(f)
	}
	return model.Build(model.Input{Set: api.Set{Functions: []*api.Function{f}}, Ready: ready})
}

func served(change ...func(c *calllog.Call)) calllog.Call {
	c := calllog.Call{
		Time: time.Unix(1_800_000_000, 0).UTC(), Function: "feed", Revision: "r1", Route: "feed/0", Pod: "127.0.0.1:9100", Attempts: 1,
		Method: "GET", Host: "api.example.com", Path: "/feed", Status: 200, ClientIP: "10.1.2.3", SampleWeight: 1,
	}
	for _, f := range change {
		f(&c)
	}
	return c
}

func access(a *api.Access) func(*api.Function) { return func(f *api.Function) { f.Spec.Access = a } }

func traffic(all ...api.Traffic) func(*api.Function) {
	return func(f *api.Function) { f.Spec.Traffic = all }
}

func gray(m *api.TrafficMatch) func(*api.Function) {
	return traffic(api.Traffic{Revision: "r1", Weight: 100}, api.Traffic{Revision: "r2", Match: m})
}

func by(consumer string) func(*calllog.Call) { return func(c *calllog.Call) { c.Consumer = consumer } }

func attr(name, value string) func(*calllog.Call) {
	return func(c *calllog.Call) { c.Attrs = map[string]string{name: value} }
}

// TestCall says of single changes what they do to single calls.
func TestCall(t *testing.T) {
	ann, both := &api.Access{Consumers: []string{"ann"}}, &api.Access{Consumers: []string{"ann", "bob"}}
	to := func(old, now string) []Difference { return []Difference{{KindRevision, old, now}} }
	status := func(old, now string) []Difference { return []Difference{{KindStatus, old, now}} }
	options := Options{Kept: []string{"x-gray"}}
	for name, c := range map[string]struct {
		old, new func(*api.Function)
		call     calllog.Call
		options  Options
		want     []Difference
		unknown  string
	}{
		"a public function is closed":            {access(&api.Access{Public: true}), access(nil), served(), options, status("served", "403"), ""},
		"a public function asks for a key":       {access(&api.Access{Public: true}), access(ann), served(), options, nil, "who called"},
		"a consumer has no right any more":       {access(both), access(ann), served(by("bob")), options, status("served", "403"), ""},
		"another consumer keeps it":              {access(both), access(ann), served(by("ann")), options, nil, ""},
		"keys are no good any more":              {access(both), access(&api.Access{Consumers: []string{"ann", "bob"}, By: []string{api.BySignature}}), served(by("ann")), options, nil, "by what ann showed"},
		"an address is shut out":                 {access(&api.Access{Public: true}), access(&api.Access{Public: true, IP: &api.Addresses{Deny: []string{"10.1.2.0/24"}}}), served(), options, status("served", "403"), ""},
		"addresses are stored in part":           {access(&api.Access{Public: true}), access(&api.Access{Public: true, IP: &api.Addresses{Deny: []string{"10.1.2.3"}}}), served(), Options{IPv4Bits: 24}, nil, "the client's whole address"},
		"part of an address is enough":           {access(&api.Access{Public: true}), access(&api.Access{Public: true, IP: &api.Addresses{Deny: []string{"10.1.0.0/16"}}}), served(), Options{IPv4Bits: 24}, status("served", "403"), ""},
		"all traffic moves":                      {traffic(api.Traffic{Revision: "r1", Weight: 100}), traffic(api.Traffic{Revision: "r2", Weight: 100}), served(), options, to("r1", "r2"), ""},
		"gray users come by a header":            {gray(&api.TrafficMatch{Headers: map[string]string{"x-gray": "1"}}), traffic(api.Traffic{Revision: "r1", Weight: 100}), served(), Options{}, nil, ""},
		"which this call has":                    {gray(&api.TrafficMatch{Headers: map[string]string{"x-gray": "1"}}), traffic(api.Traffic{Revision: "r1", Weight: 100}), served(func(c *calllog.Call) { c.Revision = "r2" }), Options{}, to("r2", "r1"), ""},
		"new gray users, and the header is lost": {traffic(api.Traffic{Revision: "r1", Weight: 100}), gray(&api.TrafficMatch{Headers: map[string]string{"x-gray": "1"}}), served(), Options{}, nil, "the header x-gray"},
		"new gray users, and it is kept":         {traffic(api.Traffic{Revision: "r1", Weight: 100}), gray(&api.TrafficMatch{Headers: map[string]string{"x-gray": "1"}}), served(attr("x-gray", "1")), options, to("r1", "r2"), ""},
		"it is kept, and the call has none":      {traffic(api.Traffic{Revision: "r1", Weight: 100}), gray(&api.TrafficMatch{Headers: map[string]string{"x-gray": "1"}}), served(), options, nil, ""},
		"it is kept, but was hidden":             {traffic(api.Traffic{Revision: "r1", Weight: 100}), gray(&api.TrafficMatch{Headers: map[string]string{"x-gray": "1"}}), served(attr("x-gray", "***")), options, nil, "the header x-gray"},
		"one line with a comma, or two lines":    {traffic(api.Traffic{Revision: "r1", Weight: 100}), gray(&api.TrafficMatch{Headers: map[string]string{"x-gray": "1"}}), served(attr("x-gray", "1,2")), options, nil, "the lines of the header x-gray"},
		"new gray users by a cookie":             {traffic(api.Traffic{Revision: "r1", Weight: 100}), gray(&api.TrafficMatch{Cookies: map[string]string{"gray": "1"}}), served(), options, nil, "the cookie gray"},
		"a list of users grows":                  {gray(&api.TrafficMatch{Users: &api.Users{Header: "x-user", In: []string{"a"}}}), gray(&api.TrafficMatch{Users: &api.Users{Header: "x-user", In: []string{"a", "b"}}}), served(), options, nil, "the header x-user"},
		"who was in the list stays":              {gray(&api.TrafficMatch{Users: &api.Users{Header: "x-user", In: []string{"a"}}}), gray(&api.TrafficMatch{Users: &api.Users{Header: "x-user", In: []string{"a", "b"}}}), served(func(c *calllog.Call) { c.Revision = "r2" }), options, nil, ""},
		"a parameter was hidden":                 {func(*api.Function) {}, func(f *api.Function) { f.Spec.Routes[0].Query = map[string]api.Matcher{"id": api.Is("7")} }, served(func(c *calllog.Call) { c.Path = "/feed?id=***" }), options, nil, "the parameter id"},
		"some may name revisions": {
			func(f *api.Function) { f.Spec.Access.PublicRevisions = true },
			func(f *api.Function) {
				f.Spec.Access.PublicRevisions = true
				f.Spec.Traffic = []api.Traffic{{Revision: "r2", Weight: 100}}
			}, served(), options, nil, "the header x-kongdao-revision",
		},
		"a path that is gone": {func(*api.Function) {}, func(f *api.Function) { f.Spec.Routes[0].Path = "/other" }, served(), options, status("served", "404"), ""},
		"a path that is new":  {func(f *api.Function) { f.Spec.Routes[0].Path = "/other" }, func(*api.Function) {}, calllog.Call{Method: "GET", Path: "/feed", Status: 404}, options, status("404", "served"), ""},
	} {
		t.Run(name, func(t *testing.T) {
			r := New(world(c.old), world(c.new), c.options).Call(&c.call)
			if diff := cmp.Diff(c.want, r.Differences); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			if unknown := strings.Join(r.Unknown, ", "); (unknown == "") != (c.unknown == "") || !strings.HasPrefix(unknown, c.unknown) {
				t.Errorf("unknown: %q, want %q", unknown, c.unknown)
			}
		})
	}
}

// TestSharesOfStickyTraffic wants the part of callers that move, not which ones.
func TestSharesOfStickyTraffic(t *testing.T) {
	sticky := func(weight int) func(*api.Function) {
		return func(f *api.Function) {
			f.Spec.Sticky = &api.Sticky{Header: "x-user"}
			f.Spec.Traffic = []api.Traffic{
				{Revision: "r1", Weight: 100 - weight},
				{Revision: "r2", Weight: weight},
				{Revision: "r2", Match: &api.TrafficMatch{Users: &api.Users{Header: "x-user", In: []string{"a"}}}},
			}
		}
	}
	call, other := served(), served(func(c *calllog.Call) { c.Revision = "r2" })
	r := New(world(sticky(5)), world(sticky(15)), Options{}).Call(&other)
	if len(r.Unknown) != 1 || r.Unknown[0] != "the header x-user" { // it may be one of the list
		t.Errorf("%+v", r)
	}
	plain := func(weight int) func(*api.Function) {
		return func(f *api.Function) { sticky(weight)(f); f.Spec.Traffic = f.Spec.Traffic[:2] }
	}
	r = New(world(plain(5)), world(plain(15)), Options{}).Call(&call)
	want := []Difference{{KindRevision, "r1 95%, r2 5%", "r1 85%, r2 15%"}}
	if diff := cmp.Diff(want, r.Differences); diff != "" || r.Moved < 0.0999 || r.Moved > 0.1001 {
		t.Errorf("moved %v, -want +got:\n%s", r.Moved, diff)
	}
}

func TestRun(t *testing.T) {
	gone := func(f *api.Function) { f.Spec.Routes[0].Path = "/other" }
	calls := []calllog.Call{
		served(), served(func(c *calllog.Call) { c.SampleWeight = 10 }),
		{Method: "GET", Path: "/nowhere", Status: 404},
		served(func(c *calllog.Call) { c.Status, c.LimitedBy, c.Attempts, c.Pod = 429, "capacity", 0, "" }),
		{Attrs: map[string]string{calllog.AttrMalformed: "no method"}},
		served(func(c *calllog.Call) { c.Route, c.Revision = "feed/1", "r7" }),
	}
	r := New(world(), world(gone), Options{}).Run(calls)
	if r.Calls != 5 || r.Weight != 14 || r.Changed != 4 || r.Unchanged != 1 || r.Unknown != 0 || r.Skipped != 1 || r.Limited != 1 || r.Otherwise != 1 {
		t.Errorf("%+v", r)
	}
	if len(r.Groups) != 1 || r.Groups[0].Calls != 4 || r.Groups[0].Weight != 13 || !strings.Contains(r.Text(), "4 of 5 become 404") {
		t.Errorf("%s", r.Text())
	}
	if empty := New(world(), world(), Options{}).Run(nil); empty.Calls != 0 || empty.Text() != "no call to replay\n" {
		t.Errorf("%+v", empty)
	}
}

func TestExample(t *testing.T) {
	for _, expression := range []string{"1|12", "[0-9]+", "a.*b", "(foo|bar)-[a-z]{3}", "^1.$", `v\d+\.\d+`, "", "[^/]+", "a{2,5}"} {
		w := world(func(f *api.Function) {
			f.Spec.Routes[0].Headers = map[string]api.Matcher{"x": {Kind: api.MatchRegex, Text: expression}}
		})
		text, ok := example(expression)
		if condition := w.Candidates("a")[0].Headers[0]; !ok || !condition.Holds([]string{text}) {
			t.Errorf("%s: %q, %v", expression, text, ok)
		}
	}
	if text, ok := example(`no\bway`); ok {
		t.Errorf("found %q", text)
	}
}

// TestWays wants a value for each set of conditions that one value can fulfil.
func TestWays(t *testing.T) {
	w := world(func(f *api.Function) {
		f.Spec.Routes = nil
		for _, m := range []api.Matcher{api.Is("1"), {Kind: api.MatchPrefix, Text: "1"}, {Kind: api.MatchSuffix, Text: "2"}, {Kind: api.MatchContains, Text: "3"}} {
			f.Spec.Routes = append(f.Spec.Routes, api.Route{Path: "/feed", Headers: map[string]api.Matcher{"x": m}})
		}
	})
	var q words
	for _, r := range w.Candidates("a") {
		q.conditions = append(q.conditions, r.Headers...)
	}
	ways, whole := q.ways()
	if !whole {
		t.Error("there may be others")
	}
	var got []string
	for _, v := range ways[1:] {
		got = append(got, q.signature(v[0]))
	}
	slices.Sort(got)
	if len(slices.Compact(got)) != 9 { // 2^3, and the exact one
		t.Errorf("%v", got)
	}
}

// BenchmarkReplay replays 10,000 calls of 1,000 functions of which every fifth
// changes.
func BenchmarkReplay(b *testing.B) {
	const functions, calls = 1000, 10000
	set := func(change bool) api.Set {
		var s api.Set
		for i := range functions {
			f := *world().Functions[0].Spec()
			f.Name = fmt.Sprintf("f%04d", i)
			f.Spec.Routes = []api.Route{{Hosts: []string{fmt.Sprintf("h%d.example.com", i%50)}, Path: fmt.Sprintf("/f%d/{id}", i)}}
			if change && i%5 == 0 {
				f.Spec.Routes[0].Rewrite = "/v2/{id}"
			}
			s.Functions = append(s.Functions, &f)
		}
		return s
	}
	old, now := model.Build(model.Input{Set: set(false)}), model.Build(model.Input{Set: set(true)})
	var sample []calllog.Call
	for i := range calls {
		sample = append(sample, served(func(c *calllog.Call) {
			c.Host, c.Path, c.Route = fmt.Sprintf("h%d.example.com", i%50), fmt.Sprintf("/f%d/%d", i%functions, i), fmt.Sprintf("f%04d/0", i%functions)
		}))
	}
	for b.Loop() {
		if r := New(old, now, Options{}).Run(sample); r.Changed != calls/5 {
			b.Fatalf("%+v", r)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/calls, "ns/call")
}
