package certs

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/kongdao/kongdao/xds/certs/certstest"
)

func TestParse(t *testing.T) {
	ca, other := certstest.NewCA(t, "root"), certstest.NewCA(t, "other")
	good := ca.Issue([]string{"api.example.com", "*.edge.example.com"})
	for _, c := range []struct {
		name       string
		chain, key string
		hosts      []string
		want       string // in the error; empty: none
	}{
		{"alone", good.Cert, good.Key, nil, ""},
		{"with who signed it", good.Cert + ca.PEM, good.Key, []string{"api.example.com", "*.edge.example.com", "x.edge.example.com"}, ""},
		{"the key of another one", good.Cert, ca.Issue([]string{"x.test"}).Key, nil, "spec.key: is the key of another certificate"},
		{"no key", good.Cert, "", nil, "spec.key: holds no key"},
		{"a broken key", good.Cert, "-----BEGIN PRIVATE KEY-----\naGVsbG8=\n-----END PRIVATE KEY-----", nil, "spec.key: cannot be read"},
		{"an encrypted key", good.Cert, "-----BEGIN ENCRYPTED PRIVATE KEY-----\naGVsbG8=\n-----END ENCRYPTED PRIVATE KEY-----", nil, "spec.key: is encrypted"},
		{"a chain out of order", ca.PEM + good.Cert, good.Key, nil, "spec.cert: begins with CN=root, which signs others"},
		{"signed by somebody else", good.Cert + other.PEM, good.Key, nil, "spec.cert: has certificates out of order: 2 (CN=other) did not sign 1 (api.example.com)"},
		{"no certificate", "hello", good.Key, nil, "spec.cert: holds no certificate"},
		{"a broken certificate", "-----BEGIN CERTIFICATE-----\naGVsbG8=\n-----END CERTIFICATE-----", good.Key, nil, "spec.cert: certificate 1 cannot be read"},
		{"key and certificate in one", good.Key + good.Cert, good.Key, nil, `spec.cert: holds a "private key"`},
		{"something behind it", good.Cert + "hello", good.Key, nil, "spec.cert: has something behind"},
		{"another name", good.Cert, good.Key, []string{"b.example.com", "*.example.com"}, "spec.hosts: the certificate is not good for *.example.com, but for *.edge.example.com, api.example.com"},
		{"no name", nameless(t, ca).Cert, nameless(t, ca).Key, nil, "spec.cert: is good for no name"},
		{"a short key", small(t).Cert, small(t).Key, nil, "spec.cert: has an RSA key of 1024 bits"},
		{"a kind that Envoy does not take", edwards(t).Cert, edwards(t).Key, nil, "spec.cert: has a key of the kind Ed25519"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, err := Parse(c.chain, c.key, c.hosts)
			if c.want == "" {
				if err != nil || p.Chain != c.chain || p.Key.Reveal() != c.key || len(p.Names) != 2 {
					t.Errorf("%v, %v", p, err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("got %v, want %q", err, c.want)
			}
			if strings.Contains(err.Error(), "aGVsbG8") || strings.Contains(err.Error(), "hello") {
				t.Errorf("the error shows what was read: %v", err)
			}
		})
	}
}

func TestTime(t *testing.T) {
	ca := certstest.NewCA(t, "root")
	now := time.Now()
	pair := func(from, until time.Time) Pair {
		c := ca.Issue([]string{"a.test"}, func(c *x509.Certificate) { c.NotBefore, c.NotAfter = from, until })
		p, err := Parse(c.Cert, c.Key, nil)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	for _, c := range []struct {
		pair Pair
		want string
	}{
		{pair(now.Add(-time.Hour), now.Add(time.Hour)), ""},
		{pair(now.Add(-time.Hour), now.Add(-time.Minute)), "expired at"},
		{pair(now.Add(time.Hour), now.Add(2*time.Hour)), "is good from"},
	} {
		err := CheckTime(c.pair, now)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("got %v, want %q", err, c.want)
		}
		if c.pair.Expired(now) != (err != nil) {
			t.Errorf("expired: %v, error %v", c.pair.Expired(now), err)
		}
	}
}

func TestFallback(t *testing.T) {
	p, err := Fallback(time.Now())
	if err != nil || p.Expired(time.Now()) || len(p.Names) != 1 || p.Names[0] != FallbackName {
		t.Error(p, err)
	}
}

func TestBundle(t *testing.T) {
	ca := certstest.NewCA(t, "root")
	if err := CheckBundle(ca.PEM + certstest.NewCA(t, "second").PEM); err != nil {
		t.Error(err)
	}
	for text, want := range map[string]string{
		"": "holds no certificate",
		ca.PEM + ca.Issue([]string{"a.test"}).Cert: "certificate 2 (a.test) signs no others",
	} {
		if err := CheckBundle(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

// FuzzParse: whatever the text, there is an answer, and it never quotes the key.
func FuzzParse(f *testing.F) {
	ca := certstest.NewCA(f, "root")
	p := ca.Issue([]string{"a.test"})
	f.Add(p.Cert, p.Key)
	f.Add(p.Cert+ca.PEM, p.Key)
	f.Add("", "")
	f.Fuzz(func(t *testing.T, chain, key string) {
		if _, err := Parse(chain, key, []string{"a.test"}); err != nil && len(key) > 40 && strings.Contains(err.Error(), key) {
			t.Error("the error shows the key")
		}
	})
}

func nameless(t *testing.T, ca *certstest.CA) certstest.Pair {
	t.Helper()
	return namelessOnce(ca)
}

var made = map[string]certstest.Pair{}

func once(name string, make func() certstest.Pair) certstest.Pair {
	if _, ok := made[name]; !ok {
		made[name] = make()
	}
	return made[name]
}

func namelessOnce(ca *certstest.CA) certstest.Pair {
	return once("nameless", func() certstest.Pair { return ca.Issue(nil) })
}

// small and edwards are signed by themselves.
func small(t *testing.T) certstest.Pair {
	t.Helper()
	t.Setenv("GODEBUG", "rsa1024min=0")
	return once("small", func() certstest.Pair {
		key, err := rsa.GenerateKey(rand.Reader, 1024)
		if err != nil {
			t.Fatal(err)
		}
		return selfSigned(t, &key.PublicKey, key)
	})
}

func edwards(t *testing.T) certstest.Pair {
	t.Helper()
	return once("edwards", func() certstest.Pair {
		public, key, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		return selfSigned(t, public, key)
	})
}

func selfSigned(t *testing.T, public, key any) certstest.Pair {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "a.test"}, DNSNames: []string{"a.test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, key)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return certstest.Pair{
		Cert: string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})),
		Key:  string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: raw})),
	}
}
