package explain

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kongdao/kongdao/api"
	"github.com/kongdao/kongdao/xds/model"
)

// feed is a function with two pods in each of three zones; one pod is down, and a
// gray revision has no pod.
func feed() *model.World {
	f := &api.Function{Metadata: api.Metadata{Name: "feed"}}
	f.Spec.Routes = []api.Route{{
		Hosts: []string{"api.example.com"}, Path: "/feed", Methods: []string{"GET"},
		Source: api.Source{File: "feed.yaml", Line: 7},
	}}
	stable, ready := api.Revision{Name: "r12"}, map[string]bool{}
	for i, zone := range []string{"zb-a", "zb-a", "zb-b", "zb-b", "zb-c", "zb-c"} {
		addr := fmt.Sprintf("127.0.0.1:910%d", i)
		stable.Endpoints = append(stable.Endpoints, api.Endpoint{Address: addr, Zone: zone})
		ready[addr] = i != 5
	}
	f.Spec.Revisions = []api.Revision{stable, {Name: "r13"}}
	f.Spec.Traffic = []api.Traffic{
		{Revision: "r13", Weight: 10},
		{Revision: "r12", Weight: 90},
		{Revision: "r13", Match: &api.TrafficMatch{Headers: map[string]string{"x-gray": "1"}}},
	}
	f.Spec.Capacity.PerPodQPS = 120
	f.Spec.Access = &api.Access{Public: true}
	closed := &api.Function{Metadata: api.Metadata{Name: "closed"}}
	closed.Spec.Routes = []api.Route{{Path: "/closed/*", Source: api.Source{File: "closed.yaml", Line: 3}}}
	closed.Spec.Revisions = []api.Revision{{Name: "r1", Endpoints: stable.Endpoints}}
	return model.Build(model.Input{Set: api.Set{Functions: []*api.Function{closed, f}}, Ready: ready})
}

func ask(t *testing.T, method, url string, headers ...string) Answer {
	t.Helper()
	r, err := ParseRequest(method, url, headers)
	if err != nil {
		t.Fatal(err)
	}
	return Explain(feed(), r)
}

func TestText(t *testing.T) {
	want := `GET api.example.com/feed

  route     feed/0 at feed.yaml:7: path /feed, method GET
  function  feed
  access    public
  timeout   15s
  retries   4 at most, on connect-failure, refused, reset-before-request
  revision  r12 gets 90%, 5 of 6 pods ready
            r13 gets 10%, 0 of 0 pods ready: answered 503 by the gateway
  because   drawn by weight
  limit     capacity: 666.67/s, bursts of 20 (5 ready pods × 120/s of r12, which gets 90% of the traffic)
  zones     zb-a: 2 of 2 ready, priority 0, weight 100%, gets 40%
            zb-b: 2 of 2 ready, priority 0, weight 100%, gets 40%
            zb-c: 1 of 2 ready, priority 0, weight 100%, gets 20%
  pods      127.0.0.1:9100 in zb-a: ready, gets 20%
            127.0.0.1:9101 in zb-a: ready, gets 20%
            127.0.0.1:9102 in zb-b: ready, gets 20%
            127.0.0.1:9103 in zb-b: ready, gets 20%
            127.0.0.1:9104 in zb-c: ready, gets 20%
            127.0.0.1:9105 in zb-c: unready, gets 0%
  filters   envoy.filters.http.local_ratelimit → envoy.filters.http.router
`
	got := ask(t, "get", "http://api.example.com/feed").Text()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// The keys are a contract; lists are never null.
func TestJSON(t *testing.T) {
	b, err := json.Marshal(ask(t, "GET", "http://elsewhere/"))
	if err != nil {
		t.Fatal(err)
	}
	want := `{"function":"","revision":"","route":"","source":"","status":404,` +
		`"reason":"no function has a route for this host, path, method and headers",` +
		`"filters":["kongdao.any_host.scope","kongdao.any_host.reroute","envoy.filters.http.local_ratelimit","envoy.filters.http.router"],` +
		`"limits":[],"zones":{},"endpoints":[]}`
	if string(b) != want {
		t.Errorf("got  %s\nwant %s", b, want)
	}
	b, err = json.Marshal(ask(t, "GET", "http://api.example.com/feed"))
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(b), `"status":0`) || !strings.Contains(string(b), `"limits":[{"name":"capacity","requests_per_second":`) {
		t.Errorf("got %s", b)
	}
}

func TestStatuses(t *testing.T) {
	for _, c := range []struct {
		url      string
		header   string
		status   int
		function string
	}{
		{"http://api.example.com/feed", "a: b", 0, "feed"},
		{"http://api.example.com/feed", "x-gray: 1", http.StatusServiceUnavailable, "feed"},
		{"http://api.example.com/closed/x", "a: b", http.StatusForbidden, "closed"},
		{"/closed/x", "a: b", http.StatusForbidden, "closed"},
		{"/feed", "Host: api.example.com", 0, "feed"},
		{"/feed", "a: b", http.StatusNotFound, ""},
		{"http://api.example.com/a%00", "a: b", http.StatusBadRequest, ""},
	} {
		a := ask(t, "GET", c.url, c.header)
		if a.Status != c.status || a.Function != c.function || (a.Status != 0) != (a.Reason != "") {
			t.Errorf("%s with %s: %d by %q because %q", c.url, c.header, a.Status, a.Function, a.Reason)
		}
	}
}

func TestParseRequestNamesWhatIsMalformed(t *testing.T) {
	_, err := ParseRequest("G T", "ftp://x/", []string{"nonsense", ": empty"})
	for _, part := range []string{`method "G T"`, `url "ftp://x/"`, `header "nonsense"`, `header ": empty"`} {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("%s is not named: %v", part, err)
		}
	}
}

// Whatever comes in: no panic, and a normal path stays what it is.
func FuzzNormalize(f *testing.F) {
	for _, path := range []string{"/", "/a/../b?c", "/%2e%2E/", "/..;x/%41%zz|", `/a\b`} {
		f.Add(path)
	}
	f.Fuzz(func(t *testing.T, path string) {
		r := Request{Method: "GET", Path: path}
		if malformed(r) != "" {
			return
		}
		once, ok := normalize(path)
		if !ok {
			return
		}
		for segment := range strings.SplitSeq(once, "/") {
			if segment == "." || segment == ".." {
				t.Errorf("%q became %q", path, once)
			}
		}
	})
}

func FuzzParseRequest(f *testing.F) {
	f.Add("GET", "http://api.example.com/feed?x=1", "x-gray: 1")
	w := feed()
	f.Fuzz(func(_ *testing.T, method, url, header string) {
		if r, err := ParseRequest(method, url, []string{header}); err == nil {
			_ = Explain(w, r).Text()
		}
	})
}
