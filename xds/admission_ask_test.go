package xds

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	auth "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	"github.com/kongdao/kongdao/api"
)

// polite is an authorizer over gRPC that lets in who says please.
type polite struct {
	auth.UnimplementedAuthorizationServer
}

func (polite) Check(_ context.Context, in *auth.CheckRequest) (*auth.CheckResponse, error) {
	function := in.GetAttributes().GetContextExtensions()["function"]
	if in.GetAttributes().GetRequest().GetHttp().GetHeaders()["x-say"] != "please" {
		return &auth.CheckResponse{
			Status: &status.Status{Code: int32(codes.PermissionDenied)},
			HttpResponse: &auth.CheckResponse_DeniedResponse{DeniedResponse: &auth.DeniedHttpResponse{
				Status: &typev3.HttpStatus{Code: typev3.StatusCode_PaymentRequired}, Body: "no please for " + function,
			}},
		}, nil
	}
	add := func(name, value string) *core.HeaderValueOption {
		return &core.HeaderValueOption{Header: &core.HeaderValue{Key: name, Value: value}, AppendAction: core.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD}
	}
	return &auth.CheckResponse{
		Status: &status.Status{},
		HttpResponse: &auth.CheckResponse_OkResponse{OkResponse: &auth.OkHttpResponse{
			Headers: []*core.HeaderValueOption{add("x-user", "polite"), add("x-kongdao-consumer", "app")},
		}},
	}, nil
}

func serveGRPC(t *testing.T) (addr string, stop func()) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s, done := grpc.NewServer(), make(chan struct{})
	auth.RegisterAuthorizationServer(s, polite{})
	go func() {
		defer close(done)
		_ = s.Serve(l)
	}()
	stop = func() { s.Stop(); <-done }
	t.Cleanup(stop)
	return l.Addr().String(), stop
}

func TestExternalAuthorizers(t *testing.T) {
	a := newPod(t, "a", "z")
	addr, stop := serveGRPC(t)
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/check/web" || r.Header.Get("x-kongdao-function") != "web" || r.Header.Get("x-say") != "please" {
			w.WriteHeader(http.StatusForbidden)
			io.WriteString(w, "no: "+r.Method+" "+r.URL.Path)
			return
		}
		w.Header().Set("x-auth-user", "polite")
		w.Header().Set("x-kongdao-consumer", "app")
	}))
	t.Cleanup(web.Close)
	patient := api.Duration(10 * time.Second) // the machine may be busy
	rpc := door("rpc", a, &api.Access{Consumers: []string{"app"}, External: &api.External{URL: "grpc://" + addr, Timeout: patient}})
	rpc.Spec.Routes[0].Hosts = []string{"*.example.com"}
	open := door("lenient", a, &api.Access{External: &api.External{URL: "grpc://" + addr, Timeout: patient, FailOpen: true}})
	set := functions(rpc, open, door("web", a, &api.Access{External: &api.External{URL: web.URL + "/check", Timeout: patient}}))
	set.Consumers = []*api.Consumer{consumer("app", api.ConsumerSpec{Keys: []api.Secret{"key-of-app"}})}
	r := newRig(t, set)

	r.want(r.call("GET", "a.example.com", "/rpc", "x-say: please", "x-user: mallory"), 200, "a")
	if user, who := a.header.Get("x-user"), a.header.Get("x-kongdao-consumer"); user != "polite" || who != "external" {
		t.Errorf("the pod was told user %q, consumer %q", user, who)
	}
	r.want(r.call("GET", "a.example.com", "/rpc"), http.StatusPaymentRequired, "no please for rpc")
	r.want(r.call("GET", "a.example.com", "/rpc", "x-api-key: wrong"), http.StatusPaymentRequired, "no please")
	r.want(r.call("GET", "a.example.com", "/rpc", "x-api-key: key-of-app"), 200, "a")
	if who := a.header.Get("x-kongdao-consumer"); who != "app" {
		t.Errorf("the pod was told consumer %q", who)
	}
	r.want(r.call("GET", "any", "/web", "x-say: please"), 200, "a")
	if user, who := a.header.Get("x-auth-user"), a.header.Get("x-kongdao-consumer"); user != "polite" || who != "external" {
		t.Errorf("the pod was told user %q, consumer %q", user, who)
	}
	r.want(r.call("GET", "any", "/web"), http.StatusForbidden, "no: GET /check/web")
	r.want(r.call("GET", "any", "/lenient"), http.StatusPaymentRequired, "no please for lenient")

	stop()
	web.Close()
	r.want(r.call("GET", "a.example.com", "/rpc", "x-say: please"), 503, "authorizer_unavailable")
	r.want(r.call("GET", "any", "/web", "x-say: please"), 503, "authorizer_unavailable")
	r.want(r.call("GET", "a.example.com", "/rpc", "x-api-key: key-of-app"), 200, "a")
	r.want(r.call("GET", "any", "/lenient"), 200, "a")
}

func TestAddresses(t *testing.T) {
	a := newPod(t, "a", "z")
	list := func(name string, allow, deny []string) *api.Function {
		return door(name, a, &api.Access{Public: true, IP: &api.Addresses{Allow: allow, Deny: deny}})
	}
	set := functions(
		list("here", []string{"127.0.0.1"}, nil), list("not-here", nil, []string{"127.0.0.0/8"}),
		list("both", []string{"127.0.0.0/8"}, []string{"127.0.0.1"}),
		list("far", []string{"198.51.100.0/24", "2001:db8::/32"}, []string{"198.51.100.66"}),
	)
	r := newRig(t, set)
	r.want(r.call("GET", "any", "/here"), 200, "a")
	r.want(r.call("GET", "any", "/not-here"), 403, `"error":"address_refused"`)
	r.want(r.call("GET", "any", "/both"), 403, "calls from 127.0.0.1 are not let in")
	r.want(r.call("GET", "any", "/far", "x-forwarded-for: 198.51.100.7"), 403, "address_refused")

	for _, c := range []struct {
		proxies   []string
		far, here int // for a call that says it comes from 198.51.100.7
	}{{nil, 200, 403}, {[]string{"127.0.0.0/8"}, 200, 403}, {[]string{"10.0.0.0/8"}, 403, 200}} {
		behind := newRig(t, set, func(x *Config) { x.TrustedHops, x.TrustedProxies = 1, c.proxies })
		behind.want(behind.call("GET", "any", "/far", "x-forwarded-for: 203.0.113.9, 198.51.100.7"), c.far, "")
		behind.want(behind.call("GET", "any", "/here", "x-forwarded-for: 198.51.100.7"), c.here, "")
		behind.want(behind.call("GET", "any", "/far", "x-forwarded-for: 198.51.100.66"), 403, "address_refused")
		behind.want(behind.call("GET", "any", "/far", "x-forwarded-for: 198.51.100.7, 203.0.113.9"), 403, "address_refused")
		behind.killEnvoy()
	}
}

// Many consumers and many grants are read, and none of them is lost.
func TestManyConsumers(t *testing.T) {
	a := newPod(t, "a", "z")
	var names []string
	var set api.Set
	for i := range 2000 {
		name := fmt.Sprintf("consumer-%04d", i)
		names = append(names, name)
		set.Consumers = append(set.Consumers, consumer(name, api.ConsumerSpec{Keys: []api.Secret{api.Secret("key-of-" + name)}}))
	}
	set.Functions = []*api.Function{door("f", a, &api.Access{Consumers: names[:1000]})}
	r := newRig(t, set)
	for i := 0; i < len(names); i += 37 {
		want := 200
		if i >= 1000 {
			want = 403
		}
		if got := r.call("GET", "any", "/f", "x-api-key: key-of-"+names[i]); got.status != want {
			t.Errorf("%s: %d %s", names[i], got.status, got.body)
		}
	}
}
