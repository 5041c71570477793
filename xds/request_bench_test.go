package xds

import (
	"bufio"
	"cmp"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/kongdao/kongdao/api"
	"github.com/kongdao/kongdao/internal/calllog"
)

// BenchmarkRequest compares what a request costs Envoy, in CPU of the whole
// process, with the gateway in full (a key, a limit, retries, the call log) and
// with less of it, and a bare Envoy that has one route and no filters. Both take
// the same load to the same pod in turns; the figure is the median of the ratios.
func BenchmarkRequest(b *testing.B) {
	const rounds, calls = 15, 3000
	for _, c := range []struct {
		name                     string
		key, limit, log, retries bool
		another                  bool // Envoy than a second bare one
	}{
		{name: "bare"},
		{name: "nothing", another: true},
		{name: "retries", another: true, retries: true},
		{name: "limit", another: true, limit: true},
		{name: "key", another: true, key: true},
		{name: "log", another: true, log: true},
		{name: "full", another: true, key: true, limit: true, log: true, retries: true},
	} {
		b.Run(c.name, func(b *testing.B) {
			pod := newPod(b, "a", "z")
			bare := bareGateway(b, pod)
			other := bareGateway(b, pod)
			if c.another {
				f := function("feed", "/feed", pod)
				f.Spec.Routes[0].Hosts = []string{"a.test"}
				f.Spec.Retries.Off = !c.retries
				if c.limit {
					f.Spec.Capacity.PerPodQPS = 1e6
				}
				set := functions(f)
				if c.key {
					f.Spec.Access = &api.Access{Consumers: []string{"app"}}
					set.Consumers = []*api.Consumer{{Metadata: api.Metadata{Name: "app"}, Spec: api.ConsumerSpec{Keys: []api.Secret{"k-app"}}}}
				}
				other = fullGateway(b, set, c.log)
			}
			for b.Loop() {
				var ratios, costs []float64
				for range rounds {
					was := bare.costOf(b, calls)
					is := other.costOf(b, calls)
					ratios, costs = append(ratios, is/was), append(costs, is-was)
				}
				b.ReportMetric(middle(ratios), "of-bare")
				b.ReportMetric(middle(costs), "µs-more/call")
			}
		})
	}
}

func middle(xs []float64) float64 {
	slices.SortFunc(xs, cmp.Compare[float64])
	return xs[len(xs)/2]
}

// costing is an Envoy whose CPU is counted.
type costing struct {
	at  string
	pid int
}

func fullGateway(b *testing.B, set api.Set, log bool) costing {
	b.Helper()
	c := DefaultConfig()
	c.Gateway = freeAddr(b)
	if log {
		c.AccessLog, c.AccessLogFormat = filepath.Join(b.TempDir(), "calls.log"), calllog.EnvoyTextFormat()
	}
	s, err := New(c, slog.New(slog.DiscardHandler), prometheus.NewRegistry(), resolveForTest)
	if err != nil {
		b.Fatal(err)
	}
	run(b, s)
	if err := s.Apply(context.Background(), set); err != nil {
		b.Fatal(err)
	}
	s.SetReadiness(set.Functions[0].Spec.Revisions[0].Endpoints[0].Address, true)
	cmd, _ := runEnvoy(b, "test", "z", "gw-1", s.Addr(), freeAddr(b), "127.0.0.1:1")
	serves(b, c.Gateway)
	return costing{c.Gateway, cmd.Process.Pid}
}

// bareGateway is what everything is compared with: one route to one cluster.
func bareGateway(b *testing.B, p *pod) costing {
	b.Helper()
	at := freeAddr(b)
	text := fmt.Sprintf(`{"static_resources": {
  "listeners": [{"address": %s, "filter_chains": [{"filters": [{"name": "hcm", "typed_config": {
   "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
   "stat_prefix": "bare", "http_filters": [{"name": "envoy.filters.http.router", "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"}}],
   "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "pods"}}]}]}
  }}]}]}],
  "clusters": [{"name": "pods", "type": "STATIC", "connect_timeout": "1s",
   "load_assignment": {"cluster_name": "pods", "endpoints": [{"lb_endpoints": [{"endpoint": {"address": %s}}]}]}}]
}}`, socketAddress(at), socketAddress(p.address))
	cmd := startBare(b, text)
	serves(b, at)
	return costing{at, cmd}
}

func serves(b *testing.B, at string) {
	b.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}
	eventually(b, at+" serves", func() bool {
		req, err := http.NewRequest(http.MethodGet, "http://"+at+"/feed", nil)
		if err != nil {
			b.Fatal(err)
		}
		req.Host = "a.test"
		req.Header.Set("x-api-key", "k-app")
		res, err := client.Do(req)
		if err != nil {
			return false
		}
		res.Body.Close()
		return res.StatusCode == http.StatusOK
	})
}

// costOf is the CPU of a call over one of four connections, microseconds.
func (g costing) costOf(b *testing.B, calls int) float64 {
	const connections = 4
	before := g.cpu(b)
	var all sync.WaitGroup
	for range connections {
		all.Go(func() { g.call(b, calls/connections) })
	}
	all.Wait()
	return (g.cpu(b) - before) / float64(calls)
}

func (g costing) call(b *testing.B, calls int) {
	conn, err := net.Dial("tcp", g.at)
	if err != nil {
		b.Error(err)
		return
	}
	defer conn.Close()
	in := bufio.NewReader(conn)
	for range calls {
		if _, err := io.WriteString(conn, "GET /feed HTTP/1.1\r\nHost: a.test\r\nx-api-key: k-app\r\nuser-agent: bench/1.0\r\n\r\n"); err != nil {
			b.Error(err)
			return
		}
		res, err := http.ReadResponse(in, nil)
		if err != nil {
			b.Error(err)
			return
		}
		if _, err := io.Copy(io.Discard, res.Body); err != nil || res.StatusCode != http.StatusOK {
			b.Error(res.StatusCode, err)
			return
		}
	}
}

// cpu is what all threads of the process have used so far, microseconds.
func (g costing) cpu(b *testing.B) float64 {
	b.Helper()
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", g.pid))
	if err != nil {
		b.Fatal(err)
	}
	total := 0.0
	for _, task := range tasks {
		text, err := os.ReadFile(task)
		if err != nil {
			continue // the thread has ended
		}
		ns, err := strconv.ParseFloat(strings.Fields(string(text))[0], 64)
		if err != nil {
			b.Fatal(err)
		}
		total += ns / 1000
	}
	return total
}

// startBare runs an Envoy with a configuration of its own until the benchmark ends.
func startBare(b *testing.B, text string) (pid int) {
	b.Helper()
	file := filepath.Join(b.TempDir(), "envoy.json")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		b.Fatal(err)
	}
	cmd := exec.Command(envoyBinary(b), "-c", file, "--use-dynamic-base-id", "--concurrency", "1", "--log-level", "error")
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	return cmd.Process.Pid
}
