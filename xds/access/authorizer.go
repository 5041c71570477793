package access

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"
	"time"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	auth "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	"github.com/kongdao/kongdao/xds/model"
	"github.com/kongdao/kongdao/xds/translate"
)

// Authorizer answers gateways that ask about signed requests. Its methods may be
// called from any goroutine.
type Authorizer struct {
	auth.UnimplementedAuthorizationServer

	window  time.Duration
	now     func() time.Time
	started time.Time // the first whole second after it; timestamps have no parts of seconds
	secrets atomic.Pointer[map[string][][]byte]
	nonces  nonces
	results *prometheus.CounterVec
}

// New makes an Authorizer. window is how far a timestamp may be off, above 0.
func New(window time.Duration, now func() time.Time, reg prometheus.Registerer) (*Authorizer, error) {
	a := &Authorizer{
		window: window, now: now, started: now().Truncate(time.Second).Add(time.Second),
		nonces: nonces{consumers: map[string]*used{}},
		results: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "kongdao_xds_signatures_total", Help: "Signed requests that gateways asked about, by what was found.",
		}, []string{"result"}),
	}
	for _, r := range []string{resultGood, resultMalformed, resultTime, resultWrong, resultReplay, resultFull, resultNotGranted} {
		a.results.WithLabelValues(r)
	}
	a.secrets.Store(&map[string][][]byte{})
	return a, reg.Register(a.results)
}

// What can be found.
const (
	resultGood       = "good"
	resultMalformed  = "malformed"
	resultTime       = "time"
	resultWrong      = "wrong"
	resultReplay     = "replay"
	resultFull       = "full"
	resultNotGranted = "not_granted"
)

// SetSecrets replaces the secrets of all consumers; several of one are all good.
func (a *Authorizer) SetSecrets(secrets map[string][][]byte) { a.secrets.Store(&secrets) }

// Register adds the service to a gRPC server.
func (a *Authorizer) Register(g grpc.ServiceRegistrar) { auth.RegisterAuthorizationServer(g, a) }

// refusal is why a request is not let in.
type refusal struct {
	result string
	status int
	code   string
	reason string
}

func (r *refusal) Error() string { return r.reason }

func invalid(result, format string, args ...any) error {
	return &refusal{result, http.StatusUnauthorized, model.ErrorInvalid, fmt.Sprintf(format, args...)}
}

// Check decides on one request.
func (a *Authorizer) Check(_ context.Context, in *auth.CheckRequest) (*auth.CheckResponse, error) {
	consumer, err := a.check(in)
	var no *refusal
	if errors.As(err, &no) {
		a.results.WithLabelValues(no.result).Inc()
		return deny(no), nil
	}
	a.results.WithLabelValues(resultGood).Inc()
	return &auth.CheckResponse{
		Status: &status.Status{Code: int32(codes.OK)},
		HttpResponse: &auth.CheckResponse_OkResponse{OkResponse: &auth.OkHttpResponse{
			Headers:         []*core.HeaderValueOption{set(model.ConsumerHeader, consumer)},
			HeadersToRemove: []string{model.SignatureHeader},
		}},
	}, nil
}

func (a *Authorizer) check(in *auth.CheckRequest) (consumer string, err error) {
	r := in.GetAttributes().GetRequest().GetHttp()
	s, err := Parse(r.GetHeaders()[model.SignatureHeader])
	if err != nil {
		return "", invalid(resultMalformed, "the signature is malformed: %v", err)
	}
	now := a.now()
	switch off := now.Sub(s.Time); {
	case off > a.window || off < -a.window:
		return "", invalid(resultTime, "the timestamp is %.0f s off, want at most %.0f s", off.Abs().Seconds(), a.window.Seconds())
	case s.Time.Before(a.started):
		return "", invalid(resultTime, "the request was signed before the authorizer started: sign it again")
	}
	body := r.GetRawBody()
	if body == nil {
		body = []byte(r.GetBody())
	}
	if !a.matches(s, Message{Method: r.GetMethod(), Host: r.GetHost(), Path: r.GetPath(), Body: body}) {
		return "", invalid(resultWrong, model.ReasonSignature)
	}
	// A timestamp from the future is good for up to two windows.
	fresh, full := a.nonces.take(s.Consumer, s.Nonce, now, 2*a.window)
	switch {
	case full:
		return "", &refusal{resultFull, http.StatusServiceUnavailable, "nonces_full", s.Consumer + " signs more requests than nonces are remembered"}
	case !fresh:
		return "", invalid(resultReplay, "the nonce was used before")
	}
	return s.Consumer, granted(in, s.Consumer)
}

// matches takes as long for a consumer that does not exist.
func (a *Authorizer) matches(s Signature, m Message) (ok bool) {
	secrets := (*a.secrets.Load())[s.Consumer]
	if len(secrets) == 0 {
		_ = s.good([]byte("nobody"), m)
		return false
	}
	for _, secret := range secrets {
		ok = s.good(secret, m) || ok
	}
	return ok
}

// granted is what the route says about the consumer that the request named.
func granted(in *auth.CheckRequest, consumer string) error {
	said := in.GetAttributes().GetMetadataContext().GetFilterMetadata()[translate.AccessNamespace].GetFields()
	if said["granted"].GetStringValue() == consumer {
		return nil
	}
	return &refusal{resultNotGranted, http.StatusForbidden, model.ErrorNotGranted, consumer + " may not " + said["verb"].GetStringValue()}
}

func deny(no *refusal) *auth.CheckResponse {
	// Two strings always marshal.
	body, _ := json.Marshal(struct {
		Error  string `json:"error"`
		Reason string `json:"reason"`
	}{no.code, no.reason})
	return &auth.CheckResponse{
		Status: &status.Status{Code: int32(codes.PermissionDenied)},
		HttpResponse: &auth.CheckResponse_DeniedResponse{DeniedResponse: &auth.DeniedHttpResponse{
			Status:  &typev3.HttpStatus{Code: typev3.StatusCode(no.status)},
			Headers: []*core.HeaderValueOption{set("content-type", "application/json")},
			Body:    string(body) + "\n",
		}},
	}
}

func set(name, value string) *core.HeaderValueOption {
	return &core.HeaderValueOption{
		Header:       &core.HeaderValue{Key: name, Value: value},
		AppendAction: core.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD,
	}
}
