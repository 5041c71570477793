package xds

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kongdao/kongdao/api"
)

// load offers requests at a steady rate and counts answers.
type load struct {
	mu     sync.Mutex
	status map[int]int
	errs   []error
	sent   int
}

// offer sends rate requests a second to a path until ctx ends, from as many
// workers as needed, and returns what came back.
func (r *rig) offer(ctx context.Context, rate float64, host, path string, headers ...string) *load {
	return r.offerAt(ctx, func(i int64) float64 { return float64(i) / rate }, host, path, headers...)
}

// offerAt sends request i when due says, seconds from now.
func (r *rig) offerAt(ctx context.Context, due func(i int64) float64, host, path string, headers ...string) *load {
	l := &load{status: map[int]int{}}
	start := time.Now()
	var next atomic.Int64
	var workers sync.WaitGroup
	for range 16 {
		workers.Go(func() {
			for {
				at := start.Add(time.Duration(due(next.Add(1)) * float64(time.Second)))
				select {
				case <-ctx.Done():
					return
				case <-time.After(time.Until(at)):
				}
				a, err := r.try(http.MethodGet, host, path, headers...)
				l.add(a.status, err)
			}
		})
	}
	workers.Wait()
	return l
}

func (l *load) add(status int, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sent++
	if err != nil {
		l.errs = append(l.errs, err)
		return
	}
	l.status[status]++
}

// during calls do again and again, with a pause, until ctx ends.
func during(ctx context.Context, pause time.Duration, do func(i int)) (wait func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(pause)
		defer tick.Stop()
		for i := 0; ; i++ {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				do(i)
			}
		}
	}()
	return func() { <-done }
}

// busiest is a pod's largest number of calls in a whole second of the clock.
func (p *pod) busiest() (most int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, n := range p.seconds {
		most = max(most, n)
	}
	return most
}

// TestLimitHoldsWhileRoutesChange offers twice the limit of six pods while other
// routes, and the function's own limit, change five times a second.
func TestLimitHoldsWhileRoutesChange(t *testing.T) {
	const perPod, seconds = 50, 6
	var pods []*pod
	for i := range 6 {
		pods = append(pods, newPod(t, fmt.Sprint("p", i), fmt.Sprint("z", i/2)))
	}
	feed := function("feed", "/feed", pods...)
	feed.Spec.Capacity = api.Capacity{PerPodQPS: perPod}
	other := func(i int) *api.Function {
		f := function("other", "/other", pods[0])
		f.Spec.Timeout = api.Duration(time.Duration(1000+i) * time.Millisecond)
		return f
	}
	log := filepath.Join(t.TempDir(), "calls.log")
	r := newRig(t, functions(feed, other(0)), func(c *Config) { c.AccessLog, c.AccessLogFormat = log, arrivalFormat })
	if got := r.State().Functions[0].Limit; got != 6*perPod {
		t.Fatalf("limit %v, want %v", got, 6*perPod)
	}
	ctx, cancel := context.WithTimeout(context.Background(), seconds*time.Second)
	defer cancel()
	wait := during(ctx, 200*time.Millisecond, func(i int) {
		f := *feed
		f.Spec.Capacity.PerPodQPS = perPod - float64(i%2)*0.1
		r.apply(functions(&f, other(i)))
	})
	start := time.Now()
	got := r.offer(ctx, 2*6*perPod, "any", "/feed")
	wait()
	r.live()
	took := time.Since(start).Seconds()

	admitted := float64(got.status[200]) / took
	t.Logf("offered %.0f/s, admitted %.1f/s, refused %d, errors %d", float64(got.sent)/took, admitted, got.status[429], len(got.errs))
	if admitted > 6*perPod*1.02+10 {
		t.Errorf("admitted %.1f/s of a limit of %d/s", admitted, 6*perPod)
	}
	arrived := arrivals(t, log, got.sent-len(got.errs))
	least, most := bucketAdmits(arrived, perPod*6-0.6, 0.03), bucketAdmits(arrived, perPod*6, 0.03)
	t.Logf("a bucket admits %d to %d of these arrivals, the gateway admitted %d", least, most, got.status[200])
	if float64(got.status[200]) < 0.97*float64(least)-5 || float64(got.status[200]) > 1.03*float64(most)+5 {
		t.Errorf("admitted %d, a bucket admits %d to %d", got.status[200], least, most)
	}
	for _, p := range pods {
		if most := p.busiest(); float64(most) > 1.05*perPod {
			t.Errorf("pod %s got %d calls in a second, its limit is %d", p.name, most, perPod)
		}
	}
	if got.status[429] == 0 {
		t.Error("nothing was refused")
	}
	refused := r.call("GET", "any", "/feed")
	for refused.status != 429 {
		refused = r.call("GET", "any", "/feed")
	}
	if refused.header.Get("retry-after") != "1" || refused.header.Get("x-kongdao-limited-by") != "capacity" {
		t.Errorf("headers of a refusal: %v", refused.header)
	}
	r.want(refused, 429, `"limited_by":"capacity"`)
	r.want(refused, 429, `"function":"feed"`)
}

// arrivalFormat is a line of an access log that says when a call came, by the
// gateway's clock.
const arrivalFormat = "%START_TIME(%s%6f)% %REQ(:PATH)%\n"

// arrivals are when the gateway took in the calls to /feed, all n of them.
func arrivals(t *testing.T, log string, n int) (times []time.Time) {
	t.Helper()
	eventually(t, "all calls are in the log", func() bool {
		text, _ := os.ReadFile(log)
		return strings.Count(string(text), " /feed\n") >= n
	})
	text, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		at, path, _ := strings.Cut(strings.TrimSpace(line), " ")
		us, err := strconv.ParseInt(at, 10, 64)
		if err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		if path == "/feed" {
			times = append(times, time.UnixMicro(us))
		}
	}
	slices.SortFunc(times, time.Time.Compare)
	return times
}

// bucketAdmits is how many of these calls a bucket admits that holds so many seconds
// of a rate, and is full at first. A busy machine calls in bursts, and is refused
// more: this says how much more.
func bucketAdmits(times []time.Time, rate, burst float64) (admitted int) {
	tokens := burst * rate
	for i, at := range times {
		if i > 0 {
			tokens = min(tokens+at.Sub(times[i-1]).Seconds()*rate, burst*rate)
		}
		if tokens >= 1 {
			tokens--
			admitted++
		}
	}
	return admitted
}

// TestSlowLimits counts what limits of every tier admit, at three times the limit,
// and one that moves from tier to tier.
func TestSlowLimits(t *testing.T) {
	const seconds = 5
	p := newPod(t, "p", "z")
	rates := []float64{0.5, 2, 5, 20, 60, 150}
	var fs []*api.Function
	for i, rate := range rates {
		f := function(fmt.Sprint("f", i), fmt.Sprint("/f", i), p)
		f.Spec.Capacity.PerPodQPS = rate
		fs = append(fs, f)
	}
	moving := function("moving", "/moving", p)
	moving.Spec.Capacity.PerPodQPS = 35
	r := newRig(t, functions(append(fs, moving)...))
	ctx, cancel := context.WithTimeout(context.Background(), seconds*time.Second)
	defer cancel()
	wait := during(ctx, 200*time.Millisecond, func(i int) {
		m := *moving
		m.Spec.Capacity.PerPodQPS = []float64{25, 35}[i%2]
		r.apply(functions(append(fs, &m)...))
	})
	var loads sync.WaitGroup
	for i, rate := range rates {
		loads.Go(func() {
			got := r.offer(ctx, 3*rate, "any", fmt.Sprint("/f", i)).status[200]
			// The bucket's first filling, and one more for the edges.
			burst := rate*[]float64{5, 5, 1, .3, .1, .03}[i] + 1
			t.Logf("limit %v/s: admitted %d in %d s", rate, got, seconds)
			if float64(got) > rate*seconds*1.02+burst || float64(got) < rate*seconds*0.8-1 {
				t.Errorf("limit %v/s: admitted %d in %d s", rate, got, seconds)
			}
		})
	}
	loads.Go(func() {
		got := r.offer(ctx, 100, "any", "/moving").status[200]
		t.Logf("between 25 and 35/s: admitted %d in %d s", got, seconds)
		if got > 35*seconds+12 || got < 25*seconds-5 {
			t.Errorf("limit between 25 and 35/s: admitted %d in %d s", got, seconds)
		}
	})
	loads.Wait()
	wait()
	r.live()
}

// TestLimitFollowsPods takes pods away and looks at what is admitted.
func TestLimitFollowsPods(t *testing.T) {
	a, b := newPod(t, "a", "zb-a"), newPod(t, "b", "zb-b")
	f := function("feed", "/feed", a, b)
	f.Spec.Capacity = api.Capacity{PerPodQPS: 100, Headroom: 0.5}
	r := newRig(t, functions(f))
	limit := func(want float64) {
		t.Helper()
		r.live()
		if got := r.State().Functions[0].Limit; got != want {
			t.Errorf("limit %v, want %v", got, want)
		}
	}
	limit(100)
	r.SetReadiness(a.address, false)
	limit(50)
	before := a.calls.Load()
	for range 20 {
		r.call("GET", "any", "/feed")
	}
	if a.calls.Load() != before {
		t.Error("a pod that is not ready was called")
	}
	r.SetReadiness(b.address, false) // nobody left: as if one were ready
	limit(50)
	r.SetReady(map[string]bool{a.address: true, b.address: true})
	limit(100)
	r.SetZoneWeight("zb-b", 0)
	limit(50)
	before = b.calls.Load()
	for range 20 {
		r.call("GET", "any", "/feed")
	}
	if b.calls.Load() != before {
		t.Error("a pod of a drained zone was called")
	}
	r.SetZoneWeight("zb-b", 50) // half as many for b: a is full at 50, b gets 25
	limit(75)
}

// TestFunctionsBeyondAFewKeepTheirBuckets: Envoy keeps 20 buckets of a kind unless
// told otherwise, and takes the one that was not used for longest for a new name; it
// would come back full.
func TestFunctionsBeyondAFewKeepTheirBuckets(t *testing.T) {
	const n, rate = 100, 0.5 // a bucket of 2 requests, one more each 2 s
	p := newPod(t, "p", "zb-a")
	var set api.Set
	for i := range n {
		f := function(fmt.Sprint("f", i), fmt.Sprint("/", i), p)
		f.Spec.Capacity.PerPodQPS = rate
		set.Functions = append(set.Functions, f)
	}
	r := newRig(t, set)
	start, admitted := time.Now(), 0
	const rounds = 6
	for range rounds {
		for i := range n {
			if r.call("GET", "any", fmt.Sprint("/", i)).status == http.StatusOK {
				admitted++
			}
		}
	}
	took := time.Since(start).Seconds()
	if most := float64(n) * (2.5 + rate*took); float64(admitted) > most {
		t.Errorf("admitted %d in %.1f s, at most %.0f", admitted, took, most)
	}
	if took < rounds && admitted == rounds*n {
		t.Error("nothing was refused")
	}
}
