package xds

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/kongdao/kongdao/api"
	"github.com/kongdao/kongdao/internal/calllog"
	"github.com/kongdao/kongdao/xds/access"
	"github.com/kongdao/kongdao/xds/model"
)

const signingSecret = "a secret of at least 16 bytes"

func consumer(name string, spec api.ConsumerSpec) *api.Consumer {
	return &api.Consumer{Metadata: api.Metadata{Name: name}, Spec: spec}
}

// door is a function at /name with this access.
func door(name string, p *pod, a *api.Access) *api.Function {
	f := function(name, "/"+name, p)
	f.Spec.Access = a
	return f
}

func TestKeysAreHashes(t *testing.T) {
	a := newPod(t, "a", "z")
	calls := filepath.Join(t.TempDir(), "calls.log")
	exact := door("exact", a, &api.Access{Consumers: []string{"app", "hashed"}})
	exact.Spec.Routes[0].Hosts = []string{"api.example.com"}
	wild := door("wild", a, &api.Access{Consumers: []string{"app"}})
	wild.Spec.Routes[0].Hosts = []string{"*.example.com"}
	set := functions(exact, wild, door("open", a, &api.Access{Public: true}))
	set.Consumers = []*api.Consumer{
		consumer("app", api.ConsumerSpec{Keys: []api.Secret{"plain-key-of-app", "second-key-of-app"}}),
		consumer("hashed", api.ConsumerSpec{Keys: []api.Secret{api.Secret("sha256:" + model.HashKey("key-that-nobody-wrote-down"))}}),
	}
	r := newRig(t, set, func(c *Config) { c.AccessLog, c.AccessLogFormat = calls, calllog.EnvoyTextFormat() })

	r.want(r.call("GET", "api.example.com", "/exact", "x-api-key: plain-key-of-app"), 200, "a")
	r.want(r.call("GET", "api.example.com", "/exact", "x-api-key: key-that-nobody-wrote-down"), 200, "a")
	r.want(r.call("GET", "other.example.com", "/wild", "x-api-key: second-key-of-app"), 200, "a")
	r.want(r.call("GET", "api.example.com", "/wild", "x-api-key: second-key-of-app"), 200, "a")
	r.want(r.call("GET", "api.example.com", "/wild", "x-api-key: key-that-nobody-wrote-down"), 403, "hashed may not call wild")
	// A hash is no key, and neither is a very long text.
	r.want(r.call("GET", "api.example.com", "/exact", "x-api-key: sha256:"+model.HashKey("plain-key-of-app")), 401, "credentials_invalid")
	r.want(r.call("GET", "api.example.com", "/exact", "x-api-key: "+strings.Repeat("k", 5000)), 401, "credentials_invalid")
	r.want(r.call("GET", "api.example.com", "/open", "x-kongdao-consumer: app"), 200, "a")
	if c := a.header.Get("x-kongdao-consumer"); c != "" {
		t.Errorf("the pod was told consumer %q, who did not call", c)
	}

	for _, page := range []string{"/config_dump?include_eds", "/config_dump?resource=dynamic_route_configs"} {
		if dump := r.adminGet(page); strings.Contains(dump, "key-of-app") || strings.Contains(dump, "nobody-wrote") {
			t.Errorf("%s has a key in it", page)
		}
	}
	eventually(t, "the calls are logged with their consumers", func() bool {
		text, _ := os.ReadFile(calls)
		return bytes.Count(text, []byte("\tapp\x1fGET")) == 3 && bytes.Count(text, []byte("\thashed\x1fGET")) == 1
	})

	// A key that is taken away lets nobody in, and the listener stays.
	set.Consumers[0] = consumer("app", api.ConsumerSpec{Keys: []api.Secret{"second-key-of-app"}})
	r.apply(set)
	r.live()
	eventually(t, "the old key is refused", func() bool {
		return r.call("GET", "api.example.com", "/exact", "x-api-key: plain-key-of-app").status == 401
	})
	r.want(r.call("GET", "api.example.com", "/exact", "x-api-key: second-key-of-app"), 200, "a")
	if stats := r.adminGet("/stats?filter=listener_manager.listener_(added|modified)"); !strings.Contains(stats, "listener_added: 1\n") || !strings.Contains(stats, "listener_modified: 0") {
		t.Errorf("the listener changed:\n%s", stats)
	}
}

// The script's SHA-256 at every length around its blocks.
func TestKeysOfEveryLength(t *testing.T) {
	a := newPod(t, "a", "z")
	spec := api.ConsumerSpec{}
	var keys []string
	for n := 1; n < 140; n++ {
		key := strings.Repeat("0123456789abcdefghijklmnopqrstuvwxyzABCDEFG~", 4)[:n]
		keys = append(keys, key)
		spec.Keys = append(spec.Keys, api.Secret(key))
	}
	set := functions(door("f", a, &api.Access{Consumers: []string{"app"}}))
	set.Consumers = []*api.Consumer{consumer("app", spec)}
	r := newRig(t, set)
	for _, key := range keys {
		if got := r.call("GET", "any", "/f", "x-api-key: "+key); got.status != 200 {
			t.Errorf("a key of %d bytes: %d %s", len(key), got.status, got.body)
		}
	}
}

// signed sends a signed request; alter changes it after it was signed.
func (r *rig) signed(method, path, body string, at time.Time, alter ...func(*http.Request)) answer {
	r.t.Helper()
	m := access.Message{Method: method, Host: "any", Path: path, Body: []byte(body)}
	s := access.Sign("partner", []byte(signingSecret), at, m)
	return r.send(method, path, body, s.Header(), alter...)
}

func (r *rig) send(method, path, body, authorization string, alter ...func(*http.Request)) answer {
	r.t.Helper()
	req, err := http.NewRequest(method, "http://"+r.gateway+path, strings.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	req.Host = "any"
	req.Header.Set("authorization", authorization)
	for _, a := range alter {
		a(req)
	}
	res, err := r.client.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return answer{res.StatusCode, string(b), res.Header}
}

func TestSignedRequests(t *testing.T) {
	a := newPod(t, "a", "z")
	set := functions(
		door("pay", a, &api.Access{Consumers: []string{"app", "partner"}}),
		door("other", a, &api.Access{Consumers: []string{"app"}}),
		door("keys", a, &api.Access{Consumers: []string{"partner"}, By: []string{api.ByKey}}),
	)
	set.Consumers = []*api.Consumer{
		consumer("app", api.ConsumerSpec{Keys: []api.Secret{"key-of-app"}}),
		consumer("partner", api.ConsumerSpec{Signing: []api.Secret{"the secret before this one", signingSecret}}),
	}
	nobody := set
	nobody.Consumers = []*api.Consumer{set.Consumers[0], consumer("partner", api.ConsumerSpec{})}
	r := newRig(t, nobody)
	r.want(r.signed("GET", "/pay", "", time.Now()), 401, "the signature is not good")
	r.want(r.call("GET", "any", "/pay", "x-api-key: key-of-app"), 200, "a")
	r.apply(set)
	// What was signed in the second of the start counts as signed before it.
	eventually(t, "signatures are taken", func() bool { return r.signed("GET", "/pay", "", time.Now()).status == 200 })

	r.want(r.signed("POST", "/pay?amount=7&to=a%20b", `{"amount": 7}`, time.Now()), 200, "a")
	if c, h := a.header.Get("x-kongdao-consumer"), a.header.Get("authorization"); c != "partner" || h != "" {
		t.Errorf("the pod was told consumer %q, authorization %q", c, h)
	}
	old := access.Sign("partner", []byte("the secret before this one"), time.Now(), access.Message{Method: "GET", Host: "any", Path: "/pay"})
	r.want(r.send("GET", "/pay", "", old.Header()), 200, "a")
	r.want(r.send("GET", "/pay", "", old.Header()), 401, "the nonce was used before")
	r.want(r.call("GET", "any", "/pay", "x-api-key: key-of-app"), 200, "a")

	for what, alter := range map[string]func(*http.Request){
		"method": func(q *http.Request) { q.Method = "PUT" },
		"path":   func(q *http.Request) { q.URL.RawQuery = "amount=8" },
		"host":   func(q *http.Request) { q.Host = "elsewhere" },
		"body":   func(q *http.Request) { q.Body = io.NopCloser(strings.NewReader("8")); q.ContentLength = 1 },
	} {
		if got := r.signed("POST", "/pay?amount=7", "7", time.Now(), alter); got.status != 401 || !strings.Contains(got.body, "the signature is not good") {
			t.Errorf("with another %s: %d %s", what, got.status, got.body)
		}
	}
	r.want(r.signed("GET", "/pay", "", time.Now().Add(-6*time.Minute)), 401, "s off, want at most 300 s")
	r.want(r.signed("GET", "/pay", "", time.Now().Add(6*time.Minute)), 401, "s off, want at most 300 s")
	r.want(r.signed("GET", "/pay", "", time.Now().Add(4*time.Minute)), 200, "a")
	r.want(r.signed("GET", "/pay", "", time.Now().Add(-4*time.Minute)), 401, "signed before the authorizer started")
	r.want(r.send("GET", "/pay", "", access.Scheme+" consumer=partner"), 401, "timestamp is missing")
	stranger := access.Sign("stranger", []byte(signingSecret), time.Now(), access.Message{Method: "GET", Host: "any", Path: "/pay"})
	r.want(r.send("GET", "/pay", "", stranger.Header()), 401, "the signature is not good")
	r.want(r.signed("GET", "/other", "", time.Now()), 403, "partner may not call other")
	r.want(r.signed("GET", "/keys", "", time.Now()), 401, "a key in x-api-key")
	r.want(r.signed("POST", "/pay", strings.Repeat("x", 2<<20), time.Now()), 413, "")
	if dump := r.adminGet("/config_dump"); strings.Contains(dump, signingSecret) {
		t.Error("the secret reached the gateway")
	}

	r.stop() // the control plane, and the authorizer with it
	r.want(r.signed("GET", "/pay", "", time.Now()), 503, "authorizer_unavailable")
	r.want(r.call("GET", "any", "/pay", "x-api-key: key-of-app"), 200, "a")
}

// issuer signs tokens and serves its keys.
type issuer struct {
	key  *ecdsa.PrivateKey
	name string
}

func newIssuer(t *testing.T, name string) *issuer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return &issuer{key: key, name: name}
}

func (i *issuer) jwks() string {
	point, _ := i.key.PublicKey.Bytes()
	enc := base64.RawURLEncoding.EncodeToString
	return fmt.Sprintf(`{"keys":[{"kty":"EC","crv":"P-256","alg":"ES256","kid":"1","x":"%s","y":"%s"}]}`, enc(point[1:33]), enc(point[33:]))
}

func (i *issuer) token(claims map[string]any) string {
	all := map[string]any{"iss": i.name, "exp": time.Now().Add(time.Hour).Unix(), "sub": "alice"}
	for k, v := range claims {
		all[k] = v
	}
	enc := base64.RawURLEncoding.EncodeToString
	payload, _ := json.Marshal(all)
	text := enc([]byte(`{"alg":"ES256","typ":"JWT","kid":"1"}`)) + "." + enc(payload)
	sum := sha256.Sum256([]byte(text))
	x, y, err := ecdsa.Sign(rand.Reader, i.key, sum[:])
	if err != nil {
		return ""
	}
	mac := make([]byte, 64)
	x.FillBytes(mac[:32])
	y.FillBytes(mac[32:])
	return text + "." + enc(mac)
}

func TestTokens(t *testing.T) {
	a := newPod(t, "a", "z")
	corp, partner := newIssuer(t, "https://login.corp.example"), newIssuer(t, "partner-idp")
	keys := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, partner.jwks()) }))
	t.Cleanup(keys.Close)
	file := filepath.Join(t.TempDir(), "jwks.json")
	if err := os.WriteFile(file, []byte(corp.jwks()), 0o600); err != nil {
		t.Fatal(err)
	}
	strict := api.JWT{
		Name: "corp", Issuer: corp.name, JWKS: api.JWKS{File: file}, Audiences: []string{"kongdao"},
		Require: map[string][]string{"scope": {"feed.read"}, "org.id": {"7", "8"}}, Headers: map[string]string{"x-user": "email"},
	}
	either := door("either", a, &api.Access{
		Consumers: []string{"app"},
		JWT: []api.JWT{
			{Name: "corp", Issuer: corp.name, JWKS: api.JWKS{Inline: corp.jwks()}},
			{Name: "partner", Issuer: partner.name, JWKS: api.JWKS{URL: keys.URL + "/keys"}, Subject: "client_id"},
		},
	})
	either.Spec.Routes[0].Hosts = []string{"*.example.com"}
	set := functions(door("strict", a, &api.Access{JWT: []api.JWT{strict}}), either)
	set.Consumers = []*api.Consumer{consumer("app", api.ConsumerSpec{Keys: []api.Secret{"key-of-app"}})}
	r := newRig(t, set)
	bearer := func(token string) string { return "authorization: Bearer " + token }
	good := map[string]any{"aud": "kongdao", "scope": "x feed.read", "org": map[string]any{"id": 7}, "email": "alice@corp.example"}
	with := func(k string, v any) map[string]any {
		all := map[string]any{k: v}
		for name, value := range good {
			if name != k {
				all[name] = value
			}
		}
		return all
	}

	r.want(r.call("GET", "any", "/strict", bearer(corp.token(good)), "x-user: mallory"), 200, "a")
	if who, user := a.header.Get("x-kongdao-consumer"), a.header.Values("x-user"); who != "corp/alice" || len(user) != 1 || user[0] != "alice@corp.example" {
		t.Errorf("the pod was told %q, user %q", who, user)
	}
	r.want(r.call("GET", "any", "/strict"), 401, "needed: a token of https://login.corp.example in authorization: Bearer")
	r.want(r.call("GET", "any", "/strict", bearer("x.y.z")), 401, "credentials_invalid")
	r.want(r.call("GET", "any", "/strict", bearer(newIssuer(t, corp.name).token(good))), 401, "the token for corp is not good")
	r.want(r.call("GET", "any", "/strict", bearer(corp.token(with("exp", 1000)))), 401, "Jwt is expired")
	r.want(r.call("GET", "any", "/strict", bearer(corp.token(with("aud", "others")))), 401, "Audiences in Jwt are not allowed")
	r.want(r.call("GET", "any", "/strict", bearer(corp.token(with("scope", "feed.readx")))), 403, "corp/alice: the claim scope is not one that is let in")
	r.want(r.call("GET", "any", "/strict", bearer(corp.token(with("org", map[string]any{"id": 9})))), 403, "the claim org.id")
	r.want(r.call("GET", "any", "/strict", bearer(corp.token(with("org", 7)))), 403, "the claim org.id")

	r.want(r.call("GET", "a.example.com", "/either", bearer(corp.token(nil))), 200, "a")
	eventually(t, "the partner's keys are fetched", func() bool {
		return r.call("GET", "a.example.com", "/either", bearer(partner.token(map[string]any{"client_id": "shop"}))).status == 200
	})
	if who := a.header.Get("x-kongdao-consumer"); who != "partner/shop" {
		t.Errorf("the pod was told %q", who)
	}
	r.want(r.call("GET", "a.example.com", "/either", "x-api-key: key-of-app"), 200, "a")
	r.want(r.call("GET", "a.example.com", "/either", "x-api-key: key-of-app", bearer("nonsense")), 200, "a")
	if who := a.header.Get("x-kongdao-consumer"); who != "app" {
		t.Errorf("the pod was told %q", who)
	}
	// A function that takes other tokens than before is served through the change.
	set.Functions[0] = door("strict", a, &api.Access{JWT: []api.JWT{{Name: "corp", Issuer: partner.name, JWKS: api.JWKS{Inline: partner.jwks()}}}})
	r.apply(set)
	r.live()
	eventually(t, "the new issuer is believed", func() bool {
		return r.call("GET", "any", "/strict", bearer(partner.token(nil))).status == 200
	})
	r.want(r.call("GET", "any", "/strict", bearer(corp.token(good))), 401, "credentials_invalid")
}
