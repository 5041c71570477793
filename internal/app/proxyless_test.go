package app_test

import (
	"fmt"
	"net"
	"net/http"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	grpcxds "google.golang.org/grpc/xds"

	"github.com/kongdao/kongdao/internal/app"
)

// TestCallersWithoutAGateway: what kongdao.yaml says lets gRPC clients in, and
// kongdao gateway list has them apart from gateways.
func TestCallersWithoutAGateway(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	pod := grpc.NewServer()
	healthpb.RegisterHealthServer(pod, health.NewServer())
	served := make(chan error, 1)
	go func() { served <- pod.Serve(l) }()
	t.Cleanup(func() { pod.Stop(); <-served })

	cfg := testConfig(t)
	cfg.XDS.Proxyless = true
	write(t, cfg.ResourcesDir, "checks.yaml", fmt.Sprintf(`apiVersion: kongdao.io/v1
kind: Function
metadata: {name: checks}
spec:
  routes: [{path: /grpc.health.v1.Health/*}]
  revisions: [{name: r1, protocol: grpc, endpoints: [{address: %q, zone: za}]}]
  access: {public: true}
`, l.Addr()))
	c := caller{t: t, system: start(t, cfg, app.PartXDS, app.PartAPI), client: &http.Client{Timeout: deadline}}
	t.Cleanup(c.client.CloseIdleConnections)

	resolver, err := grpcxds.NewXDSResolverWithConfigForTesting(fmt.Appendf(nil, `{
	 "xds_servers": [{"server_uri": "%s", "channel_creds": [{"type": "insecure"}], "server_features": ["xds_v3"]}],
	 "node": {"id": "checkout-1", "cluster": "default"}}`, c.system.Addresses().XDS))
	if err != nil {
		t.Fatal(err)
	}
	conn, err := grpc.NewClient("xds:///checks", grpc.WithResolvers(resolver), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if r, err := healthpb.NewHealthClient(conn).Check(t.Context(), &healthpb.HealthCheckRequest{}, grpc.WaitForReady(true)); err != nil || r.GetStatus() != healthpb.HealthCheckResponse_SERVING {
		t.Fatalf("%v, %v", r, err)
	}
	var all app.Gateways
	if status := c.api(http.MethodGet, "/gateways", nil, &all); status != http.StatusOK || len(all.Gateways) != 0 || len(all.Callers) != 1 || all.Callers[0].Node != "checkout-1" {
		t.Errorf("%d %+v", status, all)
	}
}
