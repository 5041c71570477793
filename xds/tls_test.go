package xds

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/kongdao/kongdao/api"
	"github.com/kongdao/kongdao/xds/certs"
	"github.com/kongdao/kongdao/xds/certs/certstest"
)

// secureRig is a rig with an entrance with TLS that asks clients for certificates.
type secureRig struct {
	*rig
	secure  string // host:port that takes calls by TLS
	servers *certstest.CA
	clients *certstest.CA
	pod     *pod
	dir     string
}

// fileSecret resolves ${file:…}, as the registry does.
func fileSecret(s api.Secret) (string, error) {
	text, err := os.ReadFile(strings.TrimSuffix(strings.TrimPrefix(s.Reveal(), "${file:"), "}"))
	return string(text), err
}

func (s *secureRig) certificate(name string, isDefault bool, hosts ...string) *api.Certificate {
	cert, key := s.servers.Issue(hosts).Write(s.t, s.dir, name)
	return &api.Certificate{
		Metadata: api.Metadata{Name: name, Source: api.Source{File: "certificates.yaml", Line: 1}},
		Spec:     api.CertificateSpec{Hosts: hosts, Cert: api.Secret("${file:" + cert + "}"), Key: api.Secret("${file:" + key + "}"), Default: isDefault},
	}
}

func newSecureRig(t *testing.T, set func(*secureRig) api.Set, alter ...func(*Config)) *secureRig {
	t.Helper()
	s := &secureRig{
		rig: &rig{t: t}, dir: t.TempDir(), secure: freeAddr(t), pod: newPod(t, "pod", "za"),
		servers: certstest.NewCA(t, "servers"), clients: certstest.NewCA(t, "clients"),
	}
	ca := filepath.Join(s.dir, "clients.pem")
	certstest.WriteFile(t, ca, s.clients.PEM)
	with := func(c *Config) {
		c.TLS.Gateway, c.TLS.ClientCerts, c.TLS.ClientCA, c.TLS.Slots = s.secure, ClientCertsRequest, ca, 4
		c.TLS.HSTS = api.Duration(time.Hour)
	}
	s.rig = newRig(t, set(s), append([]func(*Config){with}, alter...)...)
	eventually(t, "the gateway listens for TLS", func() bool {
		c, err := net.Dial("tcp", s.secure)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
	return s
}

// dial makes a connection by TLS and returns what the gateway shows.
func (s *secureRig) dial(name string, alter ...func(*tls.Config)) (*tls.Conn, error) {
	c := &tls.Config{ServerName: name, InsecureSkipVerify: true}
	for _, a := range alter {
		a(c)
	}
	return tls.DialWithDialer(&net.Dialer{Timeout: patience}, "tcp", s.secure, c)
}

// shown is the leaf that a client gets that asks for a name.
func (s *secureRig) shown(name string) *x509.Certificate {
	s.t.Helper()
	conn, err := s.dial(name)
	if err != nil {
		s.t.Fatal(err)
	}
	defer conn.Close()
	return conn.ConnectionState().PeerCertificates[0]
}

// clientFor trusts the servers' authority and no other.
func (s *secureRig) clientFor(protocol string, certificates ...tls.Certificate) *http.Client {
	p := new(http.Protocols)
	p.SetHTTP1(protocol == "HTTP/1.1")
	p.SetHTTP2(protocol == "HTTP/2.0")
	transport := &http.Transport{
		Protocols: p, TLSClientConfig: &tls.Config{RootCAs: s.servers.Pool},
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, s.secure)
		},
	}
	if len(certificates) > 0 { // also one that the gateway does not ask for
		transport.TLSClientConfig.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &certificates[0], nil }
	}
	s.t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: patience}
}

func (s *secureRig) get(c *http.Client, url string, headers ...string) *http.Response {
	s.t.Helper()
	req, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Add(headers[i], headers[i+1])
	}
	res, err := c.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, res.Body)
	res.Body.Close()
	return res
}

func (s *secureRig) podGot(header string) []string {
	s.pod.mu.Lock()
	defer s.pod.mu.Unlock()
	return s.pod.header.Values(header)
}

// TestTLS has one Envoy for all that can be seen of an entrance with TLS.
func TestTLS(t *testing.T) {
	s := newSecureRig(t, func(s *secureRig) api.Set {
		slow := function("slow", "/slow", s.pod)
		slow.Spec.Capacity.PerPodQPS = 0.9 // a burst of four
		set := functions(function("f", "/f", s.pod), slow)
		set.Certificates = []*api.Certificate{
			s.certificate("api", false, "api.test"), s.certificate("edge", false, "*.edge.test"), s.certificate("other", true, "other.test"),
		}
		return set
	})
	t.Run("protocols", s.protocols)
	t.Run("names", s.names)
	t.Run("client certificates", s.clientCertificates)
	t.Run("rotation", s.rotation)
	t.Run("certificates come and go", s.comeAndGo)
	t.Run("a pair that does not fit", s.misfit)
	t.Run("no key is shown", s.hidden)
}

func (s *secureRig) protocols(t *testing.T) {
	for _, protocol := range []string{"HTTP/1.1", "HTTP/2.0"} {
		res := s.get(s.clientFor(protocol), "https://api.test/f")
		if res.StatusCode != 200 || res.Proto != protocol {
			t.Errorf("got %d by %s, want 200 by %s", res.StatusCode, res.Proto, protocol)
		}
		if hsts := res.Header.Get("strict-transport-security"); hsts != "max-age=3600" {
			t.Errorf("strict-transport-security is %q", hsts)
		}
		if got := s.podGot("x-forwarded-proto"); !slices.Equal(got, []string{"https"}) {
			t.Errorf("the pod got x-forwarded-proto %q", got)
		}
	}
	p := new(http.Protocols)
	p.SetUnencryptedHTTP2(true)
	transport := &http.Transport{Protocols: p}
	defer transport.CloseIdleConnections()
	res := s.get(&http.Client{Transport: transport, Timeout: patience}, "http://"+s.gateway+"/f")
	if res.StatusCode != 200 || res.Proto != "HTTP/2.0" {
		t.Errorf("without TLS, by prior knowledge: got %d by %s", res.StatusCode, res.Proto)
	}
	if got := res.Header.Get("strict-transport-security"); got != "" {
		t.Errorf("without TLS strict-transport-security is %q, want none", got)
	}
	if conn, err := s.dial("api.test", func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS11 }); err == nil {
		conn.Close()
		t.Error("TLS 1.1 is spoken")
	}
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		conn, err := s.dial("api.test", func(c *tls.Config) { c.MinVersion, c.MaxVersion = version, version })
		if err != nil {
			t.Fatal(err)
		}
		conn.Close()
	}
}

func (s *secureRig) names(t *testing.T) {
	for name, want := range map[string]string{
		"api.test": "api.test", "a.edge.test": "*.edge.test", "b.edge.test": "*.edge.test",
		"a.b.edge.test": "other.test", "other.test": "other.test", "nobody.test": "other.test", "": "other.test",
	} {
		if got := s.shown(name).DNSNames; !slices.Equal(got, []string{want}) {
			t.Errorf("who asks for %q gets the certificate of %q, want %q", name, got, want)
		}
	}
}

func (s *secureRig) clientCertificates(t *testing.T) {
	const header, spoofed = "x-forwarded-client-cert", `Hash=aa;URI=spiffe://test/admin`
	who := s.clients.Issue([]string{"robot.test"}, certstest.URI("spiffe://test/robot")).TLS(t)
	for _, protocol := range []string{"HTTP/1.1", "HTTP/2.0"} {
		s.get(s.clientFor(protocol, who), "https://api.test/f", header, spoofed)
		got := s.podGot(header)
		if len(got) != 1 || !strings.Contains(got[0], "URI=spiffe://test/robot;DNS=robot.test") || !strings.Contains(got[0], `Subject="CN=robot.test"`) || strings.Contains(got[0], "admin") {
			t.Errorf("the pod got %q", got)
		}
		s.get(s.clientFor(protocol), "https://api.test/f", header, spoofed)
		if got := s.podGot(header); len(got) != 0 {
			t.Errorf("without a certificate the pod got %q", got)
		}
	}
	if a := s.call("GET", "api.test", "/f", header+": "+spoofed); a.status != 200 || len(s.podGot(header)) != 0 {
		t.Errorf("without TLS the pod got %q", s.podGot(header))
	}
	stranger := certstest.NewCA(t, "stranger").Issue([]string{"robot.test"}).TLS(t)
	old := s.clients.Issue([]string{"robot.test"}, certstest.Until(time.Now().Add(-time.Hour))).TLS(t)
	for what, bad := range map[string]tls.Certificate{"of a stranger": stranger, "that is past its end": old} {
		req, _ := http.NewRequest(http.MethodGet, "https://api.test/f", nil)
		if res, err := s.clientFor("HTTP/1.1", bad).Do(req); err == nil {
			res.Body.Close()
			t.Errorf("a certificate %s is taken", what)
		}
	}
}

// rotation: a certificate that changes on disk is shown to new connections, and
// neither drains connections nor refills limits, nor does a new bundle of clientCA.
func (s *secureRig) rotation(t *testing.T) {
	client := s.clientFor("HTTP/2.0") // one connection for all calls
	const path, rate = "https://api.test/slow", 0.45
	start, admitted, refused := time.Now(), 0, false
	call := func() {
		if s.get(client, path).StatusCode == http.StatusOK {
			admitted++
		} else {
			refused = true
		}
	}
	for !refused {
		call()
	}
	before := s.listenerStats()
	for range 2 {
		old := s.shown("api.test").SerialNumber
		s.servers.Issue([]string{"api.test"}).Write(t, s.dir, "api")
		eventually(t, "the new certificate is shown", func() bool { call(); return s.shown("api.test").SerialNumber.Cmp(old) != 0 })
	}
	second := certstest.NewCA(t, "second")
	certstest.WriteFile(t, filepath.Join(s.dir, "clients.pem"), s.clients.PEM+second.PEM)
	who := second.Issue([]string{"robot.test"}).TLS(t)
	eventually(t, "the new authority of clients is trusted", func() bool {
		call()
		res, err := s.clientFor("HTTP/1.1", who).Get("https://api.test/f")
		if err == nil {
			res.Body.Close()
		}
		return err == nil
	})
	call()
	if most := 5 + rate*time.Since(start).Seconds(); float64(admitted) > most {
		t.Errorf("%d calls were admitted, want at most %.1f: a bucket was refilled", admitted, most)
	}
	if after := s.listenerStats(); after != before {
		t.Errorf("the listener changed:\n%s\nbefore:\n%s", after, before)
	}
	if !s.connected(client) {
		t.Error("the client's connection was drained")
	}
}

func (s *secureRig) listenerStats() string {
	return s.adminGet("/stats?filter=" + `^listener_manager\.(listener_modified|listener_added|listener_in_place_updated|total_listeners_draining|total_filter_chains_draining|lds\.update_attempt)$`)
}

// connected tells whether the client's next request finds its connection.
func (s *secureRig) connected(c *http.Client) (reused bool) {
	s.t.Helper()
	trace := &httptrace.ClientTrace{GotConn: func(i httptrace.GotConnInfo) { reused = i.Reused }}
	req, err := http.NewRequestWithContext(httptrace.WithClientTrace(context.Background(), trace), http.MethodGet, "https://api.test/f", nil)
	if err != nil {
		s.t.Fatal(err)
	}
	res, err := c.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	res.Body.Close()
	return reused
}

func (s *secureRig) comeAndGo(t *testing.T) {
	before := s.listenerStats()
	set := s.set()
	more := s.certificate("a-new-one", false, "new.test")
	more.Spec.Hosts = nil
	without := slices.DeleteFunc(slices.Clone(set.Certificates), func(c *api.Certificate) bool { return c.Name == "edge" || c.Spec.Default })
	set.Certificates = append(without, more)
	s.apply(set)
	s.live()
	for name, want := range map[string]string{
		"new.test": "new.test", "api.test": "api.test", "a.edge.test": certs.FallbackName, "nobody.test": certs.FallbackName,
	} {
		eventually(t, "who asks for "+name+" gets the certificate of "+want, func() bool { return s.shown(name).DNSNames[0] == want })
	}
	if after := s.listenerStats(); after != before {
		t.Errorf("the listener changed:\n%s\nbefore:\n%s", after, before)
	}
}

func (s *secureRig) set() api.Set {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.in.Set
}

// misfit: while the key on disk is another one's, the old pair stays, and it is
// told; so is a sixth certificate where there are places for five.
func (s *secureRig) misfit(t *testing.T) {
	old := s.shown("api.test").SerialNumber
	next := s.servers.Issue([]string{"api.test"})
	certstest.WriteFile(t, filepath.Join(s.dir, "api.crt"), next.Cert)
	problem := func() string {
		return s.State().Certificates[slices.IndexFunc(s.State().Certificates, func(c CertificateState) bool { return c.Name == "api" })].Problem
	}
	eventually(t, "the problem is told", func() bool { return strings.Contains(problem(), "spec.key: is the key of another certificate") })
	if got := testutil.ToFloat64(gaugeOf(t, s.reg, "kongdao_xds_certificate_problem", "api")); got != 1 {
		t.Errorf("kongdao_xds_certificate_problem is %v", got)
	}
	if s.shown("api.test").SerialNumber.Cmp(old) != 0 {
		t.Error("the old certificate is not shown any more")
	}
	certstest.WriteFile(t, filepath.Join(s.dir, "api.key"), next.Key)
	eventually(t, "the new certificate is shown", func() bool { return s.shown("api.test").SerialNumber.Cmp(old) != 0 })
	eventually(t, "there is no problem any more", func() bool { return problem() == "" })
	if got := testutil.ToFloat64(gaugeOf(t, s.reg, "kongdao_xds_certificate_expiry_timestamp_seconds", "api")); got < float64(time.Now().Unix()) {
		t.Errorf("kongdao_xds_certificate_expiry_timestamp_seconds is %v", got)
	}
	set := s.set()
	for _, name := range []string{"p", "q", "r"} {
		set.Certificates = append(slices.Clone(set.Certificates), s.certificate(name, false, name+".test"))
	}
	s.apply(set)
	s.live()
	states := s.State().Certificates
	if last := states[len(states)-1]; !strings.Contains(last.Problem, "raise gateway.tls.certificates, which is 4") {
		t.Errorf("the certificate too many has the problem %q", last.Problem)
	}
}

// hidden: keys are in no page of Envoy and in nothing that the control plane says.
func (s *secureRig) hidden(t *testing.T) {
	key, err := os.ReadFile(filepath.Join(s.dir, "api.key"))
	if err != nil {
		t.Fatal(err)
	}
	line, encoded := strings.Split(string(key), "\n")[1], base64.StdEncoding.EncodeToString(key)[:100]
	for _, page := range []string{"/config_dump?include_eds", "/certs", "/stats"} {
		if text := s.adminGet(page); strings.Contains(text, line) || strings.Contains(text, encoded) || strings.Contains(text, "PRIVATE KEY") {
			t.Errorf("%s shows the key", page)
		}
	}
}

// TestRedirect: the entrance without TLS sends everybody to the one with it, which
// admits whole limits; without a Certificate it shows what nobody trusts.
func TestRedirect(t *testing.T) {
	s := newSecureRig(t, func(s *secureRig) api.Set { return functions(function("f", "/f", s.pod)) }, func(c *Config) {
		c.TLS.Plain, c.TLS.PublicPort, c.TLS.ClientCerts, c.TLS.MinVersion = PlainRedirect, 443, ClientCertsRequire, "1.3"
	})
	s.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	for host, want := range map[string]string{
		"api.test": "https://api.test:443/f?x=1", "api.test:8080": "https://api.test:443/f?x=1", "[::1]:80": "https://[::1]:443/f?x=1",
	} {
		a := s.call("POST", host, "/f?x=1")
		if got := a.header.Get("location"); a.status != 308 || got != want {
			t.Errorf("%s: got %d to %q, want %q", host, a.status, got, want)
		}
	}
	if n := s.pod.calls.Load(); n != 0 {
		t.Errorf("%d calls without TLS reached a pod", n)
	}
	if got := s.shown("api.test").DNSNames; !slices.Equal(got, []string{certs.FallbackName}) {
		t.Errorf("without a Certificate the gateway shows %q", got)
	}
	who := s.clients.Issue([]string{"robot.test"}).TLS(t)
	trusting := func(certificates ...tls.Certificate) *http.Client {
		c := s.clientFor("HTTP/2.0", certificates...)
		c.Transport.(*http.Transport).TLSClientConfig.InsecureSkipVerify = true
		return c
	}
	if res := s.get(trusting(who), "https://api.test/f"); res.StatusCode != 200 {
		t.Errorf("by TLS: %d", res.StatusCode)
	}
	if res, err := trusting().Get("https://api.test/f"); err == nil {
		res.Body.Close()
		t.Error("without a certificate there is a connection, and clientCertificates is require")
	}
	if conn, err := s.dial("api.test", func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 }); err == nil {
		conn.Close()
		t.Error("TLS 1.2 is spoken, and minVersion is 1.3")
	}
}
