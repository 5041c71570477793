package xds

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/kongdao/kongdao/api"
)

// BenchmarkLive measures how long it takes until the first request sees a change,
// among many functions, on a real Envoy: of one route, of one route while others
// change 50 times a second, and of one pod. The peer's way is one route
// configuration with everything in go-control-plane's snapshot cache.
//
//	go test ./xds -run '^$' -bench Live -timeout 30m
func BenchmarkLive(b *testing.B) {
	for _, n := range []int{1000, 10_000} {
		b.Run(fmt.Sprintf("functions=%d/peer", n), func(b *testing.B) { benchLive(b, newPeer(b, n), 60) })
		b.Run(fmt.Sprintf("functions=%d/kongdao", n), func(b *testing.B) {
			benchLive(b, newOurs(b, n, withCanary(b)), 300)
		})
		b.Run(fmt.Sprintf("functions=%d/kongdao,no_canary", n), func(b *testing.B) {
			benchLive(b, newOurs(b, n, func(*Config) {}), 300)
		})
	}
}

// liveProbes is how many functions take turns in being changed.
const liveProbes = 50

// subject is a gateway with many functions, of which the first liveProbes answer by
// themselves and the one after them has two pods.
type subject interface {
	gateway() string
	route(i int, answer string) // changes one function's route
	pod(i int)                  // makes the first or the second pod the one that is called
}

func benchLive(b *testing.B, s subject, changes int) {
	p := newProbe(b, s.gateway())
	serial := 0
	route := func() time.Duration {
		serial++
		answer, i := "v"+strconv.Itoa(serial), serial%liveProbes
		begin := time.Now()
		s.route(i, answer)
		p.until(fmt.Sprintf("h%d.example.com", i), answer)
		return time.Since(begin)
	}
	pod := func() time.Duration {
		serial++
		begin := time.Now()
		s.pod(serial % 2)
		p.until("pods.example.com", strconv.Itoa(serial%2))
		return time.Since(begin)
	}
	for range 5 {
		route()
		pod()
	}
	for b.Loop() {
		report(b, "route", repeat(changes, route))
		report(b, "pod", repeat(changes, pod))
		stop := churn(s)
		report(b, "busy-route", repeat(changes, route))
		report(b, "busy-pod", repeat(changes, pod))
		stop()
	}
}

// churn changes other functions' routes 50 times a second until stop.
func churn(s subject) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for i := 0; ; i++ {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				s.route(liveProbes+1+i%500, "c"+strconv.Itoa(i))
			}
		}
	})
	return func() { cancel(); wg.Wait() }
}

func repeat(n int, f func() time.Duration) (all []time.Duration) {
	for range n {
		all = append(all, f())
		time.Sleep(3 * time.Millisecond) // the machine comes to rest
	}
	return all
}

func report(b *testing.B, what string, all []time.Duration) {
	slices.Sort(all)
	at := func(q float64) float64 { return all[min(len(all)-1, int(q*float64(len(all))))].Seconds() * 1000 }
	b.ReportMetric(at(0.5), what+"-p50-ms")
	b.ReportMetric(at(0.99), what+"-p99-ms")
}

// probe asks a gateway over one connection.
type probe struct {
	b    *testing.B
	conn net.Conn
	in   *bufio.Reader
}

func newProbe(b *testing.B, gateway string) *probe {
	b.Helper()
	conn, err := net.Dial("tcp", gateway)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { conn.Close() })
	return &probe{b, conn, bufio.NewReader(conn)}
}

// until asks until the answer is the wanted one.
func (p *probe) until(host, want string) {
	for deadline := time.Now().Add(patience); ; time.Sleep(100 * time.Microsecond) {
		status, body := p.ask(host)
		if body == want {
			return
		}
		if time.Now().After(deadline) {
			p.b.Fatalf("%s: got %d %q, want %q", host, status, body, want)
		}
	}
}

func (p *probe) ask(host string) (int, string) {
	if _, err := fmt.Fprintf(p.conn, "GET /x HTTP/1.1\r\nHost: %s\r\n\r\n", host); err != nil {
		p.b.Fatal(err)
	}
	res, err := http.ReadResponse(p.in, nil)
	if err != nil {
		p.b.Fatal(err)
	}
	body, err := io.ReadAll(res.Body)
	if err != nil {
		p.b.Fatal(err)
	}
	return res.StatusCode, string(body)
}

// oursLive is this control plane as users have it.
type oursLive struct {
	*Server
	b    *testing.B
	at   string
	mu   sync.Mutex
	set  api.Set
	pods [2]string
}

func newOurs(b *testing.B, n int, alter func(*Config)) *oursLive {
	c := DefaultConfig()
	c.Gateway = freeAddr(b)
	alter(&c)
	o := &oursLive{Server: benchServer(b, c), b: b, at: c.Gateway, set: manyFunctions(n)}
	for i, f := range o.set.Functions {
		f.Spec.Revisions[0].Endpoints = nil // Envoy would check the health of all
		if i < liveProbes {
			f.Spec.Routes[0].Respond = &api.Respond{Status: 200, Body: "v0"}
		}
	}
	f := o.set.Functions[liveProbes]
	f.Spec.Routes[0].Hosts = []string{"pods.example.com"}
	f.Spec.Capacity.PerPodQPS = 50_000 // the limit is not what is measured
	for i := range o.pods {
		p := newPod(b, strconv.Itoa(i), "z")
		o.pods[i] = p.address
		f.Spec.Revisions[0].Endpoints = append(f.Spec.Revisions[0].Endpoints, api.Endpoint{Address: p.address, Zone: "z"})
	}
	o.pod(0)
	if err := o.Apply(b.Context(), o.set); err != nil {
		b.Fatal(err)
	}
	startEnvoy(b, "gw-1", o.Addr(), freeAddr(b))
	listens(b, o.at)
	ctx, cancel := context.WithTimeout(b.Context(), 10*patience)
	defer cancel()
	if err := o.WaitLive(ctx); err != nil {
		b.Fatal(err)
	}
	return o
}

func listens(b *testing.B, at string) {
	b.Helper()
	for deadline := time.Now().Add(10 * patience); ; time.Sleep(10 * time.Millisecond) {
		if c, err := net.Dial("tcp", at); err == nil {
			c.Close()
			return
		}
		if time.Now().After(deadline) {
			b.Fatalf("nobody listens on %s", at)
		}
	}
}

func (o *oursLive) gateway() string { return o.at }

func (o *oursLive) route(i int, answer string) {
	o.mu.Lock()
	f := *o.set.Functions[i]
	f.Spec.Routes = slices.Clone(f.Spec.Routes)
	if f.Spec.Routes[0].Respond != nil {
		f.Spec.Routes[0].Respond = &api.Respond{Status: 200, Body: answer}
	} else {
		f.Spec.Routes[0].RequestHeaders = api.HeaderChanges{Set: map[string]string{"x-version": answer}}
	}
	o.set.Functions = slices.Clone(o.set.Functions)
	o.set.Functions[i] = &f
	set := o.set
	o.mu.Unlock()
	if err := o.Apply(context.Background(), set); err != nil {
		o.b.Error(err)
	}
}

func (o *oursLive) pod(i int) {
	o.SetReady(map[string]bool{o.pods[i]: true, o.pods[1-i]: false})
}
