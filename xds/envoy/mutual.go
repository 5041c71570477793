package envoy

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"

	cluster "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	matcher "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/anypb"
)

// Mutual are files, PEM, by which the gateway and the control plane know each
// other. They are read again every second; Envoy takes new ones for its next
// connection. The zero value: no encryption.
type Mutual struct {
	Cert       string `yaml:"cert"`       // of this gateway; it has to name node and group
	Key        string `yaml:"key"`        //
	CA         string `yaml:"ca"`         // signs the certificate of the control plane
	ServerName string `yaml:"serverName"` // what the control plane's certificate must be good for; empty: the host of its address
}

// On tells whether the connection is encrypted.
func (m Mutual) On() bool { return m != Mutual{} }

func (m Mutual) validate(add func(field, format string, args ...any)) {
	for _, f := range []struct{ field, value string }{{"mutual.cert", m.Cert}, {"mutual.key", m.Key}, {"mutual.ca", m.CA}} {
		if m.On() && f.value == "" {
			add(f.field, "is missing")
		}
	}
}

// Names of the secrets in the gateway's folder.
const (
	ownSecret   = "gateway"
	peersSecret = "control-plane"
)

// encrypt makes a static cluster speak TLS with the secrets of a folder.
func encrypt(c *cluster.Cluster, o Options) error {
	name := o.ServerName
	if name == "" {
		host, _, err := net.SplitHostPort(o.XDSAddr)
		if err != nil {
			return err
		}
		name = host
	}
	kind := tlsv3.SubjectAltNameMatcher_DNS
	if net.ParseIP(name) != nil {
		kind = tlsv3.SubjectAltNameMatcher_IP_ADDRESS
	}
	exact := &tlsv3.SubjectAltNameMatcher{SanType: kind, Matcher: &matcher.StringMatcher{MatchPattern: &matcher.StringMatcher_Exact{Exact: name}}}
	context := &tlsv3.UpstreamTlsContext{CommonTlsContext: &tlsv3.CommonTlsContext{
		AlpnProtocols:                  []string{"h2"},
		TlsParams:                      &tlsv3.TlsParameters{TlsMinimumProtocolVersion: tlsv3.TlsParameters_TLSv1_2},
		TlsCertificateSdsSecretConfigs: []*tlsv3.SdsSecretConfig{fromFile(ownSecret, o.SecretsDir)},
		ValidationContextType: &tlsv3.CommonTlsContext_CombinedValidationContext{
			CombinedValidationContext: &tlsv3.CommonTlsContext_CombinedCertificateValidationContext{
				DefaultValidationContext:         &tlsv3.CertificateValidationContext{MatchTypedSubjectAltNames: []*tlsv3.SubjectAltNameMatcher{exact}},
				ValidationContextSdsSecretConfig: fromFile(peersSecret, o.SecretsDir),
			},
		},
	}}
	if kind == tlsv3.SubjectAltNameMatcher_DNS {
		context.Sni = name
	}
	config, err := pack(context)
	if err != nil {
		return err
	}
	c.TransportSocket = &core.TransportSocket{Name: "envoy.transport_sockets.tls", ConfigType: &core.TransportSocket_TypedConfig{TypedConfig: config}}
	return nil
}

// fromFile is a secret in a file of its own: Envoy takes no more than one from each.
func fromFile(name, dir string) *tlsv3.SdsSecretConfig {
	return &tlsv3.SdsSecretConfig{Name: name, SdsConfig: &core.ConfigSource{
		ResourceApiVersion:    core.ApiVersion_V3,
		ConfigSourceSpecifier: &core.ConfigSource_PathConfigSource{PathConfigSource: &core.PathConfigSource{Path: secretFile(dir, name)}},
	}}
}

func secretFile(dir, name string) string { return filepath.Join(dir, "secret-"+name+".json") }

// writeSecrets puts what the files hold where Envoy watches, each at once, so that
// it never sees a pair that does not fit. What is as before is not written.
func (g *Gateway) writeSecrets() error {
	texts, err := g.cfg.Mutual.secrets()
	if err != nil {
		return err
	}
	for name, text := range texts {
		if g.secrets[name] == text {
			continue
		}
		file := secretFile(g.cfg.Dir, name)
		if err := os.WriteFile(file+".new", []byte(text), 0o600); err != nil {
			return err
		}
		if err := os.Rename(file+".new", file); err != nil {
			return err
		}
		g.secrets[name] = text
	}
	return nil
}

// secrets are Envoy's form of the files, by name.
func (m Mutual) secrets() (map[string]string, error) {
	cert, errCert := os.ReadFile(m.Cert)
	key, errKey := os.ReadFile(m.Key)
	ca, errCA := os.ReadFile(m.CA)
	if err := errors.Join(errCert, errKey, errCA); err != nil {
		return nil, fmt.Errorf("mutual: %w", err)
	}
	if _, err := tls.X509KeyPair(cert, key); err != nil {
		return nil, fmt.Errorf("mutual: certificate and key: %w", err)
	}
	if !x509.NewCertPool().AppendCertsFromPEM(ca) {
		return nil, errors.New("mutual.ca: holds no certificate")
	}
	texts := map[string]string{}
	for _, secret := range []*tlsv3.Secret{
		{Name: ownSecret, Type: &tlsv3.Secret_TlsCertificate{TlsCertificate: &tlsv3.TlsCertificate{CertificateChain: inline(cert), PrivateKey: inline(key)}}},
		{Name: peersSecret, Type: &tlsv3.Secret_ValidationContext{ValidationContext: &tlsv3.CertificateValidationContext{TrustedCa: inline(ca)}}},
	} {
		a, err := pack(secret)
		if err != nil {
			return nil, err
		}
		text, err := protojson.Marshal(&discovery.DiscoveryResponse{Resources: []*anypb.Any{a}})
		if err != nil {
			return nil, fmt.Errorf("mutual: %w", err)
		}
		var stable bytes.Buffer // protojson varies its spaces on purpose
		if err := json.Compact(&stable, text); err != nil {
			return nil, fmt.Errorf("mutual: %w", err)
		}
		texts[secret.GetName()] = stable.String()
	}
	return texts, nil
}

func inline(text []byte) *core.DataSource {
	return &core.DataSource{Specifier: &core.DataSource_InlineBytes{InlineBytes: text}}
}

// followFiles takes new files over until ctx ends. What does not fit is told once,
// and what was in force stays.
func (g *Gateway) followFiles(ctx context.Context) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	said := ""
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		err := g.writeSecrets()
		text := ""
		if err != nil {
			text = err.Error()
		}
		if text != said && text != "" {
			g.log.Warn("certificates for the control plane not taken, the last ones stay", "error", err)
		}
		said = text
	}
}
