package xds

import (
	"context"
	"strings"
	"sync"
	"testing"
)

// TestLift gives a pod more and less of its function's calls at gateways of two zones,
// under load that loses nothing, and gives it its share again.
func TestLift(t *testing.T) {
	z := newZoneRig(t)
	for _, wrong := range []struct {
		function, address string
		factor            float64
		says              string
	}{
		{"feed", z.a1.address, 0, "factor"},
		{"feed", z.a1.address, 11, "factor"},
		{"feed", "127.0.0.1:1", 2, "no such pod"},
		{"none", z.a1.address, 2, "no function"},
	} {
		if err := z.Lift(wrong.function, wrong.address, wrong.factor); err == nil || !strings.Contains(err.Error(), wrong.says) {
			t.Errorf("%+v: %v", wrong, err)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	var calls sync.WaitGroup
	var got *load
	calls.Go(func() { got = z.offer(ctx, 200, "any", "/feed") })
	lift := func(factor float64) {
		t.Helper()
		if err := z.Lift("feed", z.a1.address, factor); err != nil {
			t.Fatal(err)
		}
		z.live()
	}
	lift(1)
	z.want(z.rig, "claimed", map[string]float64{"a1": .5, "a2": .5})
	lift(1.5)
	z.want(z.rig, "lifted", map[string]float64{"a1": .6, "a2": .4})
	z.want(z.b.rig, "lifted elsewhere", map[string]float64{"b1": .5, "b2": .5})
	lift(3)
	z.want(z.rig, "lifted more", map[string]float64{"a1": .75, "a2": .25})
	if f := z.State().Functions[0]; len(f.Lifted) != 1 || f.Lifted[0].Address != z.a1.address || f.Lifted[0].Factor != 3 {
		t.Errorf("state: %+v", f.Lifted)
	}
	if err := z.Lift("feed", z.b1.address, 2); err == nil || !strings.Contains(err.Error(), z.a1.address) {
		t.Errorf("a second one: %v", err)
	}
	if _, err := z.Pin("feed", z.b1.address); err == nil || !strings.Contains(err.Error(), "live calls") {
		t.Errorf("a pin beside it: %v", err)
	}
	z.SetZoneWeight("zb-a", 50)
	z.live()
	// a1 and a2 take 1.5 of the 3 parts that this gateway sends, three to one between
	// them, and b1 and b2 the rest of a third.
	z.want(z.rig, "half drained", map[string]float64{"a1": .6, "a2": .2, "b1": .1, "b2": .1})
	z.SetZoneWeight("zb-a", 100)
	z.EndLift("feed", z.a1.address)
	z.live()
	z.want(z.rig, "given back", map[string]float64{"a1": .5, "a2": .5})
	cancel()
	calls.Wait()
	if len(got.errs) > 0 || len(got.status) != 1 || got.status[200] == 0 {
		t.Errorf("calls were lost: %v %v", got.status, got.errs)
	}
	pin, err := z.Pin("feed", z.b1.address)
	if err != nil {
		t.Fatal(err)
	}
	defer z.Unpin(pin)
	if err := z.Lift("feed", z.a1.address, 2); err == nil {
		t.Error("a pod is lifted beside a pinned one")
	}
}

// TestLiftKeepsTheLimit: what the function admits stays when shares are uneven, with
// gateways of no zone at all too.
func TestLiftKeepsTheLimit(t *testing.T) {
	a, b, c := newPod(t, "a", "zb-a"), newPod(t, "b", "zb-a"), newPod(t, "c", "zb-b")
	f := function("feed", "/feed", a, b, c)
	f.Spec.Capacity.PerPodQPS = 20_000
	r := newRig(t, functions(f))
	if err := r.Lift("feed", a.address, 2); err != nil {
		t.Fatal(err)
	}
	r.live()
	got := map[string]int{}
	for range 400 {
		got[r.call("GET", "any", "/feed").body]++
	}
	if got["a"] < 190 || got["a"] > 210 || got["b"] < 90 || got["b"] > 110 {
		t.Errorf("got %v", got)
	}
	if limit := r.State().Functions[0].Limit; limit != 60_000 {
		t.Errorf("limit %v", limit)
	}
}
