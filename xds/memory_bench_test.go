package xds

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	route "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/kongdao/kongdao/api"
)

// memoryFunctions is how many functions the process of its own has.
const memoryFunctions = "KONGDAO_TEST_MEMORY_FUNCTIONS"

// BenchmarkMemory is what the control plane takes in a process of its own, with a
// canary Envoy and a gateway that has everything, for functions of two pods each
// that were read from YAML: at most, and 20 s after the gateway had it. The gateway
// is a client that says yes: an Envoy would check the health of all pods.
func BenchmarkMemory(b *testing.B) {
	for _, n := range []int{1000, 10_000, 50_000} {
		b.Run(fmt.Sprintf("functions=%d", n), func(b *testing.B) {
			for b.Loop() {
				most, settled := memoryOf(b, n)
				b.ReportMetric(most, "MB-at-most")
				b.ReportMetric(settled, "MB-settled")
			}
		})
	}
}

func memoryOf(b *testing.B, n int) (most, settled float64) {
	b.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestControlPlaneForMemory$", "-test.v", "-test.timeout=20m")
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%d", memoryFunctions, n))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	in, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if addr, ok := strings.CutPrefix(lines.Text(), "serves "); ok {
			defer agree(b, addr)()
		}
		if lines.Text() == "settled" {
			most, settled = processMB(b, cmd.Process.Pid, "VmHWM"), processMB(b, cmd.Process.Pid, "VmRSS")
			in.Close()
		}
	}
	if err := cmd.Wait(); err != nil || most == 0 {
		b.Fatal("the control plane's process: ", err)
	}
	return most, settled
}

// processMB reads a size of a process, MB.
func processMB(b *testing.B, pid int, what string) float64 {
	b.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		b.Fatal(err)
	}
	m := regexp.MustCompile(what + `:\s+(\d+) kB`).FindSubmatch(text)
	if m == nil {
		b.Fatalf("no %s", what)
	}
	kb, _ := strconv.ParseFloat(string(m[1]), 64)
	return kb / 1024
}

// TestControlPlaneForMemory is the process of BenchmarkMemory, and nothing else.
func TestControlPlaneForMemory(t *testing.T) {
	n, err := strconv.Atoi(os.Getenv(memoryFunctions))
	if err != nil {
		t.Skip("is the process of a benchmark")
	}
	c := DefaultConfig()
	c.Gateway = freeAddr(t)
	withCanary(t)(&c)
	s, err := New(c, slog.New(slog.DiscardHandler), prometheus.NewRegistry(), nil)
	if err != nil {
		t.Fatal(err)
	}
	run(t, s)
	if err := s.Apply(t.Context(), parsedFunctions(t, n)); err != nil {
		t.Fatal(err)
	}
	fmt.Println("serves " + s.Addr())
	eventually(t, "the gateway connects", func() bool { return len(s.serve.Gateways()) == 1 })
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	if err := s.WaitLive(ctx); err != nil {
		t.Fatal(err)
	}
	time.Sleep(20 * time.Second)
	fmt.Println("settled")
	bufio.NewReader(os.Stdin).ReadByte() // until the benchmark has looked
}

// parsedFunctions are functions as they come from files of a hundred each.
func parsedFunctions(t *testing.T, n int) api.Set {
	var sets []api.Set
	for file := range n / 100 {
		var b strings.Builder
		for i := range 100 {
			fmt.Fprintf(&b, `---
apiVersion: kongdao.io/v1
kind: Function
metadata: {name: f-%[1]d-%[2]d, tenant: t%[2]d}
spec:
  routes: [{hosts: [f%[1]d-%[2]d.example.com], path: /*}]
  revisions: [{name: r1, endpoints: [{address: "10.1.%[1]d.%[2]d:80", zone: zb-a}, {address: "10.2.%[1]d.%[2]d:80", zone: zb-b}]}]
  traffic: [{revision: r1, weight: 100}]
  capacity: {perPodQPS: 100}
  access: {public: true}
`, file%250, i+100*(file/250))
		}
		set, problems := api.Parse(fmt.Sprintf("f%d.yaml", file), []byte(b.String()))
		if len(set.Functions) != 100 {
			t.Fatal(problems)
		}
		sets = append(sets, set)
	}
	return api.Merge(sets...)
}

// agree is a gateway that takes everything, until stop.
func agree(b *testing.B, addr string) (stop func()) {
	b.Helper()
	conn, err := grpc.NewClient(addr, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(1<<30)))
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	wire, err := discovery.NewAggregatedDiscoveryServiceClient(conn).DeltaAggregatedResources(ctx)
	if err != nil {
		b.Fatal(err)
	}
	say := func(r *discovery.DeltaDiscoveryRequest) {
		if err := wire.Send(r); err != nil && ctx.Err() == nil {
			b.Error(err)
		}
	}
	for _, typeURL := range []string{resource.ClusterType, resource.ListenerType, resource.ScopedRouteType} {
		say(&discovery.DeltaDiscoveryRequest{Node: &core.Node{Id: "gw-1"}, TypeUrl: typeURL})
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			r, err := wire.Recv()
			if err != nil {
				return
			}
			say(&discovery.DeltaDiscoveryRequest{TypeUrl: r.GetTypeUrl(), ResponseNonce: r.GetNonce()})
			if more := needs(r); more != nil {
				say(more)
			}
		}
	}()
	return func() { cancel(); <-done; conn.Close() }
}

// needs asks for the endpoints of clusters, and for the routes of scopes.
func needs(r *discovery.DeltaDiscoveryResponse) *discovery.DeltaDiscoveryRequest {
	more := &discovery.DeltaDiscoveryRequest{TypeUrl: resource.EndpointType}
	names := map[string]bool{}
	for _, x := range r.GetResources() {
		switch r.GetTypeUrl() {
		case resource.ClusterType:
			names[x.GetName()] = true
		case resource.ScopedRouteType:
			more.TypeUrl = resource.RouteType
			s := &route.ScopedRouteConfiguration{}
			if x.GetResource().UnmarshalTo(s) == nil {
				names[s.GetRouteConfigurationName()] = true
			}
		}
	}
	if len(names) == 0 {
		return nil
	}
	more.ResourceNamesSubscribe = slices.Collect(maps.Keys(names))
	return more
}
