package explain

import (
	"math/rand/v2"
	"net/http"
	"net/netip"
	"testing"

	"github.com/kongdao/kongdao/api"
	"github.com/kongdao/kongdao/api/grpcjson/grpcjsontest"
	"github.com/kongdao/kongdao/xds/model"
)

// TestTranscodedAsExplained sends calls of all forms to functions that transcode
// them, and has the pods say which method they were asked for.
func TestTranscodedAsExplained(t *testing.T) {
	pods, _ := startPods(t)
	c := chance{rand.New(rand.NewPCG(1, 1)), grpcjsontest.Transcode(t)}
	in := model.Input{Ready: map[string]bool{pods[0].Address: true}}
	for host, t := range map[string]api.Transcode{
		"strict.test": *c.calls, "lenient.test": {Services: c.calls.Services, Set: c.calls.Set, AutoMapping: true, IgnoreUnknown: true},
	} {
		in.Set.Functions = append(in.Set.Functions, &api.Function{Metadata: api.Metadata{Name: host[:6]}, Spec: api.FunctionSpec{
			Routes:    []api.Route{{Hosts: []string{host}, Path: "/*", Source: api.Source{File: "f.yaml", Line: 1}}},
			Revisions: []api.Revision{{Name: "r1", Protocol: api.GRPC, Endpoints: pods[:1]}},
			Access:    &api.Access{Public: true}, Handling: api.Handling{Transcode: &t},
		}})
	}
	compare(t, func() Request {
		r := Request{Host: pick(c, "strict.test", "lenient.test"), Headers: http.Header{}, Client: netip.MustParseAddr("127.0.0.1")}
		c.call(&r)
		return r
	}, model.Build(in), 1500)
}

// transcode makes a function's calls, or those of some of its routes, calls of gRPC
// methods.
func (c chance) transcode(f *api.Function) {
	if c.calls == nil || c.IntN(3) != 0 {
		return
	}
	for i := range f.Spec.Revisions {
		f.Spec.Revisions[i].Protocol = pick(c, api.HTTP2, api.GRPC)
	}
	if c.IntN(2) == 0 {
		f.Spec.Transcode = c.how()
	}
	for i := range f.Spec.Routes {
		rt := &f.Spec.Routes[i]
		rt.Websocket = false
		if c.IntN(2) == 0 {
			rt.Path = pick(c, "/v1/*", "/*", "/v1/items", "/v1/items/{id}", "/v1/items:put", "/v1/items/*", "/v1/files/*", "/v1/shops/{a}/*", "/shop.v1.Items/*")
		}
		if rt.Redirect == nil && rt.Respond == nil && c.IntN(2) == 0 {
			rt.Transcode = c.how()
		}
		if f.Spec.Transcode != nil || rt.Transcode != nil {
			rt.Rewrite = ""
		}
	}
}

func (c chance) how() *api.Transcode {
	t := *c.calls
	t.AutoMapping, t.IgnoreUnknown = c.IntN(2) == 0, c.IntN(2) == 0
	return &t
}

// json makes some requests such as methods take.
func (c chance) json(r *Request) {
	if c.IntN(4) == 0 {
		c.call(r)
	}
}

func (c chance) call(r *Request) {
	r.Method = pick(c, "GET", "GET", "GET", "PUT", "POST")
	r.Path = pick(c, "/v1/items", "/v1/items/", "/v1/items/7", "/v1/items/7/", "/v1/items/a%20b", "/v1/items/a%2Fb", "/v1/items:put", "/v1/items:get", "/v1/items/7:put",
		"/v1/shops/x/items/7", "/v1/shops/x/items", "/v1/files", "/v1/files/", "/v1/files/a", "/v1/files/a/b/c", "/v1/files//a", "/v1//items", "/v1/items/*", "/v1/files/**",
		"/shop.v1.Items/Plain", "/shop.v1.Items/Get", "/v1/Items/7")
	if c.IntN(2) == 0 {
		r.Path += pick(c, "?stock=7", "?stock=x", "?stock=", "?shop.name=a", "?shop.parent.parent.name=a", "?shop.name.x=a", "?fullName=a", "?full_name=a",
			"?tags=a&tags=b", "?nothing=1", "?nothing", "?=1", "?shop..name=a", "?.id=a", "?st%6fck=7", "?stock=%37", "?stock=-1&id=x", "?a=1&stock=7",
			"?stock=99999999999", "?id=a=b", "?id=a%3db", "?stock=+7", "?stock=07")
	}
	if c.IntN(6) == 0 {
		r.Headers.Set("Content-Type", pick(c, "application/grpc", "application/grpc+proto", "application/grpc-web", "application/json"))
	}
}
