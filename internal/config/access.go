package config

import (
	"fmt"
	"time"

	"github.com/kongdao/kongdao/api"
)

// Access is what decides who may call, where it is the same for all functions.
type Access struct {
	TrustedHops     int          `yaml:"trustedHops" want:"a whole number from 0 to 10"` // proxies in front of gateways; the client's address is that far from the end of x-forwarded-for
	TrustedProxies  []string     `yaml:"trustedProxies"`                                 // networks of those proxies, for the lists of functions; empty: all that connect
	TrustedCA       string       `yaml:"trustedCA"`                                      // file on gateways' machines with the authorities of issuers and authorizers that are called over TLS
	SignatureWindow api.Duration `yaml:"signatureWindow"`                                // how far the timestamp of a signed request may be off
}

func (k *check) access(a Access) {
	if a.TrustedHops < 0 || a.TrustedHops > 10 {
		k.add("access.trustedHops", "is %d, want a whole number from 0 to 10", a.TrustedHops)
	}
	for i, text := range a.TrustedProxies {
		if _, err := api.ParseNetwork(text); err != nil {
			k.add(fmt.Sprintf("access.trustedProxies[%d]", i), "is %q, want a network such as 10.0.0.0/8", text)
		}
	}
	if len(a.TrustedProxies) > 0 && a.TrustedHops == 0 {
		k.add("access.trustedHops", "is 0 beside trustedProxies, want how many proxies a call passes")
	}
	if a.TrustedCA == "" {
		k.add("access.trustedCA", "is empty, want a file such as /etc/ssl/certs/ca-certificates.crt")
	}
	k.between("access.signatureWindow", a.SignatureWindow, time.Second, time.Hour)
}
