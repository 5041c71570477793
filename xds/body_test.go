package xds

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/kongdao/kongdao/api"
)

// TestBodiesAreHeldToTheirSizeAndPacked: what a function asks for of bodies acts
// on its own calls and on no others, on exact hosts and on wildcards.
func TestBodiesAreHeldToTheirSizeAndPacked(t *testing.T) {
	a := newPod(t, strings.Repeat("a text that packs well, ", 100), "zb-a")
	small := function("small", "/small", a)
	small.Spec.MaxRequestBytes = 1000
	small.Spec.Compression = true
	free := function("free", "/free", a)
	exact := function("exact", "/exact", a)
	exact.Spec.Routes[0].Hosts = []string{"a.test"}
	exact.Spec.Routes[0].MaxRequestBytes = 10
	exact.Spec.Routes[0].Compression = true
	own := function("own", "/own", a)
	own.Spec.Routes[0].Respond = &api.Respond{Status: 413, Body: "its own"}
	r := newRig(t, functions(small, free, exact, own))
	r.want(r.call("GET", "any", "/own"), 413, "its own")
	r.client.Transport.(*http.Transport).DisableCompression = true

	for _, c := range []struct {
		host, path string
		bytes      int
		chunked    bool
		status     int
	}{
		{"any", "/small", 1000, false, 200},
		{"any", "/small", 1001, false, 413},
		{"any", "/small", 1000, true, 200},
		{"any", "/small", 100_000, true, 413},
		{"any", "/free", 3 << 20, false, 200},
		{"a.test", "/exact", 10, true, 200},
		{"a.test", "/exact", 11, false, 413},
		{"a.test", "/free", 3 << 20, true, 200},
	} {
		got := r.upload(c.host, c.path, c.bytes, c.chunked)
		if got.status != c.status {
			t.Errorf("%s%s with %d bytes, chunked %v: %d, want %d", c.host, c.path, c.bytes, c.chunked, got.status, c.status)
		}
		if c.status == 413 {
			tooLarge(t, got, map[string]string{"/small": "1000", "/exact": "10"}[c.path])
		}
	}
	for _, c := range []struct{ host, path, accept, want string }{
		{"any", "/small", "gzip", "gzip"},
		{"any", "/small", "br", "br"},
		{"any", "/small", "zstd", "zstd"},
		{"any", "/small", "gzip;q=0.5, br", "br"},
		{"any", "/small", "gzip, deflate, br, zstd", "gzip"}, // as browsers ask
		{"any", "/small", "deflate", ""},
		{"any", "/small", "", ""},
		{"any", "/free", "gzip, br, zstd", ""},
		{"a.test", "/exact", "zstd, gzip", "zstd"},
		{"a.test", "/free", "zstd, gzip", ""},
	} {
		got := r.call("GET", c.host, c.path, "accept-encoding: "+c.accept)
		if got.status != 200 || got.header.Get("content-encoding") != c.want {
			t.Errorf("%s%s, %q accepted: %d in %q, want %q", c.host, c.path, c.accept, got.status, got.header.Get("content-encoding"), c.want)
		}
	}
	unpacked, err := gzip.NewReader(strings.NewReader(r.call("GET", "any", "/small", "accept-encoding: gzip").body))
	if err != nil {
		t.Fatal(err)
	}
	if text, err := io.ReadAll(unpacked); err != nil || string(text) != a.name {
		t.Errorf("unpacked: %q, %v", text, err)
	}
	long := function("small", "/small", a)
	r.apply(functions(long, free, exact))
	r.live()
	if got := r.upload("any", "/small", 2000, false).status; got != 200 {
		t.Errorf("after the limit went: %d", got)
	}
	r.want(r.call("GET", "any", "/small", "accept-encoding: gzip"), 200, a.name)
}

// tooLarge wants a refusal in the form of all others, with the limit.
func tooLarge(t *testing.T, got answer, most string) {
	t.Helper()
	var body map[string]string
	if err := json.Unmarshal([]byte(got.body), &body); err != nil {
		t.Fatalf("%q: %v", got.body, err)
	}
	if body["error"] != "too_large" || body["limit"] != "maxRequestBytes" || body["max_request_bytes"] != most || body["function"] == "" || body["request_id"] == "" {
		t.Errorf("refused with %v, want the limit %s", body, most)
	}
	if kind := got.header.Get("content-type"); kind != "application/json" {
		t.Errorf("refused as %s", kind)
	}
}

// upload sends a body.
func (r *rig) upload(host, path string, n int, chunked bool) answer {
	r.t.Helper()
	req, err := http.NewRequest(http.MethodPost, "http://"+r.gateway+path, bytes.NewReader(make([]byte, n)))
	if err != nil {
		r.t.Fatal(err)
	}
	req.Host = host
	if chunked {
		req.ContentLength = -1
	}
	res, err := r.client.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return answer{res.StatusCode, string(text), res.Header}
}
