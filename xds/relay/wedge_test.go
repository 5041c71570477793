package relay

import (
	"cmp"
	"context"
	"io"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	cluster "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/kongdao/kongdao/api"
	"github.com/kongdao/kongdao/internal/testkit"
	"github.com/kongdao/kongdao/xds/envoy"
	"github.com/kongdao/kongdao/xds/serve"
)

// poison gives Envoys a cluster that asks for its endpoints elsewhere, where it never
// gets any: it does not finish warming, Envoy neither accepts nor refuses it, and
// takes no cluster after it.
func poison(t testing.TB, group *serve.Group) {
	t.Helper()
	group.Update(resource.ClusterType, eds(t, "bad/r", func(c *cluster.Cluster) {
		c.EdsClusterConfig.EdsConfig = &core.ConfigSource{
			ResourceApiVersion: core.ApiVersion_V3, InitialFetchTimeout: durationpb.New(0),
			ConfigSourceSpecifier: &core.ConfigSource_ApiConfigSource{ApiConfigSource: &core.ApiConfigSource{
				ApiType: core.ApiConfigSource_DELTA_GRPC, TransportApiVersion: core.ApiVersion_V3,
				GrpcServices: []*core.GrpcService{{TargetSpecifier: &core.GrpcService_EnvoyGrpc_{
					EnvoyGrpc: &core.GrpcService_EnvoyGrpc{ClusterName: envoy.XDSCluster},
				}}},
			}},
		}
	}), nil)
	// Envoy holds its answer to the next change of clusters back.
	group.Update(resource.EndpointType, noPods(t, "next/r"), nil)
	group.Update(resource.ClusterType, eds(t, "next/r", nil), nil)
}

// stuck waits until an Envoy has met the poison.
func stuck(t testing.TB, r *running) {
	t.Helper()
	testkit.Eventually(t, "Envoy is stuck", func() bool {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		silent, _ := r.relay.silentAt(time.Now().Add(time.Minute))
		return silent > 0 && slices.Equal(r.gateway.Warming(ctx), []string{"bad/r"})
	})
}

// outcome is what became of calls.
type outcome struct {
	calls, failed int
	first         error // of those that failed
}

// callsTo calls a gateway on kept and on new connections until stop.
func callsTo(addr string) (stop func() outcome) {
	ctx, cancel := context.WithCancel(context.Background())
	var mu sync.Mutex
	var found outcome
	var workers sync.WaitGroup
	for i := range 4 {
		workers.Go(func() {
			transport := &http.Transport{DisableKeepAlives: i%2 == 1}
			defer transport.CloseIdleConnections()
			client := &http.Client{Transport: transport, Timeout: patience}
			for ctx.Err() == nil {
				err := once(client, addr)
				mu.Lock()
				found.calls++
				if err != nil {
					found.failed++
					found.first = cmp.Or(found.first, err)
				}
				mu.Unlock()
			}
		})
	}
	return func() outcome {
		cancel()
		workers.Wait()
		return found
	}
}

// none wants no more calls to have failed. Where tests may not look into their children
// connections that are being set up while one of two listeners goes are lost.
func (l outcome) none(t testing.TB, but int) {
	t.Helper()
	t.Logf("%d of %d calls failed", l.failed, l.calls)
	if l.calls == 0 || l.failed > but {
		t.Errorf("%d of %d calls failed, the first with: %v", l.failed, l.calls, l.first)
	}
}

// once makes a call that the client does not repeat by itself.
func once(client *http.Client, addr string) error {
	q, err := http.NewRequest(http.MethodPost, "http://"+addr+"/", strings.NewReader("x"))
	if err != nil {
		return err
	}
	q.GetBody = nil
	res, err := client.Do(q)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	_, err = io.Copy(io.Discard, res.Body)
	return err
}

// TestAWedgedEnvoyIsReplaced gives Envoy something that wedges it. The bad thing is
// taken back, which the Envoy does not notice: another one takes its place, and what
// is new. No call fails but for connections that are being set up.
func TestAWedgedEnvoyIsReplaced(t *testing.T) {
	dir, addr := t.TempDir(), freeAddr(t)
	group, at, _ := controlPlane(t, "127.0.0.1:0")
	group.Update(resource.ListenerType, answering(t, addr, "first"), nil)
	group.Open()
	var mended sync.WaitGroup
	mended.Add(1)
	r := start(t, dir, addr, at, func(c *Config) { c.Silence = api.Duration(time.Second) }, func(r *running) {
		silent := r.silent
		r.silent = func() (time.Duration, []string) {
			mended.Wait()
			return silent()
		}
	})
	ready(t, r.gateway)
	old, admin := r.gateway.PID(), r.gateway.AdminAddr()
	stop := callsTo(addr)
	poison(t, group)
	stuck(t, r)
	if got := answer(addr); got != "first" {
		t.Errorf("the stuck Envoy says %q", got)
	}
	group.Update(resource.ClusterType, nil, []string{"bad/r", "next/r"})
	group.Update(resource.EndpointType, noPods(t, "good/r"), nil)
	group.Update(resource.ClusterType, eds(t, "good/r", nil), nil)
	mended.Done()
	testkit.Eventually(t, "another Envoy is there", func() bool { return r.gateway.PID() != old && r.gateway.PID() != 0 })
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	testkit.Eventually(t, "the old one has ended", func() bool { return !r.gateway.Ended().IsZero() })
	if err := group.WaitAcked(ctx, resource.ClusterType); err != nil {
		t.Fatal(err)
	}
	group.Update(resource.ListenerType, answering(t, addr, "second"), nil)
	testkit.Eventually(t, "the new Envoy takes changes", func() bool { return answer(addr) == "second" })
	const beingSetUp = 50
	stop().none(t, beingSetUp)
	if r.gateway.AdminAddr() == admin || r.gateway.Restarts() != 0 {
		t.Errorf("admin %s as before, %d restarts", admin, r.gateway.Restarts())
	}
}

// TestAnEnvoyThatCannotBeReplacedServesOn: what wedges it is still there. The other
// one does not come up, and the first goes on as if nothing had been.
func TestAnEnvoyThatCannotBeReplacedServesOn(t *testing.T) {
	dir, addr := t.TempDir(), freeAddr(t)
	group, at, _ := controlPlane(t, "127.0.0.1:0")
	group.Update(resource.ListenerType, answering(t, addr, "first"), nil)
	group.Open()
	r := startWith(t, dir, addr, at, func(c *envoy.Config) { c.Handover = api.Duration(time.Second) },
		func(c *Config) { c.Silence = api.Duration(time.Second) })
	ready(t, r.gateway)
	pid, admin := r.gateway.PID(), r.gateway.AdminAddr()
	stop := callsTo(addr)
	poison(t, group)
	stuck(t, r)
	testkit.Eventually(t, "it was tried", func() bool { return counted(t, r.reg, "kongdao_xds_envoy_wedged_total", "failed") == 1 })
	stop().none(t, 0)
	stuck(t, r)
	if r.gateway.PID() != pid || r.gateway.AdminAddr() != admin || r.gateway.Restarts() != 0 || answer(addr) != "first" {
		t.Errorf("process %d and admin %s are not what they were, or %d restarts", pid, admin, r.gateway.Restarts())
	}
	if names, _ := filepath.Glob(filepath.Join(dir, "envoy.pid")); len(names) != 1 {
		t.Error("the process id is not on disk")
	}
}

// TestPoisonAtAColdStart: an Envoy that has nothing is given what wedges it. It is
// started again with what is on disk, and serves.
func TestPoisonAtAColdStart(t *testing.T) {
	dir, addr := t.TempDir(), freeAddr(t)
	group, at, _ := controlPlane(t, "127.0.0.1:0")
	group.Update(resource.ListenerType, answering(t, addr, "first"), nil)
	group.Open()
	r := start(t, dir, addr, at, nil)
	ready(t, r.gateway)
	acked(t, group)
	r.stop()
	poison(t, group)
	again := start(t, dir, addr, at, func(c *Config) { c.Silence = api.Duration(time.Second) })
	ready(t, again.gateway)
	if got := answer(addr); got != "first" {
		t.Errorf("got %q", got)
	}
}

// counted is a counter with one label.
func counted(t testing.TB, reg prometheus.Gatherer, name, label string) float64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == name && m.GetLabel()[0].GetValue() == label {
				return m.GetCounter().GetValue()
			}
		}
	}
	t.Fatalf("no counter %s of %s", name, label)
	return 0
}
