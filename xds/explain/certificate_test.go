package explain

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"io"
	"math/big"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/kongdao/kongdao/api"
	"github.com/kongdao/kongdao/xds/model"
	"github.com/kongdao/kongdao/xds/translate"
)

// authority signs certificates.
type authority struct {
	t    *testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	next int64
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{t: t}
	_, pair := a.issue(&x509.Certificate{Subject: pkix.Name{CommonName: "authority"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign})
	a.cert, a.key = pair.Leaf, pair.PrivateKey.(*ecdsa.PrivateKey)
	return a
}

// issue makes a certificate; the first one signs itself.
func (a *authority) issue(template *x509.Certificate) (text string, pair tls.Certificate) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	a.next++
	template.SerialNumber = big.NewInt(a.next)
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		a.t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	text = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	return text, tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

// overTLS makes the listener take TLS, with client certificates of the authority
// or none.
func (a *authority) overTLS(r *translate.Resources) {
	chain, pair := a.issue(&x509.Certificate{Subject: pkix.Name{CommonName: "gateway"}, DNSNames: []string{"gateway"}})
	key, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		a.t.Fatal(err)
	}
	text := func(s string) *core.DataSource {
		return &core.DataSource{Specifier: &core.DataSource_InlineString{InlineString: s}}
	}
	packed, err := anypb.New(&tlsv3.DownstreamTlsContext{CommonTlsContext: &tlsv3.CommonTlsContext{
		TlsCertificates: []*tlsv3.TlsCertificate{{
			CertificateChain: text(chain),
			PrivateKey:       text(string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}))),
		}},
		ValidationContextType: &tlsv3.CommonTlsContext_ValidationContext{ValidationContext: &tlsv3.CertificateValidationContext{
			TrustedCa: text(string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw}))),
		}},
	}})
	if err != nil {
		a.t.Fatal(err)
	}
	for _, l := range r.Listeners {
		l.FilterChains[0].TransportSocket = &core.TransportSocket{
			Name: "envoy.transport_sockets.tls", ConfigType: &core.TransportSocket_TypedConfig{TypedConfig: packed},
		}
	}
}

// TestClientCertificates: consumers by each name that a certificate has, on a
// real Envoy, and explain says the same.
func TestClientCertificates(t *testing.T) {
	ca := newAuthority(t)
	spiffe := &url.URL{Scheme: "spiffe", Host: "example.com", Path: "/feed"}
	_, byURI := ca.issue(&x509.Certificate{Subject: pkix.Name{CommonName: "x"}, URIs: []*url.URL{{Scheme: "spiffe", Host: "other", Path: "/"}, spiffe}})
	_, byDNS := ca.issue(&x509.Certificate{Subject: pkix.Name{CommonName: "x"}, DNSNames: []string{"dns.example.com"}})
	_, bySubject := ca.issue(&x509.Certificate{Subject: pkix.Name{CommonName: "app-7", Organization: []string{"Example"}}})
	_, byHash := ca.issue(&x509.Certificate{Subject: pkix.Name{CommonName: "x"}})
	_, nobody := ca.issue(&x509.Certificate{Subject: pkix.Name{CommonName: "nobody"}})
	sum := sha256.Sum256(byHash.Certificate[0])

	pods, _ := startPods(t)
	f := &api.Function{Metadata: api.Metadata{Name: "f"}}
	f.Spec.Routes = []api.Route{{Path: "/f"}}
	f.Spec.Revisions = []api.Revision{{Name: "r1", Endpoints: pods[:1]}}
	f.Spec.Access = &api.Access{Consumers: []string{"uri", "dns", "subject", "hash"}, By: []string{api.ByCertificate}}
	set := api.Set{Functions: []*api.Function{f}}
	certificates := map[string]api.ClientCertificate{
		"uri": {URI: spiffe.String()}, "dns": {DNS: "dns.example.com"}, "subject": {Subject: "CN=app-7,O=Example"},
		"hash": {SHA256: hex.EncodeToString(sum[:])}, "stranger": {Subject: "CN=stranger"},
	}
	for name, c := range certificates {
		set.Consumers = append(set.Consumers, &api.Consumer{Metadata: api.Metadata{Name: name}, Spec: api.ConsumerSpec{Certificates: []api.ClientCertificate{c}}})
	}
	_, stranger := ca.issue(&x509.Certificate{Subject: pkix.Name{CommonName: "stranger"}})
	w := model.Build(model.Input{Set: set, Ready: map[string]bool{pods[0].Address: true}})
	addr, stop, _ := serveWorld(t, w, ca.overTLS)
	defer stop()

	for _, c := range []struct {
		name   string
		pair   *tls.Certificate
		names  []string
		status int
		text   string
	}{
		{"uri", &byURI, []string{"uri:" + spiffe.String()}, 200, ""},
		{"dns", &byDNS, []string{"dns:dns.example.com"}, 200, ""},
		{"subject", &bySubject, []string{"subject:CN=app-7,O=Example"}, 200, ""},
		{"hash", &byHash, []string{"sha256:" + hex.EncodeToString(sum[:])}, 200, ""},
		{"nobody", &nobody, []string{"subject:CN=nobody"}, 401, model.ReasonCertificate},
		{"stranger", &stranger, []string{"subject:CN=stranger"}, 403, "stranger may not call f"},
		{"none", nil, nil, 401, "a client certificate"},
	} {
		config := &tls.Config{ServerName: "gateway", RootCAs: x509.NewCertPool()}
		config.RootCAs.AddCert(ca.cert)
		if c.pair != nil {
			config.Certificates = []tls.Certificate{*c.pair}
		}
		status, body := get(t, config, "https://"+addr+"/f")
		explained := Explain(w, Request{Method: "GET", Host: "gateway", Path: "/f", Headers: http.Header{}, Certificates: c.names})
		if status != c.status || !strings.Contains(body, c.text) {
			t.Errorf("%s: %d %s", c.name, status, body)
		}
		if explained.Status != 0 && explained.Status != c.status || explained.Status == 0 && c.status != 200 || c.status != 200 && !strings.Contains(body, explained.Reason) {
			t.Errorf("%s: envoy answered %d %s, explained: %s", c.name, status, body, explained.Text())
		}
	}
}

func get(t *testing.T, config *tls.Config, address string) (int, string) {
	t.Helper()
	transport := &http.Transport{TLSClientConfig: config}
	defer transport.CloseIdleConnections()
	res, err := (&http.Client{Transport: transport, Timeout: patience}).Get(address)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(b)
}
