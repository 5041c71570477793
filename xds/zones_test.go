package xds

import (
	"context"
	"math"
	"net"
	"sync"
	"testing"

	"github.com/kongdao/kongdao/api"
)

// zoneRig is a gateway in zone za and one in zb, and two pods in each.
type zoneRig struct {
	*rig
	b              gatewayOf
	a1, a2, b1, b2 *pod
}

func newZoneRig(t *testing.T, alter ...func(*api.Function)) *zoneRig {
	t.Helper()
	z := &zoneRig{a1: newPod(t, "a1", "zb-a"), a2: newPod(t, "a2", "zb-a"), b1: newPod(t, "b1", "zb-b"), b2: newPod(t, "b2", "zb-b")}
	f := function("feed", "/feed", z.a1, z.a2, z.b1, z.b2)
	for _, a := range alter {
		a(f)
	}
	set := functions(f)
	place := freeAddr(t)
	set.GatewayGroups = []*api.GatewayGroup{gatewayGroup("there", api.GatewayGroupSpec{Listen: place})}
	z.rig = newRig(t, set)
	z.b = z.join("there", "zb-b", "gw-2", place)
	z.settled(2)
	return z
}

// settled waits until the shares are those of so many gateways.
func (z *zoneRig) settled(gateways int) {
	z.t.Helper()
	eventually(z.t, "the gateways are counted", func() bool {
		z.mu.Lock()
		defer z.mu.Unlock()
		return z.fleet.of("default", "there").Gateways == gateways
	})
	z.live()
}

// shares sends requests through a gateway and returns the part that each pod got.
func (z *zoneRig) shares(through *rig, n int) map[string]float64 {
	z.t.Helper()
	got := map[string]float64{}
	for range n {
		a := through.call("GET", "any", "/feed")
		if a.status != 200 {
			z.t.Fatalf("got %d %q", a.status, a.body)
		}
		got[a.body] += 1 / float64(n)
	}
	return got
}

func (z *zoneRig) want(through *rig, what string, want map[string]float64) {
	z.t.Helper()
	got := z.shares(through, 300)
	for _, name := range []string{"a1", "a2", "b1", "b2"} {
		if math.Abs(got[name]-want[name]) > 0.03 { // round robin: next to no chance
			z.t.Errorf("%s: got %v, want %v", what, got, want)
			return
		}
	}
}

// TestGatewaysPreferTheirZone has each send to its own pods, as far as these can
// take it, and looks at what happens when they cannot.
func TestGatewaysPreferTheirZone(t *testing.T) {
	z := newZoneRig(t)
	z.want(z.rig, "at home", map[string]float64{"a1": .5, "a2": .5})
	z.want(z.b.rig, "at home", map[string]float64{"b1": .5, "b2": .5})

	z.SetReadiness(z.a1.address, false)
	z.live()
	// Three pods for two gateways, 1.5 each: a2 takes 1, b1 and b2 half of one more.
	z.want(z.rig, "a pod is gone", map[string]float64{"a2": 2. / 3, "b1": 1. / 6, "b2": 1. / 6})
	z.want(z.b.rig, "a pod is gone elsewhere", map[string]float64{"b1": .5, "b2": .5})

	z.SetReadiness(z.a1.address, true)
	z.SetZoneWeight("zb-a", 0)
	z.live()
	z.want(z.rig, "drained", map[string]float64{"b1": .5, "b2": .5})
	z.SetZoneWeight("zb-a", 50)
	z.live()
	// a1 and a2 take half a pod each, of the 1.5 that this gateway admits.
	z.want(z.rig, "half drained", map[string]float64{"a1": 1. / 3, "a2": 1. / 3, "b1": 1. / 6, "b2": 1. / 6})
	z.SetZoneWeight("zb-a", 100)
	z.live()
	z.want(z.rig, "restored", map[string]float64{"a1": .5, "a2": .5})

	z.b.kill()
	z.mu.Lock()
	z.fleet.grace = 0
	z.mu.Unlock()
	z.settled(1)
	z.want(z.rig, "alone", map[string]float64{"a1": .25, "a2": .25, "b1": .25, "b2": .25})
}

// TestLosingTheOwnZoneLosesNothing kills all pods of a gateway's zone under load,
// tells the control plane later, and brings one back.
func TestLosingTheOwnZoneLosesNothing(t *testing.T) {
	z := newZoneRig(t)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var both sync.WaitGroup
	results := make([]*load, 2)
	both.Go(func() { results[0] = z.offer(ctx, 300, "any", "/feed") })
	both.Go(func() { results[1] = z.b.offer(ctx, 100, "any", "/feed") })
	steady := z.a1.calls.Load()
	eventually(t, "the zone is called", func() bool { return z.a1.calls.Load() > steady+50 })
	z.a1.stop()
	z.a2.stop()
	n := z.b1.calls.Load()
	eventually(t, "the other zone takes over by itself", func() bool { return z.b1.calls.Load() > n+200 })
	z.SetReady(map[string]bool{z.a1.address: false, z.a2.address: false})
	z.live()
	n = z.b1.calls.Load()
	eventually(t, "it goes on", func() bool { return z.b1.calls.Load() > n+100 })
	l, err := net.Listen("tcp", z.a1.address)
	if err != nil {
		t.Fatal(err)
	}
	back := servePod(t, "a1", "zb-a", l)
	z.SetReadiness(z.a1.address, true)
	eventually(t, "the zone is called again", func() bool { return back.calls.Load() > 50 })
	cancel()
	both.Wait()
	for i, got := range results {
		t.Logf("gateway %d: %d requests: %v, errors %d", i+1, got.sent, got.status, len(got.errs))
		if len(got.errs) > 0 || len(got.status) != 1 || got.status[200] == 0 {
			t.Errorf("gateway %d lost requests: %v %v", i+1, got.status, got.errs)
		}
	}
}

// TestNoPodAboveItsRateFromTwoZones offers far more than the limit to both gateways
// while three of the four pods stand in one zone.
func TestNoPodAboveItsRateFromTwoZones(t *testing.T) {
	const rate = 60
	z := newZoneRig(t, func(f *api.Function) {
		f.Spec.Capacity.PerPodQPS = rate
		f.Spec.Revisions[0].Endpoints[1].Zone = "zb-b" // a2
	})
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var both sync.WaitGroup
	both.Go(func() { z.offer(ctx, 3*rate, "any", "/feed") })
	both.Go(func() { z.b.offer(ctx, 3*rate, "any", "/feed") })
	pods := []*pod{z.a1, z.a2, z.b1, z.b2}
	begun := make([]int64, len(pods))
	for i, p := range pods {
		begun[i] = p.calls.Load()
	}
	eventually(t, "the busiest pod has had its rate for some seconds", func() bool { return z.b1.calls.Load()-begun[2] >= 4*rate })
	cancel()
	both.Wait()
	least, most := int64(math.MaxInt64), int64(0)
	for i, p := range pods {
		n := p.calls.Load() - begun[i]
		least, most = min(least, n), max(most, n)
	}
	t.Logf("calls of pods: %d to %d", least, most)
	if float64(most) > 1.15*float64(least) {
		t.Errorf("pods had %d to %d calls, want about the same", least, most)
	}
}
