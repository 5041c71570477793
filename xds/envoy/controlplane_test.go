package envoy

import (
	"context"
	"net"
	"testing"

	accesslog "github.com/envoyproxy/go-control-plane/envoy/config/accesslog/v3"
	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listener "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	route "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	filelog "github.com/envoyproxy/go-control-plane/envoy/extensions/access_loggers/file/v3"
	router "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/router/v3"
	hcm "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/envoyproxy/go-control-plane/pkg/cache/types"
	"github.com/envoyproxy/go-control-plane/pkg/cache/v3"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"github.com/envoyproxy/go-control-plane/pkg/server/v3"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
)

const testNode = "gateway-1"

// serveXDS is a control plane on addr with one listener that answers every
// request itself with the given status and logs it to logPath. It returns the
// address and what ends it.
func serveXDS(addr, httpAddr, logPath string, status uint32) (string, func(), error) {
	l, err := testListener(httpAddr, logPath, status)
	if err != nil {
		return "", nil, err
	}
	snapshot, err := cache.NewSnapshot("1", map[resource.Type][]types.Resource{resource.ListenerType: {l}})
	if err != nil {
		return "", nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	snapshots := cache.NewSnapshotCache(true, cache.IDHash{}, nil)
	if err := snapshots.SetSnapshot(ctx, testNode, snapshot); err != nil {
		cancel()
		return "", nil, err
	}
	socket, err := net.Listen("tcp", addr)
	if err != nil {
		cancel()
		return "", nil, err
	}
	s := grpc.NewServer()
	discovery.RegisterAggregatedDiscoveryServiceServer(s, server.NewServer(ctx, snapshots, nil))
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = s.Serve(socket)
	}()
	return socket.Addr().String(), func() { cancel(); s.Stop(); <-done }, nil
}

func testListener(httpAddr, logPath string, status uint32) (*listener.Listener, error) {
	a, err := address(httpAddr)
	if err != nil {
		return nil, err
	}
	logFile, err := anypb.New(&filelog.FileAccessLog{Path: logPath})
	if err != nil {
		return nil, err
	}
	last, err := anypb.New(&router.Router{})
	if err != nil {
		return nil, err
	}
	manager, err := anypb.New(&hcm.HttpConnectionManager{
		StatPrefix: "gateway",
		RouteSpecifier: &hcm.HttpConnectionManager_RouteConfig{RouteConfig: &route.RouteConfiguration{
			Name: "all",
			VirtualHosts: []*route.VirtualHost{{Name: "all", Domains: []string{"*"}, Routes: []*route.Route{{
				Match:  &route.RouteMatch{PathSpecifier: &route.RouteMatch_Prefix{Prefix: "/"}},
				Action: &route.Route_DirectResponse{DirectResponse: &route.DirectResponseAction{Status: status}},
			}}}},
		}},
		AccessLog:   []*accesslog.AccessLog{{Name: "file", ConfigType: &accesslog.AccessLog_TypedConfig{TypedConfig: logFile}}},
		HttpFilters: []*hcm.HttpFilter{{Name: "router", ConfigType: &hcm.HttpFilter_TypedConfig{TypedConfig: last}}},
	})
	if err != nil {
		return nil, err
	}
	return &listener.Listener{
		Name:    "gateway",
		Address: proto.Clone(a).(*core.Address),
		FilterChains: []*listener.FilterChain{{Filters: []*listener.Filter{{
			Name: "hcm", ConfigType: &listener.Filter_TypedConfig{TypedConfig: manager},
		}}}},
	}, nil
}

func mustServeXDS(t *testing.T, addr, httpAddr, logPath string, status uint32) (string, func()) {
	t.Helper()
	at, stop, err := serveXDS(addr, httpAddr, logPath, status)
	if err != nil {
		t.Fatal(err)
	}
	return at, stop
}
