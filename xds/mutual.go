package xds

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"github.com/kongdao/kongdao/xds/certs"
)

// Mutual are files, PEM, by which control plane and gateways know each other. They
// are read anew for every connection. The zero value is neither encrypted nor
// asks who a gateway is, which is for loopback alone.
type Mutual struct {
	Cert     string // of the control plane, with what it is signed by
	Key      string
	ClientCA string // signs the certificates of gateways
}

// on tells whether connections are encrypted.
func (m Mutual) on() bool { return m != Mutual{} }

func (m Mutual) validate(listen string, bad func(field, format string, args ...any)) {
	for _, f := range []struct{ field, value string }{{"mutual.cert", m.Cert}, {"mutual.key", m.Key}, {"mutual.clientCA", m.ClientCA}} {
		if m.on() && f.value == "" {
			bad(f.field, "is missing")
		}
	}
	if !m.on() && !loopback(listen) {
		bad("mutual", "is missing, and %s can be reached from other machines: gateways must show certificates there", listen)
	}
}

// loopback tells whether only this machine reaches an address. A name does not
// count, localhost aside.
func loopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

// handshakes makes the configuration of each connection.
type handshakes struct {
	files Mutual
	log   *slog.Logger

	mu   sync.Mutex
	last *tls.Config // the last good one
}

func newHandshakes(m Mutual, log *slog.Logger) (*handshakes, error) {
	h := &handshakes{files: m, log: log}
	var err error
	h.last, err = m.read()
	return h, err
}

// credentials ask every gateway for a certificate.
func (h *handshakes) credentials() credentials.TransportCredentials {
	return credentials.NewTLS(&tls.Config{
		MinVersion: tls.VersionTLS12, NextProtos: []string{"h2"},
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return h.config(), nil },
	})
}

// config reads the files. When they are not whole, as while they are replaced, the
// last ones that were are used.
func (h *handshakes) config() *tls.Config {
	next, err := h.files.read()
	h.mu.Lock()
	defer h.mu.Unlock()
	if err != nil {
		h.log.Warn("certificates for gateways not taken, the last ones stay", "error", err)
		return h.last
	}
	h.last = next
	return next
}

func (m Mutual) read() (*tls.Config, error) {
	pair, err := tls.LoadX509KeyPair(m.Cert, m.Key)
	if err != nil {
		return nil, fmt.Errorf("mutual.cert, mutual.key: %w", err)
	}
	bundle, err := os.ReadFile(m.ClientCA)
	if err == nil {
		err = certs.CheckBundle(string(bundle))
	}
	if err != nil {
		return nil, fmt.Errorf("mutual.clientCA: %w", err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(bundle)
	return &tls.Config{
		MinVersion: tls.VersionTLS12, NextProtos: []string{"h2"}, Certificates: []tls.Certificate{pair},
		ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: pool,
	}, nil
}

// admitByCertificate lets a gateway be what its certificate says.
func admitByCertificate(ctx context.Context, node, group string) error {
	c, err := shown(ctx)
	if err != nil {
		return err
	}
	return certifies(c, node, group)
}

// admitCallerByCertificate does so with a caller without a gateway. The names are
// others than those of gateways, which get keys and what access is checked by.
func admitCallerByCertificate(ctx context.Context, node, group string) error {
	c, err := shown(ctx)
	if err != nil {
		return err
	}
	return certifiesCaller(c, node, group)
}

// admitAsking lets gateways alone ask what is no stream: Check says of a signature
// whether it is good, and uses its nonce up.
func admitAsking(ctx context.Context, request any, _ *grpc.UnaryServerInfo, answer grpc.UnaryHandler) (any, error) {
	c, err := shown(ctx)
	if err == nil && !isOf(c, "gateway") && (isOf(c, "caller") || len(c.DNSNames) == 0) {
		err = errors.New("the certificate is that of no gateway: want a name spiffe://…/gateway/…, or a DNS name")
	}
	if err != nil {
		return nil, status.Error(codes.PermissionDenied, err.Error())
	}
	return answer(ctx, request)
}

// shown is the certificate of whoever is on the connection.
func shown(ctx context.Context) (*x509.Certificate, error) {
	p, ok := peer.FromContext(ctx)
	if !ok {
		return nil, errors.New("the connection is not known")
	}
	info, ok := p.AuthInfo.(credentials.TLSInfo)
	if !ok || len(info.State.VerifiedChains) == 0 {
		return nil, errors.New("no certificate was shown")
	}
	return info.State.PeerCertificates[0], nil
}

// certifies wants one name of the certificate to be the gateway's:
//
//	spiffe://DOMAIN/gateway/GROUP/NODE   this gateway
//	spiffe://DOMAIN/gateway/GROUP        every gateway of the group
//	NODE.GROUP                           this gateway, as a DNS name
//	*.GROUP                              every gateway of the group
//
// DNS names of a caller's certificate are where it serves, and make it no gateway.
func certifies(c *x509.Certificate, node, group string) error {
	if node == "" || group == "" {
		return errors.New("the gateway does not say which node of which group it is")
	}
	named := hasURI(c, "gateway", node, group) ||
		!isOf(c, "caller") && slices.ContainsFunc(c.DNSNames, func(n string) bool {
			return strings.EqualFold(n, node+"."+group) || strings.EqualFold(n, "*."+group)
		})
	if !named {
		return fmt.Errorf("the certificate is not that of %s in the group %s: want the name spiffe://…/gateway/%s/%s, spiffe://…/gateway/%s, or the DNS name %s.%s",
			node, group, group, node, group, node, group)
	}
	return nil
}

// certifiesCaller wants one name of the certificate to be the caller's:
//
//	spiffe://DOMAIN/caller/GROUP/NODE   this caller
//	spiffe://DOMAIN/caller/GROUP        every caller of the group
func certifiesCaller(c *x509.Certificate, node, group string) error {
	if node == "" || group == "" {
		return errors.New("the caller does not say which node of which group it is")
	}
	if !hasURI(c, "caller", node, group) {
		return fmt.Errorf("the certificate is not that of the caller %s in the group %s: want the name spiffe://…/caller/%s/%s or spiffe://…/caller/%s",
			node, group, group, node, group)
	}
	return nil
}

// isOf tells whether a certificate is a gateway's or a caller's by one of its URIs.
func isOf(c *x509.Certificate, role string) bool {
	return slices.ContainsFunc(c.URIs, func(u *url.URL) bool {
		return u.Scheme == "spiffe" && strings.HasPrefix(u.Path, "/"+role+"/")
	})
}

// hasURI compares whole segments, so that no name is the beginning of another.
func hasURI(c *x509.Certificate, role, node, group string) bool {
	all := "/" + role + "/" + group
	return slices.ContainsFunc(c.URIs, func(u *url.URL) bool {
		return u.Scheme == "spiffe" && (u.Path == all || u.Path == all+"/"+node)
	})
}
