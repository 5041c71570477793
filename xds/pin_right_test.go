package xds

import (
	"bytes"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kongdao/kongdao/internal/calllog"
)

// TestOnlyThePinReachesItsPod tries all that somebody without a pin's value could.
func TestOnlyThePinReachesItsPod(t *testing.T) {
	pinned, rest, elsewhere := newPod(t, "pinned", "zb-a"), newPod(t, "rest", "zb-a"), newPod(t, "elsewhere", "zb-a")
	feed, other := function("feed", "/feed", pinned, rest), function("other", "/other", elsewhere, rest)
	calls := filepath.Join(t.TempDir(), "calls.log")
	r := newRig(t, functions(feed, other), func(c *Config) {
		c.AccessLog, c.AccessLogFormat = calls, calllog.EnvoyTextFormat()
	})
	pin, err := r.Pin("feed", pinned.address)
	if err != nil {
		t.Fatal(err)
	}
	r.live()
	r.want(r.call("GET", "any", "/feed", pin.Header+": "+pin.Value, mark), 200, "pinned")
	if h := r.header(pinned); h.Get(pin.Header) != "" {
		t.Errorf("the pod sees the right to reach it: %v", h)
	}
	before := pinned.calls.Load()
	without := func(what string, path string, values ...string) {
		t.Helper()
		for range 6 { // more than there are pods
			if a := r.callLines(path, pin.Header, values...); a.body == "pinned" {
				t.Errorf("%s: %q reaches the pod", what, values)
			}
		}
		for _, p := range []*pod{rest, elsewhere} {
			if h := r.header(p); h.Get(pin.Header) != "" {
				t.Errorf("%s: pod %s sees %q", what, p.name, h.Get(pin.Header))
			}
		}
	}
	half := pin.Value[:len(pin.Value)/2]
	without("missing", "/feed")
	without("empty", "/feed", "")
	without("wrong", "/feed", "ABCDEFGHIJKLMNOPQRSTUVWXYZ")
	without("a guessed part", "/feed", half)
	without("more than it", "/feed", pin.Value+"A")
	without("in other letters", "/feed", strings.ToLower(pin.Value))
	without("a list with it", "/feed", "x,"+pin.Value)
	without("twice wrong", "/feed", "wrong", half)
	without("halves", "/feed", half, pin.Value[len(half):])
	without("at another function", "/other", pin.Value)
	mine, err := r.Pin("other", elsewhere.address)
	if err != nil {
		t.Fatal(err)
	}
	r.live()
	without("of another function", "/feed", mine.Value)
	if n := pinned.calls.Load() - before; n != 0 {
		t.Errorf("the pod got %d calls of those without the right", n)
	}
	r.Unpin(mine)
	r.live()
	r.Unpin(pin)
	r.live()
	eventually(t, "the pod is back", func() bool { return r.call("GET", "any", "/feed").body == "pinned" })
	again, err := r.Pin("feed", pinned.address)
	if err != nil {
		t.Fatal(err)
	}
	r.live()
	before = pinned.calls.Load()
	without("expired", "/feed", pin.Value)
	if n := pinned.calls.Load() - before; n != 0 {
		t.Errorf("the pod got %d calls of those without the right", n)
	}
	r.want(r.call("GET", "any", "/feed", again.Header+": "+again.Value), 200, "pinned")
	eventually(t, "all calls are logged", func() bool { return bytes.Count(read(t, calls), []byte("\n")) > 60 })
	if text := read(t, calls); bytes.Contains(text, []byte(pin.Value)) || bytes.Contains(text, []byte(half)) {
		t.Error("the call log has the right to reach a pod")
	}
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// callLines sends a request with a line of the header for each value.
func (r *rig) callLines(path, name string, values ...string) answer {
	r.t.Helper()
	req, err := http.NewRequest(http.MethodGet, "http://"+r.gateway+path, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	for _, v := range values {
		req.Header.Add(name, v)
	}
	res, err := r.client.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return answer{res.StatusCode, string(body), res.Header}
}
