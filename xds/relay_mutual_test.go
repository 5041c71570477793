package xds

import (
	"context"
	"log/slog"
	"net/http"
	"path/filepath"
	"testing"
	"time"

	auth "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/kongdao/kongdao/xds/certs/certstest"
	"github.com/kongdao/kongdao/xds/envoy"
	"github.com/kongdao/kongdao/xds/relay"
)

// relayed is an Envoy behind a relay, in a folder that outlives it.
type relayed struct {
	gateway *envoy.Gateway
	stop    func()
}

func (r *mutualRig) relayed(dir, upstream string, m envoy.Mutual) *relayed {
	r.t.Helper()
	ec, rc := envoy.DefaultConfig(), relay.DefaultConfig()
	ec.Dir, ec.HTTPAddr, ec.XDSAddr, ec.NodeID, ec.Concurrency, ec.Drain = dir, r.gateway, envoy.UnixAddr(relay.SocketName), "gw-1", 1, 0
	rc.Dir, rc.Upstream, rc.Mutual = dir, upstream, m
	g, err := envoy.New(ec, logTo(r.t), prometheus.NewRegistry())
	if err != nil {
		r.t.Fatal(err)
	}
	between, err := relay.New(rc, logTo(r.t), prometheus.NewRegistry())
	if err != nil {
		r.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 2)
	go func() { done <- between.Run(ctx) }()
	go func() { done <- g.Run(ctx) }()
	stop := func() {
		cancel()
		for range 2 {
			if err := <-done; err != nil {
				r.t.Error(err)
			}
		}
	}
	ready, done2 := context.WithTimeout(ctx, patience)
	defer done2()
	if err := g.Ready(ready); err != nil {
		stop()
		r.t.Fatal(err)
	}
	return &relayed{g, stop}
}

// TestTheRelayIsTheGateway: towards the control plane the relay is what the gateway's
// certificate says, whatever it holds at the moment of a connection; signed requests
// go the same way. One that the control plane does not admit is served from disk.
func TestTheRelayIsTheGateway(t *testing.T) {
	r := newMutualRig(t)
	pod := newPod(t, "pod", "za")
	if err := r.Apply(context.Background(), functions(function("f", "/f", pod))); err != nil {
		t.Fatal(err)
	}
	r.SetReadiness(pod.address, true)
	between, dir := newBetween(t, r.addr()), t.TempDir()
	m := envoy.Mutual{CA: filepath.Join(r.dir, "servers.pem"), ServerName: "xds.test"}
	m.Cert, m.Key = r.gateways.Issue([]string{"gw-1.default"}).Write(t, r.dir, "gateway")
	first := r.relayed(dir, between.addr, m)
	r.wholeWorld(t)
	if got := statusOf(r.gateway, "/f"); got != 200 {
		t.Errorf("status %d", got)
	}
	if got := r.State().Gateways[0]; got.Node != "gw-1" || got.Disk != nil {
		t.Errorf("%+v", got)
	}
	checkSigned(t, filepath.Join(dir, relay.SocketName))
	since := r.since()
	r.gateways = certstest.NewCA(t, "new gateways")
	certstest.WriteFile(t, filepath.Join(r.dir, "gateways.pem"), r.gateways.PEM)
	r.gateways.Issue([]string{"gw-1.default"}).Write(t, r.dir, "gateway")
	between.breakOff()
	eventually(t, "the gateway is back with a new certificate", func() bool { now := r.since(); return !now.IsZero() && now != since })
	first.stop()

	r.gateways.Issue([]string{"gw-2.default"}).Write(t, r.dir, "gateway")
	second := r.relayed(dir, between.addr, m)
	if got := statusOf(r.gateway, "/f"); got != 200 {
		t.Errorf("not admitted, and started from disk: status %d", got)
	}
	if got := r.State().Gateways; len(got) != 0 {
		t.Errorf("admitted with another gateway's certificate: %+v", got)
	}
	r.gateways.Issue([]string{"gw-1.default"}).Write(t, r.dir, "gateway")
	between.breakOff()
	r.wholeWorld(t)
	if got := r.State().Gateways[0].Disk; got == nil || time.Since(got.Since) > 2*patience {
		t.Errorf("served from disk: %+v", got)
	}
	second.stop()
}

// wholeWorld waits until the one gateway is connected and has everything.
func (r *mutualRig) wholeWorld(t *testing.T) {
	t.Helper()
	eventually(t, "the gateway is connected", func() bool { return !r.since().IsZero() })
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := r.WaitLive(ctx); err != nil {
		t.Fatal(err)
	}
}

// checkSigned asks about a request, as Envoy does.
func checkSigned(t *testing.T, socket string) {
	t.Helper()
	conn, err := grpc.NewClient("unix:"+socket, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	got, err := auth.NewAuthorizationClient(conn).Check(ctx, &auth.CheckRequest{})
	if err != nil || codes.Code(got.GetStatus().GetCode()) == codes.OK {
		t.Errorf("a request without a signature: %v, %v", got, status.Code(err))
	}
}

func logTo(t *testing.T) *slog.Logger { return slog.New(slog.NewTextHandler(t.Output(), nil)) }

// statusOf is what a gateway answers; 0: nothing.
func statusOf(gateway, path string) int {
	client := &http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Get("http://" + gateway + path)
	if err != nil {
		return 0
	}
	defer res.Body.Close()
	return res.StatusCode
}
