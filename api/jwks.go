package api

import (
	"crypto/ecdh"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
)

// CheckJWKS finds what gateways would refuse in a set of public keys (RFC 7517):
// at least one key, and every one of a kind that they know, with all its parts.
// A set with a private part is refused too. Errors never hold key material.
func CheckJWKS(text []byte) error {
	var set struct {
		Keys []jwk `json:"keys"`
	}
	if err := json.Unmarshal(text, &set); err != nil {
		return errors.New(`is no set of keys, want JSON such as {"keys": [{"kty": "RSA", …}]}`)
	}
	if len(set.Keys) == 0 {
		return errors.New(`has no keys, want at least one, as in {"keys": [{"kty": "RSA", …}]}`)
	}
	for i, k := range set.Keys {
		if err := k.check(); err != nil {
			return fmt.Errorf("has a bad key: keys[%d]: %w", i, err)
		}
	}
	return nil
}

type jwk struct {
	Type    string `json:"kty"`
	Curve   string `json:"crv"`
	N       string `json:"n"`
	E       string `json:"e"`
	X       string `json:"x"`
	Y       string `json:"y"`
	Private string `json:"d"`
}

func (k jwk) check() error {
	if k.Private != "" {
		return errors.New("d is the private key, want the public parts alone")
	}
	switch k.Type {
	case "RSA":
		n, errN := base64.RawURLEncoding.DecodeString(k.N)
		e, errE := base64.RawURLEncoding.DecodeString(k.E)
		if errN != nil || errE != nil || len(n) < 128 || len(e) == 0 {
			return errors.New("n and e must be a modulus of at least 1024 bits and an exponent, in base64url")
		}
		return nil
	case "EC":
		return k.checkPoint()
	case "OKP":
		if x, err := base64.RawURLEncoding.DecodeString(k.X); k.Curve != "Ed25519" || err != nil || len(x) != 32 {
			return errors.New("crv must be Ed25519 and x 32 bytes in base64url")
		}
		return nil
	default:
		return fmt.Errorf("kty is %s, want RSA, EC or OKP", quote(k.Type))
	}
}

func (k jwk) checkPoint() error {
	curves := map[string]ecdh.Curve{"P-256": ecdh.P256(), "P-384": ecdh.P384(), "P-521": ecdh.P521()}
	sizes := map[string]int{"P-256": 32, "P-384": 48, "P-521": 66}
	x, errX := base64.RawURLEncoding.DecodeString(k.X)
	y, errY := base64.RawURLEncoding.DecodeString(k.Y)
	size := sizes[k.Curve]
	if size == 0 || errX != nil || errY != nil || len(x) > size || len(y) > size {
		return errors.New("crv must be P-256, P-384 or P-521, and x and y its coordinates in base64url")
	}
	point := make([]byte, 1+2*size)
	point[0] = 4 // uncompressed
	copy(point[1+size-len(x):], x)
	copy(point[1+2*size-len(y):], y)
	if _, err := curves[k.Curve].NewPublicKey(point); err != nil {
		return errors.New("x and y are no point of the curve")
	}
	return nil
}
