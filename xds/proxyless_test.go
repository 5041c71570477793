package xds

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	grpcxds "google.golang.org/grpc/xds"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/kongdao/kongdao/api"
)

// say is the one method that namedPods have a route for.
const say = "/test.Echo/Say"

// namedPod answers every method with its name.
func namedPod(t testing.TB, name, zone string) *pod {
	t.Helper()
	var p *pod
	var kill func()
	p = listen(t, func(l net.Listener) func() {
		g := grpc.NewServer(grpc.UnknownServiceHandler(func(_ any, stream grpc.ServerStream) error {
			if err := stream.RecvMsg(&emptypb.Empty{}); err != nil {
				return err
			}
			p.calls.Add(1)
			return stream.SendMsg(wrapperspb.String(name))
		}))
		done := make(chan struct{})
		go func() { defer close(done); _ = g.Serve(l) }()
		kill = func() { g.Stop(); <-done }
		return kill
	})
	p.name, p.zone, p.stop = name, zone, kill
	return p
}

// direct is a function that callers get.
func directly(name string, revisions ...api.Revision) *api.Function {
	f := function(name, "/test.Echo/*")
	for i := range revisions {
		revisions[i].Protocol = api.GRPC
	}
	f.Spec.Revisions = revisions
	return f
}

func revision(name string, pods ...*pod) api.Revision {
	return api.Revision{Name: name, Endpoints: endpoints(pods...)}
}

// directRig is a control plane that serves callers, without gateways.
type directRig struct {
	*Server
	t    testing.TB
	stop func()
}

func newDirectRig(t testing.TB, listen string, set api.Set) *directRig {
	t.Helper()
	c := DefaultConfig()
	c.Gateway, c.Proxyless, c.Listen = "127.0.0.1:9", true, listen
	s, err := New(c, slog.New(slog.DiscardHandler), prometheus.NewRegistry(), resolveForTest)
	if err != nil {
		t.Fatal(err)
	}
	r := &directRig{Server: s, t: t, stop: run(t, s)}
	r.apply(set)
	return r
}

// apply makes a set the wanted one, with all pods ready.
func (r *directRig) apply(set api.Set) {
	r.t.Helper()
	ready := map[string]bool{}
	for _, f := range set.Functions {
		for _, rev := range f.Spec.Revisions {
			for _, e := range rev.Endpoints {
				ready[e.Address] = true
			}
		}
	}
	if err := r.Apply(context.Background(), set); err != nil {
		r.t.Fatal(err)
	}
	r.SetReady(ready)
}

// dial makes a client of a function that knows nothing but the control plane.
func (r *directRig) dial(function string) *grpc.ClientConn {
	r.t.Helper()
	return r.dialBy(function, r.Addr(), `{"type": "insecure"}`)
}

// dialBy also says where that is and how the client knows it.
func (r *directRig) dialBy(function, addr, credentials string) *grpc.ClientConn {
	r.t.Helper()
	bootstrap := fmt.Appendf(nil, `{
	 "xds_servers": [{"server_uri": "%s", "channel_creds": [%s], "server_features": ["xds_v3"]}],
	 "node": {"id": "checkout-1", "cluster": "default", "locality": {"zone": "zb-a"}}}`, addr, credentials)
	resolver, err := grpcxds.NewXDSResolverWithConfigForTesting(bootstrap)
	if err != nil {
		r.t.Fatal(err)
	}
	conn, err := grpc.NewClient("xds:///"+function, grpc.WithResolvers(resolver), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { conn.Close() })
	return conn
}

// ask calls once and returns the name of the pod.
func ask(conn *grpc.ClientConn, method string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	answer := &wrapperspb.StringValue{}
	err := conn.Invoke(ctx, method, &emptypb.Empty{}, answer)
	return answer.GetValue(), err
}

// load calls all the time, from several goroutines, and counts who answers.
type callersLoad struct {
	mu     sync.Mutex
	names  map[string]int
	failed []error
	cancel func()
	done   sync.WaitGroup
}

func pressed(t *testing.T, conn *grpc.ClientConn) *callersLoad {
	l := &callersLoad{names: map[string]int{}}
	stop := make(chan struct{})
	l.cancel = sync.OnceFunc(func() { close(stop); l.done.Wait() })
	t.Cleanup(l.cancel)
	for range 4 {
		l.done.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				name, err := ask(conn, say)
				l.count(name, err)
			}
		})
	}
	return l
}

func (l *callersLoad) count(name string, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.names[name]++
	if err != nil {
		l.failed = append(l.failed, err)
	}
}

// next forgets what was counted and waits for more calls.
func (l *callersLoad) next(t *testing.T, calls int) map[string]int {
	t.Helper()
	l.mu.Lock()
	l.names = map[string]int{}
	l.mu.Unlock()
	eventually(t, "calls", func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		sum := 0
		for _, n := range l.names {
			sum += n
		}
		return sum >= calls
	})
	l.mu.Lock()
	defer l.mu.Unlock()
	return maps.Clone(l.names)
}

// only waits until none but these pods answer.
func (l *callersLoad) only(t *testing.T, names ...string) {
	t.Helper()
	eventually(t, "none but "+strings.Join(names, ", "), func() bool {
		got := l.next(t, 200)
		for _, name := range names {
			if got[name] == 0 {
				return false
			}
		}
		return len(got) == len(names)
	})
}

func (l *callersLoad) noneFailed(t *testing.T) {
	t.Helper()
	l.cancel()
	if len(l.failed) > 0 {
		t.Errorf("%d calls failed, the first: %v", len(l.failed), l.failed[0])
	}
}

func TestCallersFollowWithoutLosingACall(t *testing.T) {
	a1, a2, b1 := namedPod(t, "a1", "zb-a"), namedPod(t, "a2", "zb-a"), namedPod(t, "b1", "zb-b")
	green := namedPod(t, "green", "zb-a")
	feed := directly("feed", revision("r1", a1, a2, b1))
	r := newDirectRig(t, "127.0.0.1:0", functions(feed))
	load := pressed(t, r.dial("feed"))
	load.only(t, "a1", "a2", "b1")

	// A pod that leaves.
	feed = directly("feed", revision("r1", a1, b1))
	r.apply(functions(feed))
	load.only(t, "a1", "b1")

	// A drained zone, and back.
	r.SetZoneWeight("zb-b", 0)
	load.only(t, "a1")
	r.SetZoneWeight("zb-b", 100)
	load.only(t, "a1", "b1")

	// A pod that was found to be down.
	r.SetReadiness(a1.address, false)
	load.only(t, "b1")
	r.SetReadiness(a1.address, true)
	load.only(t, "a1", "b1")

	// A pod that dies, which nobody has told the control plane.
	a1.stop()
	load.only(t, "b1")
	a1 = namedPod(t, "a1", "zb-a")

	// A new revision, by weight.
	share := func(weight int) {
		feed = directly("feed", revision("r1", a1, b1), revision("r2", green))
		feed.Spec.Traffic = []api.Traffic{{Revision: "r1", Weight: 100 - weight}, {Revision: "r2", Weight: weight}}
		r.apply(functions(feed))
	}
	share(30)
	load.only(t, "a1", "b1", "green")
	n := load.next(t, 2000)
	if part := float64(n["green"]) / float64(n["green"]+n["a1"]+n["b1"]); part < 0.2 || part > 0.4 { // ten standard deviations
		t.Errorf("30 %% of the calls are for green: %v", n)
	}
	share(100)
	load.only(t, "green")
	feed = directly("feed", revision("r2", green)) // the old one is gone with its cluster
	r.apply(functions(feed))
	load.next(t, 500)
	load.noneFailed(t)
}

func TestCallersOutliveTheControlPlane(t *testing.T) {
	old, fresh := namedPod(t, "old", "zb-a"), namedPod(t, "fresh", "zb-a")
	r := newDirectRig(t, "127.0.0.1:0", functions(directly("feed", revision("r1", old))))
	addr := r.Addr()
	load := pressed(t, r.dial("feed"))
	load.only(t, "old")
	r.stop()
	load.next(t, 500)
	r = newDirectRig(t, addr, functions(directly("feed", revision("r2", fresh))))
	load.only(t, "fresh")
	load.noneFailed(t)
	if all := r.Callers(); len(all) != 1 || all[0].Node != "checkout-1" || len(all[0].Refused) > 0 || !strings.Contains(all[0].Agent, "gRPC Go") {
		t.Errorf("callers: %+v", all)
	}
}

func TestCallersGetWhatIsOfferedAlone(t *testing.T) {
	p := namedPod(t, "p", "zb-a")
	feed, keyed := directly("feed", revision("r1", p)), directly("keyed", revision("r1", p))
	keyed.Spec.Access = &api.Access{Consumers: []string{"shop"}}
	set := functions(feed, keyed)
	set.Consumers = []*api.Consumer{{Metadata: api.Metadata{Name: "shop"}}}
	r := newDirectRig(t, "127.0.0.1:0", set)
	conn := r.dial("feed")
	if name, err := ask(conn, say); name != "p" || err != nil {
		t.Fatalf("%q, %v", name, err)
	}
	if _, err := ask(conn, "/test.Admin/Wipe"); status.Code(err) != codes.Unavailable {
		t.Errorf("a method that no route leads to: %v", err)
	}
	r.dial("keyed").Connect()
	eventually(t, "what is missing is named", func() bool {
		for _, c := range r.Callers() {
			for _, m := range c.Missing {
				if m.Name == "keyed" && strings.HasPrefix(m.Reason, "access: ") {
					return true
				}
			}
		}
		return false
	})
	if p.calls.Load() != 1 {
		t.Errorf("the pod got %d calls", p.calls.Load())
	}

	// What is withdrawn is gone at once.
	r.apply(functions(keyed))
	eventually(t, "calls say that the function is gone", func() bool {
		_, err := ask(conn, say)
		return status.Code(err) == codes.Unavailable && strings.Contains(err.Error(), `"feed" of type "ListenerResource" has been removed`)
	})
	r.apply(functions(feed)) // and back
	eventually(t, "the function is back", func() bool { _, err := ask(conn, say); return err == nil })
}

// TestConcurrencyOfCallers: a client counts requests in flight by itself, and many
// of them are no trouble where there is no limit.
func TestConcurrencyOfCallers(t *testing.T) {
	release := make(chan struct{})
	var flying atomic.Int64
	slow := listen(t, func(l net.Listener) func() {
		g := grpc.NewServer(grpc.UnknownServiceHandler(func(_ any, stream grpc.ServerStream) error {
			flying.Add(1)
			<-release
			return stream.SendMsg(wrapperspb.String("slow"))
		}))
		done := make(chan struct{})
		go func() { defer close(done); _ = g.Serve(l) }()
		return func() { g.Stop(); <-done }
	})
	narrow, wide := directly("narrow", revision("r1", slow)), directly("wide", revision("r1", slow))
	narrow.Spec.Concurrency = 3
	r := newDirectRig(t, "127.0.0.1:0", functions(narrow, wide))
	conn := r.dial("narrow")
	var calls sync.WaitGroup
	inFlight := func(conn *grpc.ClientConn, n int) {
		for range n {
			calls.Go(func() {
				if _, err := ask(conn, say); err != nil {
					t.Error(err)
				}
			})
		}
	}
	inFlight(conn, 3)
	eventually(t, "three calls are under way", func() bool { return flying.Load() == 3 })
	if _, err := ask(conn, say); status.Code(err) != codes.Unavailable {
		t.Errorf("a fourth call: %v", err)
	}
	inFlight(r.dial("wide"), 1200) // clients stop at 1,024 by themselves
	eventually(t, "all are under way", func() bool { return flying.Load() == 1203 })
	close(release)
	calls.Wait()
}

// TestRetriesAndTimeoutsOfCallers: what breaks is tried again where that is allowed,
// and a call ends when its function says so.
func TestRetriesAndTimeoutsOfCallers(t *testing.T) {
	var failures, tries atomic.Int64
	moody := listen(t, func(l net.Listener) func() {
		g := grpc.NewServer(grpc.UnknownServiceHandler(func(_ any, stream grpc.ServerStream) error {
			tries.Add(1)
			if method, _ := grpc.MethodFromServerStream(stream); strings.HasSuffix(method, "Hang") {
				<-stream.Context().Done()
				return stream.Context().Err()
			}
			if failures.Add(-1) >= 0 {
				return status.Error(codes.Unavailable, "not now")
			}
			return stream.SendMsg(wrapperspb.String("moody"))
		}))
		done := make(chan struct{})
		go func() { defer close(done); _ = g.Serve(l) }()
		return func() { g.Stop(); <-done }
	})
	again, once, short := directly("again", revision("r1", moody)), directly("once", revision("r1", moody)), directly("short", revision("r1", moody))
	once.Spec.Idempotent, short.Spec.Timeout = false, api.Duration(50*time.Millisecond)
	r := newDirectRig(t, "127.0.0.1:0", functions(again, once, short))
	failures.Store(3)
	if _, err := ask(r.dial("again"), say); err != nil || tries.Load() != 4 {
		t.Errorf("%v after %d tries", err, tries.Load())
	}
	if _, err := ask(r.dial("short"), "/test.Echo/Hang"); status.Code(err) != codes.DeadlineExceeded {
		t.Errorf("a call that never ends: %v", err)
	}
	failures.Store(1)
	tries.Store(0)
	if _, err := ask(r.dial("once"), say); status.Code(err) != codes.Unavailable || tries.Load() != 1 {
		t.Errorf("a call that must not be repeated: %v after %d tries", err, tries.Load())
	}
}
