package xds

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/kongdao/kongdao/api"
	"github.com/kongdao/kongdao/api/grpcjson/grpcjsontest"
	"github.com/kongdao/kongdao/internal/calllog"
)

// shop is a real gRPC server of grpcjsontest's service.
type shop struct {
	item    protoreflect.MessageDescriptor
	address string
}

func newShop(t *testing.T) *shop {
	t.Helper()
	files, err := protodesc.NewFiles(grpcjsontest.Files())
	if err != nil {
		t.Fatal(err)
	}
	item, err := files.FindDescriptorByName("shop.v1.Item")
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &shop{item: item.(protoreflect.MessageDescriptor), address: l.Addr().String()}
	server := grpc.NewServer(grpc.UnknownServiceHandler(s.serve))
	done := make(chan error, 1)
	go func() { done <- server.Serve(l) }()
	t.Cleanup(func() {
		server.Stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return s
}

// serve answers with what it was given. An item that is called after a status fails
// with it; of List there are three.
func (s *shop) serve(_ any, stream grpc.ServerStream) error {
	in := dynamicpb.NewMessage(s.item)
	if err := stream.RecvMsg(in); err != nil {
		return err
	}
	id := in.Get(s.item.Fields().ByName("id")).String()
	for c := codes.OK; c <= codes.Unauthenticated; c++ {
		if id == c.String() && c != codes.OK {
			return status.Error(c, "it is called so")
		}
	}
	name, _ := grpc.MethodFromServerStream(stream)
	n := 1
	if strings.HasSuffix(name, "/List") {
		n = 3
	}
	in.Set(s.item.Fields().ByName("full_name"), protoreflect.ValueOfString(name))
	for range n {
		if err := stream.SendMsg(in); err != nil {
			return err
		}
	}
	return nil
}

func (s *shop) function(name, host string, how *api.Transcode) *api.Function {
	f := function(name, "/*")
	f.Spec.Routes[0].Hosts = []string{host}
	f.Spec.Revisions = []api.Revision{{Name: "r1", Protocol: api.GRPC, Endpoints: []api.Endpoint{{Address: s.address, Zone: "zb-a"}}}}
	f.Spec.Transcode = how
	return f
}

// ask sends JSON and returns what came back.
func (r *rig) ask(method, host, path, body string) answer {
	r.t.Helper()
	req, err := http.NewRequest(method, "http://"+r.gateway+path, strings.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	req.Host = host
	req.Header.Set("content-type", "application/json")
	res, err := r.client.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return answer{res.StatusCode, string(text), res.Header}
}

// TestJSONCallsOfGRPC calls a real gRPC server in JSON through a gateway, by every
// rule of its methods, and by gRPC beside it.
func TestJSONCallsOfGRPC(t *testing.T) {
	s := newShop(t)
	lines := grpcjsontest.Transcode(t)
	lines.Stream, lines.ProtoNames, lines.Defaults, lines.AutoMapping, lines.IgnoreUnknown = api.StreamLines, true, true, true, true
	log := filepath.Join(t.TempDir(), "calls.log")
	plain := s.function("plain", "plain.test", grpcjsontest.Transcode(t))
	plain.Spec.Compression = true
	r := newRig(t, functions(plain, s.function("lines", "*.lines.test", lines)), func(c *Config) {
		c.AccessLog, c.AccessLogFormat = log, calllog.EnvoyTextFormat()
	})
	listener := r.listener()
	for _, c := range []struct {
		method, host, path, body string
		status                   int
		want                     string // JSON
	}{
		{"GET", "plain.test", "/v1/items/7", "", 200, `{"id":"7","fullName":"/shop.v1.Items/Get"}`},
		{"GET", "plain.test", "/v1/items/7?stock=5&shop.name=n&tags=a&tags=b", "", 200, `{"id":"7","stock":5,"shop":{"name":"n"},"tags":["a","b"],"fullName":"/shop.v1.Items/Get"}`},
		{"GET", "plain.test", "/v1/shops/corner/items/a%2Fb", "", 200, `{"id":"a/b","shop":{"name":"corner"},"fullName":"/shop.v1.Items/Get"}`},
		{"PUT", "plain.test", "/v1/items/7", `{"stock": 3, "tags": ["x"]}`, 200, `{"id":"7","stock":3,"tags":["x"],"fullName":"/shop.v1.Items/Put"}`},
		{"POST", "plain.test", "/v1/items:put", `{"id": "8"}`, 200, `{"id":"8","fullName":"/shop.v1.Items/Put"}`},
		{"GET", "plain.test", "/v1/files/a/b/c", "", 200, `{"id":"a/b/c","fullName":"/shop.v1.Items/File"}`},
		{"GET", "plain.test", "/v1/items?id=1", "", 200, strings.ReplaceAll(`[X,X,X]`, "X", `{"id":"1","fullName":"/shop.v1.Items/List"}`)},
		{"POST", "plain.test", "/shop.v1.Items/Plain", `{}`, 404, ""},
		{"GET", "plain.test", "/v1/none", "", 404, ""},
		{"GET", "plain.test", "/v1/items/7?color=red", "", 400, ""},
		{"GET", "plain.test", "/v1/items/7?stock=many", "", 400, ""},
		{"PUT", "plain.test", "/v1/items/7", `{"stock": `, 400, ""},
		{"PUT", "plain.test", "/v1/items/7", `{"tags": ["` + strings.Repeat("x", 2<<20) + `"]}`, 200, ""},
		{"GET", "plain.test", "/v1/items/NotFound", "", 404, `{"code":5,"message":"it is called so"}`},
		{"GET", "plain.test", "/v1/items/InvalidArgument", "", 400, `{"code":3,"message":"it is called so"}`},
		{"GET", "plain.test", "/v1/items/PermissionDenied", "", 403, `{"code":7,"message":"it is called so"}`},
		{"GET", "plain.test", "/v1/items/ResourceExhausted", "", 429, `{"code":8,"message":"it is called so"}`},
		{"GET", "plain.test", "/v1/items/Internal", "", 500, `{"code":13,"message":"it is called so"}`},
		{"POST", "a.lines.test", "/shop.v1.Items/Plain", `{"id":"1"}`, 200, `{"id":"1","stock":0,"tags":[],"full_name":"/shop.v1.Items/Plain"}`},
		{"GET", "a.lines.test", "/v1/items/7?color=red", "", 200, `{"id":"7","stock":0,"tags":[],"full_name":"/shop.v1.Items/Get"}`},
	} {
		got := r.ask(c.method, c.host, c.path, c.body)
		if got.status != c.status || c.want != "" && !sameJSON(got.body, c.want) {
			t.Errorf("%s %s%s: %d %s, want %d %s", c.method, c.host, c.path, got.status, got.body, c.status, c.want)
		}
		if kind := got.header.Get("content-type"); c.want != "" && kind != "application/json" {
			t.Errorf("%s %s%s: answered as %q", c.method, c.host, c.path, kind)
		}
	}
	if got := r.ask("GET", "a.lines.test", "/v1/items?id=1", ""); strings.Count(got.body, "\n") != 3 {
		t.Errorf("a stream by lines: %q", got.body)
	}
	s.native(t, r)
	r.call("GET", "plain.test", "/v1/spoofed", "x-envoy-original-path: /other", "x-envoy-original-method: PUT")
	eventually(t, "calls are logged with the path that came", func() bool {
		for _, rec := range of(records(t, log), "plain") {
			if string(rec.Path) == "/v1/spoofed" {
				return true
			}
		}
		return false
	})
	for _, rec := range of(records(t, log), "plain") {
		if string(rec.Path) == "/other" || strings.HasPrefix(string(rec.Path), "/v1/files/") && string(rec.Method) != "GET" {
			t.Errorf("logged as %s %s", rec.Method, rec.Path)
		}
	}
	set := functions(s.function("plain", "plain.test", lines))
	r.apply(set)
	r.live()
	r.want(r.ask("POST", "plain.test", "/shop.v1.Items/Plain", `{}`), 200, "full_name")
	if r.listener() != listener {
		t.Error("the listener follows functions")
	}
}

// native calls the same function by gRPC.
func (s *shop) native(t *testing.T, r *rig) {
	t.Helper()
	conn, err := grpc.NewClient(r.gateway, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithAuthority("plain.test"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	in, out := dynamicpb.NewMessage(s.item), dynamicpb.NewMessage(s.item)
	in.Set(s.item.Fields().ByName("id"), protoreflect.ValueOfString("9"))
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := conn.Invoke(ctx, "/shop.v1.Items/Plain", in, out); err != nil {
		t.Fatalf("by gRPC: %v", err)
	}
	in.Set(s.item.Fields().ByName("full_name"), protoreflect.ValueOfString("/shop.v1.Items/Plain"))
	if !proto.Equal(in, out) {
		t.Errorf("by gRPC: %s", protojson.Format(out))
	}
	in.Set(s.item.Fields().ByName("id"), protoreflect.ValueOfString("NotFound"))
	if err := conn.Invoke(ctx, "/shop.v1.Items/Get", in, out); status.Code(err) != codes.NotFound {
		t.Errorf("by gRPC: %v", err)
	}
}

// listener counts what the gateway did to its listeners.
func (r *rig) listener() string {
	r.t.Helper()
	return r.adminGet("/stats?filter=listener_manager.listener_(added|modified|in_place)")
}

func sameJSON(a, b string) bool {
	var x, y any
	if json.Unmarshal([]byte(a), &x) != nil || json.Unmarshal([]byte(b), &y) != nil {
		return false
	}
	return reflect.DeepEqual(x, y)
}

// TestBadDescriptorSets: what no gateway would take does not get to one, and hurts
// nobody else.
func TestBadDescriptorSets(t *testing.T) {
	s, a := newShop(t), newPod(t, "a", "zb-a")
	unread := grpcjsontest.Transcode(t)
	unread.Set = nil
	wrong := grpcjsontest.Transcode(t)
	wrong.Services = []string{"shop.v1.Nothing"}
	r := newRig(t, functions(function("good", "/good", a), s.function("unread", "unread.test", unread), s.function("wrong", "wrong.test", wrong)))
	r.want(r.call("GET", "any", "/good"), 200, "a")
	r.want(r.call("GET", "unread.test", "/v1/items/7"), 503, "was not read")
	r.want(r.call("GET", "wrong.test", "/v1/items/7"), 503, "shop.v1.Nothing is not in the descriptor set")
}
