package xds

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kongdao/kongdao/api"
	"github.com/kongdao/kongdao/internal/calllog"
)

// slowly is a rate at which nothing flows in during a test.
const slowly = api.Rate(1.0 / 200)

// passed counts how many of n calls pass, and returns the last answer that did not.
func (r *rig) passed(n int, path string, headers ...string) (ok int, refused answer) {
	r.t.Helper()
	for range n {
		if a := r.call("GET", "any", path, headers...); a.status == http.StatusOK {
			ok++
		} else {
			refused = a
		}
	}
	return ok, refused
}

func (r *rig) wantPassed(what string, want, of int, path string, headers ...string) answer {
	r.t.Helper()
	got, refused := r.passed(of, path, headers...)
	if got != want {
		r.t.Errorf("%s: %d of %d passed, want %d", what, got, of, want)
	}
	return refused
}

// TestCallerLimits holds callers to their own rates: those that are told apart do
// not take from each other, and a refusal says which limit it was.
func TestCallerLimits(t *testing.T) {
	p := newPod(t, "p", "z")
	limited := func(name string, l api.CallerLimit) *api.Function {
		f := function(name, "/"+name, p)
		l.Rate = slowly
		f.Spec.Limits = []api.CallerLimit{l}
		return f
	}
	byHeader := limited("user", api.CallerLimit{Per: api.PerHeader, Header: "X-User", Burst: 3})
	byIP := limited("ip", api.CallerLimit{Per: api.PerIP, Name: "address", Burst: 2})
	byConsumer := limited("consumer", api.CallerLimit{Per: api.PerConsumer, Burst: 2})
	byConsumer.Spec.Access = &api.Access{Consumers: []string{"ann", "bob"}}
	more := limited("more", api.CallerLimit{Per: api.PerConsumer, Burst: 4})
	more.Spec.Access = byConsumer.Spec.Access
	set := functions(byHeader, byIP, byConsumer, more)
	set.Consumers = []*api.Consumer{
		{Metadata: api.Metadata{Name: "ann"}, Spec: api.ConsumerSpec{Keys: []api.Secret{"key-a", "key-a2"}}},
		{Metadata: api.Metadata{Name: "bob"}, Spec: api.ConsumerSpec{Keys: []api.Secret{"key-b"}}},
	}
	set.Limits = []*api.Limit{{Metadata: api.Metadata{Name: "both"}, Spec: api.LimitSpec{
		Per: api.PerConsumer, Rate: slowly, Burst: 4, Functions: []string{"consumer", "more"},
	}}}
	calls := filepath.Join(t.TempDir(), "calls.log")
	r := newRig(t, set, func(c *Config) { c.AccessLog, c.AccessLogFormat = calls, calllog.EnvoyTextFormat() })

	refused := r.wantPassed("a user", 3, 5, "/user", "x-user: u1")
	r.want(refused, 429, `"limited_by":"header:x-user"`)
	r.want(refused, 429, `"function":"user"`)
	if h := refused.header; h.Get("x-kongdao-limited-by") != "header:x-user" || h.Get("retry-after") != "200" {
		t.Errorf("headers of a refusal: %v", h)
	}
	r.wantPassed("another user", 3, 5, "/user", "x-user: u2")
	r.wantPassed("nobody", 3, 5, "/user")
	r.wantPassed("nobody, once more", 0, 2, "/user", "x-kongdao-caller-0: =u9")
	r.wantPassed("a user with an empty name is nobody", 0, 2, "/user", "x-user: ")
	long := strings.Repeat("u", 64)
	r.wantPassed("a long name", 3, 4, "/user", "x-user: "+long+"a")
	r.wantPassed("the same in its first 64 letters", 0, 4, "/user", "x-user: "+long+"b")

	r.want(r.wantPassed("an address", 2, 4, "/ip", "x-forwarded-for: 9.9.9.9"), 429, `"limited_by":"ip:address"`)
	if status := r.from("127.0.0.2", "/ip"); status != 200 {
		t.Errorf("another address: %d", status)
	}

	r.want(r.wantPassed("ann", 2, 4, "/consumer", "x-api-key: key-a"), 429, `"limited_by":"consumer"`)
	r.wantPassed("ann's other key", 0, 2, "/consumer", "x-api-key: key-a2")
	r.wantPassed("bob", 2, 4, "/consumer", "x-api-key: key-b")
	// A refusal by the function's own limit comes before the one over both functions,
	// and takes nothing from it.
	r.want(r.wantPassed("ann elsewhere", 2, 4, "/more", "x-api-key: key-a"), 429, `"limited_by":"consumer:both"`)

	// Nothing of this reaches the pod, and a push refills no bucket.
	if h := r.header(p); h.Get("x-kongdao-caller-0") != "" {
		t.Errorf("the pod got %v", h)
	}
	byHeader = clone(byHeader)
	byHeader.Spec.Timeout = api.Duration(time.Second)
	set.Functions = []*api.Function{byConsumer, byIP, more, byHeader}
	r.apply(set)
	r.live()
	r.wantPassed("a user after a push", 0, 2, "/user", "x-user: u1")
	eventually(t, "the call log tells the limits apart", func() bool {
		by := limitsLogged(t, calls)
		return by["header:x-user"] == 17 && by["ip:address"] == 2 && by["consumer"] == 6 && by["consumer:both"] == 2 && by[""] == 21
	})
}

// limitsLogged counts the calls of a log by the limit that refused them.
func limitsLogged(t *testing.T, path string) map[string]int {
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	by := map[string]int{}
	for line := range bytes.Lines(text) {
		var rec calllog.Record
		if !bytes.HasSuffix(line, []byte("\n")) {
			break // Envoy is writing
		}
		if err := calllog.ParseText(line, &rec); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		by[rec.LimitedBy]++
	}
	return by
}

func clone(f *api.Function) *api.Function {
	g := *f
	return &g
}

func (r *rig) header(p *pod) http.Header {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.header
}

// from sends a request from an address of this machine.
func (r *rig) from(address, path string) int {
	r.t.Helper()
	dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(address)}}
	transport := &http.Transport{DialContext: dialer.DialContext}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, Timeout: patience}
	res, err := client.Get("http://" + r.gateway + path)
	if err != nil {
		r.t.Fatal(err)
	}
	res.Body.Close()
	return res.StatusCode
}

// TestPriorities empties a bucket step by step: the lower a class, the sooner it is
// refused, and one that is refused takes nothing. Tokens flow in meanwhile, so an
// attempt counts that took less than a third of a request's time; each attempt has
// a function of its own.
func TestPriorities(t *testing.T) {
	const attempts, rate = 20, 0.8 // a bucket of 4 requests
	p := newPod(t, "p", "z")
	var set api.Set
	for i := range attempts {
		f := function(fmt.Sprint("feed-", i), fmt.Sprintf("/%d/feed", i), p)
		f.Spec.Capacity.PerPodQPS = rate
		f.Spec.Access = &api.Access{Consumers: []string{"ann", "bob"}}
		f.Spec.Priority = api.PriorityLow
		f.Spec.Routes = append(f.Spec.Routes, api.Route{Path: fmt.Sprintf("/%d/pay", i), Priority: api.PriorityHigh})
		set.Functions = append(set.Functions, f)
	}
	set.Consumers = []*api.Consumer{
		{Metadata: api.Metadata{Name: "ann"}, Spec: api.ConsumerSpec{Keys: []api.Secret{"key-a"}}},
		{Metadata: api.Metadata{Name: "bob"}, Spec: api.ConsumerSpec{Keys: []api.Secret{"key-b"}, Priority: api.PriorityNormal}},
	}
	r := newRig(t, set)
	// Of 4 requests, the 3 beyond one are for classes: a load test leaves 2.25 of
	// them, low 1.5, normal 0.75.
	steps := []struct{ path, key, run, by string }{
		{"/feed", "key-a", "run-1", "priority"},
		{"/feed", "key-a", "", "priority"},
		{"/feed", "key-b", "", "priority"},
		{"/pay", "key-a", "", "capacity"},
	}
	for i := range attempts {
		start := time.Now()
		var wrong []string
		for _, s := range steps {
			headers := []string{"x-api-key: " + s.key}
			if s.run != "" {
				headers = append(headers, "x-kongdao-load-test: "+s.run)
			}
			passed, refused := r.passed(2, fmt.Sprint("/", i, s.path), headers...)
			if by := refused.header.Get("x-kongdao-limited-by"); passed != 1 || by != s.by {
				wrong = append(wrong, fmt.Sprintf("%v: %d of 2 passed, limited by %q, want 1 and %q", s, passed, by, s.by))
			}
		}
		if len(wrong) == 0 {
			return
		}
		if took := time.Since(start).Seconds(); took < 0.3/rate {
			t.Fatalf("in %.2f s: %s", took, strings.Join(wrong, "; "))
		}
	}
	t.Fatalf("tokens flowed in during each of %d attempts: 8 requests never took less than %.2f s", attempts, 0.3/rate)
}

// TestConcurrency keeps a pod from more requests at once than its function may have.
func TestConcurrency(t *testing.T) {
	p := newPod(t, "p", "z")
	hold := make(chan struct{})
	slow, release := holding(t, hold)
	defer release()
	f := function("slow", "/slow", p)
	f.Spec.Revisions[0].Endpoints[0].Address = slow
	f.Spec.Concurrency = 3
	r := newRig(t, functions(f))
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	answers := make(chan answer, 3)
	for range 3 {
		go func() {
			a, _ := r.try("GET", "any", "/slow")
			answers <- a
		}()
	}
	for range 3 {
		select {
		case hold <- struct{}{}:
		case <-ctx.Done():
			t.Fatal("the pod was not called three times")
		}
	}
	fourth := r.call("GET", "any", "/slow")
	r.want(fourth, 429, `"limited_by":"concurrency"`)
	if h := fourth.header; h.Get("x-kongdao-limited-by") != "concurrency" || h.Get("retry-after") != "1" {
		t.Errorf("headers of a refusal: %v", h)
	}
	release()
	for range 3 {
		r.want(<-answers, 200, "")
	}
}

// holding is a pod that takes something from a channel when it is called, and then
// waits for release.
func holding(t *testing.T, called <-chan struct{}) (address string, release func()) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	released := make(chan struct{})
	release = sync.OnceFunc(func() { close(released) })
	server := &http.Server{Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		select {
		case <-called:
			<-released
		case <-released:
		}
	})}
	done := make(chan struct{})
	go func() { defer close(done); _ = server.Serve(l) }()
	t.Cleanup(func() {
		release()
		server.Close()
		<-done
	})
	return l.Addr().String(), release
}
