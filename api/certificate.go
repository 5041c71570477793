package api

import (
	"fmt"
	"strings"
)

// KindCertificate is the kind of [Certificate].
const KindCertificate = "Certificate"

// Certificate is what the gateway shows to clients that ask for a name by TLS.
type Certificate struct {
	Metadata `yaml:"metadata" json:"metadata"`
	Spec     CertificateSpec `yaml:"spec" json:"spec"`
}

// CertificateSpec holds a certificate with its key. What they refer to is read
// again and again, so that new files are in force without a change of the resource.
type CertificateSpec struct {
	Hosts   []string `yaml:"hosts" json:"hosts"`     // names that it must be good for: exact or *.example.com; empty: whatever it is good for
	Cert    Secret   `yaml:"cert" json:"cert"`       // ${file:path} or ${env:NAME}: PEM, the leaf first, each signed by the next
	Key     Secret   `yaml:"key" json:"key"`         // ${file:path} or ${env:NAME}: PEM
	Default bool     `yaml:"default" json:"default"` // also for clients that ask for another name or for none
}

func (*Certificate) kind() string   { return KindCertificate }
func (c *Certificate) addTo(s *Set) { s.Certificates = append(s.Certificates, c) }
func (c *Certificate) check(r *report) {
	r.metadata(&c.Metadata)
	for i, host := range c.Spec.Hosts {
		if !validServerName(host) {
			r.add(fmt.Sprintf("spec.hosts[%d]", i), "%s, want a name in lower case such as api.example.com or *.example.com", isOrMissing(host))
		}
	}
	r.unique("spec.hosts", c.Spec.Hosts)
	for _, s := range []struct {
		field string
		value Secret
	}{{"spec.cert", c.Spec.Cert}, {"spec.key", c.Spec.Key}} {
		if s.value == "" {
			r.add(s.field, "is missing, want ${file:path} or ${env:NAME}")
			continue
		}
		r.secretRef(s.field, s.value)
	}
}

// validServerName takes what clients can ask for (SNI): a name and no address, and
// a wildcard for the whole first label alone.
func validServerName(name string) bool {
	rest := strings.TrimPrefix(name, "*.")
	if len(name) > 253 || rest != name && !strings.Contains(rest, ".") {
		return false
	}
	letter := false
	for label := range strings.SplitSeq(rest, ".") {
		if !namePattern.MatchString(label) {
			return false
		}
		letter = strings.ContainsFunc(label, func(c rune) bool { return c >= 'a' })
	}
	return letter // in the last label: else it is an address
}

// certificates reports what only shows when all are seen together.
func (v validation) certificates(all []*Certificate) {
	var fallback *Certificate
	first := map[string]*Certificate{}
	for _, c := range all {
		r := v.report(c)
		if c.Spec.Default && fallback != nil && fallback.Name != c.Name {
			where := v.report(fallback).at("spec.default")
			r.contradict(where, "spec.default", "is true for %s too (%s): want it in one place", quote(fallback.Name), where)
		} else if c.Spec.Default {
			fallback = c
		}
		for i, host := range c.Spec.Hosts {
			other := first[host]
			if other == nil || other.Name == c.Name { // twice in one: unique reports it
				first[host] = c
				continue
			}
			where := v.report(other).at("spec.hosts")
			r.contradict(where, fmt.Sprintf("spec.hosts[%d]", i), "is %s, which %s has already (%s): want it in one place", quote(host), quote(other.Name), where)
		}
	}
}
