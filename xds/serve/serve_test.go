package serve

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/anypb"
)

const patience = 30 * time.Second

// lab is a Server on a real port.
type lab struct {
	*Group
	server *Server
	addr   string

	mu         sync.Mutex
	rejections []Rejection
}

func newLab(t *testing.T) *lab {
	t.Helper()
	l := &lab{}
	l.server = New(slog.New(slog.DiscardHandler), Events{Rejected: func(r Rejection) {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.rejections = append(l.rejections, r)
	}})
	l.Group = l.server.Group(DefaultGroup)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.addr = listener.Addr().String()
	g := grpc.NewServer(grpc.WaitForHandlers(true))
	l.server.Register(g)
	done := make(chan error, 1)
	go func() { done <- g.Serve(listener) }()
	t.Cleanup(func() {
		g.Stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return l
}

// put sets resources whose content is their value.
func (l *lab) put(typeURL string, values map[string]string) []string {
	return l.Update(typeURL, bodies(typeURL, values), nil)
}

func bodies(typeURL string, values map[string]string) map[string]*anypb.Any {
	all := map[string]*anypb.Any{}
	for name, value := range values {
		all[name] = &anypb.Any{TypeUrl: typeURL, Value: []byte(value)}
	}
	return all
}

func (l *lab) live(t *testing.T, types ...string) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return l.WaitAcked(ctx, types...)
}

// gateway is a client that behaves as Envoy does: it takes a response whole or
// refuses it whole.
type gateway struct {
	t      *testing.T
	stream discovery.AggregatedDiscoveryService_DeltaAggregatedResourcesClient
	close  func()
	has    map[string]string // name to value
	known  map[string]string // name to version
	bad    map[string]bool   // values that it refuses
}

func (l *lab) connect(t *testing.T) *gateway {
	t.Helper()
	conn, err := grpc.NewClient(l.addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	stream, err := discovery.NewAggregatedDiscoveryServiceClient(conn).DeltaAggregatedResources(ctx)
	if err != nil {
		t.Fatal(err)
	}
	g := &gateway{t: t, stream: stream, has: map[string]string{}, known: map[string]string{}, bad: map[string]bool{}}
	g.close = sync.OnceFunc(func() { cancel(); conn.Close() })
	t.Cleanup(g.close)
	return g
}

func (g *gateway) send(r *discovery.DeltaDiscoveryRequest) {
	g.t.Helper()
	r.Node = &core.Node{Id: "gw"}
	if err := g.stream.Send(r); err != nil {
		g.t.Fatal(err)
	}
}

func (g *gateway) subscribe(typeURL string, names ...string) {
	g.t.Helper()
	g.send(&discovery.DeltaDiscoveryRequest{TypeUrl: typeURL, ResourceNamesSubscribe: names})
}

func (g *gateway) receive() *discovery.DeltaDiscoveryResponse {
	g.t.Helper()
	r, err := g.stream.Recv()
	if err != nil {
		g.t.Fatal(err)
	}
	return r
}

// take receives one response, answers it and returns the names in it: put ones,
// and removed ones with a minus.
func (g *gateway) take() []string {
	g.t.Helper()
	return g.answer(g.receive())
}

func (g *gateway) answer(r *discovery.DeltaDiscoveryResponse) (names []string) {
	g.t.Helper()
	ack := &discovery.DeltaDiscoveryRequest{TypeUrl: r.GetTypeUrl(), ResponseNonce: r.GetNonce()}
	for _, x := range r.GetResources() {
		names = append(names, x.GetName())
		if g.bad[string(x.GetResource().GetValue())] {
			ack.ErrorDetail = &status.Status{Message: "bad " + string(x.GetResource().GetValue())}
		}
	}
	for _, name := range r.GetRemovedResources() {
		names = append(names, "-"+name)
	}
	if ack.ErrorDetail == nil {
		for _, x := range r.GetResources() {
			g.has[x.GetName()], g.known[x.GetName()] = string(x.GetResource().GetValue()), x.GetVersion()
		}
		for _, name := range r.GetRemovedResources() {
			delete(g.has, name)
			delete(g.known, name)
		}
	}
	g.send(ack)
	return names
}

func (g *gateway) want(names ...string) {
	g.t.Helper()
	if got := g.take(); !slices.Equal(got, names) {
		g.t.Fatalf("got %v, want %v", got, names)
	}
}

const (
	cds = resource.ClusterType
	eds = resource.EndpointType
	rds = resource.RouteType
)

func TestNothingBeforeOpen(t *testing.T) {
	l := newLab(t)
	g := l.connect(t)
	g.subscribe(cds)
	l.put(cds, map[string]string{"a": "1"})
	l.put(cds, map[string]string{"a": "2"})
	l.Open()
	g.want("a") // one response, and not an empty one before it
	if g.has["a"] != "2" {
		t.Errorf("a is %q", g.has["a"])
	}
}

func TestOnlyChangesAreSent(t *testing.T) {
	l := newLab(t)
	l.Open()
	l.put(cds, map[string]string{"a": "1", "b": "1"})
	g := l.connect(t)
	g.subscribe(cds)
	g.want("a", "b")
	if changed := l.put(cds, map[string]string{"a": "1", "b": "2"}); !slices.Equal(changed, []string{"b"}) {
		t.Errorf("changed %v", changed)
	}
	g.want("b")
	l.Update(cds, bodies(cds, map[string]string{"c": "1"}), []string{"a", "never"})
	g.want("c", "-a")
	if err := l.live(t, cds); err != nil {
		t.Error(err)
	}
	if want := map[string]string{"b": "2", "c": "1"}; !maps.Equal(g.has, want) {
		t.Errorf("has %v, want %v", g.has, want)
	}
}

func TestChangesGatherWhileAResponseIsUnanswered(t *testing.T) {
	l := newLab(t)
	l.Open()
	l.put(cds, map[string]string{"a": "1"})
	g := l.connect(t)
	g.subscribe(cds)
	first := g.receive()
	l.put(cds, map[string]string{"a": "2"})
	l.put(cds, map[string]string{"b": "1"})
	l.put(cds, map[string]string{"a": "3"})
	g.answer(first)
	g.want("a", "b")
	if g.has["a"] != "3" {
		t.Errorf("a is %q", g.has["a"])
	}
}

func TestNamedSubscriptions(t *testing.T) {
	l := newLab(t)
	l.Open()
	l.put(rds, map[string]string{"a": "1", "b": "1"})
	g := l.connect(t)
	g.subscribe(rds, "a")
	g.want("a")
	l.put(rds, map[string]string{"b": "2"}) // nobody's business
	g.subscribe(rds, "missing")
	g.want("-missing")
	l.put(rds, map[string]string{"missing": "1"})
	g.want("missing")
	g.send(&discovery.DeltaDiscoveryRequest{TypeUrl: rds, ResourceNamesUnsubscribe: []string{"a"}})
	g.subscribe(rds, "a") // asked for anew: sent though it is known
	g.want("a")
	if err := l.live(t, rds); err != nil {
		t.Error(err)
	}
}

func TestAReconnectedGatewayGetsWhatDiffers(t *testing.T) {
	l := newLab(t)
	l.Open()
	l.put(cds, map[string]string{"same": "1", "other": "1", "gone": "1"})
	g := l.connect(t)
	g.subscribe(cds)
	g.want("gone", "other", "same")
	g.close()

	again := newLab(t) // a restarted control plane: versions must mean the same
	again.Open()
	again.put(cds, map[string]string{"same": "1", "other": "2", "new": "1"})
	h := again.connect(t)
	h.send(&discovery.DeltaDiscoveryRequest{TypeUrl: cds, InitialResourceVersions: g.known})
	h.want("new", "other", "-gone")
}

func TestABadResourceKeepsNoOtherBack(t *testing.T) {
	l := newLab(t)
	l.Open()
	l.put(rds, map[string]string{"x": "1"})
	g := l.connect(t)
	names := []string{"x"}
	all := map[string]string{}
	for i := range 20 {
		names = append(names, fmt.Sprintf("r%02d", i))
		all[names[i+1]] = "good"
	}
	g.subscribe(rds, names...)
	g.take()
	all["x"], all["r07"], all["r13"] = "2", "bad7", "bad13"
	g.bad["bad7"], g.bad["bad13"] = true, true
	l.put(rds, all)
	for len(g.has) < 19 || g.has["x"] != "2" {
		g.take()
	}
	go func() { // further answers, until both are alone
		for {
			r, err := g.stream.Recv()
			if err != nil {
				return
			}
			g.answer(r)
		}
	}()
	err := l.live(t, rds)
	for err != nil && (!strings.Contains(err.Error(), "bad7") && !strings.Contains(err.Error(), "bad13")) {
		t.Fatal(err)
	}
	deadline := time.Now().Add(patience)
	for len(l.server.Gateways()[0].Rejected) < 2 && time.Now().Before(deadline) {
		l.server.mu.Lock()
		moved := l.server.moved
		l.server.mu.Unlock()
		select {
		case <-moved:
		case <-time.After(10 * time.Millisecond):
		}
	}
	got := l.server.Gateways()[0].Rejected
	if len(got) != 2 || got[rds+" r07"] != "bad bad7" || got[rds+" r13"] != "bad bad13" {
		t.Errorf("rejected %v", got)
	}
	g.close()
}

func TestARefusedResourceIsSentWhenItChanges(t *testing.T) {
	l := newLab(t)
	l.Open()
	l.put(cds, map[string]string{"a": "1"})
	g := l.connect(t)
	g.bad["2"] = true
	g.subscribe(cds)
	g.want("a")
	l.put(cds, map[string]string{"a": "2"})
	g.want("a")
	l.put(cds, map[string]string{"b": "1"})
	g.want("b") // without a
	if err := l.live(t, cds); err == nil || !strings.Contains(err.Error(), "bad 2") {
		t.Errorf("wait: %v", err)
	}
	l.put(cds, map[string]string{"a": "3"})
	g.want("a")
	if err := l.live(t, cds); err != nil {
		t.Error(err)
	}
	g.bad["4"] = true
	l.put(cds, map[string]string{"a": "4"})
	g.want("a")
	l.Update(cds, nil, []string{"a"}) // the gateway still has 3
	g.want("-a")
}

func TestEndpointsFollowAChangedCluster(t *testing.T) {
	l := newLab(t)
	l.Open()
	l.put(cds, map[string]string{"a": "1"})
	l.put(eds, map[string]string{"a": "e"})
	g := l.connect(t)
	g.subscribe(cds)
	g.want("a")
	g.subscribe(eds, "a")
	g.want("a")
	l.put(cds, map[string]string{"a": "2"})
	if r := g.receive(); r.GetTypeUrl() != cds {
		t.Fatalf("got %s first", r.GetTypeUrl())
	}
	if r := g.receive(); r.GetTypeUrl() != eds || len(r.GetResources()) != 1 {
		t.Fatalf("endpoints did not follow: %v", r)
	}
}

func TestWaitNamesTheSilentGateway(t *testing.T) {
	l := newLab(t)
	l.Open()
	l.put(cds, map[string]string{"a": "1"})
	g := l.connect(t)
	g.subscribe(cds)
	g.receive()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	if err := l.WaitAcked(ctx, cds); err == nil || !strings.Contains(err.Error(), "gw") {
		t.Errorf("wait: %v", err)
	}
	if l.server.Gateways()[0].Silent.IsZero() {
		t.Error("the gateway is not silent")
	}
}

func TestALongLogIsForgotten(t *testing.T) {
	l := newLab(t)
	l.Open()
	l.put(cds, map[string]string{"a": "0"})
	g := l.connect(t)
	g.subscribe(cds)
	first := g.receive()
	for i := range 5000 {
		l.put(cds, map[string]string{"a": fmt.Sprint(i), "b": "1"})
	}
	if n := len(l.tables[cds].log); n > 2000 {
		t.Errorf("the log has %d lines", n)
	}
	l.Update(cds, nil, []string{"b"})
	g.answer(first)
	g.want("a")
	if err := l.live(t, cds); err != nil || g.has["a"] != "4999" {
		t.Errorf("a is %q, wait: %v", g.has["a"], err)
	}
}
