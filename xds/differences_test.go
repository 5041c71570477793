package xds

import (
	"encoding/json"
	"strings"
	"syscall"
	"testing"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	route "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"

	"github.com/kongdao/kongdao/api"
)

// TestWhatAGatewayHasNot: a gateway that refuses a whole shard of routes, and one
// that hangs, are told of with the functions and places that it is about, and why.
func TestWhatAGatewayHasNot(t *testing.T) {
	a := newPod(t, "a", "zb-a")
	at := func(f *api.Function, line int) *api.Function {
		f.Source = api.Source{File: "shop.yaml", Line: line}
		f.Spec.Routes[0].Hosts = []string{"shop.test"}
		return f
	}
	good, bad := at(function("good", "/good", a), 3), at(function(badName, "/bad", a), 20)
	r := newRig(t, functions(bad, good, function("other", "/other", a)))
	all := r.Configs()
	if len(all) != 1 || all[0].Name != "default" || all[0].Functions != 3 || all[0].Hosts != 2 || all[0].Version == 0 || all[0].Waits {
		t.Errorf("the configuration: %+v", all)
	}
	if g := all[0].Gateways; len(g) != 1 || g[0].Node != "gw-1" || g[0].Total != 0 || g[0].Version != all[0].Version {
		t.Errorf("a gateway that has it all: %+v", g)
	}

	tampered := tamperWith(r)
	tampered.Store(&badKind{route: func(r *route.Route) { r.RequestHeadersToAdd = []*core.HeaderValueOption{headerOption(":path", "/")} }})
	r.apply(functions(at(function(badName, "/bad/2", a), 20), good, function("other", "/other", a)))
	eventually(t, "the gateway refuses it", func() bool { return len(r.state("gw-1").Refuses) > 0 })
	refused := r.state("gw-1").Refuses[0]
	if refused.What != "routes" || refused.State != "refused" || !strings.Contains(refused.Reason, "may not be modified") || !strings.HasPrefix(refused.Resource, "shard-") {
		t.Errorf("refused: %+v", refused)
	}
	want := []api.Named{{Name: badName, Source: bad.Source}, {Name: "good", Source: good.Source}}
	if len(refused.Functions) != 2 || refused.Functions[0] != want[0] || refused.Functions[1] != want[1] {
		t.Errorf("refused of %v, want %v", refused.Functions, want)
	}
	list := r.Rejections()
	if x := list[len(list)-1]; len(x.Functions) != 2 || x.Functions[0].Name != badName || x.What[0] != "routes" || x.Node != "gw-1" {
		t.Errorf("rejections: %+v", list)
	}
	if g := r.Configs()[0].Gateways[0]; g.Total != 1 || g.Differences[0].Resource != refused.Resource || g.Version >= r.Configs()[0].Version {
		t.Errorf("the gateway that refuses: %+v", g)
	}
	tampered.Store(nil)
	r.apply(functions(at(function(badName, "/bad/3", a), 20), good, function("other", "/other", a)))
	eventually(t, "the gateway has it all", func() bool {
		g := r.state("gw-1")
		return len(g.Refuses) == 0 && g.Version == g.Newest && r.Configs()[0].Gateways[0].Total == 0
	})
	r.hung(t, a)
	r.mu.Lock()
	r.reject = nil // the ones that were expected
	r.mu.Unlock()
}

// hung stops the gateway and gives it a new revision.
func (r *rig) hung(t *testing.T, a *pod) {
	t.Helper()
	other := r.join("default", "zb-a", "gw-2", r.gateway)
	eventually(t, "the second gateway has it all", func() bool { g := r.state("gw-2"); return g.Version > 0 && g.Version == g.Newest })
	if err := other.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	f := function("other", "/other", a)
	f.Spec.Revisions[0].Name = "r2"
	r.apply(functions(f))
	eventually(t, "the revision is with the gateway", func() bool { return len(r.state("gw-2").Warming) > 0 })
	if got := r.state("gw-2").Warming; got[0] != "other/r2" {
		t.Errorf("warming %v", got)
	}
	eventually(t, "the difference is told", func() bool {
		for _, g := range r.Configs()[0].Gateways {
			if g.Node == "gw-2" && g.Total > 0 && g.Differences[0].What == "revision other/r2" && g.Differences[0].State == "sent" {
				return true
			}
		}
		return false
	})
	if err := other.cmd.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it has it all", func() bool {
		g := r.state("gw-2")
		return len(g.Warming) == 0 && g.Lag == 0 && g.Version == g.Newest
	})
}

// TestNoSecretInDifferences: what a gateway says of a certificate may quote it.
func TestNoSecretInDifferences(t *testing.T) {
	if got := told("type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret", "Proto constraint: PRIVATE KEY abc"); strings.Contains(got, "abc") || got == "" {
		t.Errorf("told %q", got)
	}
	if got := told("type.googleapis.com/envoy.config.cluster.v3.Cluster", strings.Repeat("x", 5000)); len(got) > 600 {
		t.Errorf("%d bytes are told", len(got))
	}
	r := newRig(t, api.Set{})
	text, err := json.Marshal(r.Configs())
	if err != nil || strings.Contains(string(text), "null") {
		t.Errorf("%s, %v", text, err)
	}
}
