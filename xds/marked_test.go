package xds

import (
	"bytes"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kongdao/kongdao/api"
	"github.com/kongdao/kongdao/internal/calllog"
	"github.com/kongdao/kongdao/xds/translate"
)

const mark = "x-kongdao-load-test: run-1"

// marks is a function with pods for stress tests besides those of production.
func marks(name string, production, shadow *pod) *api.Function {
	f := function(name, "/"+name, production)
	f.Spec.Revisions = append(f.Spec.Revisions, api.Revision{Name: "shadow", Endpoints: endpoints(shadow)})
	f.Spec.Traffic = []api.Traffic{{Revision: "r1", Weight: 100}}
	f.Spec.LoadTest = &api.LoadTests{Revision: "shadow"}
	return f
}

// TestStressTestsReachNoPodOfProduction sends marked requests to a function with a
// revision for them: they get there, up to what its pods take, and nowhere else.
func TestStressTestsReachNoPodOfProduction(t *testing.T) {
	production, shadow := newPod(t, "production", "zb-a"), newPod(t, "shadow", "zb-a")
	open := marks("open", production, shadow)
	open.Spec.Mirror = []api.Mirror{{Revision: "r1", Percent: 100}}
	open.Spec.Access.PublicRevisions = true
	open.Spec.Limits = []api.CallerLimit{{Per: api.PerIP, Rate: slowly, Burst: 3}}
	limited := marks("limited", production, shadow)
	limited.Spec.Capacity.PerPodQPS = 0.2 // one request, and one more in 5 s
	keyed := marks("keyed", production, shadow)
	keyed.Spec.Access = &api.Access{Consumers: []string{"ann"}}
	other := function("other", "/other", production)
	set := functions(keyed, limited, open, other)
	set.Consumers = []*api.Consumer{{Metadata: api.Metadata{Name: "ann"}, Spec: api.ConsumerSpec{Keys: []api.Secret{"key-a"}, Priority: api.PriorityHigh}}}
	r := newRig(t, set)

	// Neither the limit of callers nor copies: both are production's.
	r.wantPassed("a stress test", 10, 10, "/open", mark)
	r.wantPassed("one without a name", 2, 2, "/open", "x-kongdao-load-test: ")
	r.want(r.call("GET", "any", "/keyed", mark, "x-api-key: key-a"), 200, "shadow")
	r.want(r.call("GET", "any", "/keyed", mark), 401, "")
	r.want(r.call("GET", "any", "/keyed", mark, "x-api-key: wrong"), 401, "")
	r.want(r.call("GET", "any", "/open", mark, "x-kongdao-revision: r1"), 403, "revision_refused")
	r.want(r.call("GET", "any", "/open", mark, "x-kongdao-pod: guessed"), 200, "shadow")
	if n := production.calls.Load(); n != 0 {
		t.Fatalf("stress tests made %d calls to production", n)
	}
	if got := r.header(shadow).Get("x-kongdao-load-test"); got != "run-1" {
		t.Errorf("the pod sees the run %q", got)
	}

	if _, refused := r.passed(4, "/limited", mark); refused.status != 429 || refused.header.Get("x-kongdao-limited-by") != "capacity" {
		t.Errorf("beyond what the revision takes: %d %v", refused.status, refused.header)
	}
	r.want(r.call("GET", "any", "/limited"), 200, "production") // its bucket is another one
	r.want(r.call("GET", "any", "/open"), 200, "production")
	r.want(r.call("GET", "any", "/other", mark), 200, "production")

	r.SetReadiness(shadow.address, false)
	shadow.stop()
	before := production.calls.Load()
	eventually(t, "the revision has no pod", func() bool {
		return r.call("GET", "any", "/open", mark).status == 503
	})
	r.want(r.call("GET", "any", "/open", mark), 503, "no_healthy_upstream")
	if n := production.calls.Load() - before; n != 0 {
		t.Errorf("without pods of their own, stress tests made %d calls to production", n)
	}
}

// TestStressTestsAreRefused: by a function for good, and by all while that is wanted.
func TestStressTestsAreRefused(t *testing.T) {
	p := newPod(t, "p", "zb-a")
	never, feed, slow := function("never", "/never", p), function("feed", "/feed", p), function("slow", "/slow", p)
	never.Spec.LoadTest = &api.LoadTests{Refuse: true}
	slow.Spec.Limits = []api.CallerLimit{{Per: api.PerIP, Rate: slowly, Burst: 2}}
	calls := filepath.Join(t.TempDir(), "calls.log")
	r := newRig(t, functions(feed, never, slow), func(c *Config) { c.AccessLog, c.AccessLogFormat = calls, calllog.EnvoyTextFormat() })
	refused := func(path string, more ...string) {
		t.Helper()
		a := r.call("GET", "any", path, append(more, mark)...)
		r.want(a, 429, `"limited_by":"load-test"`)
		r.want(a, 429, `"function":"`+strings.TrimPrefix(path, "/")+`"`)
		if a.header.Get("x-kongdao-limited-by") != "load-test" || a.header.Get("retry-after") == "" {
			t.Errorf("headers of a refusal: %v", a.header)
		}
	}
	refused("/never")
	refused("/never", "x-kongdao-revision: r1")
	r.want(r.call("GET", "any", "/never"), 200, "p")
	r.want(r.call("GET", "any", "/feed", mark), 200, "p")
	r.wantPassed("a bucket is emptied", 2, 3, "/slow")
	listeners := r.stat("listener_manager.lds.update_success")

	start := time.Now()
	r.RefuseMarked(true)
	eventually(t, "stress tests are refused", func() bool { return r.call("GET", "any", "/feed", mark).status == 429 })
	t.Logf("refused after %v", time.Since(start).Round(time.Millisecond))
	refused("/feed")
	refused("/never")
	r.want(r.call("GET", "any", "/feed"), 200, "p")
	r.want(r.call("GET", "any", "/nothing", mark), 404, "no_route")
	r.wantPassed("the bucket stays empty", 0, 2, "/slow")
	r.apply(functions(feed, never)) // what changes besides leaves it in force
	r.live()
	refused("/feed")
	r.RefuseMarked(false)
	r.live()
	r.want(r.call("GET", "any", "/feed", mark), 200, "p")
	refused("/never")
	if now := r.stat("listener_manager.lds.update_success"); now != listeners {
		t.Errorf("listeners were sent again: %s, %s before", now, listeners)
	}
	eventually(t, "the call log says who was refused by what", func() bool {
		return marksLogged(t, calls)["run-1 load-test 429"] >= 7
	})
	if n := marksLogged(t, calls)[" load-test 429"]; n != 0 {
		t.Errorf("%d calls that are no stress test's were refused as such", n)
	}
}

// stat is one of Envoy's statistics.
func (r *rig) stat(name string) string {
	r.t.Helper()
	return strings.TrimSpace(r.adminGet("/stats?filter=^" + name + "$"))
}

// marksLogged counts the calls of a log by their run, limit and status.
func marksLogged(t *testing.T, path string) map[string]int {
	t.Helper()
	by := map[string]int{}
	for line := range bytes.Lines(read(t, path)) {
		var rec calllog.Record
		if !bytes.HasSuffix(line, []byte("\n")) {
			break // Envoy is writing
		}
		if err := calllog.ParseText(line, &rec); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		by[fmt.Sprintf("%s %s %d", rec.LoadTest, rec.LimitedBy, rec.Status)]++
	}
	return by
}

// TestMarksNeedARight: where marks are signed, one without the right to it is taken
// away before anything looks at the request, and the right reaches nobody.
func TestMarksNeedARight(t *testing.T) {
	const right = "x-kongdao-mark-0123456789abcdef"
	production, shadow := newPod(t, "production", "zb-a"), newPod(t, "shadow", "zb-a")
	feed, never := marks("feed", production, shadow), function("never", "/never", production)
	never.Spec.LoadTest = &api.LoadTests{Refuse: true}
	never.Spec.Routes[0].Hosts = []string{"*.never.test"}
	calls := filepath.Join(t.TempDir(), "calls.log")
	r := newRig(t, functions(feed, never), func(c *Config) {
		c.AccessLog, c.AccessLogFormat, c.MarkHeader = calls, calllog.EnvoyTextFormat(), right
	})
	clean := func(p *pod, run string) {
		t.Helper()
		if h := r.header(p); h.Get("x-kongdao-load-test") != run || len(h.Values("x-kongdao-load-test")) > 1 || h.Get(right) != "" {
			t.Errorf("pod %s sees %v, want the run %q", p.name, h, run)
		}
	}
	r.want(r.call("GET", "any", "/feed"), 200, "production")
	clean(production, "")
	for _, forged := range [][]string{{mark}, {mark, "x-kongdao-mark-: 1"}, {mark, right[:len(right)-1] + ": 1"}, {mark, right + "0: 1"}, {mark, "x-kongdao-scope: *"}} {
		r.want(r.call("GET", "any", "/feed", forged...), 200, "production")
		clean(production, "")
	}
	r.want(r.call("GET", "any", "/feed", mark, right+": 1"), 200, "shadow")
	clean(shadow, "run-1")
	r.want(r.call("GET", "x.never.test", "/never", mark), 200, "production")
	r.want(r.call("GET", "x.never.test", "/never", mark, right+": 1"), 429, "load-test")
	eventually(t, "the call log knows what is believed", func() bool {
		by := marksLogged(t, calls)
		return by["run-1  200"] == 1 && by["run-1 load-test 429"] == 1 && by["  200"] == 7
	})
}

// TestRefusalsWaitForNothing: a change that takes its time keeps other changes
// waiting, and not the end of a stress test.
func TestRefusalsWaitForNothing(t *testing.T) {
	p := newPod(t, "p", "zb-a")
	feed, late := function("feed", "/feed", p), function("late", "/late", p)
	r := newRig(t, functions(feed))
	taken, held := make(chan struct{}, 100), make(chan struct{})
	release := sync.OnceFunc(func() { close(held) })
	defer release()
	wait := func(*translate.Delta) {
		taken <- struct{}{}
		<-held
	}
	r.tamper.Store(&wait)
	r.apply(functions(feed, late))
	<-taken
	r.RefuseMarked(true)
	eventually(t, "stress tests are refused", func() bool { return r.call("GET", "any", "/feed", mark).status == 429 })
	r.RefuseMarked(false)
	eventually(t, "stress tests are taken", func() bool { return r.call("GET", "any", "/feed", mark).status == 200 })
	r.RefuseMarked(true)
	r.want(r.call("GET", "any", "/late"), 404, "no_route")
	release()
	r.live()
	r.want(r.call("GET", "any", "/late"), 200, "p")
	r.want(r.call("GET", "any", "/late", mark), 429, "load-test")
}
