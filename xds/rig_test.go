package xds

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/kongdao/kongdao/api"
	"github.com/kongdao/kongdao/internal/testkit"
	"github.com/kongdao/kongdao/xds/envoy"
)

// gRPC-Go's xDS client never ends its own watch of certificate files.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("google.golang.org/grpc/credentials/tls/certprovider/pemfile.(*watcher).run"))
}

// patience bounds every wait of these tests; the machine may be busy.
const patience = 30 * time.Second

// rig is a control plane with a real Envoy, and pods in this process.
type rig struct {
	*Server
	t         testing.TB
	gateway   string // host:port that takes calls
	admin     string
	client    *http.Client
	reg       *prometheus.Registry
	killEnvoy func()
	stop      func() // the control plane
}

// newRig starts a control plane with these resources, all pods ready, and an Envoy
// that has taken them.
func newRig(t testing.TB, set api.Set, alter ...func(*Config)) *rig {
	t.Helper()
	return newRigALS(t, set, "127.0.0.1:1", alter...)
}

// newRigALS also names the place of an access log service.
func newRigALS(t testing.TB, set api.Set, alsAddr string, alter ...func(*Config)) *rig {
	t.Helper()
	c := DefaultConfig()
	c.Gateway = freeAddr(t)
	for _, a := range alter {
		a(&c)
	}
	reg := prometheus.NewRegistry()
	s, err := New(c, slog.New(slog.DiscardHandler), reg, resolveForTest)
	if err != nil {
		t.Fatal(err)
	}
	stop := run(t, s)
	transport := &http.Transport{MaxIdleConnsPerHost: 64, MaxIdleConns: 64}
	t.Cleanup(transport.CloseIdleConnections)
	r := &rig{
		Server: s, t: t, gateway: c.Gateway, admin: freeAddr(t), reg: reg,
		client: &http.Client{Transport: transport, Timeout: patience},
		stop:   stop,
	}
	r.apply(set)
	for _, f := range set.Functions {
		for _, rev := range f.Spec.Revisions {
			for _, e := range rev.Endpoints {
				s.SetReadiness(e.Address, true)
			}
		}
	}
	r.killEnvoy = startEnvoyALS(t, "gw-1", s.Addr(), r.admin, alsAddr)
	eventually(t, "the gateway listens", func() bool {
		c, err := net.Dial("tcp", r.gateway)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
	r.live()
	t.Cleanup(r.noRejection)
	return r
}

func (r *rig) apply(set api.Set) {
	r.t.Helper()
	if err := r.Apply(context.Background(), set); err != nil {
		r.t.Fatal(err)
	}
}

// run runs a control plane until stop or the test's end.
func run(t testing.TB, s *Server) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("run: %v", err)
		}
	})
	t.Cleanup(stop)
	return stop
}

// live waits until the gateway has all changes.
func (r *rig) live() {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := r.WaitLive(ctx); err != nil {
		r.t.Fatal(err)
	}
}

// noRejection fails the test if Envoy refused anything.
func (r *rig) noRejection() {
	for _, x := range r.State().Rejections {
		r.t.Errorf("rejected: %+v", x)
	}
}

// answer is what a call got.
type answer struct {
	status int
	body   string
	header http.Header
}

// call sends one request; headers are "name: value".
func (r *rig) call(method, host, path string, headers ...string) answer {
	r.t.Helper()
	a, err := r.try(method, host, path, headers...)
	if err != nil {
		r.t.Fatal(err)
	}
	return a
}

func (r *rig) try(method, host, path string, headers ...string) (answer, error) {
	req, err := http.NewRequest(method, "http://"+r.gateway+path, nil)
	if err != nil {
		return answer{}, err
	}
	req.Host = host
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		req.Header.Set(name, value)
	}
	res, err := r.client.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	return answer{res.StatusCode, string(body), res.Header}, err
}

// adminGet reads a page of Envoy's admin interface.
func (r *rig) adminGet(path string) string {
	r.t.Helper()
	res, err := r.client.Get("http://" + r.admin + path)
	if err != nil {
		r.t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return string(b)
}

const bootstrap = `{
 "node": {"id": "%[1]s", "cluster": "%[5]s", "locality": {"zone": "%[6]s"}},
 "dynamic_resources": {
  "ads_config": {"api_type": "DELTA_GRPC", "transport_api_version": "V3", "grpc_services": [{"envoy_grpc": {"cluster_name": "xds"}}]},
  "cds_config": {"ads": {}, "resource_api_version": "V3"},
  "lds_config": {"ads": {}, "resource_api_version": "V3"}
 },
 "cluster_manager": {"load_stats_config": {"api_type": "GRPC", "transport_api_version": "V3", "grpc_services": [{"envoy_grpc": {"cluster_name": "xds"}}]}},
 "static_resources": {"clusters": [%[2]s, %[3]s]},
 "admin": {"address": %[4]s, "socket_options": [%[7]s]}
}`

// grpcCluster is a static cluster of one server.
func grpcCluster(name, addr string) string {
	return fmt.Sprintf(`{
  "name": "%s", "type": "STATIC", "connect_timeout": "1s",
  "typed_extension_protocol_options": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
   "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
   "explicit_http_config": {"http2_protocol_options": {}}}},
  "load_assignment": {"cluster_name": "%[1]s", "endpoints": [{"lb_endpoints": [{"endpoint": {"address": %s}}]}]}
 }`, name, socketAddress(addr))
}

func socketAddress(addr string) string {
	host, port, _ := net.SplitHostPort(addr)
	return fmt.Sprintf(`{"socket_address": {"address": "%s", "port_value": %s}}`, host, port)
}

// startEnvoy runs an Envoy until the test ends.
func startEnvoy(t testing.TB, node, xds, admin string) (kill func()) {
	t.Helper()
	return startEnvoyALS(t, node, xds, admin, "127.0.0.1:1")
}

// startEnvoyALS also tells Envoy where the access log service is.
func startEnvoyALS(t testing.TB, node, xds, admin, als string) (kill func()) {
	t.Helper()
	return startEnvoyIn(t, "test", "zb-a", node, xds, admin, als)
}

// startEnvoyIn also tells Envoy which group it is in, and where it stands.
func startEnvoyIn(t testing.TB, group, zone, node, xds, admin, als string) (kill func()) {
	t.Helper()
	_, kill = runEnvoy(t, group, zone, node, xds, admin, als)
	return kill
}

func runEnvoy(t testing.TB, group, zone, node, xds, admin, als string) (cmd *exec.Cmd, kill func()) {
	t.Helper()
	return runBootstrap(t, fmt.Appendf(nil, bootstrap, node, grpcCluster("xds", xds), grpcCluster("als", als), socketAddress(admin), group, zone, besideHolder(t)))
}

// runBootstrap runs an Envoy with this bootstrap until the test ends.
func runBootstrap(t testing.TB, bootstrap []byte) (cmd *exec.Cmd, kill func()) {
	t.Helper()
	dir := t.TempDir()
	file := filepath.Join(dir, "bootstrap.json")
	if err := os.WriteFile(file, bootstrap, 0o600); err != nil {
		t.Fatal(err)
	}
	logFile := filepath.Join(dir, "envoy.log")
	cmd = exec.Command(envoyBinary(t), "-c", file, "--use-dynamic-base-id", "--concurrency", "1",
		"--log-level", "warning", "--log-path", logFile, "--file-flush-interval-msec", "100")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	kill = sync.OnceFunc(func() {
		cmd.Process.Kill()
		cmd.Wait()
		if t.Failed() {
			b, _ := os.ReadFile(logFile)
			t.Logf("envoy's log:\n%s", b)
		}
	})
	t.Cleanup(kill)
	return cmd, kill
}

func envoyBinary(t testing.TB) string {
	t.Helper()
	if path := os.Getenv("KONGDAO_ENVOY"); path != "" {
		return path
	}
	if path, err := exec.LookPath("envoy"); err == nil {
		return path
	}
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for ; ; dir = filepath.Dir(dir) {
		path := filepath.Join(dir, ".deps", "bin", "envoy")
		if _, err := os.Stat(path); err == nil {
			return path
		}
		if dir == filepath.Dir(dir) {
			t.Fatal("no envoy found: run make deps")
		}
	}
}

// besideHolder lets Envoy's admin interface listen on what freeAddr gives.
func besideHolder(t testing.TB) []byte {
	t.Helper()
	option, err := protojson.Marshal(envoy.BesideHolder()[0])
	if err != nil {
		t.Fatal(err)
	}
	return option
}

// freeAddr is for an Envoy of the test, and held until its end.
func freeAddr(t testing.TB) string {
	t.Helper()
	addr, release, err := envoy.HoldPort("127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := release(); err != nil {
			t.Error(err)
		}
	})
	return addr
}

// eventually is a short name: most tests here wait.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	testkit.Eventually(t, what, ok)
}

// What a pod does in place of an answer, as its status.
const (
	breakOff = 1 // breaks the connection off
	hang     = 2 // waits until its caller has gone, on health checks, too
)

// sentHeader says when the gateway took a call in, in microseconds, where a test has
// it say so.
const sentHeader = "x-sent"

// pod is a server that answers with its name and counts by second.
type pod struct {
	name, zone, address string
	calls               atomic.Int64
	status              atomic.Int64  // what it answers; 0: 200
	checkTakes          time.Duration // of its health check, /healthz
	mu                  sync.Mutex
	seconds             map[int64]int
	times               []time.Time // of calls, while they are recorded; nil: they are not
	sent                []time.Time // when the gateway took them in, of those that say so
	header              http.Header // of the last call
	path, host          string      // likewise
	stop                func()
}

func newPod(t testing.TB, name, zone string) *pod {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return servePod(t, name, zone, l)
}

func servePod(t testing.TB, name, zone string, l net.Listener) *pod {
	p := &pod{name: name, zone: zone, address: l.Addr().String(), seconds: map[int64]int{}}
	server := &http.Server{Handler: p}
	done := make(chan error, 1)
	go func() { done <- server.Serve(l) }()
	p.stop = sync.OnceFunc(func() {
		server.Close() // breaks connections at once, as a killed process does
		if err := <-done; !errors.Is(err, http.ErrServerClosed) {
			t.Errorf("pod %s: %v", name, err)
		}
	})
	t.Cleanup(p.stop)
	return p
}

func (p *pod) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if p.status.Load() == hang {
		<-r.Context().Done()
		panic(http.ErrAbortHandler)
	}
	if r.URL.Path == "/healthz" {
		<-time.After(p.checkTakes)
		return
	}
	p.calls.Add(1)
	p.mu.Lock()
	now := time.Now()
	p.seconds[now.Unix()]++
	if p.times != nil {
		p.times = append(p.times, now)
		if us, err := strconv.ParseInt(r.Header.Get(sentHeader), 10, 64); err == nil {
			p.sent = append(p.sent, time.UnixMicro(us))
		}
	}
	p.header, p.path, p.host = r.Header.Clone(), r.RequestURI, r.Host
	p.mu.Unlock()
	if p.status.Load() == breakOff {
		panic(http.ErrAbortHandler)
	}
	if status := p.status.Load(); status != 0 {
		w.WriteHeader(int(status))
	}
	io.WriteString(w, p.name)
}

// endpoints are pods as a revision names them.
func endpoints(pods ...*pod) []api.Endpoint {
	var all []api.Endpoint
	for _, p := range pods {
		all = append(all, api.Endpoint{Address: p.address, Zone: p.zone})
	}
	return all
}

// function is an open one with one revision.
func function(name, path string, pods ...*pod) *api.Function {
	return &api.Function{
		Metadata: api.Metadata{Name: name, Tenant: "test"},
		Spec: api.FunctionSpec{
			Routes:     []api.Route{{Path: path}},
			Revisions:  []api.Revision{{Name: "r1", Endpoints: endpoints(pods...)}},
			Access:     &api.Access{Public: true},
			Idempotent: true,
		},
	}
}

func functions(fs ...*api.Function) api.Set { return api.Set{Functions: fs} }

func (r *rig) want(a answer, status int, contains string) {
	r.t.Helper()
	if a.status != status || !strings.Contains(a.body, contains) {
		r.t.Errorf("got %d %q, want %d with %q", a.status, a.body, status, contains)
	}
}
