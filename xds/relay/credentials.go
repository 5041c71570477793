package relay

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync"

	"google.golang.org/grpc/credentials"

	"github.com/kongdao/kongdao/xds/envoy"
)

// identity shows the gateway's certificate to the control plane, and wants to see
// one that its authority has signed. The files are read anew for every connection;
// while they do not fit, as in the middle of a rotation, the last ones count.
type identity struct {
	files envoy.Mutual
	name  string // what the control plane's certificate must be good for
	log   *slog.Logger

	mu   sync.Mutex
	last *tls.Config
}

func newIdentity(files envoy.Mutual, upstream string, log *slog.Logger) (*identity, error) {
	i := &identity{files: files, name: files.ServerName, log: log}
	if i.name == "" {
		host, _, err := net.SplitHostPort(upstream)
		if err != nil {
			return nil, fmt.Errorf("upstream: %w", err)
		}
		i.name = host
	}
	var err error
	i.last, err = i.read()
	return i, err
}

func (i *identity) read() (*tls.Config, error) {
	pair, err := tls.LoadX509KeyPair(i.files.Cert, i.files.Key)
	if err != nil {
		return nil, fmt.Errorf("mutual.cert, mutual.key: %w", err)
	}
	bundle, err := os.ReadFile(i.files.CA)
	if err != nil {
		return nil, fmt.Errorf("mutual.ca: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(bundle) {
		return nil, errors.New("mutual.ca: holds no certificate")
	}
	return &tls.Config{
		MinVersion: tls.VersionTLS12, NextProtos: []string{"h2"}, ServerName: i.name,
		Certificates: []tls.Certificate{pair}, RootCAs: pool,
	}, nil
}

func (i *identity) current() *tls.Config {
	next, err := i.read()
	i.mu.Lock()
	defer i.mu.Unlock()
	if err != nil {
		i.log.Warn("certificates for the control plane not taken, the last ones stay", "error", err)
		return i.last
	}
	i.last = next
	return next
}

// ClientHandshake begins a connection with what the files hold now.
func (i *identity) ClientHandshake(ctx context.Context, authority string, raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	return credentials.NewTLS(i.current()).ClientHandshake(ctx, authority, raw)
}

// ServerHandshake is not what a gateway does.
func (i *identity) ServerHandshake(net.Conn) (net.Conn, credentials.AuthInfo, error) {
	return nil, nil, errors.New("a gateway's identity serves nobody")
}

// Info tells gRPC that connections are encrypted.
func (i *identity) Info() credentials.ProtocolInfo {
	i.mu.Lock()
	defer i.mu.Unlock()
	return credentials.NewTLS(i.last).Info()
}

// Clone is the identity itself: it has no state of one connection.
func (i *identity) Clone() credentials.TransportCredentials { return i }

// OverrideServerName is for a gRPC that is long gone.
func (i *identity) OverrideServerName(string) error { return nil }
