package api

import (
	"fmt"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// check checks spec.access of a function, or of a group.
func (a *Access) check(r *report) {
	if a == nil {
		return
	}
	const at = "spec.access"
	ways := len(a.Consumers) + len(a.JWT)
	if a.External != nil {
		ways++
	}
	switch {
	case a.Public && ways > 0:
		r.add(at, "has public and consumers, jwt or external, want public or the others")
	case !a.Public && ways+len(a.Revisions) == 0:
		r.add(at, "lets nobody in, want public: true, consumers, jwt or external; without access the gateway answers 403")
	}
	r.unique(at+".consumers", a.Consumers)
	r.unique(at+".revisions", a.Revisions)
	r.unique(at+".by", a.By)
	for i, way := range a.By {
		if ways := []string{ByKey, BySignature, ByCertificate}; !slices.Contains(ways, way) {
			r.add(fmt.Sprintf("%s.by[%d]", at, i), "%s, want %s", isOrMissing(way), oneOf(ways))
		}
	}
	names := map[string]int{}
	for i, t := range a.JWT {
		at := fmt.Sprintf("%s.jwt[%d]", at, i)
		if j, again := names[t.Name]; again {
			r.add(at+".name", "is %s again, as jwt[%d]: want a name of its own", quote(t.Name), j)
		}
		names[t.Name] = i
		t.check(r, at)
	}
	if a.External != nil {
		a.External.check(r, at+".external")
	}
	if a.IP != nil {
		a.IP.check(r, at+".ip")
	}
}

func (t JWT) check(r *report, at string) {
	r.name(at+".name", t.Name)
	if t.Issuer == "" {
		r.add(at+".issuer", "is missing, want the issuer as its tokens name it, such as https://login.example.com")
	}
	r.unique(at+".audiences", t.Audiences)
	t.JWKS.check(r, at+".jwks")
	for claim, values := range t.Require {
		if claim == "" || slices.Contains(strings.Split(claim, "."), "") {
			r.add(at+".require", "has the claim %s, want a name such as scope or a.b", quote(claim))
		}
		if len(values) == 0 {
			r.add(at+".require", "has no value for %s, want those that let a caller in", quote(claim))
		}
	}
	names := map[string]string{}
	for name, claim := range t.Headers {
		names[name] = "x"
		if claim == "" || slices.Contains(strings.Split(claim, "."), "") {
			r.add(at+".headers", "has %s for the header %s, want the name of a claim", quote(claim), name)
		}
		if strings.HasPrefix(strings.ToLower(name), "x-kongdao-") {
			r.add(at+".headers", "sets %s, want a header that does not begin with x-kongdao-: those are the gateway's", name)
		}
	}
	r.headers(at+".headers", names)
	if t.Header != "" {
		r.headers(at+".header", map[string]string{t.Header: "x"})
	}
	if t.ClockSkew.Std().Hours() > 1 {
		r.add(at+".clockSkew", "is %s, want at most 1h", t.ClockSkew)
	}
}

func (j JWKS) check(r *report, at string) {
	given := 0
	for _, text := range []string{j.Inline, j.File, j.URL} {
		if text != "" {
			given++
		}
	}
	switch {
	case given != 1:
		r.add(at, "has %d of inline, file and url, want one", given)
	case j.Inline != "":
		if err := CheckJWKS([]byte(j.Inline)); err != nil {
			r.add(at+".inline", "%s", err)
		}
	case j.URL != "":
		checkURL(r, at+".url", j.URL, "http", "https")
	}
	if j.CacheFor != 0 && j.URL == "" {
		r.add(at+".cacheFor", "is for a url alone: want it left out")
	}
	if d := j.CacheFor.Std(); d != 0 && d.Seconds() < 1 {
		r.add(at+".cacheFor", "is %s, want at least 1s", j.CacheFor)
	}
}

func (e External) check(r *report, at string) {
	u := checkURL(r, at+".url", e.URL, "grpc", "grpcs", "http", "https")
	if u != nil && strings.HasPrefix(u.Scheme, "grpc") && strings.Trim(u.Path, "/") != "" {
		r.add(at+".url", "has the path %s, want none: the service's name is Envoy's", quote(u.Path))
	}
	if e.Timeout.Std().Seconds() > 60 {
		r.add(at+".timeout", "is %s, want at most 1m", e.Timeout)
	}
}

// checkURL wants an address that gateways can call: a host with a port that is
// written or that the scheme has, and neither user nor query.
func checkURL(r *report, field, text string, schemes ...string) *url.URL {
	u, err := url.Parse(text)
	if err != nil || u.Hostname() == "" || !slices.Contains(schemes, u.Scheme) || u.User != nil || u.Fragment != "" {
		r.add(field, "%s, want an address such as %s://auth.example.com:8080", isOrMissing(redacted(text, u)), schemes[0])
		return nil
	}
	if strings.HasPrefix(u.Scheme, "grpc") && u.Port() == "" {
		r.add(field, "is %s, want a port", quote(text))
		return nil
	}
	return u
}

// redacted is an address without what may be a password in it.
func redacted(text string, u *url.URL) string {
	if u == nil || u.User != nil {
		return "(not shown)"
	}
	return text
}

func (a Addresses) check(r *report, at string) {
	if len(a.Allow)+len(a.Deny) == 0 {
		r.add(at, "is empty, want allow or deny, such as {allow: [10.0.0.0/8]}")
	}
	for _, list := range []struct {
		key  string
		nets []string
	}{{"allow", a.Allow}, {"deny", a.Deny}} {
		r.unique(at+"."+list.key, list.nets)
		for i, text := range list.nets {
			if _, err := ParseNetwork(text); err != nil {
				r.add(fmt.Sprintf("%s.%s[%d]", at, list.key, i), "%s, want an address or a network such as 10.0.0.0/8", isOrMissing(text))
			}
		}
	}
}

// ParseNetwork reads an IP address or a network; bits beyond its length are cut.
func ParseNetwork(text string) (netip.Prefix, error) {
	if addr, err := netip.ParseAddr(text); err == nil && addr.Zone() == "" {
		return netip.PrefixFrom(addr, addr.BitLen()), nil
	}
	p, err := netip.ParsePrefix(text)
	return p.Masked(), err
}

var keyHash = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)

// IsKeyHash tells whether s is the hash of a key and not a key: sha256: and 64
// hex digits in lower case.
func IsKeyHash(s string) bool { return keyHash.MatchString(s) }

func (c *Consumer) check(r *report) {
	r.metadata(&c.Metadata)
	if len(c.Spec.Keys)+len(c.Spec.Signing)+len(c.Spec.Certificates) == 0 {
		r.add("spec.keys", "is missing, want at least one key, written ${env:NAME}, ${file:path} or sha256:…, or signing or certificates")
	}
	r.priority("spec.priority", c.Spec.Priority)
	c.checkSecrets(r, "spec.keys", c.Spec.Keys, true)
	c.checkSecrets(r, "spec.signing", c.Spec.Signing, false)
	first := map[ClientCertificate]int{}
	for i, cert := range c.Spec.Certificates {
		at := fmt.Sprintf("spec.certificates[%d]", i)
		cert.check(r, at)
		if j, again := first[cert]; again {
			r.add(at, "is the same as spec.certificates[%d]: want it once", j)
		}
		first[cert] = i
	}
}

func (c *Consumer) checkSecrets(r *report, field string, secrets []Secret, hashes bool) {
	first := map[Secret]int{}
	for i, s := range secrets {
		at := fmt.Sprintf("%s[%d]", field, i)
		switch text := s.Reveal(); {
		case hashes && IsKeyHash(text):
		case hashes && strings.HasPrefix(text, "sha256:"):
			r.add(at, "is no hash, want sha256: and 64 hex digits in lower case, as printf %%s KEY | sha256sum prints them")
		default:
			r.secretRef(at, s)
		}
		if j, again := first[s]; again {
			r.add(at, "is the same as %s[%d]: want it once", field, j)
			continue
		}
		first[s] = i
	}
}

var fingerprint = regexp.MustCompile(`^[0-9a-f]{64}$`)

func (c ClientCertificate) check(r *report, at string) {
	given := 0
	for _, text := range []string{c.URI, c.DNS, c.Subject, c.SHA256} {
		if text != "" {
			given++
		}
	}
	if given != 1 {
		r.add(at, "has %d of uri, dns, subject and sha256, want one", given)
	}
	if c.SHA256 != "" && !fingerprint.MatchString(c.SHA256) {
		r.add(at+".sha256", "is %s, want 64 hex digits in lower case, without colons", quote(c.SHA256))
	}
}

// accessReferences checks the consumers that a function or group names.
func (v validation) accessReferences(r resource, a *Access) {
	if a == nil {
		return
	}
	for i, name := range a.Consumers {
		v.mustExist(r, fmt.Sprintf("spec.access.consumers[%d]", i), name, v.consumers, KindConsumer)
	}
	for i, name := range a.Revisions {
		if holder, _, token := strings.Cut(name, "/"); token && slices.ContainsFunc(a.JWT, func(t JWT) bool { return t.Name == holder }) {
			continue // name/subject of a token
		}
		v.mustExist(r, fmt.Sprintf("spec.access.revisions[%d]", i), name, v.consumers, KindConsumer)
	}
}
