package xds

import (
	"testing"

	"github.com/kongdao/kongdao/api"
)

// Who was let in to one function reaches no other one, however the request changes
// when it is known who calls: keys are taken out of it, claims of tokens are put in.
// Consumers with a priority have their requests looked up again.
func TestNobodyIsLetInByAnother(t *testing.T) {
	a, b := newPod(t, "lured", "z"), newPod(t, "kept", "z")
	on := func(f *api.Function, host, path string, headers map[string]api.Matcher) *api.Function {
		f.Spec.Routes[0].Hosts, f.Spec.Routes[0].Path, f.Spec.Routes[0].Headers = []string{host}, path, headers
		return f
	}
	tokens := newIssuer(t, "https://login.example")
	byToken := &api.Access{Consumers: []string{"visitor"}, JWT: []api.JWT{{
		Name: "corp", Issuer: tokens.name, JWKS: api.JWKS{Inline: tokens.jwks()}, Headers: map[string]string{"x-tier": "tier"},
	}}}
	visitors, keepers := &api.Access{Consumers: []string{"visitor"}}, &api.Access{Consumers: []string{"keeper"}}
	set := functions(
		on(door("key", a, visitors), "one.example.com", "/key", map[string]api.Matcher{"x-api-key": {Text: "key-of-visitor"}}),
		on(door("behind-key", b, keepers), "one.example.com", "/key", nil),
		on(door("any-key", a, visitors), "*.example.org", "/key", map[string]api.Matcher{"x-api-key": {Text: "key-of-visitor"}}),
		on(door("behind-any-key", b, keepers), "*.example.org", "/key", nil),
		on(door("token", a, byToken), "two.example.com", "/token", nil),
		on(door("behind-token", b, keepers), "two.example.com", "/token", map[string]api.Matcher{"x-tier": {Text: "gold"}}),
	)
	set.Consumers = []*api.Consumer{
		consumer("visitor", api.ConsumerSpec{Keys: []api.Secret{"key-of-visitor"}, Priority: api.PriorityHigh}),
		consumer("keeper", api.ConsumerSpec{Keys: []api.Secret{"key-of-keeper"}, Priority: api.PriorityHigh}),
	}
	r := newRig(t, set)

	for _, host := range []string{"one.example.com", "any.example.org"} {
		r.want(r.call("GET", host, "/key", "x-api-key: key-of-keeper"), 200, "kept")
		r.want(r.call("GET", host, "/key", "x-api-key: key-of-visitor"), 200, "lured")
		r.want(r.call("GET", host, "/key", "x-api-key: key-of-visitor", "x-kongdao-let-in: behind-key"), 200, "lured")
		for _, name := range []string{"x-api-key", "x-kongdao-let-in"} {
			if got := a.header.Values(name); got != nil {
				t.Errorf("the pod gets %s: %q", name, got)
			}
		}
	}
	gold := "authorization: Bearer " + tokens.token(map[string]any{"sub": "eve", "tier": "gold"})
	r.want(r.call("GET", "two.example.com", "/token", gold), 200, "lured")
	r.want(r.call("GET", "two.example.com", "/token", gold, "x-tier: gold"), 401, "a key in x-api-key")
	// Only a token says a tier, so the keeper's own route is gone; no other one is taken.
	r.want(r.call("GET", "two.example.com", "/token", "x-tier: gold", "x-api-key: key-of-keeper"), 404, "route_not_found")
	r.want(r.call("GET", "two.example.com", "/token", "x-tier: gold", "x-api-key: key-of-visitor"), 403, "visitor may not call behind-token")
}
