package flow_test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/reflection"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/types/descriptorpb"

	"github.com/kongdao/kongdao/loadtest"
	"github.com/kongdao/kongdao/loadtest/attack"
	"github.com/kongdao/kongdao/loadtest/scenario"
)

// greeter is grpc's own health service with odd answers: a stream of three for Watch.
type greeter struct {
	*health.Server
	marked, calls atomic.Int64
	hang          chan struct{}
	arrived       chan struct{} // has room for some
}

func (g *greeter) Check(ctx context.Context, in *healthpb.HealthCheckRequest) (*healthpb.HealthCheckResponse, error) {
	g.calls.Add(1)
	select {
	case g.arrived <- struct{}{}:
	default:
	}
	md, _ := metadata.FromIncomingContext(ctx)
	if strings.Join(md.Get(attack.Header), "") == "lt-test" {
		g.marked.Add(1)
	}
	switch in.GetService() {
	case "down":
		return nil, status.Error(codes.Unavailable, "down for repair")
	case "hang":
		select {
		case <-g.hang:
		case <-ctx.Done():
			return nil, status.FromContextError(ctx.Err()).Err()
		}
	}
	_ = grpc.SetHeader(ctx, metadata.Pairs("x-for", strings.Join(md.Get("x-user"), "")))
	return &healthpb.HealthCheckResponse{Status: healthpb.HealthCheckResponse_SERVING}, nil
}

func (g *greeter) Watch(_ *healthpb.HealthCheckRequest, s grpc.ServerStreamingServer[healthpb.HealthCheckResponse]) error {
	for _, st := range []healthpb.HealthCheckResponse_ServingStatus{0, 1, 2} {
		if err := s.Send(&healthpb.HealthCheckResponse{Status: st}); err != nil {
			return err
		}
	}
	return nil
}

func serveGRPC(t *testing.T, reflect bool, o ...grpc.ServerOption) (*greeter, string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := &greeter{Server: health.NewServer(), hang: make(chan struct{}), arrived: make(chan struct{}, 3)}
	s := grpc.NewServer(o...)
	healthpb.RegisterHealthServer(s, g)
	if reflect {
		reflection.Register(s)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	t.Cleanup(func() {
		close(g.hang)
		s.Stop()
		<-served
	})
	return g, "grpc://" + l.Addr().String() + "/grpc.health.v1.Health"
}

func TestGRPC(t *testing.T) {
	g, url := serveGRPC(t, true)
	var results bytes.Buffer
	spec := parse(t, url, `
  data: {names: {file: names.csv}}
  steps:
    - name: check
      url: $URL/Check
      headers: {x-user: "u-{{.names.name}}"}
      body: '{"service": {{.names.name | json}}}'
      extract: {state: {json: status}, who: {header: x-for}}
      checks: [{status: 200}, {json: status, equals: SERVING}]
    - name: watch
      url: $URL/Watch
      body: '{"service": "{{.state}} {{.who}}"}'
      checks: [{json: 1.status, equals: SERVING}, {json: "#", equals: "3"}]
    - {name: empty, url: $URL/Check}
    - {name: down, url: $URL/Check, body: '{"service": "down"}'}
  stages: [{rate: 50, duration: 200ms}]
`)
	r := run(t, spec, loadtest.Options{Results: &results, Files: files(t, map[string]string{"names.csv": "name\na\nb\n"})})
	if r.Sent != 40 || r.Status[200] != 30 || r.Status[503] != 10 || r.Errors["grpc-unavailable"] != 10 {
		t.Errorf("sent %d, status %v, errors %v", r.Sent, r.Status, r.Errors)
	}
	if g.marked.Load() != 30 {
		t.Errorf("%d of 30 calls carried the mark", g.marked.Load())
	}
	if got := texts(t, &results); got["down for repair"] != 10 {
		t.Errorf("errors %v", got)
	}
	if r.BytesIn == 0 || r.BytesOut == 0 {
		t.Errorf("%d bytes in, %d out", r.BytesIn, r.BytesOut)
	}
}

func TestGRPCFaults(t *testing.T) {
	_, url := serveGRPC(t, true)
	spec := parse(t, url, `
  data: {words: {file: words.csv}}
  targets:
    - {name: hang, url: $URL/Check, body: '{"service":"hang"}'}
    - {name: no json, url: $URL/Check, body: '{"service": {{.words.word}}}'}
  timeout: 150ms
  stages: [{rate: 40, duration: 100ms}]
`)
	r := run(t, spec, loadtest.Options{Files: files(t, map[string]string{"words.csv": "word\nnaked\n"})})
	if r.Errors[attack.KindTimeout] != 2 || r.Errors["render"] != 2 {
		t.Errorf("errors %v, status %v", r.Errors, r.Status)
	}
}

// What a service does not have is said before the first request.
// An answer has at most maxAnswer bytes, which say nothing of the target.
func TestGRPCAnswersAreCapped(t *testing.T) {
	_, url := serveGRPC(t, true)
	for name, c := range map[string]struct {
		method string
		most   int
		fault  string
	}{
		"a message":                {"Check", 2, ""},
		"a message that is larger": {"Check", 1, "too-large"},
		"a stream":                 {"Watch", 4, ""},
		"a stream that is larger":  {"Watch", 3, "too-large"},
	} {
		t.Run(name, func(t *testing.T) {
			r := run(t, parse(t, url, fmt.Sprintf("\n  targets: [{url: $URL/%s}]\n  stages: [{rate: 50, duration: 100ms}]\n  maxAnswer: %d\n", c.method, c.most)), loadtest.Options{})
			if r.Errors["too-large"] != 5 && c.fault != "" || c.fault == "" && r.Status[200] != 5 {
				t.Errorf("status %v, errors %v", r.Status, r.Errors)
			}
		})
	}
}

func TestGRPCSchema(t *testing.T) {
	_, url := serveGRPC(t, true)
	_, bare := serveGRPC(t, false)
	descriptors := files(t, map[string]string{"health.pb": string(healthSet(t)), "broken.pb": "x"})
	for name, c := range map[string]struct{ target, want string }{
		"no such method":       {"{url: " + url + "/Chek}", "service grpc.health.v1.Health has no method Chek"},
		"no such service":      {"{url: " + strings.Replace(url, "Health", "Wealth", 1) + "/Check}", "the server's reflection"},
		"no such field":        {"{url: " + url + `/Check, body: '{"servise": "x"}'}`, `is no grpc.health.v1.HealthCheckRequest`},
		"no reflection":        {"{url: " + bare + "/Check}", "the server has no reflection: want descriptors"},
		"a stream of requests": {"{url: " + strings.Replace(url, "grpc.health.v1.Health", "grpc.reflection.v1.ServerReflection", 1) + "/ServerReflectionInfo}", "takes a stream of requests"},
		"broken descriptors":   {"{url: " + bare + "/Check, descriptors: broken.pb}", "targets[0].descriptors: is no FileDescriptorSet"},
		"not in descriptors":   {"{url: " + bare + "/Chek, descriptors: health.pb}", "targets[0].url: service grpc.health.v1.Health has no method Chek"},
		"a wrong field":        {"{url: " + bare + `/Check, descriptors: health.pb, body: '{"x":1}'}`, "targets[0].body: is no grpc.health.v1.HealthCheckRequest"},
		"nobody there":         {"{url: \"grpc://127.0.0.1:1/a.B/C\"}", "ask the server's reflection"},
		"another host":         {"{url: \"grpc://example.com:1/a.B/C\"}", "host example.com:1 is not on the list"},
	} {
		t.Run(name, func(t *testing.T) {
			spec := parse(t, "", "\n  targets: ["+c.target+"]\n  stages: [{rate: 1, duration: 1s}]\n")
			_, err := loadtest.Run(t.Context(), spec, loadtest.Options{Files: descriptors})
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
	spec := parse(t, bare, `
  targets: [{url: $URL/Check, descriptors: health.pb}]
  stages: [{rate: 50, duration: 100ms}]
`)
	if r := run(t, spec, loadtest.Options{Files: descriptors}); r.Status[200] != 5 {
		t.Errorf("status %v, errors %v", r.Status, r.Errors)
	}
}

func healthSet(t *testing.T) []byte {
	t.Helper()
	set := &descriptorpb.FileDescriptorSet{File: []*descriptorpb.FileDescriptorProto{protodesc.ToFileDescriptorProto(healthpb.File_grpc_health_v1_health_proto)}}
	b, err := proto.Marshal(set)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestGRPCOverTLSOnManyConnections(t *testing.T) {
	secure := httptest.NewUnstartedServer(nil)
	secure.StartTLS() // for its certificate
	defer secure.Close()
	g, url := serveGRPC(t, true, grpc.Creds(credentials.NewServerTLSFromCert(&secure.TLS.Certificates[0])))
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pemOf(secure), 0o600); err != nil {
		t.Fatal(err)
	}
	spec := parse(t, strings.Replace(url, "grpc://", "grpcs://", 1), fmt.Sprintf(`
  targets: [{url: $URL/Check}]
  workers: 200
  tls: {ca: %s}
  stages: [{rate: 300, duration: 500ms}]
`, ca))
	r := run(t, spec, loadtest.Options{Files: scenario.Files{Dir: "."}})
	if r.Status[200] != 150 || g.calls.Load() != 150 {
		t.Errorf("status %v, errors %v", r.Status, r.Errors)
	}
}

// A run that is stopped cancels what is in flight.
func TestGRPCIsCanceled(t *testing.T) {
	g, url := serveGRPC(t, true)
	spec := parse(t, url, `
  targets: [{url: $URL/Check, body: '{"service":"hang"}'}]
  stages: [{rate: 100, duration: 1m}]
`)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		for range 3 {
			<-g.arrived
		}
		cancel()
	}()
	r, err := loadtest.Run(ctx, spec, loadtest.Options{Run: "lt-test"})
	if err != nil || r.Stopped != "caller" || r.Canceled != r.Sent {
		t.Errorf("%v, stopped %q, sent %d, canceled %d, errors %v", err, r.Stopped, r.Sent, r.Canceled, r.Errors)
	}
}
