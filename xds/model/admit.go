package model

import (
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// Caller is what is known of who sends a request, besides its headers.
type Caller struct {
	Callers *Callers   // of the World; nil: no consumer is known
	Address netip.Addr // of the client, trusted proxies left out; zero: not known, and taken as let in
	// Certificates are the names of the client's certificate, when it has a valid
	// one: each begins with uri:, dns:, subject: or sha256:.
	Certificates []string

	// Identity is who it is where that is known otherwise: credentials are not looked
	// at then. Nil: they are.
	Identity *Identity
}

// Admission is whether a caller is let in.
type Admission struct {
	Status   int    // above 0: it is refused, with Error and Reason
	Error    string // for programs
	Reason   string // for people
	Consumer string // who it is; empty when the function is public
	By       string // how it showed that, for people
	Assumes  string // what only gateways can check and is taken as good here; empty: nothing
	Asked    string // who decides beyond the gateway: signatures or external; empty: nobody
}

// Errors of refused requests, in the answer's field error.
const (
	ErrorClosed     = "closed"
	ErrorAddress    = "address_refused"
	ErrorMissing    = "credentials_required"
	ErrorInvalid    = "credentials_invalid"
	ErrorNotGranted = "not_granted"
)

// Reasons of refusals that do not depend on the request.
const (
	ReasonClosed      = "the function is closed: it has no access"
	ReasonKey         = "the key in " + KeyHeader + " is nobody's"
	ReasonCertificate = "the client certificate is nobody's"
	ReasonSignature   = "the signature is not good"
)

// Who decides beyond the gateway: the values of Admission.Asked.
const (
	AskSignatures = "signatures"
	AskExternal   = "external"
)

// Admit tells whether a caller has a right to a function, in the order in which
// gateways look: addresses, key, certificate, token, signature, external service.
// The first that lets the caller in ends it; a signature always does.
func (f *Function) Admit(values Values, c Caller, right Right) Admission {
	a := f.Access
	switch {
	case a.Shut(right):
		return Admission{Status: http.StatusForbidden, Error: ErrorClosed, Reason: ReasonClosed}
	case a.Lists() && c.Address.IsValid() && !a.Admits(c.Address):
		return Admission{Status: http.StatusForbidden, Error: ErrorAddress, Reason: fmt.Sprintf("calls from %s are not let in", c.Address.Unmap())}
	case a.open(right):
		return Admission{}
	}
	j := judge{function: f, right: right, callers: c.Callers}
	if j.callers == nil {
		j.callers = &Callers{}
	}
	j.verdict = Admission{Status: http.StatusUnauthorized, Error: ErrorMissing, Reason: a.Needs(right)}
	if c.Identity != nil {
		return j.identified(c.Identity.Consumer)
	}
	for _, look := range []func(Values, Caller){j.key, j.certificate, j.tokens} {
		if look(values, c); j.verdict.Status == 0 {
			return j.verdict
		}
	}
	switch parameters, signed := signature(values); {
	case a.Signature && signed:
		j.signature(parameters)
	case a.AsksExternal(right):
		j.admit("external", "the service at "+a.External.URL, "that the service says yes")
		j.verdict.Asked = AskExternal
	}
	return j.verdict
}

// judge looks at one credential after the other.
type judge struct {
	function *Function
	right    Right
	callers  *Callers
	verdict  Admission
}

func (j *judge) admit(consumer, by, assumes string) {
	j.verdict = Admission{Consumer: consumer, By: by, Assumes: assumes}
}

// refuse keeps the reason that helps most: that somebody known has no right, then
// that credentials are wrong, then that there are none; the first of its kind.
func (j *judge) refuse(status int, name, reason string) {
	if j.verdict.Error == ErrorNotGranted || j.verdict.Error == ErrorInvalid && name != ErrorNotGranted {
		return
	}
	j.verdict = Admission{Status: status, Error: name, Reason: reason}
}

// known is for a caller whose name is certain.
func (j *judge) known(consumer, by, assumes string) {
	if j.function.Access.Grants(consumer, j.right) {
		j.admit(consumer, by, assumes)
		return
	}
	j.refuse(http.StatusForbidden, ErrorNotGranted, NotGranted(consumer, j.function.Name, j.right))
}

func (j *judge) key(values Values, _ Caller) {
	key := strings.Join(values(KeyHeader), ",")
	if !j.function.Access.Key || key == "" {
		return
	}
	if consumer := j.callers.Keys[hashOf(key)]; consumer != "" {
		j.known(consumer, "the key of "+consumer, "")
		return
	}
	j.refuse(http.StatusUnauthorized, ErrorInvalid, ReasonKey)
}

func (j *judge) certificate(_ Values, c Caller) {
	if !j.function.Access.Certificate || len(c.Certificates) == 0 {
		return
	}
	for _, name := range c.Certificates {
		if consumer := j.callers.Certificates[name]; consumer != "" {
			j.known(consumer, "the certificate of "+consumer, "")
			return
		}
	}
	j.refuse(http.StatusUnauthorized, ErrorInvalid, ReasonCertificate)
}

func (j *judge) tokens(values Values, _ Caller) {
	a := j.function.Access
	for _, t := range a.Tokens {
		claims, found := t.claims(values)
		if !found {
			continue
		}
		if claims == nil {
			j.refuse(http.StatusUnauthorized, ErrorInvalid, "the token for "+t.Name+" is not good")
			continue
		}
		who := t.holder(claims)
		switch lacking := t.lacking(claims); {
		case lacking != "":
			j.refuse(http.StatusForbidden, ErrorNotGranted, fmt.Sprintf("%s: the claim %s is not one that is let in", who, lacking))
		case !a.AnyToken(j.right) && !a.Grants(who, j.right):
			j.refuse(http.StatusForbidden, ErrorNotGranted, NotGranted(who, j.function.Name, j.right))
		default:
			j.admit(who, "a token of "+t.Issuer.Issuer, "that the token's signature and times are good")
			return
		}
	}
}

// signature is decided by the authorizer alone, whatever else the request has; none
// is good where nobody signs.
func (j *judge) signature(parameters string) {
	consumer := signer(parameters)
	j.verdict = Admission{}
	if !j.function.Access.Signed {
		j.refuse(http.StatusUnauthorized, ErrorInvalid, ReasonSignature)
		return
	}
	if consumer == "" || !j.callers.Signers[consumer] {
		j.refuse(http.StatusUnauthorized, ErrorInvalid, ReasonSignature)
	} else {
		j.known(consumer, "the signature of "+consumer, "that the signature is good")
	}
	j.verdict.Asked = AskSignatures
}

// signature returns what follows the scheme.
func signature(values Values) (parameters string, signed bool) {
	return strings.CutPrefix(strings.Join(values(SignatureHeader), ","), SignatureScheme+" ")
}

// signer is who a signature says has made it.
func signer(parameters string) string {
	for part := range strings.SplitSeq(parameters, ",") {
		if name, value, ok := strings.Cut(strings.TrimSpace(part), "="); ok && name == "consumer" {
			return value
		}
	}
	return ""
}

// NotGranted says that a known caller has no right.
func NotGranted(consumer, function string, right Right) string {
	return fmt.Sprintf("%s may not %s %s", consumer, Verb(right), function)
}

// Verb is a right in a sentence.
func Verb(right Right) string {
	if right == NameRevision {
		return "name a revision of"
	}
	return "call"
}

// Needs says what would let a caller in.
func (a Access) Needs(right Right) string {
	var ways []string
	consumers := slices.ContainsFunc(a.Holders(right), func(name string) bool { return !strings.Contains(name, "/") })
	if consumers && a.Key {
		ways = append(ways, "a key in "+KeyHeader)
	}
	if consumers && a.Certificate {
		ways = append(ways, "a client certificate")
	}
	if a.AnyToken(right) || len(a.Revisions) > 0 {
		for _, t := range a.Tokens {
			ways = append(ways, fmt.Sprintf("a token of %s in %s", t.Issuer.Issuer, t.where()))
		}
	}
	if consumers && a.Signature {
		ways = append(ways, "a signature in "+SignatureHeader)
	}
	if len(ways) == 0 {
		return "nobody may " + Verb(right) + " this function"
	}
	return "needed: " + strings.Join(ways, ", or ")
}

// AsksExternal tells whether the external service may let a caller in: it knows
// nothing of revisions.
func (a Access) AsksExternal(right Right) bool {
	return a.External != nil && a.asked(right) == Call
}

// AnyToken tells whether every holder of a token has a right.
func (a Access) AnyToken(right Right) bool { return a.asked(right) == Call }
