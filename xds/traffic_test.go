package xds

import (
	"net/http"
	"testing"

	"github.com/kongdao/kongdao/api"
)

// twoRevisions is a function whose r1 has a and whose r2 has b.
func twoRevisions(name, path string, a, b *pod, traffic ...api.Traffic) *api.Function {
	f := function(name, path, a)
	f.Spec.Revisions = append(f.Spec.Revisions, api.Revision{Name: "r2", Endpoints: endpoints(b)})
	f.Spec.Traffic = traffic
	return f
}

func TestWeightsAndGrayUsers(t *testing.T) {
	a, b := newPod(t, "a", "z"), newPod(t, "b", "z")
	f := twoRevisions("feed", "/feed", a, b,
		api.Traffic{Revision: "r1", Weight: 75}, api.Traffic{Revision: "r2", Weight: 25},
		api.Traffic{Revision: "r2", Match: &api.TrafficMatch{Headers: map[string]string{"X-Gray": "1"}}})
	last := twoRevisions("last", "/last", a, b)
	r := newRig(t, functions(f, last))
	for range 400 {
		r.want(r.call("GET", "any", "/feed"), 200, "")
	}
	if n := b.calls.Load(); n < 60 || n > 140 {
		t.Errorf("r2 got %d of 400 calls with a weight of 25", n)
	}
	for range 20 {
		r.want(r.call("GET", "any", "/feed", "x-gray: 1"), 200, "b")
		r.want(r.call("GET", "any", "/last"), 200, "b") // no traffic given: the last revision
	}
}

func TestKeysLetConsumersIn(t *testing.T) {
	a := newPod(t, "a", "z")
	f := function("secret", "/secret", a)
	f.Spec.Access = &api.Access{Consumers: []string{"app", "web"}}
	nobody := function("nobody", "/nobody", a)
	nobody.Spec.Access = &api.Access{}
	set := functions(f, nobody)
	for name, key := range map[string]string{"app": "k-app", "web": "k-web", "other": "k-other"} {
		set.Consumers = append(set.Consumers, &api.Consumer{
			Metadata: api.Metadata{Name: name}, Spec: api.ConsumerSpec{Keys: []api.Secret{api.Secret(key)}},
		})
	}
	r := newRig(t, set)
	r.want(r.call("GET", "any", "/secret", "x-api-key: k-app"), 200, "a")
	if c := a.header.Get("x-kongdao-consumer"); c != "app" {
		t.Errorf("the pod was told consumer %q", c)
	}
	if a.header.Get("x-api-key") != "" {
		t.Error("the key reached the pod")
	}
	r.want(r.call("GET", "any", "/secret", "x-api-key: k-web"), 200, "a")
	r.want(r.call("GET", "any", "/secret", "x-api-key: k-other"), http.StatusForbidden, "other may not call secret")
	r.want(r.call("GET", "any", "/secret", "x-api-key: k-nobody"), http.StatusUnauthorized, "credentials_invalid")
	r.want(r.call("GET", "any", "/secret"), http.StatusUnauthorized, "a key in x-api-key")
	r.want(r.call("GET", "any", "/secret", "x-kongdao-consumer: app"), http.StatusUnauthorized, "credentials_required")
	r.want(r.call("GET", "any", "/nobody", "x-api-key: k-app"), http.StatusForbidden, "closed")
}

func TestPinnedPod(t *testing.T) {
	a, b := newPod(t, "a", "z"), newPod(t, "b", "z")
	f := function("feed", "/feed", a, b)
	f.Spec.Capacity.PerPodQPS = 5000 // a burst of 150, more than the ordinary calls below
	r := newRig(t, functions(f, function("single", "/single", a)))
	if _, err := r.Pin("single", a.address); err == nil {
		t.Error("the only pod was pinned")
	}
	if _, err := r.Pin("feed", "127.0.0.1:1"); err == nil {
		t.Error("a pod that is not there was pinned")
	}
	pin, err := r.Pin("feed", a.address)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Pin("feed", a.address); err == nil {
		t.Error("a pod was pinned twice")
	}
	r.live()
	if got := r.State().Functions[0].Limit; got != 5000 {
		t.Errorf("limit %v with one pod of two pinned, want 5000", got)
	}
	for range 20 {
		r.want(r.call("GET", "any", "/feed"), 200, "b")
	}
	for range 300 { // as fast as it goes: no limit
		r.want(r.call("GET", "any", "/feed", pin.Header+": "+pin.Value), 200, "a")
	}
	if a.header.Get(pin.Header) != "" {
		t.Error("the token reached the pod")
	}
	r.want(r.call("GET", "any", "/feed", pin.Header+": guess"), 200, "b")
	a.status.Store(503)
	before := a.calls.Load()
	r.want(r.call("GET", "any", "/feed", pin.Header+": "+pin.Value), 503, "a")
	if n := a.calls.Load() - before; n != 1 {
		t.Errorf("one call to a pinned pod became %d", n)
	}
	a.status.Store(0)
	r.Unpin(pin)
	r.live()
	if got := r.State().Functions[0].Limit; got != 10000 {
		t.Errorf("limit %v after unpin, want 10000", got)
	}
	eventually(t, "the pod is back in rotation", func() bool { return r.call("GET", "any", "/feed").body == "a" })
}

// TestOnlyIdempotentFunctionsAreReplayed has one pod that takes requests and breaks
// off, and a good one.
func TestOnlyIdempotentFunctionsAreReplayed(t *testing.T) {
	for _, idempotent := range []bool{true, false} {
		breaks, good := newPod(t, "breaks", "z"), newPod(t, "good", "z")
		breaks.status.Store(breakOff)
		f := function("feed", "/feed", breaks, good)
		f.Spec.Idempotent = idempotent
		r := newRig(t, functions(f))
		failed := 0
		for breaks.calls.Load() < 2 {
			if a := r.call("POST", "any", "/feed"); a.status != 200 {
				failed++
			}
		}
		if want := map[bool]int{true: 0, false: 2}[idempotent]; failed != want {
			t.Errorf("idempotent %v: %d calls failed of 2 that were broken off, want %d", idempotent, failed, want)
		}
	}
}

// TestAnswersAreNotRetried: a pod that says 503 is asked once.
func TestAnswersAreNotRetried(t *testing.T) {
	a, b := newPod(t, "a", "z"), newPod(t, "b", "z")
	a.status.Store(http.StatusServiceUnavailable)
	b.status.Store(http.StatusServiceUnavailable)
	r := newRig(t, functions(function("feed", "/feed", a, b)))
	r.want(r.call("GET", "any", "/feed"), 503, "")
	if n := a.calls.Load() + b.calls.Load(); n != 1 {
		t.Errorf("one call became %d", n)
	}
}
