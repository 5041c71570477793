package access

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	auth "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/kongdao/kongdao/xds/translate"
)

const window = 5 * time.Minute

// office is an authorizer with a clock of its own.
type office struct {
	*Authorizer
	t   *testing.T
	now time.Time
}

func newOffice(t *testing.T) *office {
	t.Helper()
	o := &office{t: t, now: time.Unix(1_790_000_000, 0)}
	var err error
	if o.Authorizer, err = New(window, func() time.Time { return o.now }, prometheus.NewRegistry()); err != nil {
		t.Fatal(err)
	}
	o.SetSecrets(map[string][][]byte{"partner": {[]byte("first"), []byte("second")}, "other": {[]byte("third")}, "idle": {}})
	o.now = o.now.Add(time.Hour) // long after the start
	return o
}

var message = Message{Method: "POST", Host: "api.example.com:8080", Path: "/pay?a=b", Body: []byte("body")}

// ask sends what a gateway sends and returns the refusal, or the consumer.
func (o *office) ask(header string, m Message, granted string) (status int, text string) {
	o.t.Helper()
	fields, err := structpb.NewStruct(map[string]any{"granted": granted, "verb": "call pay"})
	if err != nil {
		o.t.Fatal(err)
	}
	res, err := o.Check(o.t.Context(), &auth.CheckRequest{Attributes: &auth.AttributeContext{
		Request: &auth.AttributeContext_Request{Http: &auth.AttributeContext_HttpRequest{
			Method: m.Method, Host: m.Host, Path: m.Path, RawBody: m.Body, Headers: map[string]string{"authorization": header},
		}},
		MetadataContext: &core.Metadata{FilterMetadata: map[string]*structpb.Struct{translate.AccessNamespace: fields}},
	}})
	if err != nil {
		o.t.Fatal(err)
	}
	if no := res.GetDeniedResponse(); no != nil {
		if !json.Valid([]byte(no.GetBody())) {
			o.t.Errorf("no JSON: %s", no.GetBody())
		}
		return int(no.GetStatus().GetCode()), no.GetBody()
	}
	return 200, res.GetOkResponse().GetHeaders()[0].GetHeader().GetValue()
}

func (o *office) want(status int, text, header string) {
	o.t.Helper()
	if got, body := o.ask(header, message, "partner"); got != status || !strings.Contains(body, text) {
		o.t.Errorf("got %d %s, want %d with %q", got, body, status, text)
	}
}

func TestClockSkew(t *testing.T) {
	o := newOffice(t)
	for _, c := range []struct {
		off    time.Duration
		status int
	}{{0, 200}, {-window, 200}, {window, 200}, {-window - time.Second, 401}, {window + time.Second, 401}, {-24 * time.Hour, 401}} {
		o.want(c.status, "", Sign("partner", []byte("first"), o.now.Add(c.off), message).Header())
	}
}

// A request is good once, for as long as its timestamp is.
func TestReplay(t *testing.T) {
	o := newOffice(t)
	future := Sign("partner", []byte("second"), o.now.Add(window), message).Header()
	o.want(200, "partner", future)
	for range 40 {
		o.want(401, "the nonce was used before", future)
		o.now = o.now.Add(window / 20)
	}
	o.want(401, "the nonce was used before", future)
	o.now = o.now.Add(time.Second)
	o.want(401, "301 s off", future)
	// Nonces belong to consumers, and are only used up by who has the secret.
	s := Sign("partner", []byte("wrong"), o.now, message)
	o.want(401, "the signature is not good", s.Header())
	s.MAC = s.mac([]byte("first"), message)
	o.want(200, "partner", s.Header())
	s.Consumer = "other"
	s.MAC = s.mac([]byte("third"), message)
	o.want(403, "other may not call pay", s.Header()) // and not: the nonce was used
}

func TestRestartForgetsNoNonce(t *testing.T) {
	o := newOffice(t)
	o.now = o.started.Add(-time.Millisecond)
	o.want(401, "signed before the authorizer started", Sign("partner", []byte("first"), o.now, message).Header())
	o.now = o.started
	o.want(200, "partner", Sign("partner", []byte("first"), o.now, message).Header())
}

func TestRights(t *testing.T) {
	o := newOffice(t)
	sign := func(who, secret string) string { return Sign(who, []byte(secret), o.now, message).Header() }
	o.want(200, "partner", sign("partner", "second"))
	o.want(403, "other may not call pay", sign("other", "third"))
	o.want(401, "the signature is not good", sign("partner", "third"))
	o.want(401, "the signature is not good", sign("stranger", "first"))
	o.SetSecrets(nil)
	o.want(401, "the signature is not good", sign("partner", "first"))
}

// Nonces of one consumer fill the memory of that one alone.
func TestNoncesAreBounded(t *testing.T) {
	n := nonces{consumers: map[string]*used{}}
	now := time.Unix(1, 0)
	for i := range perConsumer {
		if fresh, full := n.take("a", fmt.Sprint(i), now, window); !fresh || full {
			t.Fatalf("%d: %v %v", i, fresh, full)
		}
	}
	if fresh, full := n.take("a", "one more", now, window); fresh || !full {
		t.Errorf("one more: %v %v", fresh, full)
	}
	if fresh, _ := n.take("b", "0", now, window); !fresh {
		t.Error("another consumer is refused")
	}
	now = now.Add(window + 1)
	if fresh, full := n.take("a", "0", now, window); fresh || full {
		t.Errorf("an old one is forgotten: %v %v", fresh, full)
	}
	now = now.Add(window + 1)
	if fresh, full := n.take("a", "0", now, window); !fresh || full {
		t.Errorf("the oldest are kept: %v %v", fresh, full)
	}
}

func TestStringToSign(t *testing.T) {
	s := Signature{Consumer: "partner", Time: time.Unix(1_790_000_000, 0), Nonce: "0123456789abcdef"}
	want := "KongDao-HMAC-SHA256\npartner\n1790000000\n0123456789abcdef\nPOST\napi.example.com:8080\n/pay?a=b\n" +
		"230d8358dc8e8890b4c58deeb62912ee2f20357ae92a5cc861b98e68fe31acb5"
	if got := s.Text(Message{Method: "POST", Host: "API.example.com:8080", Path: "/pay?a=b", Body: []byte("body")}); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestParseNamesWhatIsWrong(t *testing.T) {
	good := Sign("partner", []byte("x"), time.Unix(1_790_000_000, 0), message).Header()
	for _, c := range []struct{ old, text, message string }{
		{"KongDao-HMAC-SHA256", "Bearer", "the scheme"},
		{"consumer=partner", "consumer=Partner", "consumer is malformed"},
		{"consumer=partner", "consumer=partner, consumer=partner", "consumer is there twice"},
		{"consumer=partner, ", "", "consumer is missing"},
		{"timestamp=1790000000", "timestamp=-1790000000", "timestamp is malformed"},
		{"timestamp=1790000000", "timestamp=0x10", "timestamp is malformed"},
		{"timestamp=1790000000", "timestamp=179000000000", "timestamp is malformed"},
		{"nonce=", "nonce=/", "nonce is malformed"},
		{"signature=", "signature=Z", "signature is malformed"},
		{"signature=", "other=1, signature=", "a part is not one of"},
	} {
		if _, err := Parse(strings.Replace(good, c.old, c.text, 1)); err == nil || !strings.Contains(err.Error(), c.message) {
			t.Errorf("%s for %s: %v", c.text, c.old, err)
		}
	}
}

// FuzzParse: what is read is what was written, and writing it again changes
// nothing.
func FuzzParse(f *testing.F) {
	f.Add(Sign("partner", []byte("x"), time.Unix(1_790_000_000, 0), message).Header())
	f.Add("KongDao-HMAC-SHA256 nonce=0123456789abcdef ,consumer=a,timestamp=1,\tsignature=" + strings.Repeat("0", 64))
	f.Add("KongDao-HMAC-SHA256 consumer=a,,")
	f.Fuzz(func(t *testing.T, header string) {
		s, err := Parse(header)
		if err != nil {
			return
		}
		again, err := Parse(s.Header())
		if err != nil || again != s {
			t.Errorf("%q became %+v, then %+v, %v", header, s, again, err)
		}
		for _, part := range []string{s.Consumer, s.Nonce, fmt.Sprintf("%x", s.MAC)} {
			if !strings.Contains(header, part) {
				t.Errorf("%q is not in %q", part, header)
			}
		}
	})
}

func BenchmarkCheck(b *testing.B) {
	key := []byte("a secret of at least 16 bytes")
	s := Sign("partner", key, time.Unix(1_790_000_000, 0), message)
	header := s.Header()
	for b.Loop() {
		p, err := Parse(header)
		if err != nil || !p.good(key, message) {
			b.Fatal("refused")
		}
	}
}
