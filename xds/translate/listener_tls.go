package translate

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	mutation "github.com/envoyproxy/go-control-plane/envoy/config/common/mutation_rules/v3"
	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listener "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	route "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	headermutation "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/header_mutation/v3"
	router "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/router/v3"
	hcm "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// TLSListenerName is the listener with TLS.
const TLSListenerName = "gateway-tls"

// ClientCertHeader says who the client is by its certificate, as Envoy writes it
// (Hash, Subject, URI and DNS names). Pods can believe it: what clients send in it
// is taken away.
const ClientCertHeader = "x-forwarded-client-cert"

// whole is a share in percent.
const whole = 100

// TLS is the entrance with TLS.
type TLS struct {
	Address       string // IP
	Port          uint32
	MinVersion    string // "1.2" or "1.3"
	Slots         int    // certificates, see model.TLS
	ClientCerts   bool   // clients are asked for certificates, those that they show are checked
	RequireClient bool   // without one there is no connection
	HSTS          time.Duration
	HSTSAll       bool   // for subdomains too
	Redirect      bool   // the other entrance sends everybody here
	PublicPort    uint32 // where clients reach this entrance, for redirects; 0: Port
	Share         uint32 // of every limit, percent, that this entrance admits while both serve
}

func (c *TLS) share() uint32 {
	if c.Redirect {
		return whole
	}
	return c.Share
}

// protocols are HTTP/1.1 and HTTP/2: by ALPN with TLS, by what the client begins
// with (prior knowledge) without. A client that is slow to say what it wants is not
// waited for.
func protocols(m *hcm.HttpConnectionManager) {
	m.CodecType = hcm.HttpConnectionManager_AUTO
	m.Http2ProtocolOptions = &core.Http2ProtocolOptions{
		MaxConcurrentStreams:        wrapperspb.UInt32(128),
		InitialStreamWindowSize:     wrapperspb.UInt32(256 << 10),
		InitialConnectionWindowSize: wrapperspb.UInt32(1 << 20),
	}
	m.RequestHeadersTimeout = durationpb.New(10 * time.Second)
}

// secure is what an entrance with TLS has besides.
func (t *translator) secure(m *hcm.HttpConnectionManager) {
	if t.TLS.ClientCerts {
		m.ForwardClientCertDetails = hcm.HttpConnectionManager_SANITIZE_SET
		m.SetCurrentClientCertDetails = &hcm.HttpConnectionManager_SetCurrentClientCertDetails{
			Subject: wrapperspb.Bool(true), Uri: true, Dns: true,
		}
	}
	if t.TLS.HSTS > 0 {
		m.HttpFilters = append([]*hcm.HttpFilter{t.hsts()}, m.HttpFilters...)
	}
}

// hsts tells browsers to come with TLS from now on.
func (t *translator) hsts() *hcm.HttpFilter {
	value := fmt.Sprintf("max-age=%d", int64(t.TLS.HSTS.Seconds()))
	if t.TLS.HSTSAll {
		value += "; includeSubDomains"
	}
	return t.filter("kongdao.hsts", &headermutation.HeaderMutation{Mutations: &headermutation.Mutations{
		ResponseMutations: []*mutation.HeaderMutation{overwrite("strict-transport-security", value)},
	}})
}

// redirecting answers everything with the address of the entrance with TLS; the
// method stays what it was.
func (t *translator) redirecting() *hcm.HttpConnectionManager {
	port := t.TLS.PublicPort
	if port == 0 {
		port = t.TLS.Port
	}
	to := &route.RedirectAction{
		SchemeRewriteSpecifier: &route.RedirectAction_HttpsRedirect{HttpsRedirect: true},
		PortRedirect:           port,
		ResponseCode:           route.RedirectAction_PERMANENT_REDIRECT,
	}
	m := &hcm.HttpConnectionManager{
		StatPrefix: "redirect",
		RouteSpecifier: &hcm.HttpConnectionManager_RouteConfig{RouteConfig: &route.RouteConfiguration{
			Name: "redirect",
			VirtualHosts: []*route.VirtualHost{{Name: "all", Domains: []string{"*"}, Routes: []*route.Route{{
				Match:  &route.RouteMatch{PathSpecifier: &route.RouteMatch_Prefix{Prefix: "/"}},
				Action: &route.Route_Redirect{Redirect: to},
			}}}},
		}},
		HttpFilters:      []*hcm.HttpFilter{t.filter("envoy.filters.http.router", &router.Router{})},
		UseRemoteAddress: wrapperspb.Bool(true),
	}
	protocols(m)
	return m
}

// listenerTLS is one filter chain for all names: with one for each, a new
// certificate would change the listener, and limits would be held once a chain.
func (t *translator) listenerTLS(manager *hcm.HttpConnectionManager) *listener.Listener {
	l := t.listener(socket(t.TLS.Address, t.TLS.Port), manager)
	l.Name = TLSListenerName
	l.FilterChains[0].TransportSocket = &core.TransportSocket{
		Name:       "envoy.transport_sockets.tls",
		ConfigType: &core.TransportSocket_TypedConfig{TypedConfig: t.pack(t.downstream())},
	}
	return l
}

// downstream holds every slot: Envoy picks by the names that the certificates are
// good for, exact ones before wildcards, and the first one when none fits.
func (t *translator) downstream() *tlsv3.DownstreamTlsContext {
	common := &tlsv3.CommonTlsContext{
		TlsParams:     &tlsv3.TlsParameters{TlsMinimumProtocolVersion: tlsVersion(t.TLS.MinVersion), CipherSuites: ciphers()},
		AlpnProtocols: []string{"h2", "http/1.1"},
	}
	for i := range t.TLS.Slots {
		common.TlsCertificateSdsSecretConfigs = append(common.TlsCertificateSdsSecretConfigs, secretConfig(CertificateSecret(i)))
	}
	if t.TLS.ClientCerts {
		common.ValidationContextType = &tlsv3.CommonTlsContext_ValidationContextSdsSecretConfig{
			ValidationContextSdsSecretConfig: secretConfig(ClientCASecret),
		}
	}
	return &tlsv3.DownstreamTlsContext{CommonTlsContext: common, RequireClientCertificate: wrapperspb.Bool(t.TLS.RequireClient)}
}

func secretConfig(name string) *tlsv3.SdsSecretConfig {
	return &tlsv3.SdsSecretConfig{Name: name, SdsConfig: ads()}
}

func tlsVersion(v string) tlsv3.TlsParameters_TlsProtocol {
	if strings.HasSuffix(v, ".3") {
		return tlsv3.TlsParameters_TLSv1_3
	}
	return tlsv3.TlsParameters_TLSv1_2
}

// ciphers are those for TLS 1.2 that keep past calls secret when a key gets known;
// TLS 1.3 has no others.
func ciphers() []string {
	return []string{
		"[ECDHE-ECDSA-AES128-GCM-SHA256|ECDHE-ECDSA-CHACHA20-POLY1305]",
		"[ECDHE-RSA-AES128-GCM-SHA256|ECDHE-RSA-CHACHA20-POLY1305]",
		"ECDHE-ECDSA-AES256-GCM-SHA384",
		"ECDHE-RSA-AES256-GCM-SHA384",
	}
}

// RedirectStatus is what the entrance without TLS answers when it redirects.
const RedirectStatus = http.StatusPermanentRedirect
