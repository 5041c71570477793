package translate

import (
	"net/http"
	"time"

	mutation "github.com/envoyproxy/go-control-plane/envoy/config/common/mutation_rules/v3"
	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authz "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/ext_authz/v3"
	hcm "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	matcher "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/kongdao/kongdao/xds/model"
)

// AccessNamespace is the dynamic metadata in which access.lua says whom to ask,
// and about what.
const AccessNamespace = "kongdao.access"

// controlPlane is the static cluster of a gateway's bootstrap that leads to the
// control plane, which is also who knows the secrets of signatures.
const controlPlane = "xds"

const (
	signatureTimeout = time.Second

	// MaxSignedBody is the largest body of a signed request, in bytes: the gateway
	// holds it until its signature was checked. A larger one is answered 413.
	MaxSignedBody = 1 << 20
)

// signatures asks the control plane. Without an answer the request is refused.
func (t *translator) signatures() *hcm.HttpFilter {
	f := asking(model.AskSignatures)
	f.StatPrefix = "signatures"
	f.Services = &authz.ExtAuthz_GrpcService{GrpcService: &core.GrpcService{
		TargetSpecifier: &core.GrpcService_EnvoyGrpc_{EnvoyGrpc: &core.GrpcService_EnvoyGrpc{ClusterName: controlPlane}},
		Timeout:         durationpb.New(signatureTimeout),
	}}
	f.WithRequestBody = &authz.BufferSettings{MaxRequestBytes: MaxSignedBody, PackAsBytes: true}
	f.ClearRouteCache = true // consumers may have routes of their own
	f.MetadataContextNamespaces = []string{AccessNamespace}
	return t.filter(signaturesFilter, f)
}

// external asks whom a route names.
func (t *translator) external(name string, open bool) *hcm.HttpFilter {
	f := asking(name)
	f.StatPrefix, f.FailureModeAllow = "external", open
	f.Services = &authz.ExtAuthz_GrpcService{GrpcService: &core.GrpcService{ // never asked: routes name another
		TargetSpecifier: &core.GrpcService_EnvoyGrpc_{EnvoyGrpc: &core.GrpcService_EnvoyGrpc{ClusterName: controlPlane}},
	}}
	f.AllowedHeaders = &matcher.ListStringMatcher{Patterns: []*matcher.StringMatcher{regex(".*")}}
	// What pods believe about callers is the gateway's to say.
	f.DecoderHeaderMutationRules = &mutation.HeaderMutationRules{DisallowExpression: &matcher.RegexMatcher{Regex: "x-kongdao-.*"}}
	return t.filter(name, f)
}

// asking is on when access.lua asked for it. It is not switched by route: that
// would be decided before wildcard hosts are looked up.
func asking(whom string) *authz.ExtAuthz {
	return &authz.ExtAuthz{
		TransportApiVersion: core.ApiVersion_V3,
		StatusOnError:       &typev3.HttpStatus{Code: http.StatusServiceUnavailable},
		ValidateMutations:   true,
		FilterEnabledMetadata: &matcher.MetadataMatcher{
			Filter: AccessNamespace,
			Path:   []*matcher.MetadataMatcher_PathSegment{{Segment: &matcher.MetadataMatcher_PathSegment_Key{Key: "ask"}}},
			Value:  exactly(whom),
		},
	}
}

func exactly(text string) *matcher.ValueMatcher {
	return &matcher.ValueMatcher{MatchPattern: &matcher.ValueMatcher_StringMatch{
		StringMatch: &matcher.StringMatcher{MatchPattern: &matcher.StringMatcher_Exact{Exact: text}},
	}}
}

func regex(expression string) *matcher.StringMatcher {
	return &matcher.StringMatcher{MatchPattern: &matcher.StringMatcher_SafeRegex{SafeRegex: &matcher.RegexMatcher{Regex: expression}}}
}

// externalOf names a function's authorizer.
func externalOf(function string, e *model.External) *authz.ExtAuthzPerRoute {
	s, timeout := e.Service(), durationpb.New(e.Timeout)
	settings := &authz.CheckSettings{ContextExtensions: map[string]string{"function": function}}
	if s.HTTP2() {
		settings.ServiceOverride = &authz.CheckSettings_GrpcService{GrpcService: &core.GrpcService{
			TargetSpecifier: &core.GrpcService_EnvoyGrpc_{EnvoyGrpc: &core.GrpcService_EnvoyGrpc{ClusterName: s.Cluster(), Authority: s.Authority()}},
			Timeout:         timeout,
		}}
	} else {
		settings.ContextExtensions = nil
		settings.ServiceOverride = &authz.CheckSettings_HttpService{HttpService: &authz.HttpService{
			ServerUri:  &core.HttpUri{Uri: e.URL, HttpUpstreamType: &core.HttpUri_Cluster{Cluster: s.Cluster()}, Timeout: timeout},
			PathPrefix: s.Path,
			AuthorizationRequest: &authz.AuthorizationRequest{
				HeadersToAdd: []*core.HeaderValue{{Key: functionHeader, Value: function}},
			},
			AuthorizationResponse: &authz.AuthorizationResponse{
				AllowedUpstreamHeaders: &matcher.ListStringMatcher{Patterns: []*matcher.StringMatcher{
					{MatchPattern: &matcher.StringMatcher_Prefix{Prefix: "x-auth-"}},
				}},
			},
		}}
	}
	return &authz.ExtAuthzPerRoute{Override: &authz.ExtAuthzPerRoute_CheckSettings{CheckSettings: settings}}
}

// functionHeader tells an authorizer that speaks HTTP which function is called.
const functionHeader = "x-kongdao-function"
