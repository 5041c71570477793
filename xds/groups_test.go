package xds

import (
	"context"
	"net"
	"net/http"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/kongdao/kongdao/api"
)

// gatewayOf is another Envoy of a rig's control plane.
type gatewayOf struct {
	*rig // with its address
	cmd  *exec.Cmd
	kill func()
}

// join starts a gateway of a group that listens at a place of its own.
func (r *rig) join(group, zone, node, listen string) gatewayOf {
	r.t.Helper()
	cmd, kill := runEnvoy(r.t, group, zone, node, r.Addr(), freeAddr(r.t), "127.0.0.1:1")
	other := *r
	other.gateway = listen
	g := gatewayOf{&other, cmd, kill}
	eventually(r.t, node+" listens", func() bool {
		c, err := net.Dial("tcp", listen)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
	r.live()
	return g
}

// state is what a gateway has; the zero value while it is not connected.
func (r *rig) state(node string) GatewayState {
	for _, g := range r.Gateways() {
		if g.Node == node {
			return g
		}
	}
	return GatewayState{}
}

func gatewayGroup(name string, spec api.GatewayGroupSpec) *api.GatewayGroup {
	return &api.GatewayGroup{Metadata: api.Metadata{Name: name}, Spec: spec}
}

// TestGroups has gateways for everybody and one for the back office: its own
// functions, under its own host, by every method, open to all that reach it.
func TestGroups(t *testing.T) {
	a, b := newPod(t, "a", "zb-a"), newPod(t, "b", "zb-a")
	feed, admin := function("feed", "/feed", a), function("admin", "/admin", b)
	admin.Labels, admin.Spec.Access = map[string]string{"for": "staff"}, nil
	admin.Spec.Routes[0].Methods = []string{"GET"}
	feed.Spec.Capacity.PerPodQPS = 100
	office := freeAddr(t)
	set := functions(admin, feed)
	set.GatewayGroups = []*api.GatewayGroup{gatewayGroup("office", api.GatewayGroupSpec{
		Labels: map[string]string{"for": "staff"}, Exclusive: true, Listen: office,
		Hosts: []string{"admin.internal"}, AnyMethod: true, Access: &api.Access{Public: true},
	})}
	r := newRig(t, set)
	gw2 := r.join("office", "zb-b", "gw-2", office)

	r.want(r.call("GET", "any", "/feed"), 200, "a")
	r.want(r.call("GET", "admin.internal", "/admin"), 404, "no function has a route")
	gw2.want(gw2.call("GET", "admin.internal", "/admin"), 200, "b")
	gw2.want(gw2.call("DELETE", "admin.internal", "/admin"), 200, "b")
	gw2.want(gw2.call("GET", "other.internal", "/admin"), 404, "")
	gw2.want(gw2.call("GET", "admin.internal", "/feed"), 404, "")
	if f := r.State().Functions; len(f) != 2 || f[0].Name != "admin" || f[1].Cost != 10_000 {
		t.Errorf("a gateway that does not serve the feed shares its limit, or a function is missing: %+v", f)
	}
	for node, group := range map[string]string{"gw-1": "default", "gw-2": "office"} {
		g := r.state(node)
		if g.Group != group || g.Version == 0 || g.Version != g.Newest || g.Lag != 0 || g.Build == "" || g.LastAck.IsZero() {
			t.Errorf("state of %s: %+v", node, g)
		}
	}

	// One that lags is named; the other goes on.
	if err := gw2.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	feed = function("feed", "/feed2", a)
	admin = function("admin", "/admin2", b)
	admin.Labels = map[string]string{"for": "staff"}
	next := functions(admin, feed)
	next.GatewayGroups = set.GatewayGroups
	r.apply(next)
	eventually(t, "the other gateway goes on", func() bool { return r.call("GET", "any", "/feed2").status == 200 })
	eventually(t, "the one that hangs is behind", func() bool { return r.state("gw-2").Lag > 0 && r.state("gw-2").Version < r.state("gw-2").Newest })
	ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
	defer cancel()
	if err := r.WaitLive(ctx); err == nil {
		t.Error("everything is said to be live")
	}
	if err := gw2.cmd.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	r.live()
	gw2.want(gw2.call("PUT", "admin.internal", "/admin2"), 200, "b")
	if g := r.state("gw-2"); g.Lag != 0 || g.Version != g.Newest {
		t.Errorf("it has caught up: %+v", g)
	}

	// A group that is gone leaves its gateways to the default group.
	next.GatewayGroups = nil
	r.apply(next)
	eventually(t, "the gateway is one of everybody's", func() bool {
		x, err := r.try("GET", "any", "/feed2")
		return err == nil && x.status == 200 && r.state("gw-2").Group == "default"
	})
}

// TestCanaryGroupFirst sends new resources through a canary group: well, with a
// gateway that dies of them, and past it by hand.
func TestCanaryGroupFirst(t *testing.T) {
	a, b := newPod(t, "a", "zb-a"), newPod(t, "b", "zb-a")
	place := freeAddr(t)
	groups := []*api.GatewayGroup{gatewayGroup("brave", api.GatewayGroupSpec{Listen: place, Canary: &api.Canary{Hold: api.Duration(300 * time.Millisecond)}})}
	with := func(path string, pods ...*pod) api.Set {
		set := functions(function("feed", path, pods...))
		set.GatewayGroups = groups
		return set
	}
	r := newRig(t, with("/one", a))
	canary := r.join("brave", "zb-a", "gw-2", place)
	r.want(r.call("GET", "any", "/one"), 200, "a")

	r.apply(with("/two", a))
	eventually(t, "the canary has it", func() bool { return canary.call("GET", "any", "/two").status == 200 })
	if r.Rollout() != nil { // unless this machine took longer than the hold
		r.want(r.call("GET", "any", "/one"), 200, "a")
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := r.WaitRollout(ctx); err != nil {
		t.Fatal(err)
	}
	r.want(r.call("GET", "any", "/two"), 200, "a")
	r.want(r.call("GET", "any", "/one"), 404, "")

	// The canary gateway dies: the others keep what they have, but for pods.
	groups[0].Spec.Canary.Hold = api.Duration(time.Hour)
	r.apply(with("/three", a))
	eventually(t, "the canary has it", func() bool { return canary.call("GET", "any", "/three").status == 200 })
	canary.kill()
	eventually(t, "the rollout is held", func() bool { x := r.Rollout(); return x != nil && x.Held })
	if x := r.Rollout(); !strings.Contains(x.Reason, "gw-2 has left") || x.Canary[0] != "brave" || x.Others[0] != "default" {
		t.Errorf("rollout: %+v", x)
	}
	r.apply(with("/three", b))
	r.SetReadiness(b.address, true)
	eventually(t, "pods go to all groups", func() bool { x := r.call("GET", "any", "/two"); return x.status == http.StatusOK && x.body == "b" })
	r.want(r.call("GET", "any", "/three"), 404, "")
	if err := r.Promote(); err != nil {
		t.Fatal(err)
	}
	r.live()
	r.want(r.call("GET", "any", "/three"), 200, "b")
	if err := r.Promote(); err == nil || r.Rollout() != nil {
		t.Errorf("nothing is left to promote: %v", err)
	}
}
