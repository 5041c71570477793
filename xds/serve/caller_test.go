package serve

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	cluster "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	rpc "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/anypb"
)

const lds = resource.ListenerType

// client speaks the protocol of the whole state.
type client struct {
	t      *testing.T
	stream discovery.AggregatedDiscoveryService_StreamAggregatedResourcesClient
	node   *core.Node // of the first request
}

func (l *lab) client(t *testing.T, node, group string) *client {
	t.Helper()
	conn, err := grpc.NewClient(l.addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(func() { cancel(); conn.Close() })
	stream, err := discovery.NewAggregatedDiscoveryServiceClient(conn).StreamAggregatedResources(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return &client{t: t, stream: stream, node: &core.Node{Id: node, Cluster: group, UserAgentName: "test"}}
}

// ask names all that is wanted of a type, in answer to a response or to none.
func (c *client) ask(typeURL, nonce, nack string, names ...string) {
	c.t.Helper()
	r := &discovery.DiscoveryRequest{Node: c.node, TypeUrl: typeURL, ResponseNonce: nonce, ResourceNames: names}
	if c.node = nil; nack != "" {
		r.ErrorDetail = &rpc.Status{Message: nack}
	}
	if err := c.stream.Send(r); err != nil {
		c.t.Fatal(err)
	}
}

// want receives a response of a type with these contents.
func (c *client) want(typeURL string, values ...string) *discovery.DiscoveryResponse {
	c.t.Helper()
	r, err := c.stream.Recv()
	if err != nil {
		c.t.Fatal(err)
	}
	var got []string
	for _, x := range r.GetResources() {
		got = append(got, string(x.GetValue()))
	}
	if r.GetTypeUrl() != typeURL || !slices.Equal(got, values) {
		c.t.Fatalf("got %s %q, want %s %q", r.GetTypeUrl(), got, typeURL, values)
	}
	return r
}

func (l *lab) direct(typeURL string, values map[string]string, remove ...string) {
	l.UpdateCallers(typeURL, bodies(typeURL, values), remove)
}

func callersLab(t *testing.T) *lab {
	l := newLab(t)
	l.server.ServeCallers(func(name string) *cluster.Cluster { return &cluster.Cluster{Name: name} })
	return l
}

func TestCallersAreServedOnPurpose(t *testing.T) {
	l := newLab(t)
	l.Open()
	c := l.client(t, "c", "")
	_ = c.stream.Send(&discovery.DiscoveryRequest{TypeUrl: cds}) // may come too late
	if _, err := c.stream.Recv(); status.Code(err) != codes.Unimplemented {
		t.Errorf("%v", err)
	}
}

func TestWholeTypesSayWhatIsGone(t *testing.T) {
	l := callersLab(t)
	c := l.client(t, "c", "")
	c.ask(lds, "", "", "a", "b", "nothing")
	l.direct(lds, map[string]string{"a": "a1", "b": "b1", "other": "o1"})
	l.Open()
	r := c.want(lds, "a1", "b1")
	c.ask(lds, r.GetNonce(), "", "a", "b", "nothing")
	l.direct(lds, map[string]string{"a": "a2"}) // the others are in it all the same
	next := c.want(lds, "a2", "b1")
	if next.GetVersionInfo() == r.GetVersionInfo() {
		t.Error("another state has the same version")
	}
	c.ask(lds, next.GetNonce(), "", "a", "b", "nothing")
	l.direct(lds, nil, "b")
	r = c.want(lds, "a2")
	c.ask(lds, r.GetNonce(), "", "a", "b", "nothing")
	l.direct(lds, map[string]string{"b": "b1"})
	c.want(lds, "a2", "b1")

	again := l.client(t, "c", "") // as after a break
	again.ask(lds, "", "", "a", "b", "nothing")
	if got := again.want(lds, "a2", "b1").GetVersionInfo(); got == "" {
		t.Error("no version")
	}
	if all := l.server.Callers(); len(all) != 2 || !slices.Equal(all[0].Missing, []string{"nothing"}) || all[0].Agent != "test" {
		t.Errorf("%+v", all)
	}
}

// TestNoClusterIsGone: a route may still lead to it.
func TestNoClusterIsGone(t *testing.T) {
	l := callersLab(t)
	l.direct(cds, map[string]string{"a": "a1"})
	l.Open()
	c := l.client(t, "c", "")
	c.ask(cds, "", "", "a")
	r := c.want(cds, "a1")
	c.ask(cds, r.GetNonce(), "", "a")
	l.direct(cds, map[string]string{"b": "b1"}, "a")
	r = c.want(cds, "\n\x01a") // a cluster of that name
	c.ask(cds, r.GetNonce(), "", "a", "b")
	r = c.want(cds, "\n\x01a", "b1")
	c.ask(cds, r.GetNonce(), "", "b")
	l.direct(cds, map[string]string{"b": "b2"})
	c.want(cds, "b2")
}

func TestPartialTypesSayWhatDiffers(t *testing.T) {
	l := callersLab(t)
	l.direct(eds, map[string]string{"a": "a1", "b": "b1"})
	l.Open()
	c := l.client(t, "c", "")
	c.ask(eds, "", "", "a", "b", "later")
	r := c.want(eds, "a1", "b1")
	c.ask(eds, r.GetNonce(), "", "a", "b", "later")
	l.direct(eds, map[string]string{"a": "a1", "b": "b2"})
	r = c.want(eds, "b2")
	c.ask(eds, r.GetNonce(), "", "a", "b", "later")
	l.direct(eds, nil, "a") // is nothing that could be said
	l.direct(eds, map[string]string{"later": "l1"})
	r = c.want(eds, "l1")

	// What is not asked for any more is not sent; asked for again it is.
	c.ask(eds, r.GetNonce(), "", "later")
	l.direct(eds, map[string]string{"a": "a3", "b": "b3"})
	c.ask(eds, r.GetNonce(), "", "later", "b")
	r = c.want(eds, "b3")
	c.ask(eds, r.GetNonce(), "")
	l.direct(eds, map[string]string{"b": "b4"})
	c.ask(eds, r.GetNonce(), "", "b")
	c.want(eds, "b4")
}

func TestOneUnansweredResponse(t *testing.T) {
	l := callersLab(t)
	l.direct(cds, map[string]string{"a": "a1", "b": "b1"})
	l.Open()
	c := l.client(t, "c", "")
	c.ask(cds, "", "", "a")
	first := c.want(cds, "a1")
	l.direct(cds, map[string]string{"a": "a2"})
	l.direct(cds, map[string]string{"a": "a3"})
	c.ask(cds, first.GetNonce(), "", "a")
	second := c.want(cds, "a3") // both changes at once, after the answer

	// Requests from before the response was read are not answers to it.
	c.ask(cds, first.GetNonce(), "", "a", "b")
	c.ask(cds, "", "", "b")
	c.ask(rds, "", "", "none") // nothing there, no answer
	l.direct(rds, map[string]string{"none": "r1"})
	c.want(rds, "r1") // and nothing of the other type before it
	c.ask(cds, second.GetNonce(), "", "a", "b")
	c.want(cds, "a3", "b1")
}

func TestRefusalsOfCallersAreTheirs(t *testing.T) {
	l := callersLab(t)
	l.put(cds, map[string]string{"f": "1"})
	l.direct(cds, map[string]string{"f": "f1", "g": "g1"})
	l.direct(eds, map[string]string{"f": "f1", "g": "g1"})
	l.Open()
	g := l.connect(t)
	g.subscribe(cds)
	g.want("f")
	c := l.client(t, "broken", "")
	c.ask(cds, "", "", "f", "g")
	r := c.want(cds, "f1", "g1")
	c.ask(cds, r.GetNonce(), "f is bad", "f", "g")
	c.ask(eds, "", "", "f", "g")
	r = c.want(eds, "f1", "g1")
	c.ask(eds, r.GetNonce(), "g is bad", "f", "g")

	// The fleet goes on, and knows nothing of it.
	l.put(cds, map[string]string{"f": "2"})
	g.want("f")
	if err := l.live(t, cds, eds); err != nil {
		t.Error(err)
	}
	if _, err := l.Behind(); err != nil || len(l.rejections) != 0 || len(l.server.Gateways()) != 1 {
		t.Errorf("%v, %v, %v", err, l.rejections, l.server.Gateways())
	}

	// What was refused is not sent again before it changes.
	l.direct(eds, map[string]string{"f": "f2"})
	r = c.want(eds, "f2")
	all := l.server.Callers()
	if len(all) != 1 || len(all[0].Refused) != 2 || !strings.Contains(all[0].Refused[1].Message, "g is bad") || all[0].Refused[0].Node != "broken" {
		t.Fatalf("%+v", all)
	}
	c.ask(eds, r.GetNonce(), "", "f") // takes f, and forgets g
	l.direct(cds, map[string]string{"f": "f2"})
	r = c.want(cds, "f2", "g1")
	c.ask(cds, r.GetNonce(), "", "f", "g")
	l.direct(eds, map[string]string{"f": "f3"})
	c.want(eds, "f3")
	l.direct(cds, map[string]string{"f": "f3"})
	c.want(cds, "f3", "g1")
	if all := l.server.Callers(); len(all[0].Refused) != 0 || all[0].LastAck.IsZero() {
		t.Errorf("%+v", all)
	}
}

func TestCallersOfGroups(t *testing.T) {
	l := callersLab(t)
	l.server.SetGroups([]string{"edge"})
	edge := l.server.Group("edge")
	l.direct(lds, map[string]string{"f": "everybody"})
	edge.UpdateCallers(lds, bodies(lds, map[string]string{"f": "ours"}), nil)
	l.Open()
	edge.Open()
	a, b := l.client(t, "a", "edge"), l.client(t, "b", "unknown")
	a.ask(lds, "", "", "f")
	a.want(lds, "ours")
	b.ask(lds, "", "", "f")
	r := b.want(lds, "everybody")
	l.server.SetGroups(nil)
	if _, err := a.stream.Recv(); status.Code(err) != codes.Unavailable {
		t.Errorf("a caller of a group that is gone: %v", err)
	}
	b.ask(lds, r.GetNonce(), "", "f")
	l.direct(lds, map[string]string{"f": "more"})
	b.want(lds, "more")
}

// TestManyChangesOfCallers goes beyond what a table remembers of changes.
func TestManyChangesOfCallers(t *testing.T) {
	a := newAsked(eds, newTable())
	a.want([]string{"a", "b"})
	put := func(name, value string) {
		a.table.update(map[string]*anypb.Any{name: {TypeUrl: eds, Value: []byte(value)}}, nil, time.Now())
	}
	put("a", "1")
	if r := a.next(); len(r.GetResources()) != 1 {
		t.Fatalf("%v", r)
	}
	put("b", "1")
	for i := range 5000 {
		put("other", string(rune('0'+i%2)))
	}
	if r := a.next(); len(r.GetResources()) != 1 || string(r.GetResources()[0].GetValue()) != "1" || a.names[0] != "b" {
		t.Errorf("%v", r)
	}
	if r := a.next(); r != nil {
		t.Errorf("nothing is due: %v", r)
	}
}
