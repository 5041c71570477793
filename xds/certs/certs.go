// Package certs reads certificates with their keys and says what is wrong with
// them before a gateway or a client finds out: a key of another certificate, a
// chain out of order, names that are not in it, an end that is past.
//
// Errors name what is wrong and never hold what was read.
package certs

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/kongdao/kongdao/api"
)

// Pair is a certificate with its key, both whole and fitting.
type Pair struct {
	Chain       string     // PEM, the leaf first
	Key         api.Secret // PEM
	Names       []string   // DNS names that the leaf is good for, sorted
	NotBefore   time.Time
	NotAfter    time.Time // of whichever certificate of the chain ends first
	Fingerprint string    // SHA-256 of the leaf, hexadecimal
}

// Field is a field of a Certificate resource.
type Field string

// The fields that an error can be about.
const (
	FieldHosts Field = "spec.hosts"
	FieldCert  Field = "spec.cert"
	FieldKey   Field = "spec.key"
)

// Error is what is wrong with one field.
type Error struct {
	Field Field
	Err   error
}

// Error is "field: what is wrong".
func (e *Error) Error() string { return string(e.Field) + ": " + e.Err.Error() }

func (e *Error) Unwrap() error { return e.Err }

func wrong(f Field, format string, args ...any) error {
	return &Error{f, fmt.Errorf(format, args...)}
}

// Expired tells whether a pair is past its end, or before its beginning.
func (p Pair) Expired(now time.Time) bool { return now.After(p.NotAfter) || now.Before(p.NotBefore) }

// Parse reads a certificate and its key, both PEM, and checks all but the time:
// see [Pair.Expired] and [CheckTime]. The error joins one *Error for each thing
// that is wrong.
func Parse(chain, key string, hosts []string) (Pair, error) {
	all, err := certificates(chain)
	if err != nil {
		return Pair{}, &Error{FieldCert, err}
	}
	leaf := all[0]
	p := Pair{
		Chain: chain, Key: api.Secret(key), Names: namesOf(leaf),
		NotBefore: leaf.NotBefore, NotAfter: leaf.NotAfter, Fingerprint: fingerprint(leaf),
	}
	errs := []error{checkKind(leaf), checkOrder(all), checkKey(chain, key), checkHosts(leaf, hosts)}
	for _, c := range all[1:] {
		if c.NotAfter.Before(p.NotAfter) {
			p.NotAfter = c.NotAfter
		}
	}
	if err := errors.Join(errs...); err != nil {
		return Pair{}, err
	}
	return p, nil
}

// CheckTime says whether a pair is good now.
func CheckTime(p Pair, now time.Time) error {
	const layout = "2006-01-02 15:04 MST"
	switch {
	case now.After(p.NotAfter):
		return wrong(FieldCert, "expired at %s, want a certificate that is good now", p.NotAfter.UTC().Format(layout))
	case now.Before(p.NotBefore):
		return wrong(FieldCert, "is good from %s on only, want a certificate that is good now", p.NotBefore.UTC().Format(layout))
	}
	return nil
}

// CheckBundle reads certificates that sign others, such as those of clients.
func CheckBundle(bundle string) error {
	all, err := certificates(bundle)
	if err != nil {
		return err
	}
	for i, c := range all {
		if !c.IsCA {
			return fmt.Errorf("certificate %d (%s) signs no others, want certificates of authorities", i+1, nameOf(c))
		}
	}
	return nil
}

// certificates are those of a PEM text, all of them and nothing else.
func certificates(text string) ([]*x509.Certificate, error) {
	var all []*x509.Certificate
	for rest := []byte(text); ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			if len(bytes.TrimSpace(rest)) > 0 && len(all) > 0 {
				return nil, errors.New("has something behind its certificates that is none, want PEM alone")
			}
			break
		}
		if block.Type != "CERTIFICATE" {
			return nil, fmt.Errorf("holds a %q, want certificates alone", strings.ToLower(block.Type))
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("certificate %d cannot be read: %w", len(all)+1, err)
		}
		all = append(all, c)
	}
	if len(all) == 0 {
		return nil, errors.New("holds no certificate, want PEM that begins with -----BEGIN CERTIFICATE-----")
	}
	return all, nil
}

func nameOf(c *x509.Certificate) string {
	if len(c.DNSNames) > 0 {
		return c.DNSNames[0]
	}
	return c.Subject.String()
}

func namesOf(c *x509.Certificate) []string {
	names := make([]string, len(c.DNSNames))
	for i, n := range c.DNSNames {
		names[i] = strings.ToLower(n)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func fingerprint(c *x509.Certificate) string {
	sum := sha256.Sum256(c.Raw)
	return hex.EncodeToString(sum[:])
}

// checkKind refuses keys that Envoy refuses.
func checkKind(c *x509.Certificate) error {
	const least = 2048
	switch key := c.PublicKey.(type) {
	case *rsa.PublicKey:
		if key.N.BitLen() < least {
			return wrong(FieldCert, "has an RSA key of %d bits, want %d at least", key.N.BitLen(), least)
		}
	case *ecdsa.PublicKey:
		if key.Curve != elliptic.P256() && key.Curve != elliptic.P384() && key.Curve != elliptic.P521() {
			return wrong(FieldCert, "has a key on the curve %s, want P-256, P-384 or P-521", key.Curve.Params().Name)
		}
	default:
		return wrong(FieldCert, "has a key of the kind %s, want RSA or ECDSA", c.PublicKeyAlgorithm)
	}
	return nil
}

// checkOrder wants each certificate signed by the one behind it: clients need not
// look further.
func checkOrder(all []*x509.Certificate) error {
	if all[0].IsCA && len(all) > 1 {
		return wrong(FieldCert, "begins with %s, which signs others: want the server's own certificate first", nameOf(all[0]))
	}
	for i, c := range all[1:] {
		if all[i].CheckSignatureFrom(c) != nil {
			return wrong(FieldCert, "has certificates out of order: %d (%s) did not sign %d (%s), want each signed by the next",
				i+2, nameOf(c), i+1, nameOf(all[i]))
		}
	}
	return nil
}

// checkKey never passes on what the library says: it may quote.
func checkKey(chain, key string) error {
	block, _ := pem.Decode([]byte(key))
	switch {
	case block == nil:
		return wrong(FieldKey, "holds no key, want PEM that begins with -----BEGIN PRIVATE KEY-----")
	case block.Headers["DEK-Info"] != "" || block.Type == "ENCRYPTED PRIVATE KEY":
		return wrong(FieldKey, "is encrypted, want a key without a password")
	}
	if _, err := tls.X509KeyPair([]byte(chain), []byte(key)); err != nil {
		if !parses(block.Bytes) {
			return wrong(FieldKey, "cannot be read, want an RSA or ECDSA key in PEM")
		}
		return wrong(FieldKey, "is the key of another certificate, want the one that spec.cert was made with")
	}
	return nil
}

func parses(der []byte) bool {
	_, pkcs8 := x509.ParsePKCS8PrivateKey(der)
	_, pkcs1 := x509.ParsePKCS1PrivateKey(der)
	_, ec := x509.ParseECPrivateKey(der)
	return pkcs8 == nil || pkcs1 == nil || ec == nil
}

func checkHosts(leaf *x509.Certificate, hosts []string) error {
	if len(leaf.DNSNames) == 0 {
		return wrong(FieldCert, "is good for no name: want one with DNS names (subject alternative names)")
	}
	var errs []error
	for _, host := range hosts {
		if !covers(leaf, host) {
			errs = append(errs, wrong(FieldHosts, "the certificate is not good for %s, but for %s", host, strings.Join(namesOf(leaf), ", ")))
		}
	}
	return errors.Join(errs...)
}

// covers takes a wildcard only where the certificate has the same one.
func covers(leaf *x509.Certificate, host string) bool {
	if strings.HasPrefix(host, "*.") {
		return slices.Contains(namesOf(leaf), host)
	}
	return leaf.VerifyHostname(host) == nil
}
