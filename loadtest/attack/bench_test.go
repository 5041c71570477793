package attack_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	vegeta "github.com/tsenart/vegeta/v12/lib"

	"github.com/kongdao/kongdao/loadtest"
)

// BenchmarkAgainstVegeta carries out the same plan with both generators, one after
// the other in one run, and reports ours as a share of vegeta's: how late requests
// arrive at the server compared with the plan, median and p99, and the CPU time of
// client and server together. The arrivals are the server's own: vegeta measures
// latency from the sending, so what it reports leaves its own lateness out. It has
// the same cap of 16 workers; without one it may collapse. The figures leave out
// everything that a network does, and the p99 is the machine's as much as anybody's.
func BenchmarkAgainstVegeta(b *testing.B) {
	for _, rate := range []int{300, 3000, 10_000} {
		b.Run(fmt.Sprintf("rate=%d", rate), func(b *testing.B) {
			var ours, theirs cost
			for b.Loop() {
				ours.add(b, rate, attackOnce)
				theirs.add(b, rate, vegetaOnce)
			}
			b.ReportMetric(float64(ours.p50)/float64(theirs.p50), "late-p50-ratio")
			b.ReportMetric(float64(ours.p99)/float64(theirs.p99), "late-p99-ratio")
			b.ReportMetric(float64(ours.cpu)/float64(theirs.cpu), "cpu-ratio")
			b.ReportMetric(float64(ours.unsent)/float64(b.N), "unsent")
			b.ReportMetric(float64(theirs.unsent)/float64(b.N), "vegeta-unsent")
			b.ReportMetric(ours.p50.Seconds()*1e6/float64(b.N), "late-p50-µs")
			b.ReportMetric(ours.p99.Seconds()*1e6/float64(b.N), "late-p99-µs")
		})
	}
}

const benchTime = 2 * time.Second

// cost is a sum over runs.
type cost struct {
	p50, p99, cpu time.Duration
	unsent        int // requests of the plan
}

func (c *cost) add(b *testing.B, rate int, run func(*testing.B, vegeta.Targeter, int)) {
	total := rate * int(benchTime/time.Second)
	arrivals := make([]time.Time, total+1)
	var n atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		if i := n.Add(1) - 1; i <= int64(total) {
			arrivals[i] = time.Now()
		}
	}))
	defer s.Close()
	before := cpu()
	run(b, vegeta.NewStaticTargeter(vegeta.Target{Method: "GET", URL: s.URL}), rate)
	c.cpu += cpu() - before
	c.unsent += total - int(n.Load())
	late := lateness(arrivals[:min(int(n.Load()), total)], rate)
	c.p50 += late[len(late)/2]
	c.p99 += late[len(late)*99/100]
}

// lateness is how much later than planned requests arrived, sorted. The plan begins
// such that the most punctual one is not late at all.
func lateness(arrivals []time.Time, rate int) []time.Duration {
	late := make([]time.Duration, len(arrivals))
	for i, at := range arrivals {
		late[i] = at.Sub(arrivals[0]) - time.Duration(i)*time.Second/time.Duration(rate)
	}
	slices.Sort(late)
	first := late[0]
	for i := range late {
		late[i] -= first
	}
	return late
}

func cpu() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func attackOnce(b *testing.B, targets vegeta.Targeter, rate int) {
	var t vegeta.Target
	if err := targets(&t); err != nil {
		b.Fatal(err)
	}
	spec, o := benchSpec(t.URL, float64(rate), benchTime, 16)
	if _, err := loadtest.Measure(b.Context(), spec, o); err != nil {
		b.Fatal(err)
	}
}

func vegetaOnce(_ *testing.B, targets vegeta.Targeter, rate int) {
	a := vegeta.NewAttacker(vegeta.MaxWorkers(16))
	for range a.Attack(targets, vegeta.Rate{Freq: rate, Per: time.Second}, benchTime, "") {
		continue // a slow reader would hold its workers up
	}
}
