package serve

import (
	"testing"
	"time"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/structpb"
)

// hello subscribes as a node of a group in a zone.
func (g *gateway) hello(typeURL, node, cluster, group, zone string, names ...string) {
	g.t.Helper()
	n := &core.Node{Id: node, Cluster: cluster, Locality: &core.Locality{Zone: zone}}
	if group != "" {
		n.Metadata = &structpb.Struct{Fields: map[string]*structpb.Value{GroupKey: structpb.NewStringValue(group)}}
	}
	if err := g.stream.Send(&discovery.DeltaDiscoveryRequest{Node: n, TypeUrl: typeURL, ResourceNamesSubscribe: names}); err != nil {
		g.t.Fatal(err)
	}
}

func TestGroupsShareNothing(t *testing.T) {
	l := newLab(t)
	l.server.SetGroups([]string{"edge"})
	edge := l.server.Group("edge")
	l.put(cds, map[string]string{"everybody": "1"})
	edge.Update(cds, bodies(cds, map[string]string{"ours": "1"}), nil)
	l.Open()
	edge.Open()

	a, b, c := l.connect(t), l.connect(t), l.connect(t)
	a.hello(cds, "gw-a", "edge", "", "")
	a.want("ours")
	b.hello(cds, "gw-b", "something", "edge", "")
	b.want("ours")
	c.hello(cds, "gw-c", "unknown", "", "")
	c.want("everybody")

	// The group is gone: its gateways are sent away, the others stay.
	l.server.SetGroups(nil)
	if _, err := a.stream.Recv(); err == nil {
		t.Error("a gateway of a group that is gone was kept")
	}
	l.put(cds, map[string]string{"more": "1"})
	c.want("more")
}

func TestZonesMayDiffer(t *testing.T) {
	l := newLab(t)
	l.put(eds, map[string]string{"f": "all", "g": "all"})
	l.UpdateZone(eds, "za", bodies(eds, map[string]string{"f": "near"}))
	l.Open()
	a, b := l.connect(t), l.connect(t)
	a.hello(eds, "gw-a", "", "", "za", "f", "g")
	b.hello(eds, "gw-b", "", "", "zb", "f", "g")
	a.want("f", "g")
	b.want("f", "g")
	if a.has["f"] != "near" || b.has["f"] != "all" || a.has["g"] != "all" {
		t.Errorf("got %v and %v", a.has, b.has)
	}
	for range 2 { // the second time nothing changes
		l.UpdateZone(eds, "za", bodies(eds, map[string]string{"f": "nearer"}))
	}
	a.want("f")
	l.put(eds, map[string]string{"f": "other"}) // za has its own
	b.want("f")
	l.UpdateZone(eds, "za", bodies(eds, map[string]string{"f": "other"})) // as everybody's
	a.want("f")
	l.UpdateZone(eds, "za", bodies(eds, map[string]string{"g": "near"}))
	a.want("g")
	l.DropZone(eds, "za")
	a.want("g")
	l.Update(eds, nil, []string{"f"})
	a.want("-f")
	b.want("-f")
	if a.has["g"] != "all" || b.has["g"] != "all" {
		t.Errorf("got %v and %v", a.has, b.has)
	}
}

// TestVersions follows a gateway from version to version, past one that it refuses.
func TestVersions(t *testing.T) {
	l := newLab(t)
	publish := func(version uint64, value string) {
		l.put(cds, map[string]string{"c": value})
		l.Mark(version)
	}
	publish(1, "one")
	l.Open()
	g := l.connect(t)
	g.bad["three"] = true
	at := func(version, newest uint64, lags bool) {
		t.Helper()
		var got Gateway
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for deadline := time.Now().Add(patience); time.Now().Before(deadline); <-tick.C {
			if got = l.server.Gateways()[0]; got.Version == version && got.Newest == newest && (got.Lag > 0) == lags {
				return
			}
		}
		t.Fatalf("at version %d of %d, lag %v; want %d of %d", got.Version, got.Newest, got.Lag, version, newest)
	}
	g.subscribe(cds)
	r := g.receive()
	at(0, 1, true)
	g.answer(r)
	for _, other := range []string{resource.ListenerType, resource.ScopedRouteType} { // that every gateway asks for
		g.subscribe(other)
		g.take()
	}
	at(1, 1, false)
	publish(2, "two")
	g.want("c")
	at(2, 2, false)
	publish(3, "three")
	g.want("c")
	at(2, 3, true)
	publish(4, "four")
	g.want("c")
	at(4, 4, false)
}

// TestGatewaysMayDiffer: routes may differ by gateway, and what all get and what
// one gets instead changes in the same moment.
func TestGatewaysMayDiffer(t *testing.T) {
	l := newLab(t)
	l.UpdateNodes(bodies(rds, map[string]string{"s": "all", "u": "all"}), map[string]map[string]*anypb.Any{"gw-a": bodies(rds, map[string]string{"s": "mine"})})
	l.Open()
	l.Mark(1)
	a, b := l.connect(t), l.connect(t)
	a.hello(rds, "gw-a", "", "", "za", "s", "u")
	b.hello(rds, "gw-b", "", "", "za", "s", "u")
	a.want("s", "u")
	b.want("s", "u")
	if a.has["s"] != "mine" || b.has["s"] != "all" || a.has["u"] != "all" {
		t.Errorf("got %v and %v", a.has, b.has)
	}
	l.UpdateNodes(bodies(rds, map[string]string{"s": "all2"}), map[string]map[string]*anypb.Any{"gw-a": bodies(rds, map[string]string{"s": "mine2"})})
	l.Mark(2)
	a.want("s")
	b.want("s")
	if a.has["s"] != "mine2" || b.has["s"] != "all2" {
		t.Errorf("got %v and %v", a.has, b.has)
	}
	// As everybody's, which changes at once: it is never given what all had before.
	l.UpdateNodes(bodies(rds, map[string]string{"s": "all3"}), map[string]map[string]*anypb.Any{"gw-a": {"s": nil}})
	a.want("s")
	b.want("s")
	if a.has["s"] != "all3" || b.has["s"] != "all3" {
		t.Errorf("got %v and %v", a.has, b.has)
	}
	if l.server.Has("gw-c", 1) {
		t.Error("a gateway that is not connected has something")
	}
}
