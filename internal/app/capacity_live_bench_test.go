package app_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kongdao/kongdao/api"
	"github.com/kongdao/kongdao/capacity/apply"
	"github.com/kongdao/kongdao/capacity/podtest"
	"github.com/kongdao/kongdao/capacity/search"
	"github.com/kongdao/kongdao/internal/app"
	"github.com/kongdao/kongdao/loadtest"
	"github.com/kongdao/kongdao/loadtest/scenario"
)

// BenchmarkFindLive searches for the safe rate of one of four pods in a process of their
// own, behind a real Envoy, by their users' calls alone: these come by chance and load
// each pod to 70 % of what it takes. It prints what was found beside the truth and
// beside a search with requests of its own through the same gateway, and what the
// users of all pods saw. It takes about nine minutes.
func BenchmarkFindLive(b *testing.B) {
	for _, law := range []podtest.Law{podtest.Slow(), podtest.Laws()[0]} {
		b.Run(strings.ReplaceAll(law.Name, ", ", "-"), func(b *testing.B) {
			for b.Loop() {
				findLive(b, law)
			}
			b.ReportMetric(0, "ns/op")
		})
	}
}

func findLive(b *testing.B, law podtest.Law) {
	const n = 4
	truth := podtest.Truth(law, 1)
	pods, _ := podtest.Start(b, law, n)
	var endpoints []string
	for i, p := range pods {
		endpoints = append(endpoints, fmt.Sprintf("{address: %q, zone: zb-%c}", p, 'a'+i%2))
	}
	cfg := testConfig(b)
	cfg.Envoy.Canary = false
	text := strings.NewReplacer("hosts: [api.example.com], ", "", "  healthCheck: {path: /healthz}\n", "", "99%", "99.9%").Replace(liveFunction(endpoints, law.Limit.String()))
	write(b, cfg.ResourcesDir, "feed.yaml", text)
	c := caller{t: b, system: start(b, cfg), client: &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: deadline}}
	c.eventually("calls are answered", func() bool { _, status := c.call(); return status == http.StatusOK })
	ctx, stop := context.WithCancel(b.Context())
	var calls sync.WaitGroup
	defer calls.Wait()
	defer stop()
	calls.Go(func() { users(ctx, "http://"+c.system.Addresses().Gateway+"/feed", 0.7*truth*n) })

	before := time.Now()
	b.Logf("truth %.1f/s a pod; %d pods get %.1f/s", truth, n, 0.7*truth*n)
	time.Sleep(20 * time.Second) // to compare with
	began := time.Now()
	next, _, status := c.liveEvents("lt-live", "&seconds=300")
	if status != http.StatusOK {
		b.Fatal(status)
	}
	var x apply.Found
	if !next("found", &x) {
		b.Fatal("no answer")
	}
	ended := time.Now()
	c.eventually("its calls are stored", func() bool {
		var last time.Time
		err := c.system.ClickHouse().QueryRow(b.Context(), "SELECT max(ts) FROM calls WHERE load_test = ''").Scan(&last)
		return err == nil && last.After(ended)
	})
	p99 := func(lifted bool, from, to time.Time) (ms float64) {
		var us, late, failed, all, marked uint64
		err := c.system.ClickHouse().QueryRow(b.Context(), `SELECT toUInt64(ifNotFinite(quantileExact(0.99)(duration_us), 0)), countIf(duration_us > ?), countIf(status >= 500), count(), countIf(load_test != '')
			FROM calls WHERE (pod = ?) = ? AND ts >= fromUnixTimestamp64Micro(?) AND ts < fromUnixTimestamp64Micro(?)`,
			law.Limit.Microseconds(), x.Pod, lifted, from.UnixMicro(), to.UnixMicro()).Scan(&us, &late, &failed, &all, &marked)
		if err != nil {
			b.Fatal(err)
		}
		b.Logf("lifted pod %v: p99 %.0f ms, %.2f %% late, %d of %d failed, %d are a test's", lifted, float64(us)/1e3, 100*float64(late)/float64(max(all, 1)), failed, all, marked)
		return float64(us) / 1e3
	}
	was, is := p99(false, before, began), p99(false, began, ended)
	p99(true, began, ended)
	own := c.findOwn(b, x.Pod)
	var out strings.Builder
	_ = x.WriteText(&out)
	_ = own.WriteText(&out)
	b.Logf("\n%s", &out)
	b.ReportMetric(100*(x.Estimate/truth-1), "%off-live")
	b.ReportMetric(x.Safe/truth, "safe-live")
	b.ReportMetric(float64(x.Broke), "violating-live")
	b.ReportMetric(x.Peak/truth, "peak-live")
	b.ReportMetric(ended.Sub(began).Seconds(), "s-live")
	b.ReportMetric(100*(own.Estimate/truth-1), "%off-own")
	b.ReportMetric(own.Safe/truth, "safe-own")
	b.ReportMetric(is/was, "others-p99-ratio")
}

// users call at a rate by chance, however long answers take, until ctx ends.
func users(ctx context.Context, url string, rate float64) {
	transport := &http.Transport{MaxIdleConnsPerHost: 1000}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, Timeout: deadline}
	var calls sync.WaitGroup
	defer calls.Wait()
	for next := time.Now(); ctx.Err() == nil; {
		next = next.Add(time.Duration(rand.ExpFloat64() / rate * float64(time.Second)))
		time.Sleep(time.Until(next))
		calls.Go(func() {
			if res, err := client.Get(url); err == nil {
				_ = res.Body.Close()
			}
		})
	}
}

// findOwn searches with requests of its own.
func (c caller) findOwn(b *testing.B, pod string) search.Result {
	f, err := c.system.Function("feed")
	if err != nil {
		b.Fatal(err)
	}
	pin, err := c.system.Pin(b.Context(), "feed", pod, time.Hour)
	if err != nil {
		b.Fatal(err)
	}
	defer c.system.Unpin(pin.ID)
	f = &api.Function{Metadata: f.Metadata, Spec: f.Spec}
	r, err := app.FindCapacity(b.Context(), app.Find{
		Gateway: c.system.Addresses().Gateway, Function: f, Pin: pin, Run: loadtest.NewRunID(),
		Start: 5, MaxRate: 2000, Budget: 3 * time.Minute, Limits: scenario.DefaultLimits(),
	})
	if err != nil {
		b.Fatal(err)
	}
	return r
}
