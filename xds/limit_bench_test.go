package xds

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/kongdao/kongdao/api"
	"github.com/kongdao/kongdao/xds/health"
	"github.com/kongdao/kongdao/xds/translate"
)

// BenchmarkLimitUnderChanges offers 1,200/s to a limit of 300/s for 10 s while a
// route and the limit itself change every 200 ms: here, and with the bucket in
// Envoy's route, where each change of a route fills it.
func BenchmarkLimitUnderChanges(b *testing.B) {
	const limit, offered, seconds = 300, 1200, 10
	p := newPod(b, "p", "zb-a")
	b.Run("kongdao", func(b *testing.B) {
		feed, other := function("feed", "/feed", p), function("other", "/other", p)
		feed.Spec.Capacity.PerPodQPS = limit
		r := newRig(b, functions(feed, other))
		admits(b, r, p, offered, seconds, func(i int) {
			f, o := *feed, *other
			f.Spec.Capacity.PerPodQPS = limit + float64(i%2)
			o.Spec.Timeout = api.Duration(time.Duration(1000+i) * time.Millisecond)
			r.apply(functions(&f, &o))
		})
	})
	b.Run("route", func(b *testing.B) {
		dir, at := b.TempDir(), quietAddr(b)
		write := func(i int) { writeRoutes(b, dir, limit, i) }
		write(0)
		startStatic(b, dir, at, p.address)
		r := &rig{t: b, gateway: at, client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}, Timeout: patience}}
		b.Cleanup(r.client.CloseIdleConnections)
		eventually(b, "the gateway listens", func() bool { _, err := r.try("GET", "any", "/feed"); return err == nil })
		admits(b, r, p, offered, seconds, write)
	})
}

// admits reports what is admitted while something changes every 200 ms.
func admits(b *testing.B, r *rig, p *pod, offered float64, seconds int, change func(i int)) {
	for b.Loop() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Duration(seconds)*time.Second)
		wait := during(ctx, 200*time.Millisecond, change)
		p.record()
		start := time.Now()
		got := r.offer(ctx, offered, "any", "/feed")
		took := time.Since(start).Seconds()
		wait()
		cancel()
		b.ReportMetric(float64(got.sent)/took, "offered/s")
		b.ReportMetric(float64(got.status[200])/took, "admitted/s")
		b.ReportMetric(float64(p.densest(time.Second)), "worst/s")
		b.ReportMetric(float64(len(got.errs)), "errors")
	}
}

// writeRoutes writes the route configuration of an Envoy that has its bucket in the
// route, and moves it to where Envoy looks.
func writeRoutes(t testing.TB, dir string, limit, i int) {
	t.Helper()
	bucket := map[string]any{
		"@type": "type.googleapis.com/envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit", "stat_prefix": "feed",
		"token_bucket":   map[string]any{"max_tokens": limit + i%2, "tokens_per_fill": limit + i%2, "fill_interval": "1s"},
		"filter_enabled": map[string]any{"default_value": map[string]any{"numerator": 100}}, "filter_enforced": map[string]any{"default_value": map[string]any{"numerator": 100}},
	}
	routes := map[string]any{"resources": []any{map[string]any{
		"@type": "type.googleapis.com/envoy.config.route.v3.RouteConfiguration", "name": "routes",
		"virtual_hosts": []any{map[string]any{"name": "all", "domains": []string{"*"}, "routes": []any{
			map[string]any{
				"match": map[string]any{"path": "/feed"}, "route": map[string]any{"cluster": "pods"},
				"typed_per_filter_config": map[string]any{"envoy.filters.http.local_ratelimit": bucket},
			},
			map[string]any{"match": map[string]any{"path": "/other"}, "route": map[string]any{"cluster": "pods", "timeout": fmt.Sprintf("%d.%03ds", 1+i/1000, i%1000)}},
		}}},
	}}}
	text, err := json.Marshal(routes)
	if err != nil {
		t.Error(err)
		return
	}
	next := filepath.Join(dir, "next.json")
	if err := os.WriteFile(next, text, 0o600); err != nil {
		t.Error(err)
		return
	}
	if err := os.Rename(next, filepath.Join(dir, "routes.json")); err != nil {
		t.Error(err)
	}
}

// startStatic runs an Envoy that takes its routes from a directory.
func startStatic(t testing.TB, dir, listen, pod string) {
	t.Helper()
	bootstrap := fmt.Sprintf(`{
 "node": {"id": "peer", "cluster": "peer"},
 "static_resources": {
  "listeners": [{"name": "l", "address": %s, "filter_chains": [{"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": {
   "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager", "stat_prefix": "peer",
   "rds": {"route_config_name": "routes", "config_source": {"path_config_source": {"path": "%s/routes.json", "watched_directory": {"path": "%[2]s"}}}},
   "http_filters": [
    {"name": "envoy.filters.http.local_ratelimit", "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit", "stat_prefix": "l"}},
    {"name": "envoy.filters.http.router", "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"}}]}}]}]}],
  "clusters": [{"name": "pods", "type": "STATIC", "connect_timeout": "1s", "load_assignment": {"cluster_name": "pods", "endpoints": [{"lb_endpoints": [{"endpoint": {"address": %s}}]}]}}]
 },
 "admin": {"address": %s, "socket_options": [%s]}
}`, socketAddress(listen), dir, socketAddress(pod), socketAddress(freeAddr(t)), besideHolder(t))
	runBootstrap(t, []byte(bootstrap))
}

// record starts noting when each call came.
func (p *pod) record() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.times, p.sent = make([]time.Time, 0, 1<<16), make([]time.Time, 0, 1<<16)
}

// densest is the largest number of recorded calls in any time of this length.
func (p *pod) densest(window time.Duration) (most int) {
	p.mu.Lock()
	times := slices.Clone(p.times)
	p.mu.Unlock()
	return densest(times, window)
}

// densestSent is the same of when the gateway took them in, as far as it said so.
func (p *pod) densestSent(window time.Duration) int {
	p.mu.Lock()
	times := slices.Clone(p.sent)
	p.mu.Unlock()
	slices.SortFunc(times, time.Time.Compare)
	return densest(times, window)
}

// sentBetween counts the calls that the gateway took in from one moment to another.
func (p *pod) sentBetween(from, to time.Time) (n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, at := range p.sent {
		if !at.Before(from) && at.Before(to) {
			n++
		}
	}
	return n
}

// tookOut is how often the gateway took a pod out of rotation for its own reasons.
func (r *rig) tookOut() (sum float64) {
	for _, line := range strings.Split(r.adminGet("/stats?filter="+url.QueryEscape(`(health_check\.failure|ejections_enforced_total)$`)), "\n") {
		_, value, _ := strings.Cut(line, ": ")
		n, _ := strconv.ParseFloat(value, 64)
		sum += n
	}
	return sum
}

func densest(times []time.Time, window time.Duration) (most int) {
	first := 0
	for last := range times {
		for times[last].Sub(times[first]) >= window {
			first++
		}
		most = max(most, last-first+1)
	}
	return most
}

// BenchmarkSharedLimit reports what one, two and three gateways admit together of
// 300/s, asked for twice that, in percent of the limit: alike, and with four fifths
// of it at the first.
func BenchmarkSharedLimit(b *testing.B) {
	const limit, seconds = 300, 10
	for _, n := range []int{1, 2, 3} {
		for _, skewed := range []bool{false, true} {
			if n == 1 && skewed {
				continue
			}
			b.Run(fmt.Sprintf("gateways=%d/skewed=%v", n, skewed), func(b *testing.B) {
				p := newPod(b, "p", "zb-a")
				f := function("feed", "/feed", p)
				f.Spec.Capacity.PerPodQPS = limit
				_, gateways := several(b, n, functions(f))
				rates := make([]float64, n)
				for i := range rates {
					rates[i] = 2 * limit / float64(n)
					if skewed {
						rates[i] = 0.4 * limit / float64(n-1)
					}
				}
				if skewed {
					rates[0] = 1.6 * limit
				}
				for b.Loop() {
					offerEach(b, gateways, rates, 6) // until parts are what they are to be
					p.record()
					c := offerEach(b, gateways, rates, seconds)
					b.ReportMetric(100*c.sum/limit, "%ofLimit")
					b.ReportMetric(c.admitted[0], "first/s")
					b.ReportMetric(float64(p.densest(time.Second)), "worst/s")
				}
			})
		}
	}
}

// BenchmarkPodDies measures until the gateway has the lower limit: from the report
// that a pod is not ready, and from its death, which the prober has to see.
func BenchmarkPodDies(b *testing.B) {
	b.Run("event", func(b *testing.B) {
		pods := []*pod{newPod(b, "a", "zb-a"), newPod(b, "b", "zb-b")}
		f := function("feed", "/feed", pods...)
		f.Spec.Capacity.PerPodQPS = 100
		r := newRig(b, functions(f))
		var took []time.Duration
		for i := 0; b.Loop(); i++ {
			start := time.Now()
			r.SetReadiness(pods[0].address, i%2 == 1)
			r.live()
			took = append(took, time.Since(start))
		}
		slices.Sort(took)
		b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "p50-ms")
		b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
	})
	b.Run("death", func(b *testing.B) {
		var took []time.Duration
		for b.Loop() {
			took = append(took, death(b))
		}
		slices.Sort(took)
		b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "p50-ms")
		b.ReportMetric(float64(took[len(took)-1].Microseconds())/1000, "max-ms")
	})
}

// death is how long the gateway keeps the limit of two pods after one has died.
func death(b *testing.B) time.Duration {
	pods := []*pod{newPod(b, "a", "zb-a"), newPod(b, "b", "zb-b")}
	f := function("feed", "/feed", pods...)
	f.Spec.Capacity.PerPodQPS = 100
	r := newRig(b, functions(f))
	prober, err := health.New(health.DefaultConfig(), slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	if err != nil {
		b.Fatal(err)
	}
	prober.SetTargets([]health.Target{{Address: pods[0].address}, {Address: pods[1].address}})
	ctx, cancel := context.WithCancel(context.Background())
	var workers sync.WaitGroup
	defer workers.Wait()
	defer cancel()
	known, dead := make(chan struct{}), make(chan struct{})
	both := sync.OnceFunc(func() { close(known) })
	seen := map[string]bool{}
	workers.Go(func() { _ = prober.Run(ctx) })
	workers.Go(func() {
		for {
			select {
			case changes := <-prober.Changes():
				r.SetReady(changes)
				maps.Copy(seen, changes)
				if seen[pods[0].address] && seen[pods[1].address] {
					both()
				}
				if ready, said := changes[pods[0].address]; said && !ready {
					close(dead)
				}
			case <-ctx.Done():
				return
			}
		}
	})
	<-known // the prober has seen both
	start := time.Now()
	pods[0].stop()
	<-dead
	r.live()
	return time.Since(start)
}

// BenchmarkFleetScales offers more than a fleet takes while it goes from 3 pods to
// 30 and back, and reports what the busiest pod got in any one second, in percent of
// its rate: by the pod's clock, which on a busy machine is late now and then, and by
// the gateway's.
func BenchmarkFleetScales(b *testing.B) {
	const few, many = 3, 30
	perPod := 300.0
	if text := os.Getenv("KONGDAO_BENCH_POD_RATE"); text != "" {
		if _, err := fmt.Sscan(text, &perPod); err != nil {
			b.Fatal(err)
		}
	}
	var pods []*pod
	for i := range many {
		pods = append(pods, newPod(b, fmt.Sprint("p", i), fmt.Sprint("z", i%3)))
	}
	f := function("feed", "/feed", pods...)
	f.Spec.Capacity.PerPodQPS = perPod
	r := newRig(b, functions())
	noteSent := func(d *translate.Delta) {
		for _, c := range routesIn(d) {
			for _, v := range c.VirtualHosts {
				for _, x := range v.Routes {
					x.RequestHeadersToAdd = append(x.RequestHeadersToAdd, headerOption(sentHeader, "%START_TIME(%s%6f)%"))
				}
			}
		}
	}
	r.tamper.Store(&noteSent)
	r.apply(functions(f))
	resize := func(n int) {
		ready := map[string]bool{}
		for i, p := range pods {
			ready[p.address] = i < n
		}
		r.SetReady(ready)
	}
	for b.Loop() {
		resize(few)
		r.live()
		begun := time.Now()
		ctx, cancel := context.WithTimeout(context.Background(), 9*time.Second)
		sizes := map[int]int{15: many, 30: few} // after so many steps of 200 ms
		wait := during(ctx, 200*time.Millisecond, func(i int) {
			if i == 2 { // the bucket was full at first, which is the burst that is set
				for _, p := range pods {
					p.record()
				}
			}
			if n := sizes[i]; n > 0 {
				resize(n)
			}
		})
		var parts [4]*load
		var loads sync.WaitGroup
		for i := range parts {
			loads.Go(func() { parts[i] = r.offer(ctx, 1.1*many*perPod/float64(len(parts)), "any", "/feed") })
		}
		loads.Wait()
		wait()
		cancel()
		worst, sent, steady, admitted, errs := 0, 0, 0, 0, 0
		for _, p := range pods {
			worst, sent = max(worst, p.densest(time.Second)), max(sent, p.densestSent(time.Second))
			steady += p.sentBetween(begun.Add(time.Second), begun.Add(3*time.Second))
		}
		for _, l := range parts {
			admitted, errs = admitted+l.status[200], errs+len(l.errs)+l.status[503]
		}
		b.ReportMetric(float64(worst), "worst/s")
		b.ReportMetric(100*float64(worst)/perPod, "%worst")
		b.ReportMetric(float64(sent), "sent-worst/s")
		b.ReportMetric(100*float64(steady)/2/few/perPod, "%steady") // of the limit of few pods
		b.ReportMetric(r.tookOut(), "taken-out")                    // pods by the gateway itself: what is left of the fleet gets their calls
		b.ReportMetric(float64(admitted)/9, "admitted/s")
		b.ReportMetric(float64(errs), "errors")
	}
}

// BenchmarkManyLimits has 20,000 functions with a limit at one gateway: how long the
// first update takes, what memory the gateway needs, before and after all of them
// were called, and whether the limits hold that were called first and last.
func BenchmarkManyLimits(b *testing.B) {
	n := 20_000
	if text := os.Getenv("KONGDAO_BENCH_LIMITS"); text != "" {
		if _, err := fmt.Sscan(text, &n); err != nil {
			b.Fatal(err)
		}
	}
	for b.Loop() {
		manyLimits(b, n)
	}
}

func manyLimits(b *testing.B, n int) {
	const rate = 20
	var set api.Set
	for i := range n { // without pods: what is let in gets 503, what is not 429
		f := function(fmt.Sprintf("f%05d", i), fmt.Sprint("/", i))
		f.Spec.Routes[0].Hosts = []string{fmt.Sprintf("h%d.example.com", i)}
		f.Spec.Capacity.PerPodQPS = rate
		set.Functions = append(set.Functions, f)
	}
	r := newRig(b, functions(set.Functions[0]))
	live := func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
		defer cancel()
		r.apply(set)
		if err := r.WaitLive(ctx); err != nil {
			b.Fatal(err)
		}
	}
	start := time.Now()
	live()
	b.ReportMetric(time.Since(start).Seconds(), "s/first")
	b.ReportMetric(r.memory(), "MB/idle")
	b.ReportMetric(time.Since(start).Seconds(), "s/settled")
	for i := range n { // every function has its bucket then; the first ones may not have reached the worker yet
		eventually(b, fmt.Sprintf("function %d is there", i), func() bool {
			a, err := r.try("GET", fmt.Sprintf("h%d.example.com", i), fmt.Sprint("/", i))
			return err == nil && a.status == http.StatusServiceUnavailable
		})
	}
	b.ReportMetric(time.Since(start).Seconds(), "s/called")
	b.ReportMetric(r.memory(), "MB/called")
	for _, i := range []int{0, n / 2, n - 1} {
		const seconds = 4
		ctx, cancel := context.WithTimeout(context.Background(), seconds*time.Second)
		start := time.Now()
		got := r.offer(ctx, 3*rate, fmt.Sprintf("h%d.example.com", i), fmt.Sprint("/", i))
		cancel()
		admitted := got.status[http.StatusServiceUnavailable]
		if most := rate*time.Since(start).Seconds()*1.02 + 0.3*rate + 1; float64(admitted) > most || got.status[http.StatusTooManyRequests] == 0 {
			b.Errorf("function %d admitted %d of %d/s, at most %.0f", i, admitted, rate, most)
		}
		b.ReportMetric(float64(admitted)/seconds, fmt.Sprintf("f%d/s", i))
	}
	var took []time.Duration
	for i := range 50 {
		f := *set.Functions[i*n/50]
		f.Spec.Capacity.PerPodQPS = rate + 1
		set.Functions = slices.Clone(set.Functions)
		set.Functions[i*n/50] = &f
		start := time.Now()
		live()
		took = append(took, time.Since(start))
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "change-p50-ms")
}

// memory is what the gateway has allocated, in MB.
func (r *rig) memory() float64 {
	var m struct {
		Allocated string `json:"allocated"`
	}
	// The gateway answers when it has worked off what it acknowledged before.
	slow := *r
	slow.client = &http.Client{Timeout: 5 * time.Minute}
	defer slow.client.CloseIdleConnections()
	if err := json.NewDecoder(strings.NewReader(slow.adminGet("/memory"))).Decode(&m); err != nil {
		r.t.Fatal(err)
	}
	var bytes float64
	if _, err := fmt.Sscan(m.Allocated, &bytes); err != nil {
		r.t.Fatal(err)
	}
	return bytes / 1e6
}
