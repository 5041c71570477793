package xds

import (
	"context"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"testing"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	auth "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	rpc "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/kongdao/kongdao/api"
	"github.com/kongdao/kongdao/internal/testkit"
	"github.com/kongdao/kongdao/xds/certs/certstest"
)

// TestCallersBesideAGateway: a real Envoy and a client that refuses all that it is
// sent, over one function. The gateway, its limits and its state know nothing of it.
func TestCallersBesideAGateway(t *testing.T) {
	p, plain := namedPod(t, "p", "zb-a"), newPod(t, "plain", "zb-a")
	feed, limited := directly("feed", revision("r1", p)), function("limited", "/limited", plain)
	limited.Spec.Capacity.PerPodQPS = 1000
	r := newRig(t, functions(feed, limited), func(c *Config) { c.Proxyless = true })
	r.want(r.call("GET", "any", "/limited"), 200, "plain")
	broken := refuseAll(t, r.Addr(), "feed", "feed", "feed")
	eventually(t, "what it refuses is named", func() bool {
		all := r.Callers()
		return len(all) == 1 && all[0].Node == "broken" && len(all[0].Refused) == 3 && all[0].Refused[0].Resources[0] == "feed"
	})
	feed = directly("feed", revision("r1", p))
	feed.Spec.Timeout = api.Duration(1e9)
	r.apply(functions(feed, limited, function("new", "/new", plain)))
	r.live()
	r.want(r.call("GET", "any", "/new"), 200, "plain")
	d := directRig{Server: r.Server, t: t}
	if name, err := ask(d.dial("feed"), say); name != "p" || err != nil {
		t.Errorf("%q, %v", name, err)
	}
	state := r.State()
	if len(state.Gateways) != 1 || len(state.Quarantined) != 0 || len(state.Rejections) != 0 || state.Fault != "" {
		t.Errorf("gateways %v, quarantined %v, rejections %v, %s", state.Gateways, state.Quarantined, state.Rejections, state.Fault)
	}
	if f := r.World().Function("limited"); f.Cost != 1000 { // one gateway, not three
		t.Errorf("a call costs %d", f.Cost)
	}
	broken()
	eventually(t, "it is gone", func() bool { return len(r.Callers()) == 1 })
}

// refuseAll is a client that asks for a listener, routes and a cluster, and refuses
// each response until it is stopped.
func refuseAll(t *testing.T, addr, listener, routes, cluster string) (stop func()) {
	t.Helper()
	conn, err := grpc.NewClient(addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	stream, err := discovery.NewAggregatedDiscoveryServiceClient(conn).StreamAggregatedResources(ctx)
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]string{resource.ListenerType: listener, resource.RouteType: routes, resource.ClusterType: cluster}
	for typeURL, name := range names {
		if err := stream.Send(&discovery.DiscoveryRequest{Node: &core.Node{Id: "broken"}, TypeUrl: typeURL, ResourceNames: []string{name}}); err != nil {
			t.Fatal(err)
		}
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			r, err := stream.Recv()
			if err != nil {
				return
			}
			_ = stream.Send(&discovery.DiscoveryRequest{
				TypeUrl: r.GetTypeUrl(), ResponseNonce: r.GetNonce(), ResourceNames: []string{names[r.GetTypeUrl()]},
				ErrorDetail: &rpc.Status{Message: "I take nothing"},
			})
		}
	}()
	stop = func() { cancel(); <-done; conn.Close() }
	t.Cleanup(stop)
	return stop
}

// TestCallersShowWhoTheyAre: their certificates are good for callers alone, and those
// of gateways are not good for callers.
func TestCallersShowWhoTheyAre(t *testing.T) {
	r := newMutualRig(t)
	d := directRig{Server: r.Server, t: t}
	d.apply(functions(directly("feed", revision("r1", namedPod(t, "p", "zb-a")))))
	node := &core.Node{Id: "checkout", Cluster: "default"}
	one := r.as(r.gateways.Issue(nil, certstest.URI("spiffe://test/caller/default/checkout")).TLS(t))
	all := r.as(r.gateways.Issue(nil, certstest.URI("spiffe://test/caller/default")).TLS(t))
	for _, c := range []struct {
		name  string
		creds credentials.TransportCredentials
		node  *core.Node
		want  codes.Code
	}{
		{"its own", one, node, codes.OK},
		{"its group's", all, node, codes.OK},
		{"another's", one, &core.Node{Id: "cart", Cluster: "default"}, codes.PermissionDenied},
		{"another group's", all, &core.Node{Id: "checkout", Cluster: "back"}, codes.PermissionDenied},
		{"no node", one, nil, codes.PermissionDenied},
		{"a gateway's", r.as(r.gateways.Issue([]string{"checkout.default"}, certstest.URI("spiffe://test/gateway/default/checkout")).TLS(t)), node, codes.PermissionDenied},
		{"none", r.as(), node, codes.Unavailable},
		{"without TLS", insecure.NewCredentials(), node, codes.Unavailable},
	} {
		if err := r.askAsCaller(c.creds, c.node); status.Code(err) != c.want {
			t.Errorf("%s: got %v, want %s", c.name, err, c.want)
		}
	}
	if err := r.ask(one, node); status.Code(err) != codes.PermissionDenied || !strings.Contains(err.Error(), "/gateway/default/checkout") {
		t.Errorf("a caller that would be a gateway: %v", err)
	}
}

// TestGatewaysAloneAskAboutSignatures: a caller's certificate is of the same authority.
func TestGatewaysAloneAskAboutSignatures(t *testing.T) {
	r := newMutualRig(t)
	gateway, caller := certstest.URI("spiffe://test/gateway/default/gw-1"), certstest.URI("spiffe://test/caller/default/checkout")
	for _, c := range []struct {
		name        string
		certificate certstest.Pair
		want        codes.Code
	}{
		{"a gateway's", r.gateways.Issue(nil, gateway), codes.OK},
		{"a gateway's by DNS name", r.gateways.Issue([]string{"gw-1.default"}), codes.OK},
		{"a caller's", r.gateways.Issue(nil, caller), codes.PermissionDenied},
		{"a caller's that serves", r.gateways.Issue([]string{"gw-1.default"}, caller), codes.PermissionDenied},
		{"nobody's", r.gateways.Issue(nil), codes.PermissionDenied},
	} {
		conn, err := grpc.NewClient(r.addr(), grpc.WithTransportCredentials(r.as(c.certificate.TLS(t))))
		testkit.Must(t, err)
		_, err = auth.NewAuthorizationClient(conn).Check(testkit.Context(t), &auth.CheckRequest{})
		if status.Code(err) != c.want {
			t.Errorf("%s certificate: %v, want %s", c.name, err, c.want)
		}
		testkit.Must(t, conn.Close())
	}
}

// TestCallersByMutualTLS: gRPC-Go with a certificate of its own.
func TestCallersByMutualTLS(t *testing.T) {
	r := newMutualRig(t)
	d := directRig{Server: r.Server, t: t}
	d.apply(functions(directly("feed", revision("r1", namedPod(t, "p", "zb-a")))))
	r.servers.Issue([]string{"localhost"}).Write(t, r.dir, "server") // for the next connection
	cert, key := r.gateways.Issue(nil, certstest.URI("spiffe://test/caller/default/checkout-1")).Write(t, r.dir, "caller")
	_, port, _ := net.SplitHostPort(r.Addr())
	creds := fmt.Sprintf(`{"type": "tls", "config": {"certificate_file": "%s", "private_key_file": "%s", "ca_certificate_file": "%s"}}`,
		cert, key, filepath.Join(r.dir, "servers.pem"))
	if name, err := ask(d.dialBy("feed", "localhost:"+port, creds), say); name != "p" || err != nil {
		t.Errorf("%q, %v", name, err)
	}
}

// askAsCaller says who it is and returns how the control plane answers.
func (r *mutualRig) askAsCaller(creds credentials.TransportCredentials, node *core.Node) error {
	r.t.Helper()
	conn, err := grpc.NewClient(r.addr(), grpc.WithTransportCredentials(creds))
	if err != nil {
		r.t.Fatal(err)
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	stream, err := discovery.NewAggregatedDiscoveryServiceClient(conn).StreamAggregatedResources(ctx)
	if err != nil {
		return err
	}
	if err := stream.Send(&discovery.DiscoveryRequest{Node: node, TypeUrl: resource.ListenerType, ResourceNames: []string{"feed"}}); err != nil {
		r.t.Log("send:", err) // Recv says why
	}
	_, err = stream.Recv()
	return err
}
