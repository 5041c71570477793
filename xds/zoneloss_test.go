package xds

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kongdao/kongdao/api"
)

// podsIn are two in each of three zones.
func podsIn(t testing.TB) (pods []*pod) {
	for _, zone := range []string{"zb-a", "zb-b", "zb-c"} {
		pods = append(pods, newPod(t, zone+"-1", zone), newPod(t, zone+"-2", zone))
	}
	return pods
}

// lose makes the pods of a zone end, or take calls and health checks and never answer.
func lose(pods []*pod, how string) {
	for _, p := range pods {
		switch {
		case p.zone != "zb-b":
		case how == "hung":
			p.status.Store(hang)
		default:
			p.stop()
		}
	}
}

// outcome is what callers got.
type outcome struct {
	mu     sync.Mutex
	sent   int
	failed []string
	took   []time.Duration
}

// callAll calls at a steady rate for a while, however long answers take, and does
// something in the middle of it.
func callAll(t testing.TB, url string, rate int, length time.Duration, middle func()) *outcome {
	t.Helper()
	o := &outcome{}
	transport := &http.Transport{MaxIdleConnsPerHost: 1000, MaxIdleConns: 1000}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, Timeout: patience}
	var calls sync.WaitGroup
	tick := time.NewTicker(time.Second / time.Duration(rate))
	defer tick.Stop()
	n := int(length.Seconds() * float64(rate))
	for i := range n {
		<-tick.C
		if i == n/3 {
			calls.Go(middle)
		}
		calls.Go(func() { o.call(client, url) })
	}
	calls.Wait()
	return o
}

func (o *outcome) call(client *http.Client, url string) {
	began := time.Now()
	res, err := client.Get(url)
	why := ""
	switch {
	case err != nil:
		why = err.Error()
	case res.StatusCode != http.StatusOK:
		why = res.Status
	}
	if err == nil {
		_ = res.Body.Close() // what matters is the status
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.sent++
	o.took = append(o.took, time.Since(began))
	if why != "" {
		o.failed = append(o.failed, why)
	}
}

func (o *outcome) p99() time.Duration {
	slices.Sort(o.took)
	return o.took[len(o.took)*99/100]
}

// lossFunction is what a function has to say for a lost zone to lose no call.
func lossFunction(pods []*pod) *api.Function {
	f := function("feed", "/feed", pods...)
	f.Spec.HealthCheck.Path = "/healthz"
	f.Spec.TryTimeout = api.Duration(250 * time.Millisecond)
	return f
}

// TestALostZoneLosesNoCall, whether its pods are gone or hang.
func TestALostZoneLosesNoCall(t *testing.T) {
	for _, how := range []string{"killed", "hung"} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			pods := podsIn(t)
			r := newRig(t, functions(lossFunction(pods)))
			o := callAll(t, "http://"+r.gateway+"/feed", 150, 3*time.Second, func() { lose(pods, how) })
			if len(o.failed) > 0 {
				t.Errorf("%d of %d calls failed: %q", len(o.failed), o.sent, o.failed[:min(5, len(o.failed))])
			}
		})
	}
}

// BenchmarkZoneLost loses one of three zones under 500 calls a second, with this
// control plane and with a plain Envoy cluster of the same pods.
func BenchmarkZoneLost(b *testing.B) {
	for _, how := range []string{"killed", "hung"} {
		for _, way := range []string{"kongdao", "plain"} {
			b.Run(how+"/"+way, func(b *testing.B) {
				failed, p99 := 0, time.Duration(0)
				for b.Loop() {
					pods, place := podsIn(b), freeAddr(b)
					if way == "kongdao" {
						lossOurs(b, place, pods)
					} else {
						lossPlain(b, place, pods)
					}
					o := callAll(b, "http://"+place+"/feed", 500, 9*time.Second, func() { lose(pods, how) })
					failed, p99 = failed+len(o.failed), max(p99, o.p99())
				}
				b.ReportMetric(float64(failed)/float64(b.N), "failed/4500")
				b.ReportMetric(float64(p99.Milliseconds()), "ms-p99")
			})
		}
	}
}

func lossOurs(b *testing.B, place string, pods []*pod) {
	c := DefaultConfig()
	c.Gateway = place
	s := benchServer(b, c)
	if err := s.Apply(b.Context(), functions(lossFunction(pods))); err != nil {
		b.Fatal(err)
	}
	for _, p := range pods {
		s.SetReadiness(p.address, true)
	}
	startEnvoy(b, "gw-1", s.Addr(), freeAddr(b))
	ctx, cancel := context.WithTimeout(b.Context(), patience)
	defer cancel()
	eventually(b, "the gateway counts", func() bool { return len(s.Gateways()) == 1 })
	if err := s.WaitLive(ctx); err != nil {
		b.Fatal(err)
	}
	serving(b, []string{place})
}

// lossPlain is a route to a cluster with nothing but a timeout of two seconds.
func lossPlain(b *testing.B, place string, pods []*pod) {
	var ends []string
	for _, p := range pods {
		ends = append(ends, fmt.Sprintf(`{"endpoint": {"address": %s}}`, socketAddress(p.address)))
	}
	file := filepath.Join(b.TempDir(), "envoy.json")
	text := fmt.Sprintf(plainEnvoy, socketAddress(place), strings.Join(ends, ","))
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		b.Fatal(err)
	}
	cmd := exec.Command(envoyBinary(b), "-c", file, "--use-dynamic-base-id", "--concurrency", "1", "--log-level", "error")
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	serving(b, []string{place})
}

const plainEnvoy = `{"static_resources": {
 "listeners": [{"address": %s, "filter_chains": [{"filters": [{"name": "hcm", "typed_config": {
  "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
  "stat_prefix": "plain",
  "http_filters": [{"name": "router", "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"}}],
  "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "feed", "timeout": "2s"}}]}]}
 }}]}]}],
 "clusters": [{"name": "feed", "type": "STATIC", "connect_timeout": "1s", "load_assignment": {"cluster_name": "feed", "endpoints": [{"lb_endpoints": [%s]}]}}]
}}`
