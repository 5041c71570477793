package xds

import (
	"fmt"
	"net"
	"testing"
)

// TestPodsThatAreDownGetNothing looks at 100, 30 and 0 percent of healthy pods: the
// healthy ones get everything however few they are (a panic threshold of 0), and
// without any the answer comes from the gateway.
func TestPodsThatAreDownGetNothing(t *testing.T) {
	var pods []*pod
	for i := range 10 {
		pods = append(pods, newPod(t, fmt.Sprint("p", i), "zb-a"))
	}
	f := function("feed", "/feed", pods...)
	f.Spec.Capacity.PerPodQPS = 10_000
	r := newRig(t, functions(f))
	called := func() (names map[string]int) {
		t.Helper()
		names = map[string]int{}
		for range 100 {
			a := r.call("GET", "any", "/feed")
			if a.status != 200 {
				t.Fatalf("got %d %q", a.status, a.body)
			}
			names[a.body]++
		}
		return names
	}
	if got := called(); len(got) != 10 {
		t.Errorf("100 %% healthy: %v", got)
	}

	down := map[string]bool{}
	for _, p := range pods[3:] {
		down[p.address] = false
	}
	r.SetReady(down)
	r.live()
	if got := called(); len(got) != 3 || got["p0"] < 30 || got["p1"] < 30 || got["p2"] < 30 {
		t.Errorf("30 %% healthy: %v", got)
	}
	if limit := r.State().Functions[0].Limit; limit != 30_000 {
		t.Errorf("the limit is %v, want that of three pods", limit)
	}

	for _, p := range pods {
		p.stop()
		down[p.address] = false
	}
	r.SetReady(down)
	r.live()
	eventually(t, "the gateway answers itself", func() bool { return r.call("GET", "any", "/feed").status == 503 })
	eventually(t, "it knows of no healthy pod", func() bool { return r.upstreamOf("feed/r1", "membership_healthy") == "0" })
	tried, none := r.upstreamOf("feed/r1", "upstream_rq_total"), r.upstreamOf("feed/r1", "upstream_cx_none_healthy")
	for range 20 {
		r.want(r.call("GET", "any", "/feed"), 503, "no_healthy_upstream")
	}
	if r.upstreamOf("feed/r1", "upstream_rq_total") != tried || r.upstreamOf("feed/r1", "upstream_cx_none_healthy") == none {
		t.Error("0 % healthy: pods were tried")
	}

	l, err := net.Listen("tcp", pods[0].address)
	if err != nil {
		t.Fatal(err)
	}
	servePod(t, "back", "zb-a", l)
	r.SetReadiness(pods[0].address, true)
	eventually(t, "the first pod that is back is called", func() bool { return r.call("GET", "any", "/feed").body == "back" })
}

// upstreamOf is one of Envoy's numbers about a cluster.
func (r *rig) upstreamOf(cluster, name string) string {
	r.t.Helper()
	text := r.adminGet("/stats?filter=^cluster\\." + cluster + "\\." + name + "$")
	var value string
	for i := len(text) - 1; i >= 0; i-- {
		if text[i] == ' ' {
			value = text[i+1:]
			break
		}
	}
	if n := len(value); n > 0 && value[n-1] == '\n' {
		value = value[:n-1]
	}
	return value
}
