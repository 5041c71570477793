package schema_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	schema "github.com/kongdao/kongdao/deploy/clickhouse"
	"github.com/kongdao/kongdao/deploy/embedded/embeddedtest"
	"github.com/kongdao/kongdao/internal/clickhouse"
)

// TestAServerWithTLSIsTheSame runs migrations, an insert and questions over TLS, to a
// DSN, with a certificate of an authority of our own.
func TestAServerWithTLSIsTheSame(t *testing.T) {
	e := embeddedtest.Start(t)
	certificate, ca := certificates(t)
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{certificate}})
	if err != nil {
		t.Fatal(err)
	}
	terminate(t, l, e.Addr())

	plain := e.Options()
	plain.Addr = []string{l.Addr().String()}
	o, err := clickhouse.ParseDSN(plain.DSN() + "?secure=true")
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	if _, err := clickhouse.Open(ctx, o); err == nil {
		t.Error("a certificate that nobody knows was accepted")
	}
	if o, err = o.WithCA(ca); err != nil {
		t.Fatal(err)
	}
	for _, kept := range []int{2, 0} { // the second time there is nothing to do
		r, err := schema.MigrateAs(ctx, o, schema.Config{RetentionDays: 9, Tenants: map[string]int{"a": 3}})
		if err != nil || (len(r.Kept) > 0) != (kept > 0) {
			t.Fatalf("%+v and %v", r, err)
		}
	}
	if err := open(t, o).Exec(ctx, "INSERT INTO calls (ts, function) SELECT now(), 'feed' FROM numbers(10)"); err != nil {
		t.Fatal(err)
	}
	if got, err := answer(o, "SELECT sum(calls) FROM calls_1h"); err != nil || got != "10\t\n" {
		t.Errorf("%q and %v, want 10", got, err)
	}
	for _, file := range []string{"none.pem", "empty.pem"} {
		if file == "empty.pem" {
			file = filepath.Join(t.TempDir(), file)
			if err := os.WriteFile(file, nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := o.WithCA(file); err == nil {
			t.Errorf("certificates from %s", file)
		}
	}
	if _, err := plain.WithCA(ca); err == nil {
		t.Error("certificates for a connection without TLS")
	}
}

// terminate takes TLS off connections and hands them on, until the test ends.
func terminate(t *testing.T, l net.Listener, to string) {
	var wait sync.WaitGroup
	t.Cleanup(func() {
		_ = l.Close()
		wait.Wait()
	})
	wait.Go(func() {
		for {
			from, err := l.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", to)
			if err != nil {
				_ = from.Close()
				continue
			}
			for _, way := range [][2]net.Conn{{from, server}, {server, from}} {
				wait.Go(func() {
					_, _ = io.Copy(way[1], way[0]) // ends when either side does
					_, _ = from.Close(), server.Close()
				})
			}
		}
	})
}

// certificates are one for 127.0.0.1 that signs itself, and its PEM file.
func certificates(t *testing.T) (tls.Certificate, string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, file
}
