package xds

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"github.com/kongdao/kongdao/api"
)

// TestPodsAreSpokenToAsTheyExpect: websockets on exact and on any hosts, HTTP/2 and
// gRPC, through one gateway.
func TestPodsAreSpokenToAsTheyExpect(t *testing.T) {
	echo, h2, remote := echoPod(t), h2Pod(t), grpcPod(t)
	plain := newPod(t, "plain", "zb-a")
	r := newRig(t, functions(
		talking("any", nil, echo), talking("exact", []string{"a.test"}, echo),
		speaking("h2", "/h2", h2, api.HTTP2), speaking("grpc", "/grpc.health.v1.Health/*", remote, api.GRPC),
		function("plain", "/plain", plain), keyed(echo),
		talking("lucky", []string{"13"}, echo), hosted("own", "13", plain),
	))
	t.Run("websockets", func(t *testing.T) {
		talks(t, r, "b.test", "/any")
		talks(t, r, "a.test", "/exact")
		talks(t, r, "a.test", "/any") // falls through to any host
		talks(t, r, "13", "/lucky")   // a host as versions of websockets are named
		r.want(r.call("GET", "13", "/own"), 200, "plain")
		plain.calls.Store(0)
	})
	t.Run("nobody else is upgraded", func(t *testing.T) {
		for _, c := range []struct{ host, path string }{
			{"b.test", "/plain"}, {"b.test", "/keyed"}, {"b.test", "/nothing"}, {"b.test", "/exact"},
		} {
			if _, status := r.handshake(t, c.host, c.path); status != http.StatusForbidden {
				t.Errorf("%s%s: %d, want 403", c.host, c.path, status)
			}
		}
		if plain.calls.Load() != 0 {
			t.Error("an upgrade reached a pod that did not ask for it")
		}
		r.want(r.call("GET", "b.test", "/any"), 404, "no_route") // only websockets take the route
	})
	t.Run("http/2", func(t *testing.T) { r.want(r.call("GET", "any", "/h2"), 200, "HTTP/2.0") })
	t.Run("grpc", func(t *testing.T) { calledByGRPC(t, r) })
}

func talking(name string, hosts []string, p *pod) *api.Function {
	f := function(name, "/"+name, p)
	f.Spec.Routes = []api.Route{{Hosts: hosts, Path: "/" + name, Websocket: true}}
	f.Spec.Timeout = api.Duration(100 * time.Millisecond)
	return f
}

func hosted(name, host string, p *pod) *api.Function {
	f := function(name, "/"+name, p)
	f.Spec.Routes[0].Hosts = []string{host}
	return f
}

func keyed(p *pod) *api.Function {
	f := talking("keyed", nil, p)
	f.Spec.Access = &api.Access{}
	return f
}

func speaking(name, path string, p *pod, protocol api.Protocol) *api.Function {
	f := function(name, path, p)
	f.Spec.Revisions[0].Protocol = protocol
	f.Spec.HealthCheck.Path = "/healthz" // that gRPC pods are not asked for
	return f
}

// listen is a pod with a server of its own kind.
func listen(t testing.TB, serve func(net.Listener) (stop func())) *pod {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(serve(l))
	return &pod{zone: "zb-a", address: l.Addr().String()}
}

func serveHTTP(t *testing.T, s *http.Server) *pod {
	return listen(t, func(l net.Listener) func() {
		done := make(chan struct{})
		go func() { defer close(done); _ = s.Serve(l) }()
		return func() { s.Close(); <-done }
	})
}

// echoPod takes every handshake and says back each line.
func echoPod(t *testing.T) *pod {
	return serveHTTP(t, &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		conn, lines, err := w.(http.Hijacker).Hijack()
		if err != nil {
			return
		}
		defer conn.Close()
		fmt.Fprint(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
		for {
			line, err := lines.ReadString('\n')
			if err != nil {
				return
			}
			io.WriteString(conn, line)
		}
	})})
}

func h2Pod(t *testing.T) *pod {
	s := &http.Server{Protocols: &http.Protocols{}, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.Proto) })}
	s.Protocols.SetUnencryptedHTTP2(true)
	return serveHTTP(t, s)
}

func grpcPod(t *testing.T) *pod {
	s := grpc.NewServer()
	served := health.NewServer()
	served.SetServingStatus("feed", healthpb.HealthCheckResponse_SERVING)
	healthpb.RegisterHealthServer(s, served)
	return listen(t, func(l net.Listener) func() {
		done := make(chan struct{})
		go func() { defer close(done); _ = s.Serve(l) }()
		return func() { s.Stop(); <-done }
	})
}

// handshake asks for a websocket; the connection is nil without one.
func (r *rig) handshake(t *testing.T, host, path string) (net.Conn, int) {
	t.Helper()
	conn, err := net.DialTimeout("tcp", r.gateway, patience)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(patience))
	fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n", path, host)
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	if res.StatusCode != http.StatusSwitchingProtocols {
		return nil, res.StatusCode
	}
	return conn, res.StatusCode
}

// talks holds a conversation that lasts longer than the function's timeout.
func talks(t *testing.T, r *rig, host, path string) {
	t.Helper()
	conn, status := r.handshake(t, host, path)
	if conn == nil {
		t.Fatalf("%s%s: %d, want 101", host, path, status)
	}
	defer conn.Close()
	lines := bufio.NewReader(conn)
	for i := range 5 {
		said := fmt.Sprintf("line %d\n", i)
		io.WriteString(conn, said)
		if heard, err := lines.ReadString('\n'); err != nil || heard != said {
			t.Fatalf("%s%s: heard %q, %v", host, path, heard, err)
		}
		<-time.After(50 * time.Millisecond) // five of these are more than the timeout
	}
}

func calledByGRPC(t *testing.T, r *rig) {
	conn, err := grpc.NewClient("passthrough:///"+r.gateway, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	client := healthpb.NewHealthClient(conn)
	got, err := client.Check(ctx, &healthpb.HealthCheckRequest{Service: "feed"})
	if err != nil || got.GetStatus() != healthpb.HealthCheckResponse_SERVING {
		t.Fatalf("got %v, %v", got, err)
	}
	if _, err := client.Check(ctx, &healthpb.HealthCheckRequest{Service: "none"}); status.Code(err) != codes.NotFound {
		t.Errorf("the pod's own error became %v", err)
	}
	watch, err := client.Watch(ctx, &healthpb.HealthCheckRequest{Service: "feed"})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := watch.Recv(); err != nil || got.GetStatus() != healthpb.HealthCheckResponse_SERVING {
		t.Errorf("the stream gave %v, %v", got, err)
	}
}
