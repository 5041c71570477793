package explain

import (
	"bufio"
	"cmp"
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/envoyproxy/go-control-plane/pkg/cache/types"
	"github.com/envoyproxy/go-control-plane/pkg/cache/v3"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"github.com/envoyproxy/go-control-plane/pkg/server/v3"
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"github.com/kongdao/kongdao/api"
	"github.com/kongdao/kongdao/api/grpcjson/grpcjsontest"
	"github.com/kongdao/kongdao/xds/envoy"
	"github.com/kongdao/kongdao/xds/model"
	"github.com/kongdao/kongdao/xds/translate"
)

const (
	patience = 30 * time.Second
	seqName  = "x-seq" // numbers the requests of a test, through to the access log
)

// TestExplainAgreesWithEnvoy sends random requests to a real Envoy that serves
// random worlds, and compares what Envoy logs with what Explain says.
func TestExplainAgreesWithEnvoy(t *testing.T) {
	const worlds, requests = 5, 1200
	seed := uint64(1) // make chaos draws others
	if text := os.Getenv("KONGDAO_TEST_SEED"); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("to repeat: KONGDAO_TEST_SEED=%d", seed)
	pods, dead := startPods(t)
	for i := range uint64(worlds) {
		c := chance{rand.New(rand.NewPCG(seed, i)), grpcjsontest.Transcode(t)}
		t.Run(fmt.Sprintf("world %d", i), func(t *testing.T) {
			in := c.input(12, pods, dead)
			if i%2 == 1 {
				in.MarkHeader = markRight
			}
			compare(t, c.request, model.Build(in), requests)
		})
	}
}

// startPods gives three pods that answer and one that does not exist.
func startPods(t *testing.T) (pods []api.Endpoint, dead map[string]bool) {
	t.Helper()
	for _, zone := range []string{"za", "zb", "zc"} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		s := &http.Server{Handler: http.HandlerFunc(echo), Protocols: &http.Protocols{}}
		s.Protocols.SetHTTP1(true)
		s.Protocols.SetUnencryptedHTTP2(true)
		end := make(chan struct{})
		go func() {
			defer close(end)
			_ = s.Serve(l)
		}()
		t.Cleanup(func() {
			s.Close()
			<-end
		})
		pods = append(pods, api.Endpoint{Address: l.Addr().String(), Zone: zone})
	}
	nobody := "127.0.0.1:1"
	return append(pods, api.Endpoint{Address: nobody, Zone: "zb"}), map[string]bool{nobody: true}
}

func compare(t *testing.T, draw func() Request, w *model.World, n int) {
	addr, stop, calls := serveWorld(t, w)
	client := &http.Client{
		Transport:     &http.Transport{MaxIdleConnsPerHost: 1},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Timeout:       patience,
	}
	sent := make([]Request, n)
	got := make([]seen, n)
	for i := range sent {
		sent[i] = draw()
		sent[i].From.Zone = "za" // where the gateway stands
		got[i] = send(t, client, addr, sent[i], i)
	}
	client.CloseIdleConnections()
	stop() // Envoy writes its log to the end
	logged := readCalls(t, calls)
	bad := 0
	for i, r := range sent {
		a := Explain(w, r)
		problem := cmp.Or(disagreement(a, got[i].status, logged[i]), carriedWrongly(a, got[i]))
		if problem == "" {
			continue
		}
		t.Errorf("%s %s %s %v: %s\nexplained: %s", r.Method, r.Host, r.Path, r.Headers, problem, a.Text())
		if bad++; bad == 5 {
			t.Fatal("and so on")
		}
	}
}

func send(t *testing.T, client *http.Client, addr string, r Request, seq int) seen {
	t.Helper()
	path, query, asked := strings.Cut(r.Path, "?")
	req := &http.Request{
		Method: r.Method,
		URL:    &url.URL{Scheme: "http", Host: addr, Opaque: path, RawQuery: query, ForceQuery: asked},
		Host:   r.Host,
		Header: r.Headers.Clone(),
	}
	if strings.HasPrefix(path, "//") { // else Go takes it for a host
		req.URL.Opaque, req.URL.Path, req.URL.RawPath = "", path, path
	}
	req.Header.Set(seqName, strconv.Itoa(seq))
	resp, err := client.Do(req)
	if err != nil {
		t.Fatalf("%s %s %s: %v", r.Method, r.Host, r.Path, err)
	}
	defer resp.Body.Close()
	var body []byte
	if resp.StatusCode != http.StatusSwitchingProtocols {
		body, err = io.ReadAll(resp.Body)
	}
	if err != nil {
		t.Fatal(err)
	}
	status := resp.StatusCode
	if resp.Header.Get("grpc-status") != "" {
		status = 0 // to gRPC callers Envoy says its own statuses in another way
	}
	return seen{status, string(body), resp.Header.Get("location"), resp.Header.Get("access-control-allow-origin")}
}

// call is what Envoy logged of a request; empty where it logged "-".
type call struct{ route, cluster, pod, limits string }

const callFormat = "%REQ(" + seqName + ")%\t%ROUTE_NAME%\t%UPSTREAM_CLUSTER_RAW%\t%UPSTREAM_HOST%\t" + limitsFormat + "\n"

func readCalls(t *testing.T, path string) map[int]call {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	calls := map[int]call{}
	for lines := bufio.NewScanner(f); lines.Scan(); {
		fields := strings.Split(lines.Text(), "\t")
		for i, field := range fields {
			if field == "-" {
				fields[i] = ""
			}
		}
		if seq, err := strconv.Atoi(fields[0]); err == nil && len(fields) == 5 {
			calls[seq] = call{fields[1], fields[2], fields[3], fields[4]}
		}
	}
	return calls
}

// disagreement compares an answer with what happened; "" when all is right.
func disagreement(a Answer, status int, c call) string {
	if c.route != a.Route {
		return fmt.Sprintf("envoy took the route %q and not %q", c.route, a.Route)
	}
	if want := limitsText(a); a.Revision != "" && !a.Pinned && c.limits != want {
		return fmt.Sprintf("envoy was told of the limits %q and not %q", c.limits, want)
	}
	want := a.Status
	if a.Revision != "" {
		r, problem := chosen(a, c)
		if problem != "" {
			return problem
		}
		want = r.Status
	} else if c.pod != "" { // a filter may refuse what has a cluster already
		return fmt.Sprintf("envoy sent it to %q of %q", c.pod, c.cluster)
	}
	if a.Websocket && want == 0 {
		want = http.StatusSwitchingProtocols
	}
	if status != 0 && status != cmp.Or(want, http.StatusOK) {
		return fmt.Sprintf("envoy answered %d and not %d; route %q, cluster %q", status, cmp.Or(want, http.StatusOK), c.route, c.cluster)
	}
	return ""
}

// chosen is the revision that Envoy chose, and what is wrong with that or with
// the pod.
func chosen(a Answer, c call) (Revision, string) {
	name, _, pinned := strings.Cut(strings.TrimPrefix(c.cluster, a.Function+"/"), "@")
	i := slices.IndexFunc(a.Revisions, func(r Revision) bool { return r.Name == name && r.Share > 0 })
	if i < 0 || pinned != a.Pinned {
		return Revision{}, fmt.Sprintf("envoy chose the cluster %q", c.cluster)
	}
	r := a.Revisions[i]
	if r.Status != 0 && c.pod != "" {
		return r, fmt.Sprintf("envoy found the pod %q of %q", c.pod, c.cluster)
	}
	listed := name == a.Revision && r.Status == 0
	if listed && !slices.ContainsFunc(a.Endpoints, func(e Endpoint) bool { return e.Address == c.pod && e.Share > 0 }) {
		return r, fmt.Sprintf("envoy chose the pod %q of %q", c.pod, c.cluster)
	}
	return r, ""
}

// serveWorld runs an Envoy with the resources of a world and returns its address,
// what stops it, and its access log.
func serveWorld(t *testing.T, w *model.World, alter ...func(*translate.Resources)) (addr string, stop func(), calls string) {
	t.Helper()
	return serveAlteredWorld(t, w, func(r *translate.Resources) {
		for _, a := range alter {
			a(r)
		}
	})
}

// serveAlteredWorld changes the resources before the Envoy gets them.
func serveAlteredWorld(t testing.TB, w *model.World, alter func(*translate.Resources)) (addr string, stop func(), calls string) {
	t.Helper()
	return serveLoggedWorld(t, w, callFormat, alter)
}

// serveLoggedWorld has Envoy log in this format.
func serveLoggedWorld(t testing.TB, w *model.World, format string, alter func(*translate.Resources)) (addr string, stop func(), calls string) {
	t.Helper()
	dir := t.TempDir()
	calls = filepath.Join(dir, "calls.log")
	httpPort, err := envoy.FreePort("127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	resources, err := translate.Changes(translate.Config{
		Address: "127.0.0.1", Port: uint32(httpPort), AccessLog: calls, AccessLogFormat: format, Shards: 4, MarkHeader: w.MarkHeader,
	}, nil, w)
	if err != nil {
		t.Fatal(err)
	}
	for name, a := range resources.Views["za"] {
		if a != nil {
			resources.Endpoints[name] = a
		}
	}
	alter(&resources.Resources)
	cfg := envoy.DefaultConfig()
	cfg.Dir, cfg.Concurrency = dir, 1
	cfg.HTTPAddr = net.JoinHostPort("127.0.0.1", strconv.Itoa(httpPort))
	var stopXDS func()
	cfg.XDSAddr, stopXDS = serveXDS(t, cfg.NodeID, &resources.Resources)
	g, err := envoy.New(cfg, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	if err != nil {
		t.Fatalf("run `make deps`: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	end := make(chan error, 1)
	go func() { end <- g.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-end; err != nil {
			t.Error(err)
		}
		stopXDS()
	})
	t.Cleanup(stop)
	ready, done := context.WithTimeout(ctx, patience)
	defer done()
	if err := g.Ready(ready); err != nil {
		log, _ := os.ReadFile(filepath.Join(dir, "envoy.log"))
		t.Fatalf("%v\n%s", err, log)
	}
	return g.Addr(), stop, calls
}

func serveXDS(t testing.TB, node string, r *translate.Resources) (addr string, stop func()) {
	t.Helper()
	snapshot, err := cache.NewSnapshot("1", map[resource.Type][]types.Resource{
		resource.ClusterType:         list(r.Clusters),
		resource.EndpointType:        list(r.Endpoints),
		resource.ListenerType:        list(r.Listeners),
		resource.RouteType:           list(r.Routes),
		resource.ScopedRouteType:     list(r.Scopes),
		resource.ExtensionConfigType: list(r.Extensions),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	snapshots := cache.NewSnapshotCache(true, cache.IDHash{}, nil)
	if err := snapshots.SetSnapshot(ctx, node, snapshot); err != nil {
		cancel()
		t.Fatal(err)
	}
	socket, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	nacks := server.CallbackFuncs{StreamDeltaRequestFunc: func(_ int64, q *discovery.DeltaDiscoveryRequest) error {
		if e := q.GetErrorDetail(); e != nil {
			t.Errorf("envoy refused %s: %s", q.TypeUrl, e.Message)
		}
		return nil
	}}
	s := grpc.NewServer()
	discovery.RegisterAggregatedDiscoveryServiceServer(s, server.NewServer(ctx, snapshots, nacks))
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = s.Serve(socket)
	}()
	return socket.Addr().String(), func() { cancel(); s.Stop(); <-done }
}

func list[M proto.Message](m map[string]M) []types.Resource {
	out := make([]types.Resource, 0, len(m))
	for _, r := range m {
		out = append(out, r)
	}
	return out
}
