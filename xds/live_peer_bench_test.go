package xds

import (
	"context"
	"fmt"
	"net"
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
	"github.com/envoyproxy/go-control-plane/pkg/cache/types"
	"github.com/envoyproxy/go-control-plane/pkg/cache/v3"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	xdsserver "github.com/envoyproxy/go-control-plane/pkg/server/v3"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
)

// peerLive is the peers' way: all routes in one route configuration, everything in a
// snapshot of go-control-plane's cache, which is replaced whole.
type peerLive struct {
	b  *testing.B
	at string

	mu        sync.Mutex
	version   int
	cache     cache.SnapshotCache
	hosts     []*route.VirtualHost
	clusters  []types.Resource
	endpoints []types.Resource
	listeners []types.Resource
	pods      [2]string
}

const peerNode = "peer"

func newPeer(b *testing.B, n int) *peerLive {
	p := &peerLive{b: b, at: freeAddr(b), cache: cache.NewSnapshotCache(true, cache.IDHash{}, nil)}
	for i := range n {
		name := fmt.Sprintf("f%05d", i)
		p.clusters = append(p.clusters, &cluster.Cluster{
			Name: name, ConnectTimeout: durationpb.New(time.Second),
			ClusterDiscoveryType: &cluster.Cluster_Type{Type: cluster.Cluster_EDS},
			EdsClusterConfig:     &cluster.Cluster_EdsClusterConfig{EdsConfig: peerSource()},
		})
		p.endpoints = append(p.endpoints, &endpoint.ClusterLoadAssignment{ClusterName: name})
		p.hosts = append(p.hosts, &route.VirtualHost{
			Name: name, Domains: []string{fmt.Sprintf("h%d.example.com", i)}, Routes: []*route.Route{peerRoute(i, "v0")},
		})
	}
	p.hosts[liveProbes].Domains = []string{"pods.example.com"}
	for i := range p.pods {
		p.pods[i] = newPod(b, strconv.Itoa(i), "z").address
	}
	p.listeners = []types.Resource{p.listener()}
	p.pod(0)
	startEnvoy(b, peerNode, p.serve(), freeAddr(b))
	listens(b, p.at)
	newProbe(b, p.at).until("h0.example.com", "v0")
	newProbe(b, p.at).until("pods.example.com", "0")
	return p
}

func (p *peerLive) serve() string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		p.b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	g := grpc.NewServer()
	discovery.RegisterAggregatedDiscoveryServiceServer(g, xdsserver.NewServer(ctx, p.cache, nil))
	done := make(chan struct{})
	go func() { defer close(done); _ = g.Serve(l) }()
	p.b.Cleanup(func() { cancel(); g.Stop(); <-done })
	return l.Addr().String()
}

func peerSource() *core.ConfigSource {
	return &core.ConfigSource{ResourceApiVersion: core.ApiVersion_V3, ConfigSourceSpecifier: &core.ConfigSource_Ads{Ads: &core.AggregatedConfigSource{}}}
}

func peerRoute(i int, answer string) *route.Route {
	r := &route.Route{Name: fmt.Sprintf("f%05d", i), Match: &route.RouteMatch{PathSpecifier: &route.RouteMatch_Prefix{Prefix: "/"}}}
	if i < liveProbes {
		r.Action = &route.Route_DirectResponse{DirectResponse: &route.DirectResponseAction{
			Status: 200, Body: &core.DataSource{Specifier: &core.DataSource_InlineString{InlineString: answer}},
		}}
		return r
	}
	r.RequestHeadersToAdd = []*core.HeaderValueOption{headerOption("x-version", answer)}
	r.Action = &route.Route_Route{Route: &route.RouteAction{
		ClusterSpecifier: &route.RouteAction_Cluster{Cluster: fmt.Sprintf("f%05d", i)},
		RetryPolicy:      &route.RetryPolicy{RetryOn: "connect-failure"},
	}}
	return r
}

func (p *peerLive) listener() *listener.Listener {
	manager := anyOf(&hcm.HttpConnectionManager{
		StatPrefix: "peer",
		RouteSpecifier: &hcm.HttpConnectionManager_Rds{Rds: &hcm.Rds{
			RouteConfigName: "all", ConfigSource: peerSource(),
		}},
		HttpFilters: []*hcm.HttpFilter{{Name: "router", ConfigType: &hcm.HttpFilter_TypedConfig{TypedConfig: anyOf(&router.Router{})}}},
	})
	host, port, _ := net.SplitHostPort(p.at)
	n, _ := strconv.Atoi(port)
	return &listener.Listener{
		Name: "peer", Address: peerAddress(host, n),
		FilterChains: []*listener.FilterChain{{Filters: []*listener.Filter{{Name: "hcm", ConfigType: &listener.Filter_TypedConfig{TypedConfig: manager}}}}},
	}
}

func peerAddress(host string, port int) *core.Address {
	return &core.Address{Address: &core.Address_SocketAddress{SocketAddress: &core.SocketAddress{
		Address: host, PortSpecifier: &core.SocketAddress_PortValue{PortValue: uint32(port)},
	}}}
}

func (p *peerLive) gateway() string { return p.at }

func (p *peerLive) route(i int, answer string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.hosts[i] = &route.VirtualHost{Name: p.hosts[i].Name, Domains: p.hosts[i].Domains, Routes: []*route.Route{peerRoute(i, answer)}}
	p.publish()
}

func (p *peerLive) pod(i int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	host, port, _ := net.SplitHostPort(p.pods[i])
	n, _ := strconv.Atoi(port)
	p.endpoints[liveProbes] = &endpoint.ClusterLoadAssignment{ClusterName: fmt.Sprintf("f%05d", liveProbes), Endpoints: []*endpoint.LocalityLbEndpoints{{
		LbEndpoints: []*endpoint.LbEndpoint{{HostIdentifier: &endpoint.LbEndpoint_Endpoint{Endpoint: &endpoint.Endpoint{Address: peerAddress(host, n)}}}},
	}}}
	p.publish()
}

func (p *peerLive) publish() {
	p.version++
	routes := &route.RouteConfiguration{Name: "all", VirtualHosts: append([]*route.VirtualHost(nil), p.hosts...)}
	snapshot, err := cache.NewSnapshot(strconv.Itoa(p.version), map[resource.Type][]types.Resource{
		resource.ClusterType: p.clusters, resource.EndpointType: append([]types.Resource(nil), p.endpoints...),
		resource.RouteType: {proto.Message(routes)}, resource.ListenerType: p.listeners,
	})
	if err != nil {
		p.b.Fatal(err)
	}
	if err := p.cache.SetSnapshot(context.Background(), peerNode, snapshot); err != nil {
		p.b.Fatal(err)
	}
}
