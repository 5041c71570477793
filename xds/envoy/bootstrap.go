package envoy

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"strconv"
	"time"

	bootstrap "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	cluster "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpoint "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	upstreamhttp "github.com/envoyproxy/go-control-plane/envoy/extensions/upstreams/http/v3"
	"golang.org/x/sys/unix"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// Names of the static clusters, for whoever refers to them in dynamic resources.
const (
	XDSCluster   = "xds"      // the control plane
	ALSCluster   = "als"      // the access log service; there when Options.ALSAddr is
	LocalCluster = "gateways" // the gateways that share a limit (local_cluster_rate_limit)
)

// Options is what a bootstrap depends on. All addresses are host:port.
type Options struct {
	NodeID, Cluster, Zone string
	XDSAddr               string
	SecretsDir            string // with what the control plane is called by TLS; empty: without
	ServerName            string // what its certificate must be good for; empty: its host
	ALSAddr               string // empty: no cluster for it
	AdminAddr             string
	HTTPAddr              string // this gateway, as a member of LocalCluster
	MaxConnections        int64
	MaxHeapBytes          uint64

	// Counters sends what the gateway counts to the access log service, once a
	// second: see sinks.
	Counters bool
}

// Bootstrap is Envoy's first configuration, as JSON. The same options give the
// same bytes.
func Bootstrap(o Options) ([]byte, error) {
	b, err := build(o)
	if err != nil {
		return nil, err
	}
	if err := b.ValidateAll(); err != nil {
		return nil, fmt.Errorf("bootstrap: %w", err)
	}
	raw, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(b)
	if err != nil {
		return nil, fmt.Errorf("bootstrap: %w", err)
	}
	var stable bytes.Buffer // protojson varies its spaces on purpose
	if err := json.Indent(&stable, raw, "", " "); err != nil {
		return nil, fmt.Errorf("bootstrap: %w", err)
	}
	return stable.Bytes(), nil
}

func build(o Options) (*bootstrap.Bootstrap, error) {
	admin, err := address(o.AdminAddr)
	if err != nil {
		return nil, fmt.Errorf("admin address: %w", err)
	}
	clusters, err := staticClusters(o)
	if err != nil {
		return nil, err
	}
	overload, err := overloadManager(o)
	if err != nil {
		return nil, err
	}
	b := &bootstrap.Bootstrap{
		Node: &core.Node{
			Id:       o.NodeID,
			Cluster:  o.Cluster,
			Locality: &core.Locality{Zone: o.Zone},
		},
		DynamicResources: &bootstrap.Bootstrap_DynamicResources{
			AdsConfig: controlPlane(),
			CdsConfig: overADS(),
			LdsConfig: overADS(),
		},
		StaticResources: &bootstrap.Bootstrap_StaticResources{Clusters: clusters},
		ClusterManager:  &bootstrap.ClusterManager{LocalClusterName: LocalCluster, LoadStatsConfig: loadReports()},
		Admin:           &bootstrap.Admin{Address: admin, IgnoreGlobalConnLimit: true, SocketOptions: BesideHolder()},
		OverloadManager: overload,
		StatsConfig:     statsConfig(),
		StatsFlush:      &bootstrap.Bootstrap_StatsFlushOnAdmin{StatsFlushOnAdmin: true}, // there is no sink to flush to
		LayeredRuntime:  runtimeLayers(),
	}
	if !o.Counters {
		return b, nil
	}
	return b, sendCounters(b)
}

// controlPlane is delta ADS. The small back-off lets a control plane that was
// restarted be found within a second; Envoy's own goes up to 30 s.
func controlPlane() *core.ApiConfigSource {
	return &core.ApiConfigSource{
		ApiType:                   core.ApiConfigSource_DELTA_GRPC,
		TransportApiVersion:       core.ApiVersion_V3,
		SetNodeOnFirstMessageOnly: true,
		GrpcServices: []*core.GrpcService{{
			TargetSpecifier: &core.GrpcService_EnvoyGrpc_{EnvoyGrpc: &core.GrpcService_EnvoyGrpc{
				ClusterName: XDSCluster,
				RetryPolicy: &core.RetryPolicy{RetryBackOff: &core.BackoffStrategy{
					BaseInterval: durationpb.New(50 * time.Millisecond),
					MaxInterval:  durationpb.New(500 * time.Millisecond),
				}},
			}},
		}},
	}
}

// loadReports tells the control plane what goes to clusters: limits are shared by it.
func loadReports() *core.ApiConfigSource {
	over := controlPlane()
	return &core.ApiConfigSource{
		ApiType: core.ApiConfigSource_GRPC, TransportApiVersion: core.ApiVersion_V3, GrpcServices: over.GrpcServices,
	}
}

// overADS waits for the first answer as long as it takes: a gateway that went
// live without its clusters would answer 503 to everything.
func overADS() *core.ConfigSource {
	return &core.ConfigSource{
		ResourceApiVersion:    core.ApiVersion_V3,
		InitialFetchTimeout:   durationpb.New(0),
		ConfigSourceSpecifier: &core.ConfigSource_Ads{Ads: &core.AggregatedConfigSource{}},
	}
}

func staticClusters(o Options) ([]*cluster.Cluster, error) {
	xds, err := grpcCluster(XDSCluster, o.XDSAddr)
	if err != nil {
		return nil, fmt.Errorf("xds address: %w", err)
	}
	if o.SecretsDir != "" {
		if err := encrypt(xds, o); err != nil {
			return nil, fmt.Errorf("xds address: %w", err)
		}
	}
	// The endpoint of the local cluster has no locality on purpose: with one,
	// Envoy would route by zone on its own for every function with six pods or
	// more, and no longer spread calls evenly over pods.
	local, err := plainCluster(LocalCluster, o.HTTPAddr)
	if err != nil {
		return nil, fmt.Errorf("http address: %w", err)
	}
	clusters := []*cluster.Cluster{xds, local}
	if o.ALSAddr == "" {
		return clusters, nil
	}
	als, err := grpcCluster(ALSCluster, o.ALSAddr)
	if err != nil {
		return nil, fmt.Errorf("als address: %w", err)
	}
	return append(clusters, als), nil
}

// grpcCluster speaks HTTP/2. A peer that vanished without a word is noticed by
// TCP keepalive, within about 8 s: HTTP/2 pings would do it too, but a gRPC
// server in Go answers frequent ones with GOAWAY unless told otherwise.
func grpcCluster(name, addr string) (*cluster.Cluster, error) {
	c, err := plainCluster(name, addr)
	if err != nil {
		return nil, err
	}
	options, err := pack(&upstreamhttp.HttpProtocolOptions{
		UpstreamProtocolOptions: &upstreamhttp.HttpProtocolOptions_ExplicitHttpConfig_{
			ExplicitHttpConfig: &upstreamhttp.HttpProtocolOptions_ExplicitHttpConfig{
				ProtocolConfig: &upstreamhttp.HttpProtocolOptions_ExplicitHttpConfig_Http2ProtocolOptions{
					Http2ProtocolOptions: &core.Http2ProtocolOptions{},
				},
			},
		},
	})
	if err != nil {
		return nil, err
	}
	c.TypedExtensionProtocolOptions = map[string]*anypb.Any{
		"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": options,
	}
	if _, ok := pipe(addr); ok {
		return c, nil // both ends are on this machine, and it is no TCP
	}
	c.UpstreamConnectionOptions = &cluster.UpstreamConnectionOptions{TcpKeepalive: &core.TcpKeepalive{
		KeepaliveTime:     wrapperspb.UInt32(5),
		KeepaliveInterval: wrapperspb.UInt32(1),
		KeepaliveProbes:   wrapperspb.UInt32(3),
	}}
	return c, nil
}

func plainCluster(name, addr string) (*cluster.Cluster, error) {
	a, err := address(addr)
	if err != nil {
		return nil, err
	}
	kind := cluster.Cluster_STATIC
	if a.GetPipe() == nil && net.ParseIP(a.GetSocketAddress().GetAddress()) == nil {
		kind = cluster.Cluster_STRICT_DNS
	}
	return &cluster.Cluster{
		Name:                 name,
		ConnectTimeout:       durationpb.New(time.Second),
		ClusterDiscoveryType: &cluster.Cluster_Type{Type: kind},
		LoadAssignment: &endpoint.ClusterLoadAssignment{
			ClusterName: name,
			Endpoints: []*endpoint.LocalityLbEndpoints{{LbEndpoints: []*endpoint.LbEndpoint{{
				HostIdentifier: &endpoint.LbEndpoint_Endpoint{Endpoint: &endpoint.Endpoint{Address: a}},
			}}}},
		},
	}, nil
}

func address(addr string) (*core.Address, error) {
	if a, ok := pipe(addr); ok {
		return a, nil
	}
	host, text, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	number, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return nil, fmt.Errorf("port %q: %w", text, err)
	}
	return &core.Address{Address: &core.Address_SocketAddress{SocketAddress: &core.SocketAddress{
		Address:       host,
		PortSpecifier: &core.SocketAddress_PortValue{PortValue: uint32(number)},
	}}}, nil
}

// BesideHolder lets Envoy's admin listen on the port that is held for it, as its
// listeners do by themselves.
func BesideHolder() []*core.SocketOption {
	return []*core.SocketOption{{
		Description: "SO_REUSEPORT",
		Level:       unix.SOL_SOCKET, Name: unix.SO_REUSEPORT,
		Value: &core.SocketOption_IntValue{IntValue: 1},
		State: core.SocketOption_STATE_PREBIND,
	}}
}

// runtimeLayers lets an operator change runtime values through the admin port;
// without the layer Envoy refuses.
func runtimeLayers() *bootstrap.LayeredRuntime {
	return &bootstrap.LayeredRuntime{Layers: []*bootstrap.RuntimeLayer{
		{Name: "static", LayerSpecifier: &bootstrap.RuntimeLayer_StaticLayer{StaticLayer: &structpb.Struct{}}},
		{Name: "admin", LayerSpecifier: &bootstrap.RuntimeLayer_AdminLayer_{AdminLayer: &bootstrap.RuntimeLayer_AdminLayer{}}},
	}}
}

// pack is anypb.New with the message's name in the error.
func pack(m proto.Message) (*anypb.Any, error) {
	a, err := anypb.New(m)
	if err != nil {
		return nil, fmt.Errorf("pack %s: %w", m.ProtoReflect().Descriptor().FullName(), err)
	}
	return a, nil
}
