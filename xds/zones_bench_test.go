package xds

import (
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/kongdao/kongdao/api"
)

// BenchmarkZoneChoice sends the same requests through two real Envoys, in zones a
// and b, in three ways: endpoints without zones, Envoy's own zone-aware routing, and
// the weights of this control plane. home is the part that stays in its zone, and
// busiest the largest load of a pod over its rate, when the gateways admit together
// what the pods take.
func BenchmarkZoneChoice(b *testing.B) {
	for name, c := range map[string]struct{ podsA, podsB, weightA int }{
		"pods and gateways alike": {3, 3, 100},
		"most pods in zone b":     {1, 5, 100},
		"zone a at half share":    {3, 3, 50},
		"four pods":               {2, 2, 100},
	} {
		for _, way := range []string{"no zones", "zone aware", "kongdao"} {
			b.Run(strings.ReplaceAll(name+"/"+way, " ", "_"), func(b *testing.B) { zoneChoice(b, way, c.podsA, c.podsB, c.weightA) })
		}
	}
}

func zoneChoice(b *testing.B, way string, podsA, podsB, weightA int) {
	const requests = 1200 // of each gateway
	var pods []*pod
	for i := range podsA + podsB {
		zone := "zb-a"
		if i >= podsA {
			zone = "zb-b"
		}
		pods = append(pods, newPod(b, fmt.Sprint(i), zone))
	}
	places := []string{freeAddr(b), freeAddr(b)}
	if way == "kongdao" {
		ours(b, places, pods, weightA)
	} else {
		theirs(b, places, pods, way, weightA)
	}
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 4}, Timeout: patience}
	defer client.CloseIdleConnections()
	b.ResetTimer()
	for range b.N {
		home, busiest := measure(b, client, places, pods, requests, weightA)
		b.ReportMetric(100*home, "%home")
		b.ReportMetric(busiest, "busiest/rate")
	}
}

// measure sends requests and compares what pods got with their rates.
func measure(b *testing.B, client *http.Client, places []string, pods []*pod, n, weightA int) (home, busiest float64) {
	begun := map[string]int64{}
	for _, p := range pods {
		begun[p.name] = p.calls.Load()
	}
	for i, zone := range []string{"zb-a", "zb-b"} {
		inside := callsIn(pods, zone)
		for range n {
			res, err := client.Get("http://" + places[i] + "/feed")
			if err != nil {
				b.Fatal(err)
			}
			res.Body.Close()
			if res.StatusCode != http.StatusOK {
				b.Fatal(res.Status)
			}
		}
		home += float64(callsIn(pods, zone)-inside) / float64(2*n)
	}
	rates := 0.0
	rate := func(p *pod) float64 {
		if p.zone == "zb-a" {
			return float64(weightA) / 100
		}
		return 1
	}
	for _, p := range pods {
		rates += rate(p)
	}
	for _, p := range pods {
		got := float64(p.calls.Load() - begun[p.name])
		busiest = max(busiest, got/(rate(p)/rates*float64(2*n)))
	}
	return home, busiest
}

func callsIn(pods []*pod, zone string) (n int64) {
	for _, p := range pods {
		if p.zone == zone {
			n += p.calls.Load()
		}
	}
	return n
}

// ours is this control plane with a gateway in each zone.
func ours(b *testing.B, places []string, pods []*pod, weightA int) {
	c := DefaultConfig()
	c.Gateway = places[0]
	s := benchServer(b, c)
	f := function("feed", "/feed", pods...)
	set := functions(f)
	set.GatewayGroups = []*api.GatewayGroup{gatewayGroup("there", api.GatewayGroupSpec{Listen: places[1]})}
	if err := s.Apply(b.Context(), set); err != nil {
		b.Fatal(err)
	}
	for _, p := range pods {
		s.SetReadiness(p.address, true)
	}
	s.SetZoneWeight("zb-a", weightA)
	startEnvoyIn(b, "default", "zb-a", "gw-1", s.Addr(), freeAddr(b), "127.0.0.1:1")
	startEnvoyIn(b, "there", "zb-b", "gw-2", s.Addr(), freeAddr(b), "127.0.0.1:1")
	eventually(b, "both gateways count", func() bool { return len(s.Gateways()) == 2 })
	if err := s.WaitLive(b.Context()); err != nil {
		b.Fatal(err)
	}
	serving(b, places)
}

// theirs is Envoy by itself, with every endpoint and zone in its own file.
func theirs(b *testing.B, places []string, pods []*pod, way string, weightA int) {
	for i, zone := range []string{"zb-a", "zb-b"} {
		file := filepath.Join(b.TempDir(), "envoy.json")
		if err := os.WriteFile(file, []byte(staticEnvoy(zone, places[i], places, pods, way, weightA)), 0o600); err != nil {
			b.Fatal(err)
		}
		cmd := exec.Command(envoyBinary(b), "-c", file, "--use-dynamic-base-id", "--concurrency", "1", "--log-level", "error")
		if err := cmd.Start(); err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	}
	serving(b, places)
}

func serving(b *testing.B, places []string) {
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}
	for _, place := range places {
		eventually(b, place+" serves", func() bool {
			res, err := client.Get("http://" + place + "/feed")
			if err != nil {
				return false
			}
			res.Body.Close()
			return res.StatusCode == http.StatusOK
		})
	}
}

func staticEnvoy(zone, place string, places []string, pods []*pod, way string, weightA int) string {
	of := func(zone string) string {
		var all []string
		for _, p := range pods {
			if p.zone == zone {
				weight := 100
				if zone == "zb-a" {
					weight = weightA
				}
				all = append(all, fmt.Sprintf(`{"endpoint": {"address": %s}, "load_balancing_weight": %d}`, socketAddress(p.address), weight))
			}
		}
		return fmt.Sprintf(`{"locality": {"zone": %q}, "lb_endpoints": [%s]}`, zone, strings.Join(all, ","))
	}
	common := `{"healthy_panic_threshold": {"value": 0}, "zone_aware_lb_config": {"routing_enabled": {"value": 100}}}`
	if way == "no zones" {
		common = `{"healthy_panic_threshold": {"value": 0}, "zone_aware_lb_config": {"routing_enabled": {"value": 0}}}`
	}
	return fmt.Sprintf(`{
 "node": {"id": "gw-%[1]s", "cluster": "test", "locality": {"zone": %[1]q}},
 "cluster_manager": {"local_cluster_name": "gateways"},
 "static_resources": {
  "listeners": [{"address": %[2]s, "filter_chains": [{"filters": [{"name": "hcm", "typed_config": {
   "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
   "stat_prefix": "x", "http_filters": [{"name": "envoy.filters.http.router", "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"}}],
   "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "pods"}}]}]}
  }}]}]}],
  "clusters": [
   {"name": "gateways", "type": "STATIC", "connect_timeout": "1s", "load_assignment": {"cluster_name": "gateways", "endpoints": [
    {"locality": {"zone": "zb-a"}, "lb_endpoints": [{"endpoint": {"address": %[3]s}}]},
    {"locality": {"zone": "zb-b"}, "lb_endpoints": [{"endpoint": {"address": %[4]s}}]}]}},
   {"name": "pods", "type": "STATIC", "connect_timeout": "1s", "common_lb_config": %[5]s,
    "load_assignment": {"cluster_name": "pods", "endpoints": [%[6]s, %[7]s]}}
  ]}
}`, zone, socketAddress(place), socketAddress(places[0]), socketAddress(places[1]), common, of("zb-a"), of("zb-b"))
}

// benchServer is a control plane that runs until the benchmark ends.
func benchServer(b *testing.B, c Config) *Server {
	b.Helper()
	s, err := New(c, slog.New(slog.DiscardHandler), prometheus.NewRegistry(), nil)
	if err != nil {
		b.Fatal(err)
	}
	run(b, s)
	return s
}
