package canary

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"time"

	cluster "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/kongdao/kongdao/api"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 30 * time.Second

func newCanary(t *testing.T, alter ...func(*Canary)) *Canary {
	t.Helper()
	cfg := DefaultConfig()
	cfg.Dir, cfg.Patience = t.TempDir(), api.Duration(patience)
	there := make(chan bool, 16)
	c, err := New(cfg, slog.New(slog.DiscardHandler), prometheus.NewRegistry(), func(up bool) {
		select {
		case there <- up:
		default:
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range alter {
		a(c)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("run: %v", err)
		}
	})
	select {
	case up := <-there:
		if !up {
			t.Fatal("no canary")
		}
	case <-time.After(patience):
		t.Fatal("no canary in time")
	}
	return c
}

func eds(name string) *cluster.Cluster {
	return &cluster.Cluster{
		Name: name, ConnectTimeout: durationpb.New(time.Second),
		ClusterDiscoveryType: &cluster.Cluster_Type{Type: cluster.Cluster_EDS},
		EdsClusterConfig: &cluster.Cluster_EdsClusterConfig{EdsConfig: &core.ConfigSource{
			ResourceApiVersion: core.ApiVersion_V3, ConfigSourceSpecifier: &core.ConfigSource_Ads{Ads: &core.AggregatedConfigSource{}},
		}},
	}
}

// TestAClusterThatMakesEnvoySilentIsNamed has a ring that cannot be built among
// good clusters of other shapes: Envoy neither accepts nor refuses it, nor
// anything after it.
func TestAClusterThatMakesEnvoySilentIsNamed(t *testing.T) {
	c := newCanary(t)
	change := Change{Clusters: map[string]*cluster.Cluster{}}
	for i := range 4 {
		good := eds(fmt.Sprintf("f%d/r", i))
		good.ConnectTimeout = durationpb.New(time.Duration(i+1) * time.Second)
		change.Clusters[good.Name] = good
	}
	bad := eds("f1/bad")
	bad.LbPolicy = cluster.Cluster_RING_HASH
	bad.LbConfig = &cluster.Cluster_RingHashLbConfig_{RingHashLbConfig: &cluster.Cluster_RingHashLbConfig{
		MinimumRingSize: wrapperspb.UInt64(2048), MaximumRingSize: wrapperspb.UInt64(1024),
	}}
	change.Clusters[bad.Name] = bad
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	begin := time.Now()
	refused, err := c.Try(ctx, change)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("named after %v: %+v", time.Since(begin), refused)
	if len(refused) != 1 || refused[0].Name != bad.Name || refused[0].Type != resource.ClusterType {
		t.Fatalf("refused %+v, want %s alone", refused, bad.Name)
	}
	delete(change.Clusters, bad.Name)
	if refused, err := c.Try(ctx, change); err != nil || len(refused) > 0 {
		t.Errorf("good clusters afterwards: %v %v", refused, err)
	}
	if len(c.ahead.good) != 4 {
		t.Errorf("%d shapes are known, want 4", len(c.ahead.good))
	}
}
