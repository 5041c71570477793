package model

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/kongdao/kongdao/api"
)

// ConsumerHeader tells a pod, the limits and the call log who called. Only the
// gateway sets it.
const ConsumerHeader = "x-kongdao-consumer"

// LetInHeader is a function that a request was let in to, for routes to know when
// they are looked up again. Neither callers nor pods see it.
const LetInHeader = "x-kongdao-let-in"

// RevisionHeader names the revision that a request shall go to. It is obeyed for
// callers in Access.Revisions alone.
const RevisionHeader = "x-kongdao-revision"

// SignatureHeader carries signatures, and SignatureScheme is what they begin with.
const (
	SignatureHeader = "authorization"
	SignatureScheme = "KongDao-HMAC-SHA256"
)

// Access says who may call. The zero value is closed: everybody gets 403.
type Access struct {
	Public          bool // everybody may call
	PublicRevisions bool // everybody who may call may name a revision
	// Consumers may call, and Revisions may name a revision; sorted. A holder of a
	// token is named token/subject.
	Consumers, Revisions []string
	// How consumers may show who they are; all false when there are no consumers.
	Key, Signature, Certificate bool
	// Signed is Signature where any consumer signs, of whatever function. Else every
	// signature is refused, and nobody is asked about it.
	Signed bool

	Tokens   []Token   // in the order written
	External *External // nil: none
	Allow    []netip.Prefix
	Deny     []netip.Prefix
}

// Shut tells whether nobody at all has a right.
func (a Access) Shut(right Right) bool {
	if right == NameRevision && !a.PublicRevisions {
		return len(a.Revisions) == 0
	}
	return !a.Public && len(a.Consumers)+len(a.Tokens) == 0 && a.External == nil
}

// open tells whether everybody has a right, whatever the address.
func (a Access) open(right Right) bool {
	return a.Public && (right == Call || a.PublicRevisions)
}

// Open tells whether everybody has a right.
func (a Access) Open(right Right) bool { return a.open(right) && !a.Lists() }

// asked is the right whose holders have the one that is asked for.
func (a Access) asked(right Right) Right {
	if right == NameRevision && a.PublicRevisions {
		return Call
	}
	return right
}

// Lists tells whether addresses matter.
func (a Access) Lists() bool { return len(a.Allow)+len(a.Deny) > 0 }

// Admits tells whether the lists let an address in.
func (a Access) Admits(client netip.Addr) bool {
	client = client.Unmap()
	within := func(p netip.Prefix) bool { return p.Contains(client) }
	if slices.ContainsFunc(a.Deny, within) {
		return false
	}
	return len(a.Allow) == 0 || slices.ContainsFunc(a.Allow, within)
}

// Right is what a caller wants to do with a function.
type Right string

// The rights.
const (
	Call         Right = "call"     // as traffic is shared
	NameRevision Right = "revision" // one revision, named in RevisionHeader
)

// Grants tells whether a consumer has a right.
func (a Access) Grants(consumer string, right Right) bool {
	_, found := slices.BinarySearch(a.Holders(right), consumer)
	return found
}

// Holders are the consumers that have a right; sorted.
func (a Access) Holders(right Right) []string {
	if a.asked(right) == NameRevision {
		return a.Revisions
	}
	return a.Consumers
}

// Token lets in who holds a valid token of an issuer.
type Token struct {
	Issuer  *Issuer
	Name    string
	Subject []string // path of the claim that names the caller
	Require []Claim  // sorted by path
}

// Claim is a claim and the values of which it, or one item of it, must have one.
type Claim struct {
	Path   []string
	Values []string // sorted
}

// Issuer is what gateways check tokens by. Equal ones have equal names.
type Issuer struct {
	Name      string // made of everything else
	Issuer    string
	Audiences []string
	JWKS      string        // the key set; empty: at URL
	URL       string        // empty: in JWKS
	CacheFor  time.Duration // of URL
	Header    string        // lower case; empty: Authorization: Bearer
	ClockSkew time.Duration
	Headers   []Header // that pods get: name, and as value the claim
}

// External is a service that decides.
type External struct {
	URL      string // grpc, grpcs, http or https
	Timeout  time.Duration
	FailOpen bool
}

// Callers is how consumers show who they are, with nothing in it that lets
// anybody in who reads it.
type Callers struct {
	Keys         map[string]string // consumer by the SHA-256 of a key, in hex
	Certificates map[string]string // consumer by name of a certificate, see CertificateNames
	Signers      map[string]bool   // consumers that sign
}

// HashKey is what Input.Keys holds of a key: sha256, in hex. A key that is written
// as its hash already, sha256:…, stays what it is.
func HashKey(key string) string {
	if api.IsKeyHash(key) {
		return strings.TrimPrefix(key, "sha256:")
	}
	return hashOf(key)
}

func hashOf(key string) string {
	sum := sha256.Sum256([]byte(key))
	return hex.EncodeToString(sum[:])
}

// credentials are those of an input; the ones of the World before where they are equal.
func (b *builder) credentials() *Callers {
	c := &Callers{Keys: map[string]string{}, Certificates: map[string]string{}, Signers: map[string]bool{}}
	for _, name := range slices.Sorted(maps.Keys(b.in.Keys)) {
		for _, hash := range b.in.Keys[name] {
			if _, taken := c.Keys[hash]; !taken {
				c.Keys[hash] = name
			}
		}
	}
	for _, consumer := range b.in.Set.Consumers {
		if len(consumer.Spec.Signing) > 0 {
			c.Signers[consumer.Name] = true
		}
		for _, cert := range consumer.Spec.Certificates {
			if name := certificateName(cert); c.Certificates[name] == "" {
				c.Certificates[name] = consumer.Name
			}
		}
	}
	if p := b.in.Previous; p != nil && reflect.DeepEqual(p.Callers, c) {
		return p.Callers
	}
	return c
}

func certificateName(c api.ClientCertificate) string {
	switch {
	case c.URI != "":
		return "uri:" + c.URI
	case c.DNS != "":
		return "dns:" + c.DNS
	case c.Subject != "":
		return "subject:" + c.Subject
	default:
		return "sha256:" + c.SHA256
	}
}

func (b *builder) access(a *api.Access) Access {
	if a == nil {
		return Access{}
	}
	access := Access{
		Public: a.Public, PublicRevisions: a.PublicRevisions,
		Consumers: sorted(a.Consumers),
		Revisions: sorted(a.Revisions),
	}
	if len(a.Consumers)+len(a.Revisions) > 0 {
		by := func(way string) bool { return len(a.By) == 0 || slices.Contains(a.By, way) }
		access.Key, access.Signature, access.Certificate = by(api.ByKey), by(api.BySignature), by(api.ByCertificate)
		access.Signed = access.Signature && b.signs
	}
	for _, t := range a.JWT {
		access.Tokens = append(access.Tokens, b.token(t))
	}
	if e := a.External; e != nil {
		access.External = &External{URL: e.URL, Timeout: cmp.Or(e.Timeout.Std(), 500*time.Millisecond), FailOpen: e.FailOpen}
	}
	if a.IP != nil {
		access.Allow, access.Deny = networks(a.IP.Allow), networks(a.IP.Deny)
	}
	return access
}

func (b *builder) token(t api.JWT) Token {
	issuer := &Issuer{
		Issuer: t.Issuer, Audiences: sorted(t.Audiences),
		JWKS: t.JWKS.Inline, URL: t.JWKS.URL,
		Header: strings.ToLower(t.Header), ClockSkew: cmp.Or(t.ClockSkew.Std(), time.Minute),
		Headers: headers(t.Headers),
	}
	if t.JWKS.File != "" {
		issuer.JWKS = b.in.Files[t.JWKS.File]
	}
	if issuer.URL != "" {
		issuer.CacheFor = cmp.Or(t.JWKS.CacheFor.Std(), 5*time.Minute)
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%q", []any{
		issuer.Issuer, issuer.Audiences, issuer.JWKS, issuer.URL, issuer.CacheFor, issuer.Header, issuer.ClockSkew, issuer.Headers,
	}))
	issuer.Name = hex.EncodeToString(sum[:8])
	token := Token{Issuer: issuer, Name: t.Name, Subject: strings.Split(cmp.Or(t.Subject, "sub"), ".")}
	for _, claim := range slices.Sorted(maps.Keys(t.Require)) {
		token.Require = append(token.Require, Claim{strings.Split(claim, "."), sorted(t.Require[claim])})
	}
	return token
}

// anySigns tells whether there is a consumer that signs.
func anySigns(set api.Set) bool {
	return slices.ContainsFunc(set.Consumers, func(c *api.Consumer) bool { return len(c.Spec.Signing) > 0 })
}

// sameAccess tells whether a function's access would be what it is, the files that
// tokens are checked by included.
func (b *builder) sameAccess(f *Function, a *api.Access) bool {
	if f.access != a && !reflect.DeepEqual(f.access, a) {
		return false
	}
	if a == nil {
		return true
	}
	if f.Access.Signature && f.Access.Signed != b.signs {
		return false
	}
	for i, t := range a.JWT {
		if t.JWKS.File != "" && f.Access.Tokens[i].Issuer.JWKS != b.in.Files[t.JWKS.File] {
			return false
		}
	}
	return true
}

// accessProblem says what keeps a function with this access from being served.
func accessProblem(a Access) string {
	for _, t := range a.Tokens {
		if t.Issuer.URL != "" {
			continue
		}
		if err := api.CheckJWKS([]byte(t.Issuer.JWKS)); err != nil {
			return fmt.Sprintf("the keys of jwt %s: jwks %v", t.Name, err)
		}
	}
	return ""
}

func networks(texts []string) []netip.Prefix {
	var all []netip.Prefix
	for _, text := range texts {
		if p, err := api.ParseNetwork(text); err == nil {
			all = append(all, p)
		}
	}
	return all
}

func sorted(items []string) []string { return slices.Sorted(slices.Values(items)) }
