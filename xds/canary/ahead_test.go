package canary

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	cluster "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/kongdao/kongdao/api"
	"github.com/kongdao/kongdao/internal/testkit"
	"github.com/kongdao/kongdao/xds/envoy"
)

func named(all ...*cluster.Cluster) map[string]*cluster.Cluster {
	m := map[string]*cluster.Cluster{}
	for _, c := range all {
		m[c.GetName()] = c
	}
	return m
}

// ofKind is a good cluster that differs from those of other kinds.
func ofKind(name string, kind int) *cluster.Cluster {
	c := eds(name)
	c.ConnectTimeout = durationpb.New(time.Duration(kind) * time.Second)
	return c
}

// endless asks for its endpoints where nobody has them: Envoy accepts it, it does not
// finish warming, and no cluster after it is taken.
func endless(name string) *cluster.Cluster {
	c := eds(name)
	c.EdsClusterConfig.EdsConfig = &core.ConfigSource{
		ResourceApiVersion: core.ApiVersion_V3, InitialFetchTimeout: durationpb.New(0),
		ConfigSourceSpecifier: &core.ConfigSource_ApiConfigSource{ApiConfigSource: &core.ApiConfigSource{
			ApiType: core.ApiConfigSource_DELTA_GRPC, TransportApiVersion: core.ApiVersion_V3,
			GrpcServices: []*core.GrpcService{{TargetSpecifier: &core.GrpcService_EnvoyGrpc_{
				EnvoyGrpc: &core.GrpcService_EnvoyGrpc{ClusterName: envoy.XDSCluster},
			}}},
		}},
	}
	return c
}

// decided waits until nothing of these is being tried.
func decided(t *testing.T, c *Canary, clusters map[string]*cluster.Cluster) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for len(c.Ahead(ctx, clusters)) > 0 {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatal("not decided in time")
		}
	}
}

// TestAheadIsDecidedWhileTryGoesOn has a cluster that keeps its Envoy silent for the
// whole test.
func TestAheadIsDecidedWhileTryGoesOn(t *testing.T) {
	c := newCanary(t, func(c *Canary) { c.config.Patience = api.Duration(time.Hour) })
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	bad := named(endless("bad/r"))
	for i := range 3 {
		if got := c.Ahead(ctx, bad); !slices.Equal(got, []string{"bad/r"}) {
			t.Fatalf("waits for %v", got)
		}
		good := named(ofKind("good/r", i+1))
		if refused, err := c.Try(ctx, Change{Clusters: good}); err != nil || len(refused) > 0 {
			t.Errorf("the other Envoy: %v %v", refused, err)
		}
		if got := c.Ahead(ctx, good); len(got) > 0 { // it was taken
			t.Errorf("waits for %v", got)
		}
	}
}

// TestAheadNamesWhatNeverWarms when Envoy had time enough, and Try then knows.
func TestAheadNamesWhatNeverWarms(t *testing.T) {
	c := newCanary(t, func(c *Canary) { c.config.Patience = api.Duration(2 * time.Second) })
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	all := named(endless("bad/r"))
	c.Ahead(ctx, all)
	decided(t, c, all)
	refused, err := c.Try(ctx, Change{Clusters: all})
	if err != nil || len(refused) != 1 || refused[0].Name != "bad/r" || refused[0].Error != silent {
		t.Fatalf("refused %+v %v", refused, err)
	}
	if c.Restarts() > 0 {
		t.Error("the Envoy of Try was started again")
	}
}

// TestAheadEndsItsEnvoy when there is nothing to do, and starts another one.
func TestAheadEndsItsEnvoy(t *testing.T) {
	c := newCanary(t, func(c *Canary) { c.ahead.idle = time.Millisecond })
	for i := range 2 {
		all := named(ofKind(fmt.Sprintf("f%d/r", i), i+1))
		decided(t, c, all)
		if refused, err := c.Try(context.Background(), Change{Clusters: all}); err != nil || len(refused) > 0 {
			t.Errorf("refused %+v %v", refused, err)
		}
		testkit.Eventually(t, "the Envoy has gone", func() bool { c.ahead.mu.Lock(); defer c.ahead.mu.Unlock(); return !c.ahead.there })
	}
}

// TestWhatNeedsMoreIsNotTriedAhead leaves to Try what has needs of its own.
func TestWhatNeedsMoreIsNotTriedAhead(t *testing.T) {
	c := newCanary(t)
	static := eds("s/r")
	static.ClusterDiscoveryType, static.EdsClusterConfig = &cluster.Cluster_Type{Type: cluster.Cluster_STATIC}, nil
	secret := eds("t/r")
	secret.TransportSocket = &core.TransportSocket{Name: "envoy.transport_sockets.tls"}
	if got := c.Ahead(context.Background(), named(static, secret)); len(got) > 0 {
		t.Errorf("waits for %v", got)
	}
}
