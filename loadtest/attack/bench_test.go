package attack_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"syscall"
	"testing"
	"time"

	vegeta "github.com/tsenart/vegeta/v12/lib"

	"github.com/kongdao/kongdao/loadtest/attack"
)

// BenchmarkAgainstVegeta carries out the same plan with both generators, one after
// the other in one run, and reports ours as a share of vegeta's: the CPU time of
// client and server together, and the p99 that each measures of a server that
// answers at once, which is mostly how late it sends. vegeta has the same cap of 16
// workers; without one it may collapse. The figures leave out everything that a
// network does.
func BenchmarkAgainstVegeta(b *testing.B) {
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer s.Close()
	targets := vegeta.NewStaticTargeter(vegeta.Target{Method: "GET", URL: s.URL})
	for _, rate := range []int{300, 3000, 10_000} {
		b.Run(fmt.Sprintf("rate=%d", rate), func(b *testing.B) {
			var ours, theirs cost
			for b.Loop() {
				ours.add(func() (time.Duration, uint64) { return attackOnce(b, targets, rate) })
				theirs.add(func() (time.Duration, uint64) { return vegetaOnce(targets, rate) })
			}
			b.ReportMetric(ours.p99.Seconds()/theirs.p99.Seconds(), "p99-ratio")
			b.ReportMetric(ours.perRequest()/theirs.perRequest(), "cpu-ratio")
			b.ReportMetric(ours.p99.Seconds()*1e6/float64(b.N), "p99-µs")
			b.ReportMetric(ours.perRequest()*1e6, "cpu-µs/request")
		})
	}
}

const benchTime = 2 * time.Second

type cost struct {
	p99, cpu time.Duration
	sent     uint64
}

func (c *cost) add(run func() (p99 time.Duration, sent uint64)) {
	before := cpu()
	p99, sent := run()
	c.cpu += cpu() - before
	c.p99 += p99
	c.sent += sent
}

func (c *cost) perRequest() float64 { return c.cpu.Seconds() / float64(c.sent) }

func cpu() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func attackOnce(b *testing.B, targets vegeta.Targeter, rate int) (time.Duration, uint64) {
	a, err := attack.New(config(), attack.Constant(float64(rate), benchTime), targets, attack.Hooks{})
	if err != nil {
		b.Fatal(err)
	}
	s, err := a.Run(b.Context())
	if want := uint64(rate) * uint64(benchTime/time.Second); err != nil || s.Sent != want {
		b.Fatalf("sent %d of %d: %v", s.Sent, want, err)
	}
	return attack.Quantile(s.Latency, 99), s.Sent
}

func vegetaOnce(targets vegeta.Targeter, rate int) (time.Duration, uint64) {
	var m vegeta.Metrics
	for r := range vegeta.NewAttacker(vegeta.MaxWorkers(16)).Attack(targets, vegeta.Rate{Freq: rate, Per: time.Second}, benchTime, "") {
		m.Add(r)
	}
	m.Close()
	return m.Latencies.P99, m.Requests
}
