package cli_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// breaches are the runs of BenchmarkBreachToSilence.
const breaches = 12

// BenchmarkBreachToSilence is how long a stress test still sends after production's
// calls have begun to fail, on a whole system: pods, Envoy, its log, the collector, the
// watch and kongdao load run. The clock begins before the first call fails.
func BenchmarkBreachToSilence(b *testing.B) {
	f := newFleet(b, "99.9%")
	client := &http.Client{Timeout: 30 * time.Second}
	defer client.CloseIdleConnections()
	f.eventually("calls are answered", func() bool { return f.call(client) == http.StatusOK })
	f.traffic(100)
	file := filepath.Join(b.TempDir(), "s.yaml")
	text := fmt.Sprintf(`apiVersion: kongdao.io/v1
kind: Scenario
metadata: {name: feed-200}
spec:
  targets: [{method: GET, url: "http://%s/feed", headers: {Host: api.example.com}}]
  stages: [{rate: 200, duration: 5m}]
`, f.system.Addresses().Gateway)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		b.Fatal(err)
	}
	var took []time.Duration
	for b.Loop() {
		for range breaches {
			took = append(took, f.breach(file))
		}
	}
	slices.Sort(took)
	at := func(q float64) float64 { return took[int(q*float64(len(took)-1)+0.5)].Seconds() }
	b.ReportMetric(at(0.5), "p50-s")
	b.ReportMetric(at(0.99), "p99-s")
	b.ReportMetric(0, "ns/op")
	b.Logf("%d runs: %v", len(took), took)
}

// breach is the time from the first failing call to the last request of the test.
func (f *fleet) breach(file string) time.Duration {
	f.t.Helper()
	wait := f.command("load", "run", file, "--store=false")
	for range 100 {
		<-f.test
	}
	began := time.Now()
	f.failing.Store(true)
	code, said := wait()
	f.failing.Store(false)
	if code != 3 || !strings.Contains(said, "production: feed: ") {
		f.t.Fatalf("exit code %d\n%s", code, said)
	}
	// What has failed must have left the window before the next test begins.
	ordinary := func() int64 { return f.pods[0].ordinary.Load() + f.pods[1].ordinary.Load() }
	before := ordinary()
	f.eventually("production is well again", func() bool { return ordinary() > before+500 })
	return time.Unix(0, f.last.Load()).Sub(began)
}
