package app

import (
	"context"
	"log/slog"
	"slices"
	"testing"
	"time"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/kongdao/kongdao/api"
	"github.com/kongdao/kongdao/internal/config"
	"github.com/kongdao/kongdao/internal/testkit"
	"github.com/kongdao/kongdao/xds"
)

// stalled is a gateway that asks for clusters and leaves what it gets unanswered.
type stalled struct {
	t      *testing.T
	stream discovery.AggregatedDiscoveryService_DeltaAggregatedResourcesClient
	nonce  string
}

func stall(t *testing.T, addr, node string) *stalled {
	t.Helper()
	conn, err := grpc.NewClient(addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	stream, err := discovery.NewAggregatedDiscoveryServiceClient(conn).DeltaAggregatedResources(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s := &stalled{t: t, stream: stream}
	s.send(&discovery.DeltaDiscoveryRequest{Node: &core.Node{Id: node}, TypeUrl: resource.ClusterType})
	got, err := stream.Recv()
	if err != nil {
		t.Fatal(err)
	}
	s.nonce = got.GetNonce()
	return s
}

func (s *stalled) send(q *discovery.DeltaDiscoveryRequest) {
	s.t.Helper()
	if err := s.stream.Send(q); err != nil {
		s.t.Fatal(err)
	}
}

func (s *stalled) answer() {
	s.t.Helper()
	s.send(&discovery.DeltaDiscoveryRequest{TypeUrl: resource.ClusterType, ResponseNonce: s.nonce})
}

// TestSilenceOfTheOwnEnvoy is what the Envoy of a whole system is replaced by: that
// it, and no other gateway, leaves what this process's control plane says unanswered.
func TestSilenceOfTheOwnEnvoy(t *testing.T) {
	c := xds.DefaultConfig()
	c.Listen, c.SilenceThreshold = "127.0.0.1:0", api.Duration(time.Millisecond)
	server, err := xds.New(c, slog.New(slog.DiscardHandler), prometheus.NewRegistry(), nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- server.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	feed := &api.Function{Metadata: api.Metadata{Name: "feed"}, Spec: api.FunctionSpec{
		Routes:    []api.Route{{Path: "/feed"}},
		Revisions: []api.Revision{{Name: "r1", Endpoints: []api.Endpoint{{Address: "127.0.0.1:1", Zone: "z"}}}},
	}}
	if err := server.Apply(ctx, api.Set{Functions: []*api.Function{feed}}); err != nil {
		t.Fatal(err)
	}
	server.SetReadiness("127.0.0.1:1", true)
	s := &System{cfg: config.Default(), xds: server}

	stall(t, server.Addr(), "another")
	testkit.Eventually(t, "the other gateway is silent", func() bool {
		all := server.Gateways()
		return len(all) == 1 && all[0].Faulty
	})
	if took, names := s.ownSilence(); took != 0 {
		t.Errorf("silent for %v over %v, which is another gateway", took, names)
	}
	own := stall(t, server.Addr(), s.cfg.Envoy.Node)
	testkit.Eventually(t, "the own Envoy is silent", func() bool { took, _ := s.ownSilence(); return took > 0 })
	if _, names := s.ownSilence(); !slices.ContainsFunc(names, func(name string) bool { return name == "feed/r1" }) {
		t.Errorf("silent over %v", names)
	}
	own.answer()
	testkit.Eventually(t, "it has answered", func() bool { took, _ := s.ownSilence(); return took == 0 })
}
