package clickhouse

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/url"
	"os"
	"strings"
	"time"

	ch "github.com/ClickHouse/clickhouse-go/v2"

	"github.com/kongdao/kongdao/api"
)

// Options say how to reach a ClickHouse. The zero value of each field but Addr
// means its default.
type Options struct {
	// Addr is host:port of the native protocol. More than one are replicas that
	// hold the same data; they are tried in order.
	Addr []string
	// Database is "default" unless set. It has to exist: the embedded engine ends
	// when a client asks for one that does not.
	Database string
	User     string // default "default"
	Password api.Secret
	// TLS turns on encryption; nil is plain TCP.
	TLS *tls.Config
	// MaxConns bounds the pool; default 8. A further caller waits for DialTimeout,
	// then gets an error.
	MaxConns int
	// DialTimeout bounds a connection attempt; default 5 s.
	DialTimeout time.Duration
	// ReadTimeout bounds the wait for the next bytes of an answer; default 60 s.
	// A context with a deadline overrides it.
	ReadTimeout time.Duration
	// Settings are sent with every query.
	Settings map[string]any
	// LocalSuffix ends the names of the tables that rows are inserted into: on a
	// cluster NAME_local is the part of the table NAME that the server itself has.
	LocalSuffix string
	// Dial, when set, makes the connections in place of a net.Dialer; addr is one
	// of Addr. The embedded engine sets it, because its port can change.
	Dial func(ctx context.Context, addr string) (net.Conn, error)
}

// LogValue is what a log shows: everything but the password and the settings.
func (o Options) LogValue() slog.Value {
	return slog.GroupValue(slog.Any("addr", o.Addr), slog.String("database", o.Database), slog.String("user", o.User))
}

// String is the DSN with the password hidden.
func (o Options) String() string {
	return o.dsn("<secret>")
}

// DSN is the data source name with the password in clear, for a process that is
// given one, such as a Grafana data source. Do not log it.
func (o Options) DSN() string {
	return o.dsn(escape(o.Password.Reveal()))
}

func (o Options) dsn(password string) string {
	if o.Password == "" {
		password = ""
	} else {
		password = ":" + password
	}
	s := "clickhouse://" + escape(or(o.User, "default")) + password +
		"@" + strings.Join(o.Addr, ",") + "/" + or(o.Database, "default")
	if o.TLS != nil {
		s += "?secure=true"
	}
	return s
}

// escape is for the part before the @, where a plus stands for itself.
func escape(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "+", "%20") }

// ParseDSN reads clickhouse://user:password@host:port[,host:port]/database?setting=value.
// Parameters it knows are secure, skip_verify, dial_timeout, read_timeout and
// max_open_conns; any other is a setting for each query. Only the native protocol
// is accepted. No error repeats the password.
func ParseDSN(dsn string) (Options, error) {
	scheme, _, found := strings.Cut(dsn, "://")
	switch {
	case !found:
		return Options{}, errors.New("clickhouse dsn: want clickhouse://user:password@host:port/database")
	case scheme != "clickhouse" && scheme != "tcp":
		return Options{}, errors.New("clickhouse dsn: scheme must be clickhouse or tcp, the native protocol")
	}
	o, err := ch.ParseDSN(dsn)
	if err != nil {
		return Options{}, fmt.Errorf("clickhouse dsn: %w", err)
	}
	for _, addr := range o.Addr {
		if _, _, err := net.SplitHostPort(addr); err != nil {
			return Options{}, errors.New("clickhouse dsn: each address must be host:port")
		}
	}
	return Options{
		Addr: o.Addr, Database: o.Auth.Database, User: o.Auth.Username, Password: api.Secret(o.Auth.Password),
		TLS: o.TLS, MaxConns: o.MaxOpenConns, DialTimeout: o.DialTimeout, ReadTimeout: o.ReadTimeout, Settings: o.Settings,
	}, nil
}

// WithCA are o with the certificates in a PEM file as the only ones that may sign the
// server's. It is for options with TLS.
func (o Options) WithCA(file string) (Options, error) {
	if o.TLS == nil {
		return o, errors.New("is for a dsn with secure=true")
	}
	pem, err := os.ReadFile(file)
	if err != nil {
		return o, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return o, fmt.Errorf("%s has no certificate in PEM", file)
	}
	o.TLS = o.TLS.Clone()
	o.TLS.RootCAs = pool
	return o, nil
}

// driver is what clickhouse-go calls them.
func (o Options) driver() *ch.Options {
	conns := o.maxConns()
	return &ch.Options{
		Protocol:     ch.Native,
		ClientInfo:   ch.ClientInfo{Products: []struct{ Name, Version string }{{Name: clientName}}},
		TLS:          o.TLS,
		Addr:         o.Addr,
		Auth:         ch.Auth{Database: or(o.Database, "default"), Username: or(o.User, "default"), Password: o.Password.Reveal()},
		DialContext:  o.Dial,
		Settings:     maps.Clone(o.Settings),
		Compression:  &ch.Compression{Method: ch.CompressionLZ4},
		DialTimeout:  or(o.DialTimeout, 5*time.Second),
		ReadTimeout:  or(o.ReadTimeout, time.Minute),
		MaxOpenConns: conns,
		MaxIdleConns: conns,
	}
}

func (o Options) maxConns() int {
	if o.MaxConns <= 0 {
		return 8
	}
	return o.MaxConns
}

func or[T comparable](v, otherwise T) T {
	var zero T
	if v == zero {
		return otherwise
	}
	return v
}
