package xds

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/kongdao/kongdao/api"
)

// several are the gateways of one control plane that share limits, each at a place
// of its own, hence in a group of its own.
func several(t testing.TB, n int, set api.Set, alter ...func(*Config)) (r *rig, gateways []*rig) {
	t.Helper()
	listens := make([]string, n)
	for i := 1; i < n; i++ {
		listens[i] = quietAddr(t)
		set.GatewayGroups = append(set.GatewayGroups, gatewayGroup(fmt.Sprint("g", i), api.GatewayGroupSpec{Listen: listens[i]}))
	}
	r = newRig(t, set, alter...)
	gateways = []*rig{r}
	for i := 1; i < n; i++ {
		g := r.join(fmt.Sprint("g", i), "zb-a", fmt.Sprint("gw-", i+1), listens[i])
		transport := &http.Transport{MaxIdleConnsPerHost: 64, MaxIdleConns: 64}
		t.Cleanup(transport.CloseIdleConnections)
		g.rig.client = &http.Client{Transport: transport, Timeout: patience}
		gateways = append(gateways, g.rig)
	}
	return r, gateways
}

// quietAddr is a free address with a port that the system gives no connection, so
// that it stays free until a gateway takes it.
func quietAddr(t testing.TB) string {
	t.Helper()
	for range 100 {
		l, err := net.Listen("tcp", fmt.Sprint("127.0.0.1:", 10_000+rand.IntN(20_000)))
		if err == nil {
			defer l.Close()
			return l.Addr().String()
		}
	}
	t.Fatal("no port is free")
	return ""
}

// atRandom are the times of requests that come by chance, for offerAt.
func atRandom(rate float64) func(i int64) float64 {
	r := rand.New(rand.NewPCG(1, 2))
	var mu sync.Mutex
	times := []float64{0}
	return func(i int64) float64 {
		mu.Lock()
		defer mu.Unlock()
		for int64(len(times)) <= i {
			times = append(times, times[len(times)-1]+r.ExpFloat64()/rate)
		}
		return times[i]
	}
}

// counted is what gateways did with requests in some time.
type counted struct {
	sent, admitted []float64 // by gateway, a second
	sum            float64   // admitted, a second
	total          int       // admitted
	took           float64   // seconds
}

// offerEach sends rates[i] requests a second to gateway i for a time.
func offerEach(t testing.TB, gateways []*rig, rates []float64, seconds float64) (c counted) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Duration(seconds*float64(time.Second)))
	defer cancel()
	got := make([]*load, len(gateways))
	start := time.Now()
	var all sync.WaitGroup
	for i, g := range gateways {
		all.Go(func() { got[i] = g.offer(ctx, rates[i], "any", "/feed") })
	}
	all.Wait()
	c.took = time.Since(start).Seconds()
	for _, l := range got {
		c.sent = append(c.sent, float64(l.sent)/c.took)
		c.admitted = append(c.admitted, float64(l.status[200])/c.took)
		c.total += l.status[200]
		for _, err := range l.errs {
			t.Errorf("a request failed: %v", err)
		}
	}
	c.sum = float64(c.total) / c.took
	return c
}

// bucketful is what fresh buckets admit at once beyond a rate, in seconds of it: a
// gateway's small part lies in a bucket of a tenth of a second.
const bucketful = 0.1

// within waits for a time in which the gateways admit a limit, but for some of it,
// and in which something holds. In none may they admit more, with full buckets to
// begin with; less they admit also when this machine is too slow to call them.
func within(t testing.TB, gateways []*rig, rates []float64, limit, less float64, holds ...func(c counted) bool) (c counted) {
	t.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		c = offerEach(t, gateways, rates, 1)
		t.Logf("sent %.0f, admitted %.0f, in all %.1f/s of %.0f", c.sent, c.admitted, c.sum, limit)
		if most := limit * (1.01*c.took + bucketful); float64(c.total) > most+2 {
			t.Fatalf("admitted %d in %.2f s, more than %.0f", c.total, c.took, most)
		}
		if c.sum >= limit*(1-less) && !slices.ContainsFunc(holds, func(ok func(counted) bool) bool { return !ok(c) }) {
			return c
		}
	}
	t.Fatalf("admitted %.1f/s in the end, want %.0f/s less %.0f %%; parts %v", c.sum, limit, 100*less, gateways[0].partsOf())
	return c
}

// partsOf are the parts of the feed's limit by node.
func (r *rig) partsOf() map[string]float64 {
	parts := map[string]float64{}
	for _, s := range r.Shares("feed") {
		parts[s.Node] = s.Part
	}
	return parts
}

// TestSharedLimit has three gateways share a limit: asked for alike, four times as
// much at one as at the others, one leaving, one joining, and all of them without a
// control plane.
func TestSharedLimit(t *testing.T) {
	const limit = 300
	p := newPod(t, "p", "zb-a")
	f := function("feed", "/feed", p)
	f.Spec.Capacity.PerPodQPS = limit
	r, gateways := several(t, 3, functions(f))

	// A gateway that is called first is asked for more at first.
	within(t, gateways, []float64{200, 200, 200}, limit, 0.4, func(counted) bool {
		parts := r.partsOf()
		return min(parts["gw-1"], parts["gw-2"], parts["gw-3"]) > 0.25
	})
	within(t, gateways, []float64{480, 60, 60}, limit, 0.4, func(c counted) bool { return r.partsOf()["gw-1"] > 0.6 && c.admitted[0] > 0.45*limit })
	for _, s := range r.Shares("feed") {
		if s.Limit != s.Part*limit || !s.Known || s.Node == "gw-1" && (s.Admitted < 50 || s.Refused == 0) {
			t.Errorf("state of a part: %+v", s)
		}
	}

	r.stop() // parts stay as they are
	within(t, gateways, []float64{480, 60, 60}, limit, 0.4)
}

// TestSharesFollowTheFleet: a gateway that leaves gives its part back after the
// grace, and one that joins is given one.
func TestSharesFollowTheFleet(t *testing.T) {
	const limit = 300
	p := newPod(t, "p", "zb-a")
	f := function("feed", "/feed", p)
	f.Spec.Capacity.PerPodQPS = limit
	r, gateways := several(t, 2, functions(f), func(c *Config) { c.GatewayGrace = api.Duration(500 * time.Millisecond) })
	within(t, gateways, []float64{480, 120}, limit, 0.4, func(counted) bool { return r.partsOf()["gw-1"] > 0.6 })

	r.killEnvoy()
	eventually(t, "the one that stays has the whole limit", func() bool { p := r.partsOf(); return len(p) == 1 && p["gw-2"] == 1 })
	r.live()
	within(t, gateways[1:], []float64{600}, limit, 0.4)

	startEnvoy(t, "gw-9", r.Addr(), freeAddr(t))
	eventually(t, "the new one has an even part", func() bool { return r.partsOf()["gw-9"] == 0.5 })
	eventually(t, "it listens", func() bool { _, err := r.try("GET", "any", "/feed"); return err == nil })
	r.live()
	within(t, gateways, []float64{120, 480}, limit, 0.4, func(counted) bool { return r.partsOf()["gw-2"] > 0.6 })
}

// TestTwoControlPlanes have a gateway each. Neither knows of the other's, unless it
// is told how many there are.
func TestTwoControlPlanes(t *testing.T) {
	const limit = 300
	p := newPod(t, "p", "zb-a")
	f := function("feed", "/feed", p)
	f.Spec.Capacity.PerPodQPS = limit
	two := func(c *Config) { c.Gateways = 2 }
	a, b := newRig(t, functions(f), two), newRig(t, functions(f), two)
	if parts := a.partsOf(); parts["gw-1"] != 0.5 {
		t.Errorf("parts with another gateway elsewhere: %v", parts)
	}
	within(t, []*rig{a, b}, []float64{400, 400}, limit, 0.4)

	c := DefaultConfig()
	if c.Gateways != 1 {
		t.Errorf("told nothing, a control plane counts %d gateways at least", c.Gateways)
	}
}
