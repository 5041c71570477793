package app_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kongdao/kongdao/capacity/drill"
	"github.com/kongdao/kongdao/capacity/podtest"
	"github.com/kongdao/kongdao/internal/app"
	"github.com/kongdao/kongdao/internal/config"
	"github.com/kongdao/kongdao/internal/testkit"
)

// BenchmarkDrill loses one of three zones, of two pods each, under load, through a real
// Envoy, and prints what was predicted beside what was seen: with a limit that is far
// away, and with one that has to refuse. Pods are processes of their own, of known law:
// each works on four calls at a time, for a time by chance with a mean of 100 ms. It
// takes three minutes each time.
func BenchmarkDrill(b *testing.B) {
	for name, rate := range map[string]int{"latency": 37, "refusals": 26} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				drillOnce(b, rate)
			}
		})
	}
}

func drillOnce(b *testing.B, rate int) {
	cfg := config.Default()
	cfg.DataDir, cfg.ResourcesDir = b.TempDir(), b.TempDir()
	cfg.Listen.Gateway, cfg.Listen.API = "127.0.0.1:0", "127.0.0.1:0"
	cfg.Envoy.Concurrency, cfg.Envoy.Canary = 1, false
	addresses, stopPods := podtest.Start(b, podtest.Slow(), 6)
	defer stopPods()
	var pods []string
	for i, a := range addresses {
		pods = append(pods, fmt.Sprintf("{address: %q, zone: zb-%c}", a, 'a'+i%3))
	}
	text := fmt.Sprintf(`apiVersion: kongdao.io/v1
kind: Function
metadata: {name: feed}
spec:
  routes: [{path: /feed, methods: [GET]}]
  revisions: [{name: r1, endpoints: [%s]}]
  healthCheck: {path: /healthz}
  objective: {latency: {p99: 2s}, success: 99.9%%}
  capacity: {perPodQPS: %d}
  access: {public: true}
`, strings.Join(pods, ", "), rate)
	if err := os.WriteFile(filepath.Join(cfg.ResourcesDir, "feed.yaml"), []byte(text), 0o600); err != nil {
		b.Fatal(err)
	}
	s, err := app.Start(b.Context(), cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		b.Fatal(err)
	}
	defer s.Stop()
	testkit.Eventually(b, "all pods are ready", func() bool { return s.State().Functions[0].Limit == float64(6*rate) })
	ctx, stop := context.WithCancel(b.Context())
	var calls sync.WaitGroup
	defer calls.Wait()
	defer stop()
	learned := make(chan struct{})
	calls.Go(func() { offer(ctx, "http://"+s.Addresses().Gateway+"/feed", learned) })
	<-learned
	r := orderDrill(b, s)
	f, seen := r.Forecast[0], r.Seen.Functions[0]
	var out strings.Builder
	_ = r.WriteText(&out)
	b.Logf("\n%s", &out)
	b.ReportMetric(float64(f.P99.P99)/1e6, "ms-predicted-p99")
	b.ReportMetric(float64(seen.P99)/1e6, "ms-seen-p99")
	b.ReportMetric(100*f.Refused, "%refused-predicted")
	b.ReportMetric(100*seen.Refused, "%refused-seen")
	b.ReportMetric(r.Seen.EmptySeconds, "s-until-empty")
	b.ReportMetric(float64(r.Seen.FailedIdempotent), "failed")
	b.ReportMetric(0, "ns/op")
}

// The past of a drill: from 30 to 50 % of what the pods can do, and the end of it for so
// long that all of it is in the call log, and the last minute is like the present.
const (
	pastFrom, pastTo = 72.0, 120.0 // calls a second
	pastRises        = 90 * time.Second
	pastStays        = 60 * time.Second
)

// offer calls by chance, at a rate that rises and stays, however long answers take, until
// ctx ends. It closes learned when there is enough of a past.
func offer(ctx context.Context, url string, learned chan<- struct{}) {
	transport := &http.Transport{MaxIdleConnsPerHost: 1000}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, Timeout: deadline}
	var calls sync.WaitGroup
	defer calls.Wait()
	began := time.Now()
	next, told := began, false
	for ctx.Err() == nil {
		age := next.Sub(began)
		rate := pastFrom + (pastTo-pastFrom)*min(1, age.Seconds()/pastRises.Seconds())
		if !told && age > pastRises+pastStays {
			close(learned)
			told = true
		}
		next = next.Add(time.Duration(rand.ExpFloat64() / rate * float64(time.Second)))
		time.Sleep(time.Until(next))
		calls.Go(func() {
			if res, err := client.Get(url); err == nil {
				_ = res.Body.Close()
			}
		})
	}
}

func orderDrill(b *testing.B, s *app.System) drill.Record {
	c := benchCaller{b, s}
	r := c.ask(http.MethodPost, "/drills", app.DrillOrder{Zone: "zb-b", HoldS: 60, Force: true})
	for r.State == drill.Running {
		time.Sleep(200 * time.Millisecond)
		r = c.ask(http.MethodGet, "/drills/"+r.ID, nil)
	}
	if r.State != drill.Done || r.Seen == nil || len(r.Forecast) != 1 || len(r.Seen.Functions) != 1 {
		b.Fatalf("%+v", r)
	}
	return r
}

// benchCaller speaks to a system's API.
type benchCaller struct {
	b      *testing.B
	system *app.System
}

func (c benchCaller) ask(method, path string, in any) (r drill.Record) {
	body, err := json.Marshal(in)
	if err != nil {
		c.b.Fatal(err)
	}
	req, err := http.NewRequestWithContext(c.b.Context(), method, "http://"+c.system.Addresses().API+"/api/v1"+path, bytes.NewReader(body))
	if err != nil {
		c.b.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		c.b.Fatal(err)
	}
	defer res.Body.Close()
	if err := json.NewDecoder(res.Body).Decode(&r); err != nil || res.StatusCode != http.StatusOK {
		c.b.Fatal(res.Status, err)
	}
	return r
}
