package attack_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	vegeta "github.com/tsenart/vegeta/v12/lib"

	"github.com/kongdao/kongdao/api"
	"github.com/kongdao/kongdao/loadtest"
	"github.com/kongdao/kongdao/loadtest/attack"
	"github.com/kongdao/kongdao/loadtest/scenario"
)

// serverVariable makes a process of this binary the target of benchmarks, so that its
// CPU time is not the generator's.
const serverVariable = "KONGDAO_BENCH_TARGET"

// serveBenchmarks answers every request with two bytes, as cheaply as Go can, until
// its input ends.
func serveBenchmarks() {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return
	}
	fmt.Println(l.Addr())
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go answer(conn)
		}
	}()
	_, _ = io.Copy(io.Discard, os.Stdin)
}

func answer(conn net.Conn) {
	defer conn.Close()
	b := make([]byte, 0, 64<<10)
	for {
		n, err := conn.Read(b[len(b):cap(b)])
		if err != nil {
			return
		}
		b = b[:len(b)+n]
		for {
			_, rest, whole := bytes.Cut(b, []byte("\r\n\r\n"))
			if !whole {
				break
			}
			if _, err := io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Type: text/plain\r\n\r\nok"); err != nil {
				return
			}
			b = append(b[:0], rest...)
		}
	}
}

// benchTarget starts the server and gives its URL.
func benchTarget(b *testing.B) string {
	b.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	child := exec.CommandContext(ctx, os.Args[0])
	child.Env = append(os.Environ(), serverVariable+"=1", "GOMAXPROCS=1")
	in, err := child.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	out, err := child.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := child.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = in.Close(); cancel(); _ = child.Wait() })
	addr, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		b.Fatal(err)
	}
	return "http://" + strings.TrimSpace(addr) + "/"
}

func benchSpec(url string, rate float64, d time.Duration, workers int) (api.ScenarioSpec, loadtest.Options) {
	limits := scenario.DefaultLimits()
	limits.MaxRate, limits.MaxTotal = 1e7, 1e9
	return api.ScenarioSpec{
		Targets: []api.Target{{Method: "GET", URL: url}}, Stages: []api.Stage{{Rate: rate, Duration: api.Duration(d)}}, Workers: workers,
	}, loadtest.Options{Run: "bench", Limits: limits}
}

// oneCore is for generators of which one core is measured.
func oneCore(b *testing.B) {
	before := runtime.GOMAXPROCS(1)
	b.Cleanup(func() { runtime.GOMAXPROCS(before) })
}

// BenchmarkCeiling measures how many requests a second of one core's time is enough
// for, with 64 connections and a target in another process: this generator as "load
// run" uses it, this generator with net/http, and vegeta, in turns. It leaves out what
// the target costs. On a busy machine the time of a core is still the same; requests a
// second of the clock are not, and not reported.
func BenchmarkCeiling(b *testing.B) {
	url := benchTarget(b)
	oneCore(b)
	const d = 2 * time.Second
	targets := vegeta.NewStaticTargeter(vegeta.Target{Method: "GET", URL: url})
	ways := map[string]func() uint64{
		"req/core-s": func() uint64 {
			spec, o := benchSpec(url, 1e6, time.Minute, 64)
			ctx, cancel := context.WithTimeout(context.Background(), d)
			defer cancel()
			s, err := loadtest.Measure(ctx, spec, o)
			if err != nil {
				b.Fatal(err)
			}
			return s.Sent
		},
		"net-http-req/core-s": func() uint64 {
			c := config()
			c.Workers, c.Duration = 64, time.Minute
			ctx, cancel := context.WithTimeout(context.Background(), d)
			defer cancel()
			a, err := attack.New(c, attack.Constant(1e6, time.Minute), targets, attack.Hooks{})
			if err != nil {
				b.Fatal(err)
			}
			s, err := a.Run(ctx)
			if err != nil {
				b.Fatal(err)
			}
			return s.Sent
		},
		"vegeta-req/core-s": func() (n uint64) {
			a := vegeta.NewAttacker(vegeta.MaxWorkers(64), vegeta.Workers(64), vegeta.Connections(64))
			for range a.Attack(targets, vegeta.Rate{}, d, "") {
				n++
			}
			return n
		},
	}
	rates := map[string][]float64{}
	for b.Loop() {
		for name, way := range ways {
			before := cpu()
			n := way()
			rates[name] = append(rates[name], float64(n)/(cpu()-before).Seconds())
		}
	}
	for name, all := range rates {
		b.ReportMetric(median(all), name)
	}
	b.ReportMetric(median(rates["req/core-s"])/median(rates["vegeta-req/core-s"]), "of-vegeta")
	b.ReportMetric(0, "ns/op")
}

func median(all []float64) float64 {
	slices.Sort(all)
	return all[len(all)/2]
}

// BenchmarkTenThousand offers 10,000/s for 5 s with one core, once a loop: -benchtime
// 20x are the 20 runs of the goal. It counts runs that were within 0.1 % of the rate,
// of this generator, of vegeta as it is, and of vegeta with 64 workers at most.
func BenchmarkTenThousand(b *testing.B) {
	url := benchTarget(b)
	oneCore(b)
	const d, rate = 5 * time.Second, 10_000
	targets := vegeta.NewStaticTargeter(vegeta.Target{Method: "GET", URL: url})
	within := func(achieved float64) float64 {
		if math.Abs(achieved-rate) <= 0.001*rate {
			return 1
		}
		return 0
	}
	peer := func(options ...func(*vegeta.Attacker)) float64 {
		// What an attacker leaves open is closed: it would be in the next run's way.
		transport := &http.Transport{MaxIdleConnsPerHost: vegeta.DefaultConnections}
		defer transport.CloseIdleConnections()
		client := &http.Client{Timeout: vegeta.DefaultTimeout, Transport: transport}
		var m vegeta.Metrics
		for r := range vegeta.NewAttacker(append(options, vegeta.Client(client))...).Attack(targets, vegeta.Rate{Freq: rate, Per: time.Second}, d, "") {
			m.Add(r)
		}
		m.Close()
		if m.Success < 1 {
			return 0
		}
		return within(m.Rate)
	}
	var ours, theirs, capped, lowest float64
	lowest = rate
	for b.Loop() {
		spec, o := benchSpec(url, rate, d, 64)
		r, err := loadtest.Run(b.Context(), spec, o)
		if err != nil {
			b.Fatal(err)
		}
		if r.Success() == 1 {
			ours += within(r.AchievedRate)
		}
		lowest = min(lowest, r.AchievedRate)
		b.Logf("%.1f/s, %d late, lag p99 %.2f ms, at most %.2f ms, success %v", r.AchievedRate, r.Late, 1e3*r.Lag.P99, 1e3*r.Lag.Max, r.Success())
		theirs += peer()
		capped += peer(vegeta.MaxWorkers(64))
	}
	b.ReportMetric(ours, "runs-within-0.1%")
	b.ReportMetric(theirs, "vegeta-runs")
	b.ReportMetric(capped, "vegeta-capped-runs")
	b.ReportMetric(lowest, "lowest-rate")
	b.ReportMetric(0, "ns/op")
}

// BenchmarkFrozenServer offers 300/s with 16 workers to a server that is frozen for 2 s
// of every 10, for two cycles, and reports each generator's p99 as a share of the true
// one, which follows from the schedule.
func BenchmarkFrozenServer(b *testing.B) {
	const cycle, stall, rate = 10 * time.Second, 2 * time.Second, 300
	var began time.Time
	left := func(at time.Time) time.Duration { return max(0, stall-at.Sub(began)%cycle) }
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { wait(r, left(time.Now())) }))
	defer s.Close()
	targets := vegeta.NewStaticTargeter(vegeta.Target{Method: "GET", URL: s.URL})
	var truth []float64
	for i := range int(2 * cycle.Seconds() * rate) {
		at := time.Duration(i) * time.Second / rate
		truth = append(truth, max(0, stall-at%cycle).Seconds())
	}
	slices.Sort(truth)
	want := truth[int(math.Ceil(0.99*float64(len(truth))))-1]
	var ours, theirs float64
	for b.Loop() {
		spec, o := benchSpec(s.URL, rate, 2*cycle, 16)
		began = time.Now()
		r, err := loadtest.Run(b.Context(), spec, o)
		if err != nil {
			b.Fatal(err)
		}
		ours += r.Latency.P99 / want
		var m vegeta.Metrics
		began = time.Now()
		for r := range vegeta.NewAttacker(vegeta.MaxWorkers(16)).Attack(targets, vegeta.Rate{Freq: rate, Per: time.Second}, 2*cycle, "") {
			m.Add(r)
		}
		m.Close()
		theirs += m.Latencies.P99.Seconds() / want
	}
	b.ReportMetric(ours/float64(b.N), "p99-of-truth")
	b.ReportMetric(theirs/float64(b.N), "vegeta-p99-of-truth")
	b.ReportMetric(want, "true-p99-s")
	b.ReportMetric(0, "ns/op")
}

// BenchmarkSendTime offers 3,000/s to a target in another process and reports by how
// much requests leave behind the plan: this generator by its own lag, vegeta by the
// time stamps of its results. Each knows that of itself; when requests arrive is what
// BenchmarkAgainstVegeta looks at.
func BenchmarkSendTime(b *testing.B) {
	url := benchTarget(b)
	const d, rate = 3 * time.Second, 3000
	targets := vegeta.NewStaticTargeter(vegeta.Target{Method: "GET", URL: url})
	var ours, theirs, half []float64
	for b.Loop() {
		spec, o := benchSpec(url, rate, d, 16)
		s, err := loadtest.Measure(b.Context(), spec, o)
		if err != nil {
			b.Fatal(err)
		}
		ours = append(ours, attack.Quantile(s.Lag, 99).Seconds()*1e6)
		half = append(half, attack.Quantile(s.Lag, 50).Seconds()*1e6)
		sent := make([]time.Time, 0, rate*int(d/time.Second))
		for r := range vegeta.NewAttacker(vegeta.MaxWorkers(16)).Attack(targets, vegeta.Rate{Freq: rate, Per: time.Second}, d, "") {
			sent = append(sent, r.Timestamp)
		}
		slices.SortFunc(sent, time.Time.Compare)
		late := lateness(sent, rate)
		theirs = append(theirs, late[len(late)*99/100].Seconds()*1e6)
	}
	b.ReportMetric(median(ours), "lag-p99-µs")
	b.ReportMetric(median(half), "lag-p50-µs")
	b.ReportMetric(median(theirs), "vegeta-lag-p99-µs")
	b.ReportMetric(median(ours)/median(theirs), "of-vegeta")
	b.ReportMetric(0, "ns/op")
}
