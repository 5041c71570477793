package explain

import (
	"testing"

	"github.com/kongdao/kongdao/api"
	"github.com/kongdao/kongdao/xds/model"
)

// TestRedirected: with gateway.tls.plain: redirect only a request by TLS reaches a
// function; without a scheme the request comes where functions are served.
func TestRedirected(t *testing.T) {
	f := &api.Function{Metadata: api.Metadata{Name: "f"}, Spec: api.FunctionSpec{
		Routes: []api.Route{{Path: "/f"}}, Access: &api.Access{Public: true},
		Revisions: []api.Revision{{Name: "r1", Endpoints: []api.Endpoint{{Address: "10.0.0.1:80"}}}},
	}}
	for _, c := range []struct {
		redirect bool
		url      string
		status   int
	}{
		{true, "http://api.test/f", 308},
		{true, "https://api.test/f", 0},
		{true, "api.test/f", 0},
		{true, "/f", 0},
		{false, "http://api.test/f", 0},
		{false, "https://api.test/f", 0},
	} {
		w := model.Build(model.Input{Set: api.Set{Functions: []*api.Function{f}}, TLS: &model.TLS{Redirect: c.redirect}})
		r, err := ParseRequest("GET", c.url, nil)
		if err != nil {
			t.Fatal(err)
		}
		if a := Explain(w, r); a.Status != c.status || (a.Function == "f") != (c.status == 0) {
			t.Errorf("%s, redirect %v: %d by %q, want %d", c.url, c.redirect, a.Status, a.Function, c.status)
		}
	}
}
