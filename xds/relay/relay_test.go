package relay

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	cluster "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpoint "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	listener "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	route "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	router "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/router/v3"
	hcm "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/kongdao/kongdao/api"
	"github.com/kongdao/kongdao/internal/testkit"
	"github.com/kongdao/kongdao/xds/envoy"
	"github.com/kongdao/kongdao/xds/serve"
)

const patience = 30 * time.Second

func pack(t testing.TB, m proto.Message) *anypb.Any {
	t.Helper()
	a, err := anypb.New(m)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// answering is a gateway's listener that answers everything with a text.
func answering(t testing.TB, addr, text string) map[string]*anypb.Any {
	t.Helper()
	host, port, _ := net.SplitHostPort(addr)
	n, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	manager := &hcm.HttpConnectionManager{
		StatPrefix: "gateway",
		RouteSpecifier: &hcm.HttpConnectionManager_RouteConfig{RouteConfig: &route.RouteConfiguration{VirtualHosts: []*route.VirtualHost{{
			Name: "all", Domains: []string{"*"}, Routes: []*route.Route{{
				Match: &route.RouteMatch{PathSpecifier: &route.RouteMatch_Prefix{Prefix: "/"}},
				Action: &route.Route_DirectResponse{DirectResponse: &route.DirectResponseAction{
					Status: 200, Body: &core.DataSource{Specifier: &core.DataSource_InlineString{InlineString: text}},
				}},
			}},
		}}}},
		HttpFilters: []*hcm.HttpFilter{{Name: "router", ConfigType: &hcm.HttpFilter_TypedConfig{TypedConfig: pack(t, &router.Router{})}}},
	}
	return map[string]*anypb.Any{"gateway": pack(t, &listener.Listener{
		Name: "gateway",
		Address: &core.Address{Address: &core.Address_SocketAddress{SocketAddress: &core.SocketAddress{
			Address: host, PortSpecifier: &core.SocketAddress_PortValue{PortValue: uint32(n)},
		}}},
		FilterChains: []*listener.FilterChain{{Filters: []*listener.Filter{{
			Name: "hcm", ConfigType: &listener.Filter_TypedConfig{TypedConfig: pack(t, manager)},
		}}}},
	})}
}

func eds(t testing.TB, name string, alter func(*cluster.Cluster)) map[string]*anypb.Any {
	t.Helper()
	c := &cluster.Cluster{
		Name: name, ConnectTimeout: durationpb.New(time.Second),
		ClusterDiscoveryType: &cluster.Cluster_Type{Type: cluster.Cluster_EDS},
		EdsClusterConfig: &cluster.Cluster_EdsClusterConfig{EdsConfig: &core.ConfigSource{
			ResourceApiVersion: core.ApiVersion_V3, ConfigSourceSpecifier: &core.ConfigSource_Ads{Ads: &core.AggregatedConfigSource{}},
		}},
	}
	if alter != nil {
		alter(c)
	}
	return map[string]*anypb.Any{name: pack(t, c)}
}

func noPods(t testing.TB, name string) map[string]*anypb.Any {
	t.Helper()
	return map[string]*anypb.Any{name: pack(t, &endpoint.ClusterLoadAssignment{ClusterName: name})}
}

// controlPlane serves at addr until stop.
func controlPlane(t testing.TB, addr string) (group *serve.Group, at string, stop func()) {
	t.Helper()
	_, group, at, stop = controlPlaneOf(t, addr)
	return group, at, stop
}

func controlPlaneOf(t testing.TB, addr string) (s *serve.Server, group *serve.Group, at string, stop func()) {
	t.Helper()
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	s = serve.New(slog.New(slog.DiscardHandler), serve.Events{})
	g := grpc.NewServer(grpc.WaitForHandlers(true))
	discovery.RegisterAggregatedDiscoveryServiceServer(g, s)
	done := make(chan error, 1)
	go func() { done <- g.Serve(l) }()
	stop = sync.OnceFunc(func() {
		g.Stop()
		<-done
	})
	t.Cleanup(stop)
	return s, s.Group(serve.DefaultGroup), l.Addr().String(), stop
}

// running is a relay with its Envoy.
type running struct {
	relay   *Relay
	gateway *envoy.Gateway
	reg     *prometheus.Registry
	silent  func() (time.Duration, []string)
	stop    func()
}

func start(t testing.TB, dir, addr, upstream string, alter func(*Config), also ...func(*running)) *running {
	t.Helper()
	return startWith(t, dir, addr, upstream, nil, alter, also...)
}

func startWith(t testing.TB, dir, addr, upstream string, alterEnvoy func(*envoy.Config), alter func(*Config), also ...func(*running)) *running {
	t.Helper()
	r := &running{reg: prometheus.NewRegistry()}
	rc := DefaultConfig()
	rc.Dir, rc.Upstream = dir, upstream
	if alter != nil {
		alter(&rc)
	}
	gc := envoy.DefaultConfig()
	gc.Dir, gc.HTTPAddr, gc.XDSAddr, gc.Concurrency, gc.Drain = dir, addr, envoy.UnixAddr(SocketName), 1, 0
	if alterEnvoy != nil {
		alterEnvoy(&gc)
	}
	var err error
	if r.gateway, err = envoy.New(gc, logTo(t), r.reg); err != nil {
		t.Fatal(err)
	}
	if r.relay, err = New(rc, logTo(t), r.reg); err != nil {
		t.Fatal(err)
	}
	r.silent = r.relay.Silent
	for _, f := range also {
		f(r)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 3)
	go func() { done <- r.relay.Run(ctx) }()
	go func() { done <- r.gateway.Run(ctx) }()
	go func() { done <- r.gateway.Watch(ctx, r.silent) }()
	r.stop = sync.OnceFunc(func() {
		cancel()
		for range 3 {
			if err := <-done; err != nil {
				t.Errorf("run: %v", err)
			}
		}
	})
	t.Cleanup(r.stop)
	return r
}

func logTo(t testing.TB) *slog.Logger { return slog.New(slog.NewTextHandler(t.Output(), nil)) }

func freeAddr(t testing.TB) string {
	t.Helper()
	port, err := envoy.FreePort("127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
}

func ready(t testing.TB, g *envoy.Gateway) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := g.Ready(ctx); err != nil {
		t.Fatal(err)
	}
}

// acked waits until everything is accepted, which Envoy says after it serves it.
func acked(t testing.TB, group *serve.Group) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for _, typeURL := range []string{resource.ClusterType, resource.EndpointType, resource.ListenerType} {
		if err := group.WaitAcked(ctx, typeURL); err != nil {
			t.Fatal(err)
		}
	}
}

// answer is what the gateway says; empty: nothing.
func answer(addr string) string {
	client := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Get("http://" + addr + "/")
	if err != nil {
		return ""
	}
	defer res.Body.Close()
	b, _ := io.ReadAll(res.Body)
	return string(b)
}

// TestColdStartWithoutControlPlane ends the control plane, then relay and Envoy, and
// starts these two again: they serve as before. The control plane that comes back
// says what changed.
func TestColdStartWithoutControlPlane(t *testing.T) {
	dir, addr := t.TempDir(), freeAddr(t)
	group, at, stop := controlPlane(t, "127.0.0.1:0")
	group.Update(resource.ClusterType, eds(t, "f/r", nil), nil)
	group.Update(resource.EndpointType, noPods(t, "f/r"), nil)
	group.Update(resource.ListenerType, answering(t, addr, "first"), nil)
	group.Open()
	r := start(t, dir, addr, at, nil)
	ready(t, r.gateway)
	group.Update(resource.ListenerType, answering(t, addr, "second"), nil)
	testkit.Eventually(t, "the change arrives", func() bool { return answer(addr) == "second" })
	acked(t, group)
	stop()
	if got := answer(addr); got != "second" {
		t.Errorf("without a control plane: %q", got)
	}
	r.stop()

	begin := time.Now()
	again := start(t, dir, addr, at, nil)
	ready(t, again.gateway)
	if got := answer(addr); got != "second" {
		t.Errorf("after a cold start: %q", got)
	}
	t.Logf("first answer after %v", time.Since(begin))

	calling := callsTo(addr)
	server, group, _, _ := controlPlaneOf(t, at)
	group.Update(resource.ClusterType, eds(t, "f/r", nil), nil)
	group.Update(resource.EndpointType, noPods(t, "f/r"), nil)
	group.Update(resource.ListenerType, answering(t, addr, "third"), nil)
	group.Open()
	testkit.Eventually(t, "the control plane is heard again", func() bool { return answer(addr) == "third" })
	calling().none(t, 0)
	all := server.Gateways()
	if len(all) != 1 || all[0].Disk == nil || all[0].Disk.Since.Before(begin) || !all[0].Disk.Until.After(all[0].Disk.Since) {
		t.Errorf("the control plane is not told that the gateway was served from disk: %+v", all)
	}
	if got := again.gateway.Restarts(); got != 0 {
		t.Errorf("%d restarts", got)
	}
}

// TestTheControlPlaneIsAwayForAWhile: a gateway that runs serves on, and hears the one
// that comes back. It was not served from disk.
func TestTheControlPlaneIsAwayForAWhile(t *testing.T) {
	dir, addr := t.TempDir(), freeAddr(t)
	group, at, stop := controlPlane(t, "127.0.0.1:0")
	group.Update(resource.ClusterType, eds(t, "f/r", nil), nil)
	group.Update(resource.EndpointType, noPods(t, "f/r"), nil)
	group.Update(resource.ListenerType, answering(t, addr, "first"), nil)
	group.Open()
	r := start(t, dir, addr, at, nil)
	ready(t, r.gateway)
	calling := callsTo(addr)
	stop()
	testkit.Eventually(t, "Envoy waits at the relay", func() bool {
		r.relay.mu.Lock()
		defer r.relay.mu.Unlock()
		for s := range r.relay.streams {
			return s.warm && r.relay.upstream.GetState() != connectivity.Ready
		}
		return false
	})
	server, group, _, _ := controlPlaneOf(t, at)
	group.Update(resource.ClusterType, eds(t, "f/r", nil), nil)
	group.Update(resource.EndpointType, noPods(t, "f/r"), nil)
	group.Update(resource.ListenerType, answering(t, addr, "second"), nil)
	group.Open()
	testkit.Eventually(t, "the control plane is heard again", func() bool { return answer(addr) == "second" })
	calling().none(t, 0)
	if all := server.Gateways(); len(all) != 1 || all[0].Disk != nil {
		t.Errorf("%+v", all)
	}
}

// TestAControlPlaneThatSaysNothing is there and has no configuration yet: the
// gateway that starts meanwhile serves what it had.
func TestAControlPlaneThatSaysNothing(t *testing.T) {
	dir, addr := t.TempDir(), freeAddr(t)
	group, at, stop := controlPlane(t, "127.0.0.1:0")
	group.Update(resource.ListenerType, answering(t, addr, "first"), nil)
	group.Open()
	r := start(t, dir, addr, at, nil)
	ready(t, r.gateway)
	acked(t, group)
	r.stop()
	stop()
	group, _, _ = controlPlane(t, at)
	again := start(t, dir, addr, at, func(c *Config) { c.Patience = api.Duration(100 * time.Millisecond) })
	ready(t, again.gateway)
	group.Update(resource.ListenerType, answering(t, addr, "second"), nil)
	group.Open()
	testkit.Eventually(t, "the control plane is heard", func() bool { return answer(addr) == "second" })
}

// TestSlowIsNotSilent: what Envoy may take grows with the size of what it takes.
func TestSlowIsNotSilent(t *testing.T) {
	r := &Relay{config: DefaultConfig(), streams: map[*session]struct{}{}, journal: &journal{}}
	s := &session{relay: r, pending: map[string]waiting{}}
	r.streams[s] = struct{}{}
	now := time.Now()
	for _, c := range []struct {
		resources int
		after     time.Duration
		silent    bool
	}{
		{1, 9 * time.Second, false},
		{1, 11 * time.Second, true},
		{10_000, 59 * time.Second, false},
		{10_000, 61 * time.Second, true},
	} {
		response := &discovery.DeltaDiscoveryResponse{RemovedResources: make([]string, c.resources)}
		s.pending = map[string]waiting{"1": {response, now}}
		got, names := r.silentAt(now.Add(c.after))
		if got > 0 != c.silent || c.silent && len(names) != c.resources {
			t.Errorf("%d resources after %v: silent %v, %d names", c.resources, c.after, got, len(names))
		}
	}
	s.pending = map[string]waiting{}
	if got, _ := r.silentAt(now.Add(time.Hour)); got > 0 {
		t.Error("silent with nothing to answer")
	}
}

// TestWhatIsRefusedIsNotOnDisk: a listener that Envoy refuses is not what it starts
// with.
func TestWhatIsRefusedIsNotOnDisk(t *testing.T) {
	dir, addr := t.TempDir(), freeAddr(t)
	server, group, at, _ := controlPlaneOf(t, "127.0.0.1:0")
	group.Update(resource.ListenerType, answering(t, addr, "first"), nil)
	group.Open()
	r := start(t, dir, addr, at, nil)
	ready(t, r.gateway)
	bad := answering(t, addr, "second")
	bad["gateway"] = pack(t, &listener.Listener{Name: "gateway"}) // no address
	group.Update(resource.ListenerType, bad, nil)
	testkit.Eventually(t, "it is refused", func() bool { all := server.Gateways(); return len(all) == 1 && len(all[0].Rejected) == 1 })
	found, err := read(filepath.Join(dir, FileName))
	if err != nil {
		t.Fatal(err)
	}
	kept := found.kept[resource.ListenerType]
	if len(kept) != 1 || !proto.Equal(kept["gateway"].GetResource(), answering(t, addr, "first")["gateway"]) {
		t.Errorf("on disk: %v", kept)
	}
	if info, err := os.Stat(filepath.Join(dir, FileName)); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v: it may hold private keys", info.Mode(), err)
	}
}
