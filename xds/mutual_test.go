package xds

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/kongdao/kongdao/xds/certs/certstest"
	"github.com/kongdao/kongdao/xds/envoy"
)

func TestLoopbackAloneWithoutCertificates(t *testing.T) {
	for listen, ok := range map[string]bool{
		"127.0.0.1:0": true, "localhost:0": true, "[::1]:0": true, "127.8.9.1:1": true,
		"0.0.0.0:0": false, ":0": false, "[::]:0": false, "10.0.0.7:1": false, "gateway.test:1": false,
	} {
		c := DefaultConfig()
		c.Listen = listen
		if err := c.Validate(); (err == nil) != ok {
			t.Errorf("%s: %v", listen, err)
		}
		c.Mutual = Mutual{"a", "b", "c"}
		if err := c.Validate(); err != nil {
			t.Errorf("%s with certificates: %v", listen, err)
		}
	}
}

func TestCertifies(t *testing.T) {
	for _, c := range []struct {
		uri, dns    string
		node, group string
		ok          bool
	}{
		{uri: "spiffe://prod/caller/edge/gw-1", dns: "gw-1.edge", node: "gw-1", group: "edge"},
		{uri: "spiffe://prod/gateway/edge/gw-1", node: "gw-1", group: "edge", ok: true},
		{uri: "spiffe://prod/gateway/edge", node: "gw-1", group: "edge", ok: true},
		{dns: "gw-1.edge", node: "gw-1", group: "edge", ok: true},
		{dns: "*.edge", node: "gw-1", group: "edge", ok: true},
		{uri: "spiffe://prod/gateway/edge/gw-1", node: "gw-10", group: "edge"},
		{uri: "spiffe://prod/gateway/edge/gw-1", node: "gw-1", group: "back"},
		{uri: "spiffe://prod/gateway/edge/gw-1", node: "", group: "edge"},
		{uri: "spiffe://prod/gateway/edge", node: "gw-1", group: "edge-2"},
		{uri: "spiffe://prod/gateway", node: "gw-1", group: "edge"},
		{uri: "spiffe://prod/gateway/edge/gw-1/x", node: "gw-1", group: "edge"},
		{uri: "https://prod/gateway/edge/gw-1", node: "gw-1", group: "edge"},
		{dns: "gw-1", node: "gw-1", group: "edge"},
		{dns: "*", node: "gw-1", group: "edge"},
		{dns: "*.edge", node: "gw-1", group: "back.edge"},
		{node: "gw-1", group: "edge"},
	} {
		cert := &x509.Certificate{}
		if c.uri != "" {
			u, err := url.Parse(c.uri)
			if err != nil {
				t.Fatal(err)
			}
			cert.URIs = []*url.URL{u}
		}
		if c.dns != "" {
			cert.DNSNames = []string{c.dns}
		}
		if err := certifies(cert, c.node, c.group); (err == nil) != c.ok {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

// mutualRig is a control plane that asks gateways for certificates.
type mutualRig struct {
	*Server
	t        *testing.T
	dir      string
	gateways *certstest.CA
	servers  *certstest.CA
	gateway  string
}

func newMutualRig(t *testing.T) *mutualRig {
	t.Helper()
	port, err := envoy.FreePort("127.0.0.1") // the gateway holds it itself
	if err != nil {
		t.Fatal(err)
	}
	addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	r := &mutualRig{t: t, dir: t.TempDir(), gateways: certstest.NewCA(t, "gateways"), servers: certstest.NewCA(t, "servers"), gateway: addr}
	c := DefaultConfig()
	c.Gateway, c.Listen, c.Proxyless = r.gateway, "0.0.0.0:0", true
	c.Mutual.Cert, c.Mutual.Key = r.servers.Issue([]string{"xds.test"}).Write(t, r.dir, "server")
	c.Mutual.ClientCA = filepath.Join(r.dir, "gateways.pem")
	certstest.WriteFile(t, c.Mutual.ClientCA, r.gateways.PEM)
	certstest.WriteFile(t, filepath.Join(r.dir, "servers.pem"), r.servers.PEM)
	if r.Server, err = New(c, slog.New(slog.DiscardHandler), prometheus.NewRegistry(), resolveForTest); err != nil {
		t.Fatal(err)
	}
	run(t, r.Server)
	return r
}

func (r *mutualRig) addr() string {
	_, port, _ := net.SplitHostPort(r.Addr())
	return net.JoinHostPort("127.0.0.1", port)
}

// ask says who it is and returns how the control plane answers.
func (r *mutualRig) ask(creds credentials.TransportCredentials, node *core.Node) error {
	r.t.Helper()
	conn, err := grpc.NewClient(r.addr(), grpc.WithTransportCredentials(creds))
	if err != nil {
		r.t.Fatal(err)
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	stream, err := discovery.NewAggregatedDiscoveryServiceClient(conn).DeltaAggregatedResources(ctx)
	if err != nil {
		return err
	}
	if err := stream.Send(&discovery.DeltaDiscoveryRequest{Node: node, TypeUrl: resource.ClusterType}); err != nil {
		r.t.Log("send:", err) // Recv says why
	}
	_, err = stream.Recv()
	return err
}

func (r *mutualRig) as(certificates ...tls.Certificate) credentials.TransportCredentials {
	return credentials.NewTLS(&tls.Config{RootCAs: r.servers.Pool, ServerName: "xds.test", GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		if len(certificates) == 0 {
			return &tls.Certificate{}, nil
		}
		return &certificates[0], nil
	}})
}

// TestGatewaysShowWhoTheyAre: what a gateway says it is must be in a certificate
// that the authority signed.
func TestGatewaysShowWhoTheyAre(t *testing.T) {
	r := newMutualRig(t)
	if err := r.Apply(context.Background(), functions(function("f", "/f", newPod(t, "pod", "za")))); err != nil {
		t.Fatal(err)
	}
	node := &core.Node{Id: "gw-1", Cluster: "default"}
	mine := r.gateways.Issue(nil, certstest.URI("spiffe://test/gateway/default/gw-1")).TLS(t)
	other := r.gateways.Issue(nil, certstest.URI("spiffe://test/gateway/default/gw-2")).TLS(t)
	old := r.gateways.Issue(nil, certstest.URI("spiffe://test/gateway/default/gw-1"), certstest.Until(time.Now().Add(-time.Minute))).TLS(t)
	stranger := certstest.NewCA(t, "stranger").Issue(nil, certstest.URI("spiffe://test/gateway/default/gw-1")).TLS(t)
	for _, c := range []struct {
		name  string
		creds credentials.TransportCredentials
		node  *core.Node
		want  codes.Code
	}{
		{"its own", r.as(mine), node, codes.OK},
		{"another gateway's", r.as(other), node, codes.PermissionDenied},
		{"another group", r.as(mine), &core.Node{Id: "gw-1", Cluster: "back"}, codes.PermissionDenied},
		{"no node", r.as(mine), nil, codes.PermissionDenied},
		{"none", r.as(), node, codes.Unavailable},
		{"without TLS", insecure.NewCredentials(), node, codes.Unavailable},
		{"past its end", r.as(old), node, codes.Unavailable},
		{"a stranger's", r.as(stranger), node, codes.Unavailable},
	} {
		if got := status.Code(r.ask(c.creds, c.node)); got != c.want {
			t.Errorf("%s: got %s, want %s", c.name, got, c.want)
		}
	}
}

// TestMutualRotation: a real Envoy speaks to the control plane with certificates
// that change on both sides, the authorities too; each new connection has new ones.
func TestMutualRotation(t *testing.T) {
	r := newMutualRig(t)
	pod := newPod(t, "pod", "za")
	set := functions(function("f", "/f", pod))
	if err := r.Apply(context.Background(), set); err != nil {
		t.Fatal(err)
	}
	r.SetReadiness(pod.address, true)
	between := newBetween(t, r.addr())
	cfg := envoy.DefaultConfig()
	cfg.Dir, cfg.HTTPAddr, cfg.XDSAddr, cfg.NodeID, cfg.Concurrency = t.TempDir(), r.gateway, between.addr, "gw-1", 1
	cfg.Mutual.Cert, cfg.Mutual.Key = r.gateways.Issue([]string{"gw-1.default"}).Write(t, r.dir, "gateway")
	cfg.Mutual.CA, cfg.Mutual.ServerName = filepath.Join(r.dir, "servers.pem"), "xds.test"
	g, err := envoy.New(cfg, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- g.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	ready, stop := context.WithTimeout(ctx, patience)
	defer stop()
	if err := g.Ready(ready); err != nil {
		log, _ := os.ReadFile(filepath.Join(cfg.Dir, "envoy.log"))
		t.Fatalf("%v\n%s", err, log)
	}
	shown := func() string {
		r.handshakes.mu.Lock()
		defer r.handshakes.mu.Unlock()
		return fmt.Sprint(r.handshakes.last.Certificates[0].Leaf.SerialNumber)
	}
	before, since := shown(), r.since()
	r.servers, r.gateways = certstest.NewCA(t, "new servers"), certstest.NewCA(t, "new gateways")
	certstest.WriteFile(t, filepath.Join(r.dir, "servers.pem"), r.servers.PEM)
	certstest.WriteFile(t, filepath.Join(r.dir, "gateways.pem"), r.gateways.PEM)
	r.servers.Issue([]string{"xds.test"}).Write(t, r.dir, "server")
	r.gateways.Issue([]string{"gw-1.default"}).Write(t, r.dir, "gateway")
	if got := r.since(); got != since {
		t.Error("the connection did not stay")
	}
	between.breakOff()
	eventually(t, "the gateway is back with new certificates", func() bool {
		now := r.since()
		return !now.IsZero() && now != since && shown() != before
	})
	wait, stop := context.WithTimeout(ctx, patience)
	defer stop()
	if err := r.WaitLive(wait); err != nil {
		t.Fatal(err)
	}
	for _, x := range r.State().Rejections {
		t.Errorf("rejected: %+v", x)
	}
}

// since is when the one gateway connected; zero: it is not there.
func (r *mutualRig) since() time.Time {
	all := r.State().Gateways
	if len(all) != 1 || strings.TrimSpace(all[0].Node) == "" {
		return time.Time{}
	}
	return all[0].Since
}

// between passes connections on and can break them off.
type between struct {
	addr  string
	mu    sync.Mutex
	conns []net.Conn
}

func newBetween(t *testing.T, to string) *between {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b := &between{addr: l.Addr().String()}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", to)
			if err != nil {
				in.Close()
				continue
			}
			b.mu.Lock()
			b.conns = append(b.conns, in, out)
			b.mu.Unlock()
			for _, way := range [][2]net.Conn{{in, out}, {out, in}} {
				all.Go(func() {
					_, _ = io.Copy(way[0], way[1])
					way[0].Close()
				})
			}
		}
	})
	t.Cleanup(func() {
		l.Close()
		b.breakOff()
		all.Wait()
	})
	return b
}

func (b *between) breakOff() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, c := range b.conns {
		c.Close()
	}
	b.conns = nil
}
