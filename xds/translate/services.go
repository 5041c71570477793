package translate

import (
	"net/netip"
	"time"

	cluster "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpoint "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	tls "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	upstreamhttp "github.com/envoyproxy/go-control-plane/envoy/extensions/upstreams/http/v3"
	matcher "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/kongdao/kongdao/xds/model"
)

// addServices adds the clusters of services that gateways themselves call, issuers
// and authorizers, where a World before has them not.
func (t *translator) addServices(r *Resources, before, w *model.World) {
	for name, s := range w.Services {
		if before == nil || before.Services[name] == (model.Service{}) {
			r.Clusters[name] = t.service(s)
		}
	}
}

// goneServices are those that only the World before has.
func goneServices(before, w *model.World) (names []string) {
	for name := range before.Services {
		if w.Services[name] == (model.Service{}) {
			names = append(names, name)
		}
	}
	return names
}

func (t *translator) service(s model.Service) *cluster.Cluster {
	kind := cluster.Cluster_STRICT_DNS
	if _, err := netip.ParseAddr(s.Host); err == nil {
		kind = cluster.Cluster_STATIC
	}
	c := &cluster.Cluster{
		Name:                 s.Cluster(),
		ConnectTimeout:       durationpb.New(time.Second),
		ClusterDiscoveryType: &cluster.Cluster_Type{Type: kind},
		LoadAssignment: &endpoint.ClusterLoadAssignment{
			ClusterName: s.Cluster(),
			Endpoints: []*endpoint.LocalityLbEndpoints{{LbEndpoints: []*endpoint.LbEndpoint{{
				HostIdentifier: &endpoint.LbEndpoint_Endpoint{Endpoint: &endpoint.Endpoint{Address: socket(s.Host, uint32(s.Port))}},
			}}}},
		},
	}
	if s.HTTP2() {
		c.TypedExtensionProtocolOptions = map[string]*anypb.Any{
			"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": t.pack(&upstreamhttp.HttpProtocolOptions{
				UpstreamProtocolOptions: &upstreamhttp.HttpProtocolOptions_ExplicitHttpConfig_{
					ExplicitHttpConfig: &upstreamhttp.HttpProtocolOptions_ExplicitHttpConfig{
						ProtocolConfig: &upstreamhttp.HttpProtocolOptions_ExplicitHttpConfig_Http2ProtocolOptions{
							Http2ProtocolOptions: &core.Http2ProtocolOptions{},
						},
					},
				},
			}),
		}
	}
	if s.TLS() {
		c.TransportSocket = t.trusted(s)
	}
	return c
}

// trusted speaks TLS with a server that has a certificate for its name, from an
// authority that the gateway's machine trusts.
func (t *translator) trusted(s model.Service) *core.TransportSocket {
	san := &tls.SubjectAltNameMatcher{
		SanType: tls.SubjectAltNameMatcher_DNS,
		Matcher: &matcher.StringMatcher{MatchPattern: &matcher.StringMatcher_Exact{Exact: s.Host}},
	}
	if _, err := netip.ParseAddr(s.Host); err == nil {
		san.SanType = tls.SubjectAltNameMatcher_IP_ADDRESS
	}
	context := &tls.UpstreamTlsContext{CommonTlsContext: &tls.CommonTlsContext{
		ValidationContextType: &tls.CommonTlsContext_ValidationContext{ValidationContext: &tls.CertificateValidationContext{
			TrustedCa:                 &core.DataSource{Specifier: &core.DataSource_Filename{Filename: t.TrustedCA}},
			MatchTypedSubjectAltNames: []*tls.SubjectAltNameMatcher{san},
		}},
	}}
	if san.SanType == tls.SubjectAltNameMatcher_DNS {
		context.Sni = s.Host
	}
	return &core.TransportSocket{
		Name:       "envoy.transport_sockets.tls",
		ConfigType: &core.TransportSocket_TypedConfig{TypedConfig: t.pack(context)},
	}
}
